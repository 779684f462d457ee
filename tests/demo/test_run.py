"""The demo itself: real services, real traffic, real outages."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from typing import IO, TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = "6"
GONE_WITHIN_S = 12

needs_services = pytest.mark.skipif(
    not psutil.POSIX, reason="the demo hands its sockets on"
)
pytestmark = [needs_services, pytest.mark.timeout(90)]


def start(*options: str, **environ: str) -> subprocess.Popen[str]:
    """Start the demo as a user does."""
    return subprocess.Popen(
        [sys.executable, "-m", "svcready", "demo", "--seconds", SECONDS, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
        # A shell's background jobs ignore Ctrl-C, and so would what they start.
        preexec_fn=_hear_interrupts,  # noqa: PLW1509 - one call, no lock
    )


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_until(stream: IO[str] | None, text: str) -> list[str]:
    """Read lines until one has *text* in it."""
    assert stream is not None
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return lines

    pytest.fail(f"{text!r} never came in {''.join(lines)}")


def outlived(children: list[psutil.Process]) -> list[psutil.Process]:
    """Return the children that are still there when they should not be."""
    _, alive = psutil.wait_procs(children, timeout=GONE_WITHIN_S)
    return alive


@pytest.fixture
def keeping() -> Iterator[subprocess.Popen[str]]:
    """Run a demo without metrics that stays when it is over."""
    with start("--keep", SVCREADY_METRICS_ENABLED="false") as demo:
        yield demo
        demo.kill()


def test_every_part_shows_up() -> None:
    """`--json` prints one document, all parts are in it, and the exit code is 0."""
    with start("--json") as demo:
        output, complaints = demo.communicate()

    findings = json.loads(output)
    assert [part for part in findings["parts"] if not part["shown"]] == []
    assert findings["ok"] is True
    assert demo.returncode == 0, complaints
    assert findings["requests"] == sum(r["requests"] for r in findings["routes"])
    statuses = {
        (route["route"], status)
        for route in findings["routes"]
        for status in route["statuses"]
    }
    assert statuses >= {
        ("/orders", "201"),
        ("/orders", "422"),
        ("/orders", "503"),
        ("/orders/{order_id}", "404"),
        ("/orders/{order_id}/invoice", "500"),
        ("__unmatched__", "404"),
    }


def test_a_missing_part_is_named(keeping: subprocess.Popen[str]) -> None:
    """
    With metrics off the demo says so and fails; kept, it serves until Ctrl-C.

    After that nothing of it is left.
    """
    shown = read_until(keeping.stdout, "Still running")
    addresses = "".join(read_until(keeping.stdout, "mend it"))
    children = psutil.Process(keeping.pid).children()
    [health] = re.findall(r"http://\S+/health/readiness", addresses)
    with urllib.request.urlopen(health, timeout=5) as answer:
        status = answer.status

    keeping.send_signal(signal.SIGINT)
    _, complaints = keeping.communicate(timeout=30)

    assert status == 200
    missing = [line for line in shown if "MISSING" in line]
    assert [line.split()[1] for line in missing] == ["metrics"], missing
    assert complaints == "svcready demo: did not show up: metrics\n"
    assert keeping.returncode == 1
    assert len(children) == 2
    assert outlived(children) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_children_never_outlive_the_demo(number: signal.Signals, code: int) -> None:
    """Neither Ctrl-C nor a death without a last word leaves a service behind."""
    with start() as demo:
        read_until(demo.stdout, "all is well")
        children = psutil.Process(demo.pid).children()
        demo.send_signal(number)
        assert demo.wait(30) == code

    assert len(children) == 2
    assert outlived(children) == []
