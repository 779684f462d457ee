"""The deadline that a request brings: believed, clamped, in force, or answered 504."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

import svcready
from svcready.config._sections.admin import NOBODY
from svcready.config._sections.http import HttpSettings
from svcready.resilience import http
from svcready.resilience._http._deadline_fields import left_s, text_of
from svcready.resilience._http._inbound_deadline import (
    deadline_counts,
    inbound_deadline,
)
from svcready.resilience._limiting._inbound import Refusal
from svcready.resilience._timing import _deadline
from svcready.resilience.clients.httpx import AsyncPolicyTransport
from svcready.testing import FakeClock, running
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from svcready.testing import Harness

NAME = "x-request-timeout-ms"
DURATIONS = "http_server_request_duration_seconds_count"
TRUSTED = {"http.deadline_trusted": "10.0.0.0/8, ::1"}


class Seen:
    """Notes what is left when an application is called, on ASGI and on WSGI."""

    def __init__(self) -> None:
        self.left: list[float] = []

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request over ASGI."""
        self.left.append(svcready.remaining())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    def wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        """Answer a request over WSGI."""
        self.left.append(svcready.remaining())
        start_response("200 OK", [])
        return [b"done"]


class Kind:
    """Asks one kind of application, with headers and from an address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen = Seen()
        on_asgi = name == "asgi"
        self.app: Any = svcready.wrap(self.seen.asgi if on_asgi else self.seen.wsgi)

    def ask(
        self, *, client: str = "10.1.2.3", method: str = "GET", **fields: str
    ) -> Any:
        """Return the reply."""
        named = {name.replace("_", "-").lower(): text for name, text in fields.items()}
        if self.name == "asgi":
            headers = [(k.encode(), v.encode("latin-1")) for k, v in named.items()]
            scope = http_scope(
                "/pay", headers=headers, client=(client, 5000), method=method
            )
            return asyncio.run(ask_asgi(self.app, scope))

        keys = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in named.items()}
        more = {"REMOTE_ADDR": client, "REQUEST_METHOD": method, **keys}
        return ask_wsgi(self.app, "/pay", **more)


@pytest.fixture(params=["asgi", "wsgi"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """An application of each kind."""
    return Kind(request.param)


def outcomes(harness: Harness) -> dict[str, float]:
    """Return what became of deadlines, by outcome."""
    names = ("applied", "clamped", "spent", "untrusted", "malformed", "default")
    found = {
        name: harness.sample(
            "svcready_resilience_calls_total",
            component="inbound_deadline",
            outcome=name,
        )
        for name in names
    }
    return {name: value for name, value in found.items() if value}


@pytest.fixture(autouse=True)
def _counts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "svcready.resilience._http._inbound_deadline._COUNTS", [], raising=True
    )


def test_a_callers_deadline_is_in_force(kind: Kind) -> None:
    """What the caller leaves is what the application has, until it has answered."""
    with running(clock=FakeClock(), settings=TRUSTED) as harness:
        kind.ask(x_request_timeout_ms="1500")
        assert kind.seen.left == [1.5]
        assert svcready.remaining() == math.inf
        assert outcomes(harness) == {"applied": 1.0}
        kind.ask()
        assert kind.seen.left == [1.5, math.inf]


def test_a_spent_one_is_answered_for_the_application(kind: Kind) -> None:
    """504 problem+json without a call; line, metric and ids as of any other request."""
    with running(settings=TRUSTED) as harness:
        before = harness.sample(DURATIONS, http_response_status_code="504") or 0.0
        reply = kind.ask(x_request_timeout_ms="0")
        assert kind.seen.left == []
        assert reply.status == 504
        assert reply.headers["content-type"] == "application/problem+json"
        problem = json.loads(reply.body)
        assert (problem["status"], problem["title"]) == (504, "Gateway Timeout")
        assert "x-request-id" in {name.lower() for name in reply.headers}
        (line,) = harness.access_lines
        assert line["http"]["status"] == 504  # type: ignore[index]
        assert outcomes(harness) == {"spent": 1.0}
        after = harness.sample(DURATIONS, http_response_status_code="504")
        assert after == before + 1.0
        assert kind.ask(method="HEAD", x_request_timeout_ms="0").body == b""


def test_nobody_is_believed_who_is_not_named(kind: Kind) -> None:
    """A stranger's field is counted and ignored; so is one that a proxy may hand on."""
    with running(settings=TRUSTED) as harness:
        kind.ask(client="192.0.2.1", x_request_timeout_ms="0")
        kind.ask(client="", x_request_timeout_ms="0")
        kind.ask(client="unix:", x_request_timeout_ms="0")
        kind.ask(x_forwarded_for="10.1.2.3", x_request_timeout_ms="0")
        assert kind.seen.left == [math.inf] * 4
        assert outcomes(harness) == {"untrusted": 4.0}
        kind.ask(client="::ffff:10.1.2.3", x_request_timeout_ms="500")
        assert kind.seen.left[-1] <= 0.5


@pytest.mark.parametrize(
    "headers",
    [
        {"x_real_ip": "10.1.2.3"},
        {"forwarded": "for=10.1.2.3"},
        {"forwarded": 'for="10.1.2.3:4711";proto=https, for=192.0.2.1'},
        {"x_forwarded_for": "192.0.2.1, 10.1.2.3:80"},
        {"x_forwarded_for": "::ffff:10.1.2.3"},
    ],
)
@pytest.mark.parametrize("hops", [0, 2])
def test_an_address_that_anybody_may_have_written_is_not_believed(
    headers: dict[str, str], hops: int, kind: Kind
) -> None:
    """A server that takes its peer from some header makes nobody trusted by that."""
    settings = {**TRUSTED, "http.trusted_hops": hops}
    settings["http.trusted_header"] = "x-forwarded-for"
    if hops and headers.get("x_forwarded_for", "").count(","):
        settings["http.trusted_hops"] = 3

    with running(settings=settings) as harness:
        kind.ask(**headers, x_request_timeout_ms="0")
        assert outcomes(harness) == {"untrusted": 1.0}


def test_what_our_proxies_tell_is_believed(kind: Kind) -> None:
    """The address that the outermost proxy of ours saw counts, whatever repeats it."""
    settings = {**TRUSTED, "http.trusted_hops": 2}
    with running(settings=settings) as harness:
        told = {"x_forwarded_for": "192.0.2.1, 10.1.2.3, 172.16.0.1"}
        kind.ask(client="172.16.0.2", **told, x_request_timeout_ms="500")
        kind.ask(
            client="172.16.0.2", **told, x_real_ip="10.1.2.3", x_request_timeout_ms="1"
        )
        assert outcomes(harness) == {"applied": 2.0}

    settings |= {"http.trusted_header": "forwarded", "http.trusted_hops": 1}
    with running(settings=settings) as harness:
        told = {"forwarded": "for=192.0.2.1, for=10.1.2.3;by=_x"}
        kind.ask(client="172.16.0.2", **told, x_request_timeout_ms="500")
        assert outcomes(harness)["applied"] == 3.0
        kind.ask(x_forwarded_for="10.1.2.3", x_request_timeout_ms="500")
        assert outcomes(harness)["untrusted"] == 1.0


def test_without_a_network_nothing_is_read(kind: Kind) -> None:
    """Off by default: no admission is in the plan, and no field is looked for."""
    with running() as harness:
        kind.ask(x_request_timeout_ms="0")
        assert kind.seen.left == [math.inf]
        assert kind.app._cell.plan.admission is None
        assert outcomes(harness) == {}


def test_a_malformed_network_believes_nobody() -> None:
    """What stands for a list that can't be read lets no caller say anything."""

    class Inbound:
        client = "10.1.2.3"

        def header(self, name: str) -> str | None:
            return "0" if name == "X-Request-Timeout-Ms" else None

    counts = deadline_counts()
    http = HttpSettings(deadline_trusted=NOBODY)
    admission = inbound_deadline(http, lambda: 0.0, counts)
    assert not isinstance(admission.enter(cast("Any", Inbound())), Refusal)
    assert counts.totals() == {"untrusted": 1}


def test_a_long_one_is_clamped(kind: Kind) -> None:
    """No caller leaves more than the operator allows."""
    settings = {**TRUSTED, "http.deadline_max_s": 2}
    with running(clock=FakeClock(), settings=settings) as harness:
        kind.ask(x_request_timeout_ms="999999999999")
        assert kind.seen.left == [2.0]
        assert outcomes(harness) == {"clamped": 1.0}


@pytest.mark.parametrize(
    "text",
    ["", "-5", "+5", "1.5", "1e3", "five", "5 ", "\u0665", "9" * 13, "5,5", "0x5"],
)
def test_garbage_is_ignored_and_counted(kind: Kind, text: str) -> None:
    """Whatever stands there, the request is served; only spaces around don't matter."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        text = text.encode().decode("latin-1")

    with running(clock=FakeClock(), settings=TRUSTED) as harness:
        assert kind.ask(x_request_timeout_ms=text).status == 200
        good = text == "5 "
        assert kind.seen.left == [pytest.approx(0.005) if good else math.inf]
        assert outcomes(harness) == {"applied" if good else "malformed": 1.0}


def test_envoys_and_grpcs_are_read_too(kind: Kind) -> None:
    """Of several the least holds; a malformed one takes nothing from the others."""
    with running(clock=FakeClock(), settings=TRUSTED):
        kind.ask(grpc_timeout="2S")
        kind.ask(x_envoy_expected_rq_timeout_ms="700")
        kind.ask(
            grpc_timeout="3M",
            x_envoy_expected_rq_timeout_ms="900",
            x_request_timeout_ms="soon",
        )
        assert kind.seen.left == pytest.approx([2.0, 0.7, 0.9])


def test_the_field_has_the_operators_name(kind: Kind) -> None:
    """`SVCREADY_HTTP_DEADLINE_HEADER` names what is read as well."""
    settings = {**TRUSTED, "http.deadline_header": "X-Left"}
    with running(clock=FakeClock(), settings=settings):
        kind.ask(x_left="300", x_request_timeout_ms="1")
        assert kind.seen.left == [pytest.approx(0.3)]


def test_a_default_bounds_who_says_nothing(kind: Kind) -> None:
    """Requests have the operator's bound, which a trusted caller may change."""
    settings = {**TRUSTED, "http.deadline_default_s": 5}
    with running(clock=FakeClock(), settings=settings) as harness:
        kind.ask()
        kind.ask(client="192.0.2.1", x_request_timeout_ms="1")
        kind.ask(x_request_timeout_ms="7000")
        assert kind.seen.left == [5.0, 5.0, 7.0]
        assert outcomes(harness) == {"default": 2.0, "untrusted": 1.0, "applied": 1.0}


def test_a_threads_next_request_begins_anew() -> None:
    """What a response closed elsewhere left in a thread bounds nobody else."""
    kind = Kind("wsgi")
    with running(clock=FakeClock(), settings=TRUSTED):
        token = _deadline.put(-100.0)
        try:
            kind.ask()
            kind.ask(x_request_timeout_ms="1000")
        finally:
            _deadline.lift(token)

        assert kind.seen.left == [math.inf, 1.0]


def test_a_wsgi_streams_pieces_are_under_it() -> None:
    """The body's generator runs under the deadline, which ends with the response."""
    left: list[float] = []

    def app(environ: Any, start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response("200 OK", [])

        def body() -> Iterator[bytes]:
            for _ in range(2):
                left.append(svcready.remaining())
                yield b"piece"

        return body()

    with running(clock=FakeClock(), settings=TRUSTED):
        more = {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_REQUEST_TIMEOUT_MS": "1000"}
        ask_wsgi(svcready.wrap(app), "/", **more)
        assert left == [1.0, 1.0]
        assert svcready.remaining() == math.inf


def test_operators_paths_and_websockets_have_none() -> None:
    """A probe is answered whatever it brings; a socket lives as long as it likes."""
    left: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        left.append(svcready.remaining())
        await send({"type": "websocket.close", "code": 1000})

    headers = [(NAME.encode(), b"0")]
    with running(settings={**TRUSTED, "http.deadline_default_s": 5}):
        wrapped = svcready.wrap(app)
        probe = http_scope("/health/liveness", headers=headers)
        assert asyncio.run(ask_asgi(wrapped, probe)).status == 200
        socket = {**http_scope("/live", headers=headers), "type": "websocket"}
        asyncio.run(ask_asgi(wrapped, socket))
        assert left == [math.inf]


def test_it_goes_through_a_service() -> None:
    """What comes in is what goes out, less the time that it took and 10 ms."""
    clock = FakeClock()
    sent: list[str | None] = []

    def bank(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get(NAME))
        clock.advance(0.1)
        return httpx.Response(503 if len(sent) == 1 else 200)

    app = FastAPI()
    retry = svcready.retry(on=http.transient, wait_base=0.001)
    svcready.policy("bank-deadline", preset="http", retry=retry)
    transport = AsyncPolicyTransport("bank-deadline", httpx.MockTransport(bank))

    @app.get("/pay")
    async def pay() -> float:
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get("http://bank")

        return svcready.remaining()

    async def ask() -> httpx.Response:
        inner = httpx.ASGITransport(app, client=("10.1.2.3", 1))
        async with httpx.AsyncClient(transport=inner, base_url="http://t") as client:
            return await client.get("/pay", headers={NAME: "1000"})

    with running(clock=clock, settings=TRUSTED):
        svcready.init(app=app)
        reply = asyncio.run(ask())

    assert reply.status_code == 200
    assert sent[0] == "990"
    assert 800 <= int(str(sent[1])) <= 890
    assert reply.json() <= 0.8


@given(st.text(max_size=20), st.booleans())
def test_no_text_raises(text: str, grpc: bool) -> None:
    """Whatever a field holds, it is a time from 0 to a day, or nothing."""
    seconds = left_s(text, grpc=grpc)
    assert seconds is None or 0.0 <= seconds <= 86_400.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1H", 3600.0),
        ("2M", 120.0),
        ("3S", 3.0),
        ("40m", 0.04),
        ("500u", 0.0005),
        ("7n", 7e-9),
        ("0n", 0.0),
        ("99999999H", 86_400.0),
        ("123456789S", None),
        ("5s", None),
        ("S", None),
        ("-1S", None),
    ],
)
def test_grpcs_units(text: str, seconds: float | None) -> None:
    """Up to eight digits and a unit, as gRPC's protocol over HTTP/2 has it."""
    got = left_s(text, grpc=True)
    assert got == (None if seconds is None else pytest.approx(seconds))


@given(st.floats(-10, 1e5))
def test_what_is_sent_can_be_read(remaining_s: float) -> None:
    """A client sends what a service reads as 10 to 11 ms less, or nothing at all."""
    text = text_of(remaining_s)
    if text is None:
        assert remaining_s < 0.012
    else:
        seconds = left_s(text)
        assert seconds is not None
        lost_s = min(remaining_s, 86_400.0) - seconds
        assert -1e-6 <= lost_s <= 0.0111 or remaining_s > 86_400.0
