"""Clients in one line: a policy around every request, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import aiohttp
import httpx
import pytest
import requests

import svcready
from svcready.errors import (
    BulkheadFull,
    CircuitOpen,
    DeadlineExceeded,
    DeadlineSpent,
    DeclarationError,
)
from svcready.resilience import (
    get_breaker,
    get_bulkhead,
    get_retry,
    http,
    policy,
)
from svcready.resilience._http._hosts import MOST_HOSTS
from svcready.resilience._parts import DERIVED
from svcready.resilience._timing import _deadline
from svcready.resilience.clients.aiohttp import PolicyMiddleware
from svcready.resilience.clients.httpx import AsyncPolicyTransport, PolicyTransport
from svcready.resilience.clients.requests import PolicyAdapter
from tests.resilience.http_clients import Ask, by_aiohttp, every_client
from tests.resilience.http_peer import Peer, peer, refused
from tests.resilience.peers import breaker_of, retrier_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from svcready.resilience import Policy


@pytest.fixture
def server() -> Iterator[Peer]:
    """Serve."""
    with peer() as served:
        yield served


def quick(name: str = "payments", **parts: object) -> Policy:
    """Declare the preset, without bounds, with waits that a test has time for."""
    retry = svcready.retry(
        on=http.transient, retry_after=http.retry_after, wait_base=0.001, wait_max=0.001
    )
    bounds = {"deadline": False, "timeout": False}
    return policy(name, preset="http", **{"retry": retry, **bounds, **parts})  # type: ignore[arg-type]


def outcomes(name: str = "payments") -> Counter[str]:
    """Return what a breaker has counted."""
    return Counter(breaker_of(name).counts())


@every_client
@pytest.mark.parametrize("first", ["/status/503", "/drop", "/garbage"])
def test_what_passes_is_asked_again(ask: Ask, first: str, server: Peer) -> None:
    """A failed answer or connection is followed by another attempt, unseen."""
    quick()
    server.then(first, first)
    [answer] = ask("payments", ("GET", server.url))
    assert (answer.status, answer.text) == (200, "answer 3")
    assert server.methods == ["GET"] * 3
    assert retrier_of("payments").counts() == {"success": 0, "recovered": 1}
    counts = outcomes()
    assert (counts["success"], counts["failure"]) == (1, 2)


@every_client
def test_the_last_answer_is_the_applications(ask: Ask, server: Peer) -> None:
    """An answer that stays bad comes out as an answer, and can be read."""
    quick()
    answers = ask("payments", ("GET", f"{server.url}/status/503"))
    assert [(a.status, a.text, a.method) for a in answers] == [(503, "answer 3", "GET")]
    assert retrier_of("payments").counts()["attempts"] == 1


@every_client
def test_a_broken_connection_is_tried_as_often_as_the_policy_says(
    ask: Ask, server: Peer
) -> None:
    """Three attempts are three: aiohttp's own second try doesn't begin them anew."""
    quick()
    for _ in range(2):
        with pytest.raises(Exception, match=r"(?i)disconnect|abort|reset|closed"):
            ask("payments", ("GET", f"{server.url}/drop"))

    assert server.methods == ["GET"] * 6
    assert retrier_of("payments").counts()["attempts"] == 2


def test_aiohttp_tries_again_where_the_policy_doesnt(server: Peer) -> None:
    """Without a retry in the policy its own one stays, and passes the breaker too."""
    quick(retry=False)
    with pytest.raises(Exception, match="disconnected"):
        by_aiohttp("payments", ("GET", f"{server.url}/drop"))

    assert server.methods == ["GET"] * 2
    assert outcomes()["failure"] == 2


@every_client
def test_a_write_is_made_once(ask: Ask, server: Peer) -> None:
    """A POST that was answered or cut off is not made again; with a key it is."""
    quick()
    [answer] = ask("payments", ("POST", f"{server.url}/status/503"), body=b"pay")
    assert answer.status == 503
    with pytest.raises(Exception, match=r"(?i)disconnect|abort|reset|closed"):
        ask("payments", ("POST", f"{server.url}/drop"), body=b"pay")

    assert server.methods == ["POST"] * 2
    server.then("/status/503", "/drop")
    [answer] = ask(
        "payments",
        ("POST", server.url),
        headers={"Idempotency-Key": "7"},
        body=b"pay",
    )
    assert answer.status == 200
    assert [body for _, _, _, body in server.requests] == [b"pay"] * 5


@every_client
def test_a_body_that_is_gone_is_sent_once(ask: Ask, server: Peer) -> None:
    """What a generator gave can't be given again, whatever the method allows."""
    quick()
    server.then("/status/503")
    [answer] = ask("payments", ("PUT", server.url), body=[b"a", b"b"])
    assert answer.status == 503
    assert [body for _, _, _, body in server.requests] == [b"ab"]
    assert retrier_of("payments").counts()["not_retryable"] == 1


@every_client
def test_a_body_that_never_left_is_still_there(ask: Ask) -> None:
    """A refused connection has taken nothing of a generator: all attempts are made."""
    quick()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each client has its own
        ask("payments", ("POST", refused()), body=[b"a", b"b"])

    assert "gave up after 3 attempts" in str(caught.value.__notes__)


@every_client
def test_answers_close_a_breaker(ask: Ask, server: Peer) -> None:
    """404s are successes; five failures open it, and what it refuses is raised."""
    quick(
        breaker=svcready.circuit_breaker(
            success=http.answered, inconclusive=http.local, min_calls=4
        ),
        retry=False,
    )
    url = f"{server.url}/status"
    ask("payments", *[("GET", f"{url}/404")] * 3)
    assert outcomes()["success"] == 3
    with pytest.raises(CircuitOpen):
        ask("payments", *[("GET", f"{url}/500")] * 9)

    assert len(server.requests) == 6
    assert get_breaker("payments").state == "open"


@every_client
def test_the_servers_wait_is_kept(ask: Ask, server: Peer, told: list[object]) -> None:
    """`Retry-After` of 40 s is longer than is waited: the answer comes out at once."""
    quick()
    server.then("/status/429?Retry-After=40")
    [answer] = ask("payments", ("GET", server.url))
    assert answer.status == 429
    assert [getattr(event, "reason", None) for event in told] == ["hint"]


@every_client
def test_no_connection_is_left_behind(ask: Ask, server: Peer) -> None:
    """Answers that were not used are closed, or the second attempt would hang."""
    quick()
    server.then(*["/status/503", "/ok"] * 10)
    answers = ask("payments", *[("GET", server.url)] * 10)
    assert len(server.requests) == 20
    assert {answer.status for answer in answers} == {200}


@every_client
def test_an_answer_is_closed_when_the_next_attempt_is_refused(
    ask: Ask, server: Peer
) -> None:
    """The first failure opens the breaker: that comes out, and nothing stays open."""
    quick(breaker=svcready.circuit_breaker(consecutive_failures=1))
    with pytest.raises(CircuitOpen):
        ask("payments", ("GET", f"{server.url}/status/503"))

    gc.collect()  # an open connection would warn, which is an error here
    assert len(server.requests) == 1


def test_one_connection_is_enough(server: Peer) -> None:
    """An attempt's answer gives its connection back before the next attempt."""
    quick()
    server.then("/status/503", "/status/503")
    inner = httpx.HTTPTransport(limits=httpx.Limits(max_connections=1))
    with httpx.Client(
        transport=PolicyTransport("payments", inner), timeout=1
    ) as client:
        assert client.get(server.url).status_code == 200


@every_client
def test_every_host_has_a_policy_of_its_own(ask: Ask, server: Peer) -> None:
    """One host's failures open its breaker alone; parts and values are the same."""
    quick(breaker=svcready.circuit_breaker(consecutive_failures=1), retry=False)
    here, there = server.url, server.url.replace("127.0.0.1", "localhost")
    with pytest.raises(CircuitOpen):
        ask("payments", *[("GET", f"{here}/status/500")] * 2, per_host=True)

    assert ask("payments", ("GET", there), per_host=True)[0].status == 200
    assert get_breaker(f"payments.127-0-0-1-{server.port}").state == "open"
    assert get_breaker(f"payments.localhost-{server.port}").state == "closed"
    assert get_breaker("payments").state == "closed"


def test_hosts_beyond_a_number_share_the_policy(server: Peer) -> None:
    """Names of hosts come from outside: no more than 32 of them make policies."""
    quick()

    def ask(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, request=request)

    transport = PolicyTransport("payments", httpx.MockTransport(ask), per_host=True)
    with httpx.Client(transport=transport) as client:
        for number in range(MOST_HOSTS + 8):
            client.get(f"http://host{number}.example")
            client.get(f"http://host{number}.example")

    assert len(DERIVED) == MOST_HOSTS
    assert retrier_of("payments.host0-example").counts()["success"] == 2
    assert retrier_of("payments").counts()["success"] == 16


def test_hosts_whose_names_meet_share() -> None:
    """Two hosts that are spelt alike have one policy; nothing raises at a request."""
    quick()
    quick("payments.a_example")

    def ask(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, request=request)

    transport = PolicyTransport("payments", httpx.MockTransport(ask), per_host=True)
    long = "a" * 60
    with httpx.Client(transport=transport) as client:
        for host in ("b.example", "b-example", "a.example", "[::1]", f"{long}.example"):
            assert client.get(f"http://{host}/").status_code == 200

    assert retrier_of("payments.b-example").counts()["success"] == 2
    assert retrier_of("payments").counts()["success"] == 1  # a-example is a_example
    assert retrier_of("payments.1").counts()["success"] == 1
    assert max(map(len, DERIVED)) == 64


def test_a_hosts_policy_can_be_ones_own(server: Peer) -> None:
    """A policy that the application declared by the derived name is taken."""
    quick()
    policy("payments.api-example", breaker=True)
    transport = PolicyTransport(
        "payments",
        httpx.MockTransport(lambda request: httpx.Response(503, request=request)),
        per_host=True,
    )
    with httpx.Client(transport=transport) as client:
        client.get("http://api.example")

    assert breaker_of("payments.api-example").counts()["failure"] == 1
    with pytest.raises(KeyError):
        get_retry("payments.api-example")


def test_operators_tune_all_hosts_at_once() -> None:
    """Values for the policy hold for its hosts' ones, whose own are stronger."""
    with svcready.testing.running(
        settings={
            "policy.payments.retry_attempts": 5,
            "policy.payments.retry_max_s": 9,
            "policy.payments_b_example.retry_attempts": 7,
        }
    ):
        quick()
        transport = PolicyTransport(
            "payments",
            httpx.MockTransport(lambda request: httpx.Response(200, request=request)),
            per_host=True,
        )
        with httpx.Client(transport=transport) as client:
            client.get("http://a.example")
            client.get("http://b.example")

        first, second = (
            retrier_of(f"payments.{host}").config for host in ("a-example", "b-example")
        )
        assert (first.attempts, first.max_s) == (5, 9.0)
        assert (second.attempts, second.max_s) == (7, 9.0)


@every_client
def test_the_deadline_travels(ask: Ask, server: Peer) -> None:
    """The server is told what is left, less 10 ms; without a deadline nothing is."""
    quick()
    ask("payments", ("GET", server.url))
    token = _deadline.put(time.monotonic() + 5.0)
    try:
        ask("payments", ("GET", server.url))
        ask("payments", ("GET", server.url), headers={"x-request-timeout-ms": "7"})
        ask("payments", ("GET", server.url), send_deadline=False)
    finally:
        _deadline.lift(token)

    sent = [headers.get("x-request-timeout-ms") for _, _, headers, _ in server.requests]
    assert sent[0] is None
    assert 4000 < int(str(sent[1])) <= 4990
    assert sent[2:] == ["7", None]


@every_client
def test_the_policys_own_bounds_travel(ask: Ask, server: Peer) -> None:
    """The server needs to know no more than how long this attempt is waited for."""
    quick(deadline=30, timeout=10)
    ask("payments", ("GET", server.url))
    assert 9000 < int(server.requests[0][2]["x-request-timeout-ms"]) <= 9990


@every_client
def test_each_attempt_says_what_is_left_then(ask: Ask, server: Peer) -> None:
    """The second attempt has less time than the first, and one field."""
    quick()
    server.then("/status/503")
    token = _deadline.put(time.monotonic() + 5.0)
    try:
        ask("payments", ("GET", server.url))
    finally:
        _deadline.lift(token)

    first, second = (
        int(headers["x-request-timeout-ms"]) for _, _, headers, _ in server.requests
    )
    assert second <= first


@every_client
def test_a_spent_deadline_calls_nobody(ask: Ask, server: Peer) -> None:
    """With 10 ms or less left no request is made, and no breaker counts it."""
    quick()
    token = _deadline.put(time.monotonic() + 0.009)
    try:
        with pytest.raises(DeadlineSpent):
            ask("payments", ("GET", server.url))
    finally:
        _deadline.lift(token)

    assert server.requests == []
    assert outcomes()["failure"] == 0


@every_client
@pytest.mark.parametrize("bounds", [{}, {"deadline": 30, "timeout": 10}], ids=str)
def test_the_deadline_ends_what_hangs(
    ask: Ask, bounds: dict[str, object], server: Peer
) -> None:
    """Shorter than the client's time-out, it ends it; the peer is not to blame."""
    quick("payments", **bounds)
    before_s = time.monotonic()
    token = _deadline.put(before_s + 0.5)
    try:
        with pytest.raises(DeadlineExceeded):
            ask("payments", ("GET", f"{server.url}/hang"), wait_s=30.0)
    finally:
        _deadline.lift(token)

    assert time.monotonic() - before_s < 10.0
    counts = outcomes()
    assert counts["failure"] == 0
    assert counts["ignored"] + counts["cancelled"] == 1
    assert len(server.requests) <= 1  # a busy machine may not have come so far


@every_client
@pytest.mark.parametrize(("method", "attempts"), [("GET", 2), ("POST", 1)])
def test_the_policys_timeout_ends_an_attempt(
    ask: Ask, method: str, attempts: int, server: Peer
) -> None:
    """An attempt that hangs is a failure, and another follows if that is no harm."""
    retry = svcready.retry(on=http.transient, attempts=2, wait_base=0.001)
    quick(retry=retry, timeout=1.5)
    before_s = time.monotonic()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each client has its own
        ask("payments", (method, f"{server.url}/hang"), wait_s=30.0)

    assert not isinstance(caught.value, DeadlineExceeded)
    assert time.monotonic() - before_s < 20.0
    assert server.methods == [method] * attempts
    assert outcomes()["failure"] == attempts


@every_client
def test_the_clients_own_timeout_stays(ask: Ask, server: Peer) -> None:
    """One that is shorter than the deadline ends the attempt, as a failure."""
    quick(retry=False)
    token = _deadline.put(time.monotonic() + 30.0)
    try:
        with pytest.raises(Exception, match=r"(?i)time|^$"):
            ask("payments", ("GET", f"{server.url}/hang"), wait_s=0.1)
    finally:
        _deadline.lift(token)

    assert outcomes()["failure"] == 1


@every_client
def test_the_field_has_the_operators_name(ask: Ask, server: Peer) -> None:
    """`SVCREADY_HTTP_DEADLINE_HEADER` names it, until the runtime closes."""
    with svcready.testing.running(settings={"http.deadline_header": "X-Left"}):
        quick()
        token = _deadline.put(time.monotonic() + 5.0)
        ask("payments", ("GET", server.url))
        _deadline.lift(token)

    assert "x-left" in server.requests[0][2]
    assert "x-request-timeout-ms" not in server.requests[0][2]


@pytest.mark.parametrize(
    "make", [PolicyTransport, AsyncPolicyTransport, PolicyAdapter, PolicyMiddleware]
)
def test_what_is_no_policy_is_refused(make: type) -> None:
    """A retry, a number or a bad name raises where the client is made."""
    for wrong in (5, svcready.retry(on=OSError), "Pay Ments"):
        with pytest.raises(DeclarationError):
            make(wrong)


def test_a_policy_is_found_when_it_is_needed(server: Peer) -> None:
    """A client may be made before its policy is declared; used before, it says so."""
    with httpx.Client(transport=PolicyTransport("payments")) as client:
        with pytest.raises(DeclarationError, match="payments"):
            client.get(server.url)

        quick()
        assert client.get(server.url).status_code == 200


def test_the_outcome_of_a_stream_is_told_with_its_headers(server: Peer) -> None:
    """A body that breaks off later is the application's to see, in every client."""
    quick()
    with (
        httpx.Client(transport=PolicyTransport("payments")) as client,
        client.stream("GET", f"{server.url}/cut") as response,
    ):
        assert outcomes()["success"] == 1
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()


def test_a_permit_is_held_till_the_response_is_closed(server: Peer) -> None:
    """While one thread reads a response, another is refused; closed, it is let in."""
    quick(bulkhead=1)
    with (
        httpx.Client(transport=PolicyTransport("payments")) as client,
        ThreadPoolExecutor(1) as other,
    ):
        with client.stream("GET", server.url) as response:
            with pytest.raises(BulkheadFull):
                other.submit(client.get, server.url).result()

            with pytest.raises(BulkheadFull):  # the same thread's next is not nested
                client.get(server.url)

            assert response.read() == b"answer 1"

        assert other.submit(client.get, server.url).result().status_code == 200
        client.get(f"{server.url}/status/500")
        assert other.submit(client.get, server.url).result().status_code == 200

    assert get_bulkhead("payments").level.in_use == 0


@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
def test_a_task_holds_its_permit_too(library: str, server: Peer) -> None:
    """The same of tasks, and a request that fails holds nothing."""
    quick(bulkhead=1, retry=False)

    @contextlib.asynccontextmanager
    async def opened(url: str) -> AsyncIterator[object]:
        if library == "httpx":
            transport = AsyncPolicyTransport("payments")
            async with (
                httpx.AsyncClient(transport=transport) as client,
                client.stream("GET", url) as response,
            ):
                yield response
        else:
            middlewares = [PolicyMiddleware("payments")]
            async with (
                aiohttp.ClientSession(middlewares=middlewares) as session,
                session.get(url) as answer,
            ):
                yield answer

    async def once(url: str) -> None:
        async with opened(url):
            pass

    async def ask() -> None:
        async with opened(f"{server.url}/long"):
            with pytest.raises(BulkheadFull):
                await asyncio.create_task(once(server.url))

        await asyncio.create_task(once(server.url))
        with pytest.raises(Exception, match=r"(?i)disconnect"):
            await once(f"{server.url}/drop")

        await asyncio.create_task(once(server.url))

    asyncio.run(ask())
    assert get_bulkhead("payments").level.in_use == 0


def test_requests_reads_under_the_policy(server: Peer) -> None:
    """Without `stream=True` a body that breaks off is a failure, and asked again."""
    quick()
    with requests.Session() as session:
        session.mount("http://", PolicyAdapter("payments"))
        server.then("/cut")
        assert session.get(server.url).text == "answer 2"
        streamed = session.get(f"{server.url}/cut", stream=True)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            streamed.content  # noqa: B018


def test_requests_rewinds_files(server: Peer, tmp_path: pytest.TempPathFactory) -> None:
    """A file is sent from where it began, each time."""
    quick()
    file = cast("object", tmp_path) / "body"  # type: ignore[operator]
    file.write_bytes(b"whole body")
    server.then("/status/503")
    with requests.Session() as session, file.open("rb") as body:
        session.mount("http://", PolicyAdapter("payments"))
        body.read(6)
        assert session.put(server.url, data=body).status_code == 200

    assert [body for _, _, _, body in server.requests] == [b"body"] * 2


def test_a_fallback_answers_for_a_client(server: Peer) -> None:
    """It is a function of the request, and what it gives is the response."""
    quick(fallback=lambda request: httpx.Response(200, text=request.url.path))
    with httpx.Client(transport=PolicyTransport("payments")) as client:
        response = client.get(f"{server.url}/status/503")

    assert (response.status_code, response.text) == (200, "/status/503")
    assert server.methods == ["GET"] * 3


def test_redirects_are_requests_of_their_own(server: Peer) -> None:
    """Each hop passes the policy, and is retried by its own method."""
    quick()
    server.then("/to/303/there", "/status/503")
    transport = PolicyTransport("payments")
    with httpx.Client(transport=transport, follow_redirects=True) as client:
        assert client.post(server.url).status_code == 200

    assert server.methods == ["POST", "GET", "GET"]


def test_cancelled_it_is_no_outcome(server: Peer) -> None:
    """A task that is cancelled in a request leaves no verdict and no attempt behind."""
    quick()

    async def ask() -> None:
        async with httpx.AsyncClient(
            transport=AsyncPolicyTransport("payments")
        ) as client:
            task = asyncio.create_task(client.get(f"{server.url}/hang"))
            await asyncio.to_thread(server.asked.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(ask())
    counts = outcomes()
    assert (counts["success"], counts["failure"], counts["cancelled"]) == (0, 0, 1)
    assert len(server.requests) == 1


@every_client
def test_no_secret_reaches_telemetry(ask: Ask, server: Peer) -> None:
    """Neither URL nor headers nor body are in a log line or a note of ours."""
    with svcready.testing.running() as harness:
        quick()
        server.then("/status/503")
        ask(
            "payments",
            ("GET", f"{server.url}/x?token=hunter2-query"),
            headers={"Authorization": "Bearer hunter2-header"},
        )
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each has its own
            ask("payments", ("PUT", f"{refused()}/hunter2-path"), body=b"hunter2-body")

        said = json.dumps(harness.lines, default=str) + str(caught.value.__notes__)

    assert "payments" in said
    assert "hunter2" not in said


def test_a_response_that_is_read_already_holds_no_permit() -> None:
    """A transport that answers from memory leaves nothing that would be closed."""
    policy = svcready.policy("memory", bulkhead=1)
    transport = PolicyTransport(
        policy, httpx.MockTransport(lambda _: httpx.Response(200, text="here"))
    )
    with httpx.Client(transport=transport) as client:
        assert [client.get("http://bank/").text for _ in range(3)] == ["here"] * 3


def test_a_hedge_closes_no_answer_that_may_win() -> None:
    """The answer that comes just before the hedge is the application's, readable."""

    async def main() -> list[str]:
        policy = svcready.policy(
            "hedged", hedge=svcready.hedge(after=0.005, budget=False)
        )

        async def answer(_: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0.005)
            return httpx.Response(200, content=_pieces())

        transport = AsyncPolicyTransport(policy, httpx.MockTransport(answer))
        async with httpx.AsyncClient(transport=transport) as client:
            return [(await client.get("http://bank/")).text for _ in range(30)]

    assert asyncio.run(main()) == ["here"] * 30


async def _pieces() -> AsyncIterator[bytes]:
    yield b"here"
