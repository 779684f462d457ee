"""What the audit log has of requests for `/admin`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from svcready.admin import OpsRequest, build_surface
from svcready.testing import FakeClock, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.testing import Harness

PEER = "203.0.113.9"


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test turns."""
    return FakeClock()


@pytest.fixture
def harness(clock: FakeClock) -> Iterator[Harness]:
    """Run a service in production whose operators have two tokens."""
    tokens = {"SVCREADY_ADMIN_TOKENS": "first-s3cret,second-s3cret"}
    with running(environ=tokens, clock=clock) as harness:
        yield harness


def ask(
    harness: Harness,
    offered: str | None = None,
    *,
    path: str = "/admin/health",
    peer: str | None = PEER,
    method: str = "GET",
    body: bytes = b"",
) -> int:
    """Ask the surface; return the status."""
    harness.runtime.ready()
    known = {"authorization": offered, "content-type": "application/json"}
    request = OpsRequest(
        method, path, "", lambda name: known.get(name.lower()), peer, body
    )
    return build_surface(harness.runtime).answer(request).status


def test_who_is_let_in_is_called_by_the_tokens_place(harness: Harness) -> None:
    """Every request that is admitted has an entry, and none has a token."""
    assert ask(harness, "Bearer second-s3cret") == 200
    assert ask(harness, "Bearer second-s3cret", peer=None) == 200

    first, second = harness.audit_entries
    assert first["action"] == "authorisation.admin"
    assert first["resource"] == {"type": "endpoint", "id": "/admin/health"}
    assert first["actor"] == {"type": "operator", "id": "token 2", "ip": PEER}
    assert first["outcome"] == "success"
    assert first["details"] == {"method": "GET"}
    assert second["actor"] == {"type": "operator", "id": "token 2", "ip": "unknown"}
    assert "s3cret" not in json.dumps(harness.audit_entries)


def test_refusals_say_why(harness: Harness) -> None:
    """No credentials and wrong ones are told apart; what was offered is not kept."""
    assert ask(harness) == 401
    assert ask(harness, "Bearer second-s3creT") == 401

    none, wrong = harness.audit_entries
    assert none["outcome"] == wrong["outcome"] == "denied"
    assert none["actor"] == {"type": "peer", "id": PEER, "ip": PEER}
    assert none["details"] == {"method": "GET", "reason": "no_credentials"}
    assert wrong["details"] == {"method": "GET", "reason": "wrong_credentials"}
    assert "s3cre" not in json.dumps(harness.audit_entries)


def test_a_scanner_makes_few_entries(harness: Harness, clock: FakeClock) -> None:
    """The same refusal of the same peer is counted, and the count is an entry."""
    said = [ask(harness, "Bearer guess") for _ in range(1000)]

    assert said == [401] * 10 + [429] * 990
    assert len(harness.audit_entries) == 2

    clock.advance(60.0)
    harness.runtime.audit.sweep()
    again = [entry["details"] for entry in harness.audit_entries[2:]]
    assert again == [
        {"method": "GET", "reason": "wrong_credentials", "again": 9},
        {"method": "GET", "reason": "too_many_failures", "again": 989},
    ]


def test_what_is_hidden_is_audited() -> None:
    """Where nothing is configured, who looks for the path is told of all the same."""
    with running() as harness:
        assert ask(harness, "Bearer guess") == 404
        (entry,) = harness.audit_entries

    assert entry["outcome"] == "denied"
    assert entry["details"] == {"method": "GET", "reason": "nothing_configured"}


def test_the_own_machine_in_development() -> None:
    """Who is let in without a token is called `local`."""
    environ = {"SVCREADY_SERVICE_ENVIRONMENT": "development"}
    with running(environ=environ) as harness:
        harness.runtime.ready()
        known = {"host": "localhost"}
        request = OpsRequest("GET", "/admin/health", "", known.get, "127.0.0.1")
        lower = request._replace(header=lambda name: known.get(name.lower()))
        assert build_surface(harness.runtime).answer(lower).status == 200
        (entry,) = harness.audit_entries

    assert entry["actor"] == {"type": "operator", "id": "local", "ip": "127.0.0.1"}


def test_probes_and_scrapes_are_not_audited(harness: Harness) -> None:
    """Only `/admin` is; anybody may ask the others."""
    ask(harness, path="/health/liveness")
    ask(harness, path="/metrics")

    assert harness.audit_entries == []


def test_a_change_of_level_is_audited(harness: Harness) -> None:
    """What an operator changes has an entry with before and after, beside the line."""
    body = json.dumps({"logger": "orders", "level": "WARN"}).encode()
    answered = ask(
        harness, "Bearer first-s3cret", path="/admin/loggers", method="POST", body=body
    )

    assert answered == 200
    admitted, change = harness.audit_entries
    assert admitted["details"] == {"method": "POST"}
    assert change["action"] == "log.level.change"
    assert change["resource"] == {"type": "logger", "id": "orders"}
    assert change["actor"] == admitted["actor"]
    assert change["actor"] == {"type": "operator", "id": "token 1", "ip": PEER}
    changes = change["changes"]
    assert isinstance(changes, dict)
    assert changes["level"] == {"from": "INFO", "to": "WARN"}


def test_switched_off_nothing_is_audited() -> None:
    """The surface answers as before."""
    environ = {"SVCREADY_AUDIT_ENABLED": "false", "SVCREADY_ADMIN_TOKENS": "s3cret"}
    with running(environ=environ) as harness:
        assert ask(harness, "Bearer s3cret") == 200
        assert ask(harness) == 401
        assert harness.audit_entries == []
