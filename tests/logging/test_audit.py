"""What one entry of the audit log says, and what code may not say."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, cast

import pytest

import svcready
from svcready._core import context
from svcready.config import load
from svcready.config._sections.audit import UNKNOWN_KEY, AuditSettings
from svcready.errors import DeclarationError
from svcready.logging import audit
from svcready.logging._audit import _state as _audit_state
from svcready.logging._audit._log import AuditLog, _key_of
from svcready.testing import FakeClock, running
from tests.conftest import Faults
from tests.logging.audit_support import (
    Lines,
    hash_of,
    make_audit,
    read_entries,
    verified,
)
from tests.logging.support import SPAN, TRACE, Listener


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Run an audit log of its own and return what it wrote."""
    made, lines = make_audit()
    made.start()
    yield lines
    made.close(1.0)


def test_an_entry_says_who_did_what(lines: Lines) -> None:
    """Action, resource, actor, outcome, changes, details, in the published schema."""
    audit.record(
        "order.cancel",
        {"type": "order", "id": 7},
        {"type": "user", "id": "alice", "ip": "203.0.113.9"},
        "success",
        changes={"state": ("open", "cancelled"), "note": {"to": "late"}},
        channel="web",
    )

    (entry,) = lines.entries
    assert entry.pop("hash") == hash_of(lines.lines[0])
    assert len(entry.pop("chain")) == 32
    assert entry == {
        "schema": 1,
        "log_type": "audit",
        "timestamp": "2027-01-15T08:00:00.000000Z",
        "service": "orders",
        "version": "1.4.2",
        "environment": "production",
        "instance": "host-1",
        "sequence": 1,
        "previous_hash": "0" * 64,
        "algorithm": "sha256",
        "action": "order.cancel",
        "resource": {"type": "order", "id": 7},
        "actor": {"type": "user", "id": "alice", "ip": "203.0.113.9"},
        "outcome": "success",
        "changes": {
            "state": {"from": "open", "to": "cancelled"},
            "note": {"to": "late"},
        },
        "details": {"channel": "web"},
    }


def test_times_have_microseconds() -> None:
    """A timestamp is in UTC, with six digits of the second."""
    clock = FakeClock(wall_ns=1_800_000_000_000_000_000)
    made, lines = make_audit(clock=clock)
    made.start()
    for ahead_s in (0.001234, 0.5):
        clock.advance(ahead_s)
        audit.record("a", "r", "me", "success")

    made.close(1.0)

    stamps = [entry["timestamp"] for entry in lines.entries[:2]]
    assert stamps == ["2027-01-15T08:00:00.001234Z", "2027-01-15T08:00:00.501234Z"]


def test_texts_stand_for_ids(lines: Lines) -> None:
    """A resource or an actor that is a text is an id."""
    audit.record("order.read", "order/7", "alice", "denied")

    (entry,) = lines.entries
    assert (entry["resource"], entry["actor"]) == ({"id": "order/7"}, {"id": "alice"})
    assert "changes" not in entry
    assert "details" not in entry


def test_ids_of_the_request_are_on_it() -> None:
    """Request, correlation, trace and span are those in force when it was recorded."""
    made, lines = make_audit(span_ids=lambda: (TRACE, SPAN))
    made.start()
    record = context.ContextRecord(request_id="r-1", correlation_id="c-1")
    token = context.activate(record)
    audit.record("order.read", "order/7", "alice", "success")
    context.deactivate(token)
    made.close(1.0)

    entry = lines.entries[0]
    assert (entry["request_id"], entry["correlation_id"]) == ("r-1", "c-1")
    assert (entry["trace_id"], entry["span_id"]) == (TRACE, SPAN)


def test_secrets_are_masked_before_the_hash(lines: Lines) -> None:
    """What is secret is neither on the line nor in its hash, wherever it stands."""
    audit.record(
        "user.update",
        "user/1",
        {"id": "alice", "session_token": "hunter2"},
        "success",
        changes={"password": ("hunter2", "hunter2"), "url": (None, "x")},
        note="Authorization: Bearer hunter2hunter2hunter2",
        api_key="hunter2",
    )

    (entry,) = lines.entries
    assert b"hunter2" not in lines.data
    assert entry["changes"]["password"] == "[redacted:key]"
    assert entry["hash"] == hash_of(lines.lines[0])


class Breaks:
    """A value whose own code fails."""

    def __repr__(self) -> str:
        """Fail."""
        raise RuntimeError


@pytest.mark.parametrize(
    "value", [float("nan"), 2**200, "\ud800\0\u2028", b"\xff", {1: Breaks()}, Breaks()]
)
def test_no_value_makes_it_fail(lines: Lines, value: object) -> None:
    """Whatever the details hold, there is one valid line."""
    audit.record("a.b", {"id": value}, {"id": value}, "error", value=value)

    assert len(lines.entries) == 1
    assert not verified(lines.data).found


def test_what_is_too_long_is_cut_and_says_so() -> None:
    """The largest values give way to their size and hash; the entry verifies."""
    made, lines = make_audit(max_bytes=8192)
    made.start()
    text = "x" * 30_000
    audit.record("order.import", "order/7", "alice", "success", body=text, small="here")
    many: Any = {f"field_{i}": "y" * 90 for i in range(99)}
    audit.record("a", "r", "me", "success", **many)
    audit.record("a", {"id": "z" * 9000}, {"id": "u" * 9000, "ip": "::1"}, "success")
    made.close(1.0)

    first, second, third, _ = lines.entries
    said = json.dumps(text).encode()
    marker = {"_cut_bytes": len(said), "_sha256": sha256(said).hexdigest()}
    assert first["details"] == {"body": marker, "small": "here"}
    assert second["details"].keys() == {"_cut_bytes", "_sha256"}
    assert third["actor"]["ip"] == "::1"
    assert all(len(line) <= 8192 for line in lines.lines)
    assert not verified(lines.data, closed=True).found


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"action": ""}, "action '' is not allowed: use 1 to 128"),
        ({"action": "no spaces"}, "'no spaces'"),
        ({"action": "svcready.audit.closed"}, "does not begin with svcready."),
        ({"action": 7}, "action 7"),
        ({"outcome": "ok"}, "'ok' is not allowed: use one of success, failure, denied"),
        ({"outcome": ["success"]}, "outcome"),
        ({"actor": None}, "actor None"),
        ({"actor": {}}, "actor {}"),
        ({"actor": 7}, "actor of type int"),
        ({"resource": ["a"]}, "resource of type list"),
        ({"changes": ["hunter2"]}, "changes of type list"),
        ({"changes": {"state": "hunter2"}}, r"changes\['state'\] of type str"),
        ({"changes": {"state": {"form": 1}}}, r"changes\['state'\] of type dict"),
        ({"changes": {"state": (1, 2, 3)}}, r"changes\['state'\] of type tuple"),
    ],
)
@pytest.mark.parametrize("started", [True, False])
def test_wrong_code_is_told(
    wrong: dict[str, object],
    named: str,
    *,
    started: bool,
    request: pytest.FixtureRequest,
) -> None:
    """It raises, whether there is a runtime or not, and never shows a secret."""
    if started:
        request.getfixturevalue("lines")

    said = {"action": "a", "resource": "r", "actor": "me", "outcome": "success"}
    with pytest.raises(DeclarationError, match=named) as caught:
        audit.record(**cast("Any", {**said, **wrong}))

    assert "hunter2" not in str(caught.value)


def test_decisions_have_helpers(lines: Lines) -> None:
    """`authentication` and `authorisation` name action, resource and outcome."""
    audit.authentication(
        "login",
        {"id": "bob", "ip": "::1"},
        "failure",
        method="password",
        reason="wrong",
    )
    audit.authentication("logout", "bob", "success")
    audit.authorisation("order.refund", "order/7", "bob", granted=False, reason="owner")
    audit.authorisation("order.read", "order/7", "bob", granted=True)

    login, logout, refund, read = lines.entries
    assert login["action"] == "authentication.login"
    assert login["resource"] == {"type": "account", "id": "bob"}
    assert login["details"] == {"method": "password", "reason": "wrong"}
    assert logout["outcome"] == "success"
    assert (refund["action"], refund["outcome"]) == (
        "authorisation.order.refund",
        "denied",
    )
    assert refund["details"] == {"reason": "owner"}
    assert read["outcome"] == "success"


def test_the_face_has_the_module() -> None:
    """`svcready.audit` is the module, and its schema a draft 2020-12 one."""
    assert svcready.audit is audit
    assert audit.schema()["title"] == "svcready audit entry, version 1"


def test_entries_from_before_a_runtime_are_written_at_its_start() -> None:
    """They come first, as they were when recorded, with secrets masked only then."""
    state: dict[str, object] = {"list": [1], "house_secret": "hunter2"}
    audit.record("early.one", "r", "me", "success", changes={"a": (1, 2)}, state=state)
    cast("list[int]", state["list"]).append(2)
    with running(settings={"log.redact_keys": "house_secret"}) as harness:
        audit.record("late", "r", "me", "success")
        early, late = harness.audit_entries

    assert early["action"] == "early.one"
    assert early["changes"] == {"a": {"from": 1, "to": 2}}
    assert early["details"] == {
        "state": {"list": [1], "house_secret": "[redacted:key]"}
    }
    assert (early["sequence"], late["sequence"]) == (1, 2)


def test_too_many_early_entries_are_counted() -> None:
    """Beyond 1 000 the next start says how many were lost, in the chain as well."""
    for _ in range(1003):
        audit.record("early", "r", "me", "success")

    with running() as harness:
        entries = harness.audit_entries
        (said,) = [
            line
            for line in harness.lines
            if cast("Mapping[str, object]", line["source"])["logger"]
            == "svcready.audit"
        ]
        assert harness.sample("svcready_dropped_total", reason="not_started") == 3.0

    assert len(entries) == 1000
    assert entries[0]["lost"] == 3
    assert said["level"] == "ERROR"
    assert "3 audit entries were lost" in str(said["message"])


def test_entries_that_never_met_a_runtime_are_said_at_exit() -> None:
    """A process that records and never calls init() says so on standard error."""
    code = "import svcready; svcready.audit.record('a', 'r', 'me', 'success')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert "1 audit entries were recorded and never written" in done.stderr
    assert done.stdout == ""


def test_after_shutdown_entries_are_kept_for_the_next_start() -> None:
    """Nothing is lost between two runtimes; the second has a chain of its own."""
    with running() as harness:
        audit.record("first", "r", "me", "success")
        chain = harness.audit_entries[0]["chain"]

    audit.record("between", "r", "me", "success")
    with running() as harness:
        (entry,) = harness.audit_entries

    assert entry["action"] == "between"
    assert entry["chain"] != chain


@pytest.mark.parametrize("setting", ["audit.enabled", "core.enabled"])
def test_switched_off_it_judges_only(setting: str) -> None:
    """Nothing is written, wrong code still raises, and nothing piles up."""
    audit.record("early", "r", "me", "success")
    with running(settings={setting: False}) as harness:
        audit.record("late", "r", "me", "success")
        with pytest.raises(DeclarationError):
            audit.record("late", "r", "me", cast("Any", "maybe"))

        assert harness.audit_entries == []
        assert harness.runtime.audit.describe() == {"enabled": False}
        assert harness.runtime.audit.flush(1.0)

    with running() as harness:
        assert harness.audit_entries == []


def test_the_level_of_the_log_does_not_matter() -> None:
    """No level, filter or disabled logger holds an entry back."""
    with running(settings={"log.level": "FATAL"}) as harness:
        logging.disable(logging.CRITICAL)
        audit.record("quiet", "r", "me", "success")
        logging.disable(logging.NOTSET)

        assert [entry["action"] for entry in harness.audit_entries] == ["quiet"]
        assert not harness.logged("quiet")


def test_a_key_makes_it_an_hmac() -> None:
    """With a key the hash can't be made anew without it."""
    key = "correct horse battery"
    made, lines = make_audit(AuditSettings(key=key))
    made.start()
    audit.record("a", "r", "me", "success")
    made.close(1.0)

    assert lines.entries[0]["algorithm"] == "hmac-sha256"
    assert lines.entries[0]["hash"] != hash_of(lines.lines[0])
    assert not verified(lines.data, key=key.encode(), closed=True).found
    assert verified(lines.data, key=b"another horse battery").found == 1
    assert key not in repr(AuditSettings(key=key))


def test_a_malformed_key_verifies_with_none() -> None:
    """It is reported, not shown, and no known key can have made the entries."""
    settings = load(environ={"SVCREADY_AUDIT_KEY": "short"}, service="orders")
    (problem,) = settings.problems
    assert "SVCREADY_AUDIT_KEY" in str(problem)
    assert "short" not in str(problem)
    assert str(problem).endswith(
        "; it fails closed: entries can be verified by nobody until it is mended"
    )
    assert settings.audit.key == UNKNOWN_KEY

    made, lines = make_audit(settings.audit)
    made.start()
    audit.record("a", "r", "me", "success")
    made.close(1.0)

    assert lines.entries[0]["algorithm"] == "hmac-sha256"
    for key in (b"short", UNKNOWN_KEY.encode()):
        assert verified(lines.data, key=key).found


def test_a_malformed_key_is_another_one_each_time() -> None:
    """It is random: what is in this library's source verifies nothing."""
    settings = AuditSettings(key=UNKNOWN_KEY)
    first, second = _key_of(settings), _key_of(settings)

    assert first != second
    assert len(first) == len(second) == 32


def test_rendering_that_fails_is_counted(
    monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    """A fault of ours never reaches the caller, and the chain says what it cost."""
    made, lines = make_audit()
    made.start()
    listener = Listener()
    logging.getLogger("svcready.audit").addHandler(listener)
    with monkeypatch.context() as patch:
        patch.setattr(
            made._texts, "members", lambda _: (_ for _ in ()).throw(LookupError())
        )
        audit.record("a", "r", "me", "success")

    audit.record("b", "r", "me", "success")
    made.close(1.0)
    logging.getLogger("svcready.audit").removeHandler(listener)

    assert isinstance(faults.claim("audit"), LookupError)
    assert lines.entries[0]["lost"] == 1
    assert made.dropped == {"internal_error": 1}
    assert "1 internal_error" in listener.records[0].getMessage()


def test_the_deep_report_and_the_start_line_tell_of_it() -> None:
    """Where entries go and what was lost, for operators."""
    with running() as harness:
        audit.record("a", "r", "me", "success")
        health = harness.runtime.health
        assert health is not None
        report = cast("dict[str, Any]", health.report(details=True))["info"]["audit"]
        assert (report["status"], report["entries"], report["lost"]) == ("pass", 1, {})

        log = harness.runtime.audit
        assert isinstance(log, AuditLog)
        log.lose("queue_full", 2)
        report = cast("dict[str, Any]", health.report(details=True))["info"]["audit"]
        assert (report["status"], report["lost"]) == ("warn", {"queue_full": 2})

        harness.runtime.ready()
        (started,) = harness.logged("svcready is on")
        assert cast("dict[str, Any]", started["context"])["audit"] == {
            "destination": "memory",
            "algorithm": "sha256",
        }


def test_the_chain_is_closed_when_the_service_stops() -> None:
    """The last entry says how many there were; without entries there is none."""
    with running() as harness:
        audit.record("a", "r", "me", "success")
        harness.runtime.stopping()
        entry, closing = harness.audit_entries

    assert closing["action"] == "svcready.audit.closed"
    assert closing["resource"] == {"type": "audit_chain", "id": entry["chain"]}
    assert closing["details"] == {"entries": 1}
    assert len(harness.audit_entries) == 2

    with running() as harness:
        pass

    assert harness.audit_entries == []


def test_what_comes_after_the_close_has_a_chain_that_names_it() -> None:
    """A late entry begins another chain, tied to the one before."""
    made, lines = make_audit()
    made.start()
    audit.record("a", "r", "me", "success")
    made.end_chain(1.0)
    audit.record("b", "r", "me", "success")
    made.close(1.0)

    first, closing, second, _ = lines.entries
    assert second["chain"] != first["chain"]
    assert second["parent"] == {
        "chain": first["chain"],
        "sequence": 2,
        "hash": closing["hash"],
    }
    assert not verified(lines.data, closed=True).found


def test_only_the_recorder_in_force_is_left() -> None:
    """A runtime that closes late takes nothing from the one after it."""
    first, _ = make_audit()
    second, lines = make_audit()
    first.start()
    second.start()
    _audit_state.leave(first)
    audit.record("a", "r", "me", "success")
    second.close(1.0)

    assert read_entries(lines.data)[0]["action"] == "a"
