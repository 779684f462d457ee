"""`/admin/policies`: what is in force, who said it, and how policies stand."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

import svcready
from svcready.admin import OpsRequest, build_surface
from svcready.config._sections.resilience import POLICY_FIELDS
from svcready.errors import CircuitOpen
from svcready.resilience import _config
from svcready.resilience._admitting import _config_gates
from svcready.resilience._described import NESTING, fields_of
from svcready.resilience._hedging import _hedge_core
from svcready.resilience._layering import _layers
from svcready.resilience._standing_in import _fallback_core
from svcready.resilience._timing import _timer
from svcready.resilience.clients.httpx import PolicyTransport
from svcready.testing import FakeClock, Harness, running

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "t" * 32


def ask(harness: Harness, query: str = "", accept: str = "") -> Any:
    """Return what the path answers: JSON's value, or text."""
    headers = {"authorization": f"Bearer {TOKEN}", "accept": accept}
    request = OpsRequest(
        "GET",
        "/admin/policies",
        query,
        lambda name: headers.get(name.lower()),
        "127.0.0.1",
        b"",
    )
    status, _, body = build_surface(harness.runtime).answer(request)
    assert status == 200
    return body.decode() if accept else json.loads(body)


def policy(harness: Harness, name: str) -> dict[str, Any]:
    """Return one policy as it is shown."""
    (found,) = [it for it in ask(harness)["policies"] if it["name"] == name]
    shown: dict[str, Any] = found
    return shown


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still."""
    return FakeClock()


def runs(clock: FakeClock, **environ: str) -> Any:
    """Begin a runtime that lets us in."""
    said = {f"SVCREADY_{name}": value for name, value in environ.items()}
    return running(environ={**said, "SVCREADY_ADMIN_TOKENS": TOKEN}, clock=clock)


def test_a_breaker_shows_how_it_stands(clock: FakeClock) -> None:
    """Its state, for how long, when it will let a probe through, and why."""
    with runs(clock) as harness:
        bank = svcready.circuit_breaker("shown-bank", consecutive_failures=1)
        part = policy(harness, "shown-bank")["parts"]["breaker"]
        assert (part["state"], part["for_s"], part["probe_in_s"]) == (
            "closed",
            None,
            None,
        )
        with pytest.raises(ConnectionError):
            bank.call(fails)

        clock.advance(3.0)
        with pytest.raises(CircuitOpen) as caught:
            bank.call(fails)

        part = policy(harness, "shown-bank")["parts"]["breaker"]
        assert (part["state"], part["for_s"]) == ("open", 3.0)
        assert part["probe_in_s"] == pytest.approx(caught.value.retry_after, rel=1e-5)
        assert part["last_failure"] == "ConnectionError"
        assert part["calls"] == {"failure": 1, "rejected": 1}
        clock.advance(part["probe_in_s"] + 2.0)
        part = policy(harness, "shown-bank")["parts"]["breaker"]
        assert (part["state"], part["probe_in_s"]) == ("half_open", None)
        assert part["for_s"] == pytest.approx(2.0, abs=0.01)


def fails() -> None:
    """Fail as a dependency does."""
    raise ConnectionError


def test_what_is_in_use_is_shown(clock: FakeClock) -> None:
    """Places of a bulkhead, tokens of a rate, what the budget has left."""
    with runs(clock) as harness:
        bank = svcready.policy(
            "shown-used",
            bulkhead=3,
            rate_limit="100/m burst 9",
            retry=svcready.retry(on=ConnectionError, wait_base=0.001, wait_max=0.001),
        )
        seen: list[Any] = []
        bank.call(lambda: seen.append(policy(harness, "shown-used")["parts"]))
        (parts,) = seen
        assert (parts["bulkhead"]["in_use"], parts["bulkhead"]["waiting"]) == (1, 0)
        assert parts["rate_limit"]["tokens"] == 8.0
        assert parts["rate_limit"]["rate"] == {"per_s": 1.66667, "burst": 9}
        assert parts["retry"]["budget_left"] == 10.0
        with pytest.raises(ConnectionError):
            bank.call(fails)

        parts = policy(harness, "shown-used")["parts"]
        assert parts["bulkhead"]["in_use"] == 0
        assert parts["rate_limit"]["tokens"] == pytest.approx(5.0, abs=0.1)
        assert parts["retry"]["budget_left"] < 10.0


def test_the_other_parts_show_what_they_have(clock: FakeClock) -> None:
    """What a hedge may pay for, how much a throttle holds back, lost threads."""
    with runs(clock) as harness:
        svcready.policy(
            "shown-others",
            hedge=svcready.hedge(after="10ms"),
            throttle=True,
            timeout=svcready.timeout(after=1, threads=2),
        )
        parts = policy(harness, "shown-others")["parts"]

    assert parts["hedge"]["budget_left"] == 10.0
    assert parts["throttle"]["rejection"] == 0.0
    assert parts["timeout"]["abandoned"] == 0


def test_each_number_has_its_source(clock: FakeClock) -> None:
    """A variable's name, though it says what the code does; preset, code or default."""
    environ = {
        "POLICY__SHOWN_SAID__RETRY_ATTEMPTS": "7",
        "POLICY__SHOWN_SAID__TIMEOUT_S": "2",
        "POLICY__DEFAULT__BREAKER_WINDOW_S": "40",
        "POLICY__SHOWN_SAID__RETRY_BASE_S": "99",  # above the longest: not in force
        "POLICY__SHOWN_SAID__MODE": "observe",
        "POLICY__SHOWN_SAID__BREAKER_MODE": "enforce",
    }
    with runs(clock, **environ) as harness:
        svcready.policy("shown-said", preset="http", timeout=2, bulkhead=3)
        shown = policy(harness, "shown-said")

    said = {kind: part["sources"] for kind, part in shown["parts"].items()}
    prefix = "SVCREADY_POLICY__"
    assert said["retry"]["attempts"] == f"{prefix}SHOWN_SAID__RETRY_ATTEMPTS"
    assert said["retry"]["base_s"] == "default"
    assert said["retry"]["mode"] == f"{prefix}SHOWN_SAID__MODE"
    assert said["timeout"]["bound_s"] == f"{prefix}SHOWN_SAID__TIMEOUT_S"
    assert said["breaker"]["window_s"] == f"{prefix}DEFAULT__BREAKER_WINDOW_S"
    assert said["breaker"]["mode"] == f"{prefix}SHOWN_SAID__BREAKER_MODE"
    assert said["breaker"]["probe_lease_s"] == "preset http"
    assert said["bulkhead"]["max_concurrent"] == "code"
    assert said["bulkhead"]["max_queue"] == "default"
    assert "test_policies.py:" in shown["parts"]["bulkhead"]["declared_at"]


def test_switched_off_says_so(clock: FakeClock) -> None:
    """Where no variable of the policy's own did."""
    with runs(clock, RESILIENCE_ENABLED="false") as harness:
        svcready.circuit_breaker("shown-off")
        (shown,) = harness.runtime.resilience.show("shown-off").policies
        part = shown["parts"]["breaker"]

    assert part["mode"] == "off"
    assert part["sources"]["mode"] == "SVCREADY_RESILIENCE_ENABLED"


def test_the_nesting_is_shown(clock: FakeClock) -> None:
    """From the outside in, however it was written."""
    with runs(clock) as harness:
        svcready.timeout("shown-order", 1)
        svcready.circuit_breaker("shown-order")
        svcready.policy(
            "shown-nested", timeout=1, bulkhead=2, deadline=9, fallback=fails
        )
        assert policy(harness, "shown-order")["order"] == ["breaker", "timeout"]
        assert policy(harness, "shown-nested")["order"] == [
            *("fallback", "deadline", "bulkhead", "timeout")
        ]

    ranks = {
        "fallback": _layers.FALLBACK,
        "deadline": _layers.DEADLINE,
        "retry": _layers.RETRY,
        "hedge": _layers.HEDGE,
        "throttle": _layers.THROTTLE,
        "bulkhead": _layers.BULKHEAD,
        "breaker": _layers.BREAKER,
        "rate_limit": _layers.RATE,
        "timeout": _layers.TIMEOUT,
    }
    assert tuple(sorted(ranks, key=ranks.__getitem__)) == NESTING


def test_every_field_of_operators_is_found() -> None:
    """By the part's number that it sets; there is none that is nobody's."""
    maps = {
        "bulkhead": _config_gates._BULKHEAD_FIELDS,
        "rate_limit": _config_gates._RATE_FIELDS,
        "throttle": _config_gates._THROTTLE_FIELDS,
        "hedge": _hedge_core._FIELDS,
        "fallback": _fallback_core._FIELDS,
        "breaker": _config._BREAKER_FIELDS,
        "retry": _config._RETRY_FIELDS,
        "deadline": _timer._DEADLINE_FIELDS,
        "timeout": _timer._TIMEOUT_FIELDS,
    }
    for kind, fields in maps.items():
        for field, number in fields.items():
            assert field in fields_of(kind, number), (kind, field)

    assert {field for fields in maps.values() for field in fields} == set(POLICY_FIELDS)


def test_limits_of_rules_and_of_code_have_sources(clock: FakeClock) -> None:
    """Rules, the variables over them, and what code said."""
    environ = {
        "HTTP_RATE_LIMITS": "* 9/s by address as shown-rule; /x 3/s as shown-plain",
        "LIMIT__SHOWN_RULE__BURST": "5",
        "LIMIT__SHOWN_CODE__MODE": "observe",
    }
    with runs(clock, **environ) as harness:
        svcready.limit("7/s", name="shown-code")
        said = {
            name: policy(harness, name)["parts"]["limit"]["sources"]
            for name in ("shown-rule", "shown-plain", "shown-code")
        }

    assert said == {
        "shown-rule": {"rate": "SVCREADY_LIMIT__SHOWN_RULE__BURST", "mode": "default"},
        "shown-plain": {"rate": "SVCREADY_HTTP_RATE_LIMITS", "mode": "default"},
        "shown-code": {"rate": "code", "mode": "SVCREADY_LIMIT__SHOWN_CODE__MODE"},
    }


def test_limits_show_by_whom_for_what_and_where(clock: FakeClock) -> None:
    """And the rate as it would be said; a rule that holds for nothing says so."""
    rules = "POST /shown-order 2/m by header:x-key+tenant cost 2 as shown-typo; "
    rules += "GET /metrics 5/s as shown-own; GET /shown 1/15min as shown-live"
    with runs(clock, HTTP_RATE_LIMITS=rules) as harness:
        app = FastAPI()
        harness.runtime.attach(app)

        @app.post("/shown-orders")
        @svcready.limit("90/m burst 5", by="all", name="shown-coded", cost=3)
        def create() -> None:
            """Be limited."""

        app.get("/shown")(lambda: None)
        parts = {
            name: policy(harness, name)["parts"]["limit"]
            for name in ("shown-typo", "shown-own", "shown-live", "shown-coded")
        }
        said = ask(harness, accept="text/plain")

    typo, own, live, code = parts.values()
    assert typo["rate"] == {"per_s": 0.0333333, "burst": 2, "text": "2/minute"}
    assert (typo["by"], typo["cost"]) == ("header:x-key+tenant", 2)
    assert (typo["for"], typo["store"]) == (["POST /shown-order"], "memory")
    assert typo["idle"].startswith("there is no such route: it holds for nothing")
    assert own["idle"].startswith("that is one of svcready's own paths")
    assert (live["rate"]["text"], "idle" in live) == ("4/hour", False)
    assert (code["by"], code["cost"]) == ("all", 3)
    assert (code["for"], code["rate"]["text"]) == (["POST /shown-orders"], "90/minute")
    assert "    for POST /shown-orders\n" in said
    assert "    by header:x-key+tenant\n" in said


def test_rules_of_a_file_are_the_files(clock: FakeClock, tmp_path: Path) -> None:
    """The file and its table by name, as for every other number of it."""
    file = tmp_path / "svcready.toml"
    file.write_text('[default.http]\nrate_limits = "* 9/s by address as shown-file"\n')
    with runs(clock, CORE_CONFIG_FILE=str(file)) as harness:
        said = policy(harness, "shown-file")["parts"]["limit"]["sources"]

    assert said["rate"] == f"{file} [default.http] rate_limits"


def test_policies_of_hosts_are_shown(clock: FakeClock) -> None:
    """With what they were made from, whose preset and variables they have."""
    inner = httpx.MockTransport(lambda _: httpx.Response(200))
    environ = {"POLICY__SHOWN_HOSTS__RETRY_ATTEMPTS": "5"}
    with runs(clock, **environ) as harness:
        svcready.policy("shown-hosts", preset="http")
        transport = PolicyTransport("shown-hosts", inner, per_host=True)
        with httpx.Client(transport=transport) as client:
            client.get("http://bank.example/x")

        made = [
            it
            for it in ask(harness)["policies"]
            if it.get("made_from") == "shown-hosts"
        ]

    (shown,) = made
    assert shown["name"].startswith("shown-hosts")
    retry = shown["parts"]["retry"]
    assert retry["attempts"] == 5
    assert (
        retry["sources"]["attempts"] == "SVCREADY_POLICY__SHOWN_HOSTS__RETRY_ATTEMPTS"
    )
    assert shown["parts"]["breaker"]["sources"]["probe_lease_s"] == "preset http"


def test_thousands_are_bounded(clock: FakeClock) -> None:
    """So many at once, open breakers before all; the rest by how names begin."""
    with runs(clock) as harness:
        for number in range(2000):
            svcready.circuit_breaker(f"shown-many-{number:04}")

        assert harness.runtime.resilience.force("shown-many-1999", "open")
        said = ask(harness, "name=shown-many-")
        assert (len(said["policies"]), said["left_out"]) == (500, 1500)
        names = [each["name"] for each in said["policies"]]
        assert names == sorted(names)
        assert names[-1] == "shown-many-1999"
        assert sys.getsizeof(json.dumps(said)) < 1_000_000
        said = ask(harness, "name=shown-many-12")
        assert (len(said["policies"]), said["left_out"]) == (100, 0)
        text = ask(harness, "name=shown-many-", "text/plain")
        assert "1500 more are left out" in text


def test_people_get_text(clock: FakeClock) -> None:
    """A line for each number with its source, and the nesting."""
    with runs(clock, POLICY__SHOWN_TEXT__TIMEOUT_S="3") as harness:
        bank = svcready.policy("shown-text", timeout=2, rate_limit="100/m burst 9")
        bank.call(int)
        text = ask(harness, "name=shown-text", "text/plain")

    assert "\nshown-text: rate_limit > timeout\n" in text
    assert "    bound_s 3.0  (SVCREADY_POLICY__SHOWN_TEXT__TIMEOUT_S)\n" in text
    assert "    rate per_s 1.66667, burst 9  (code)\n" in text
    assert "    tokens 8.0\n" in text
    assert "    1 admitted\n" in text
