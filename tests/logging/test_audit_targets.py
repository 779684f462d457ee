"""Where entries go, and what stands in for a place that can't be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready._transport.sinks import cloudwatch_logs
from svcready._transport.sinks._sink import Sink
from svcready._transport.sinks.cloudwatch_logs import CloudWatchLogs
from svcready.config._sections.audit import AuditSettings
from svcready.logging._audit._targets import Chosen, choose_target
from svcready.testing import FakeClock
from tests.logging.support import Identity

if TYPE_CHECKING:
    from pathlib import Path

STDOUT_BYTES = 16 * 1024


def choose(settings: AuditSettings) -> Chosen:
    """Choose as a runtime does."""
    return choose_target(
        settings, identity=Identity, clock=FakeClock(), stdout_bytes=STDOUT_BYTES
    )


@pytest.mark.parametrize(
    ("group", "named"), [("", "/svcready/orders/audit"), ("house/audit", "house/audit")]
)
def test_a_log_group_of_its_own(group: str, named: str) -> None:
    """Entries go to a group named by the service, a stream by the instance."""
    chosen = choose(AuditSettings(destination="cloudwatch", group=group))

    assert isinstance(chosen.target, Sink)
    place = chosen.target.destination
    assert isinstance(place, CloudWatchLogs)
    assert place.where() == (named, "host-1")
    assert (chosen.name, chosen.problem) == ("cloudwatch", "")
    assert chosen.max_bytes == 1024**2 - 26
    chosen.target.close(0.0)


def test_without_the_package_it_is_standard_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An operator who asks for CloudWatch where boto3 is missing is told so."""
    monkeypatch.setattr(cloudwatch_logs, "available", lambda: False)
    chosen = choose(AuditSettings(destination="cloudwatch"))

    assert (chosen.name, chosen.max_bytes) == ("stdout", STDOUT_BYTES)
    assert 'pip install "svcready[aws]"' in chosen.problem
    assert chosen.problem.endswith("; entries go to standard output")


def test_a_file(tmp_path: Path) -> None:
    """`put` returns when the line is there, or when its time is over."""
    path = tmp_path / "audit.log"
    chosen = choose(AuditSettings(destination="file", file=str(path)))

    assert chosen.target.put(b"one\n", 50, 30.0)
    assert path.read_bytes() == b"one\n"
    assert path.stat().st_mode & 0o007 == 0  # not for every user of the machine
    assert chosen.target.put(b"two\n", 50, 0.0)
    assert chosen.target.close(30.0)
    assert path.read_bytes() == b"one\ntwo\n"
    assert chosen.target.dropped == {}


def test_a_moved_file_is_made_anew(tmp_path: Path) -> None:
    """Rotation is logrotate's: the next entry is in a new file of the name."""
    path, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    chosen = choose(AuditSettings(destination="file", file=str(path)))
    chosen.target.put(b"one\n", 50, 30.0)
    path.rename(moved)
    chosen.target.put(b"two\n", 50, 30.0)
    chosen.target.close(30.0)

    assert (moved.read_bytes(), path.read_bytes()) == (b"one\n", b"two\n")
