"""Classification: what errors of real clients against a real server mean."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import httpx
import pytest
import requests
import urllib3

import svcready
from svcready.errors import AttemptTimeout, CircuitOpen, DeadlineExceeded
from svcready.resilience import http
from tests.architecture.house import run_clean
from tests.resilience.http_peer import Peer, peer, refused
from tests.tracing.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

NOBODY = "http://nobody.invalid"


@pytest.fixture
def server() -> Iterator[Peer]:
    """Serve."""
    with peer() as served:
        yield served


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[str]:
    """Serve with a certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path))
    with peer(context) as served:
        yield served.url


class Client(NamedTuple):
    """One library, called in the way in which its users call it."""

    library: str
    call: Callable[..., None]


def by_httpx(
    method: str, url: str, headers: Mapping[str, str] | None = None, wait_s: float = 5.0
) -> None:
    """Ask by httpx."""
    with httpx.Client(follow_redirects=True, timeout=wait_s) as client:
        client.request(method, url, headers=headers).raise_for_status()


def by_httpx_async(
    method: str, url: str, headers: Mapping[str, str] | None = None, wait_s: float = 5.0
) -> None:
    """Ask by httpx as a task."""

    async def ask() -> None:
        async with httpx.AsyncClient(follow_redirects=True, timeout=wait_s) as client:
            (await client.request(method, url, headers=headers)).raise_for_status()

    asyncio.run(ask())


def by_requests(
    method: str, url: str, headers: Mapping[str, str] | None = None, wait_s: float = 5.0
) -> None:
    """Ask by requests."""
    with requests.Session() as session:
        session.request(method, url, headers=headers, timeout=wait_s).raise_for_status()


def by_aiohttp(
    method: str, url: str, headers: Mapping[str, str] | None = None, wait_s: float = 5.0
) -> None:
    """Ask by aiohttp, whose own retry of idempotent requests is left out."""

    async def ask() -> None:
        timeout = aiohttp.ClientTimeout(sock_read=wait_s)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            asked = session.request(method, url, headers=headers)
            async with asked as response:
                response.raise_for_status()
                await response.read()

    asyncio.run(ask())


def by_urllib3(
    method: str, url: str, headers: Mapping[str, str] | None = None, wait_s: float = 5.0
) -> None:
    """Ask by urllib3, which raises for a status only where it has retried."""
    retries = urllib3.Retry(
        connect=0, read=0, other=0, status=0, status_forcelist=range(400, 600)
    )
    with urllib3.PoolManager(retries=retries, timeout=wait_s) as pool:
        pool.request(method, url, headers=headers)


def proxied_async(proxy: str) -> None:
    """Post by httpx as a task, through a proxy."""

    async def ask() -> None:
        async with httpx.AsyncClient(proxy=proxy) as client:
            await client.post("https://api.test")

    asyncio.run(ask())


def proxied_aiohttp(proxy: str) -> None:
    """Post by aiohttp, through a proxy."""

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            await session.post("https://api.test", proxy=proxy)

    asyncio.run(ask())


PROXIED: Mapping[str, Callable[[str], object]] = {
    "httpx": lambda proxy: httpx.Client(proxy=proxy).post("https://api.test"),
    "httpx async": proxied_async,
    "requests": lambda proxy: requests.post(
        "https://api.test", proxies={"https": proxy}, timeout=5
    ),
    "aiohttp": proxied_aiohttp,
    "urllib3": lambda proxy: urllib3.ProxyManager(proxy, retries=False).request(
        "POST", "https://api.test"
    ),
}

CLIENTS = [
    Client("httpx", by_httpx),
    Client("httpx async", by_httpx_async),
    Client("requests", by_requests),
    Client("aiohttp", by_aiohttp),
    Client("urllib3", by_urllib3),
]
every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda c: c.library)


def error_of(client: Client, *args: object, **kwargs: object) -> Exception:
    """Return what a call raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the library has
        client.call(*args, **kwargs)

    assert isinstance(caught.value, Exception)
    return caught.value


@every_client
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("where", [refused(), NOBODY], ids=["refused", "unknown"])
def test_what_was_never_sent_may_always_be_repeated(
    client: Client, method: str, where: str
) -> None:
    """No connection, no request: a POST too is tried again; the breaker counts it."""
    error = error_of(client, method, where)
    assert http.transient(error)
    assert http.outcome(error) == "failure"


@every_client
@pytest.mark.parametrize("what", ["drop", "hang", "cut", "garbage"])
def test_what_may_have_arrived_is_repeated_if_it_is_idempotent(
    client: Client, what: str, server: Peer
) -> None:
    """A connection that broke leaves open whether the server acted: the method says."""
    url, wait_s = f"{server.url}/{what}", 0.2 if what == "hang" else 5.0
    keyed = {"Idempotency-Key": "7"}
    get = error_of(client, "GET", url, wait_s=wait_s)
    assert http.transient(get), repr(get)
    assert http.outcome(get) == "failure"
    assert not http.transient(error_of(client, "POST", url, wait_s=wait_s))
    assert http.transient(error_of(client, "POST", url, keyed, wait_s=wait_s))


@every_client
@pytest.mark.parametrize(
    "status", [400, 404, 408, 409, 425, 429, 500, 501, 502, 503, 504]
)
def test_an_answers_status_decides(client: Client, status: int, server: Peer) -> None:
    """408, 429, 502, 503, 504 are repeated; below 500, save 408 and 429, is success."""
    url = f"{server.url}/status/{status}"
    error = error_of(client, "GET", url)
    passing = status in {408, 429, 502, 503, 504}
    assert http.transient(error) is passing
    success = status < 500 and not passing
    assert http.outcome(error) == ("success" if success else "failure")


@pytest.mark.parametrize("client", CLIENTS[:4], ids=lambda c: c.library)
@pytest.mark.parametrize(
    ("method", "headers", "may"),
    [
        ("HEAD", {}, True),
        ("PUT", {}, True),
        ("DELETE", {}, True),
        ("POST", {}, False),
        ("PATCH", {}, False),
        ("POST", {"idempotency-key": "7"}, True),
        ("PATCH", {"Idempotency-Key": ""}, False),
    ],
)
def test_the_request_decides(
    client: Client, method: str, headers: Mapping[str, str], may: bool, server: Peer
) -> None:
    """Whether a 503 is repeated, the method and the key of the request say."""
    error = error_of(client, method, f"{server.url}/status/503", headers)
    assert http.transient(error) is may


@pytest.mark.parametrize("client", CLIENTS[:4], ids=lambda c: c.library)
@pytest.mark.parametrize("end", ["status/503", "drop"])
def test_the_request_before_redirects_decides(
    client: Client, end: str, server: Peer
) -> None:
    """A POST that was redirected to a GET would be posted again: it is left alone."""
    url = f"{server.url}/to/303/{end}"
    error = error_of(client, "POST", url)
    assert server.methods[:2] == ["POST", "GET"]
    assert not http.transient(error)
    assert http.transient(error_of(client, "GET", url))


@pytest.mark.parametrize("client", CLIENTS[:4], ids=lambda c: c.library)
def test_the_servers_wait_is_read(client: Client, server: Peer) -> None:
    """`Retry-After` is read from the error that `raise_for_status` made."""
    error = error_of(client, "GET", f"{server.url}/status/503?Retry-After=7")
    assert http.retry_after(error) == 7.0
    assert http.retry_after(error_of(client, "GET", f"{server.url}/status/503")) is None


@every_client
def test_too_many_redirects_are_an_answer(client: Client, server: Peer) -> None:
    """Asked again, they would go round again; the dependency works."""
    server.then(*["/to/302/again"] * 40)
    error = error_of(client, "GET", server.url)
    assert not http.transient(error)
    assert http.outcome(error) == "success"


@every_client
@pytest.mark.parametrize("url", ["nothing", "gopher://host/", "http://"])
def test_a_wrong_request_says_nothing_of_the_dependency(
    client: Client, url: str
) -> None:
    """It was never sent and never will be, whichever way the library puts it."""
    error = error_of(client, "GET", url)
    assert not http.transient(error), repr(error)
    assert http.outcome(error) != "success"


def test_a_full_pool_is_ours() -> None:
    """No connection was free: tried again, and no verdict for a breaker."""
    with peer() as server:
        limits = httpx.Limits(max_connections=1)
        timeout = httpx.Timeout(5.0, pool=0.05)
        with (
            httpx.Client(limits=limits, timeout=timeout) as client,
            client.stream("GET", server.url),
            pytest.raises(httpx.PoolTimeout) as full,
        ):
            client.post(server.url)

        pool = urllib3.HTTPConnectionPool(
            "127.0.0.1", server.port, maxsize=1, block=True, retries=False
        )
        held = pool.urlopen("GET", "/", preload_content=False)
        with pytest.raises(urllib3.exceptions.EmptyPoolError) as empty:
            pool.urlopen("POST", "/", pool_timeout=1)

        held.drain_conn()
        pool.close()

    for error in (full.value, empty.value):
        assert http.transient(error)
        assert http.outcome(error) == "inconclusive"


@every_client
def test_a_certificate_that_is_not_trusted_stays_so(client: Client, tls: str) -> None:
    """No retry makes a certificate good; the dependency can't be used: a failure."""
    error = error_of(client, "GET", tls)
    assert not http.transient(error), repr(error)
    assert http.outcome(error) == "failure"


@every_client
def test_a_proxy_that_refuses_is_asked_again_if_that_may_pass(
    client: Client, server: Peer
) -> None:
    """503 from a proxy may pass, 407 doesn't; neither tunnel carried the request."""
    for status, may in ((503, True), (407, False)):
        server.then(f"/status/{status}")
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the library's
            PROXIED[client.library](server.url)

        error = caught.value
        assert isinstance(error, Exception)
        assert server.methods.pop() == "CONNECT"
        assert http.transient(error) is may, repr(error)
        assert http.outcome(error) != "success"


def test_what_is_none_of_https_is_left_alone() -> None:
    """A bug, svcready's own refusals, a deadline: never repeated."""
    for error in (KeyError(), CircuitOpen("a", "open"), DeadlineExceeded("late")):
        assert not http.transient(error)
        assert http.outcome(error) == "failure"
        assert http.retry_after(error) is None

    for broken in (ConnectionResetError(), TimeoutError(), AttemptTimeout("slow")):
        assert not http.transient(broken)  # nobody knows what was asked

    assert http.transient(ConnectionRefusedError())
    assert http.transient(socket.gaierror())


def test_an_attempts_timeout_is_of_the_request_that_it_cut(server: Peer) -> None:
    """A time-out of ours has no request; the frames that it cut off show which."""

    async def ask(method: str) -> Exception:
        async with httpx.AsyncClient() as client:
            try:
                async with asyncio.timeout(0.2):
                    await client.request(method, f"{server.url}/hang")
            except TimeoutError as error:
                return error

        raise AssertionError

    assert http.transient(asyncio.run(ask("GET")))
    assert not http.transient(asyncio.run(ask("POST")))


def test_any_error_with_a_response_is_an_answer() -> None:
    """Libraries over these clients wrap the response: it is found there."""

    class ApiError(Exception):
        def __init__(self) -> None:
            request = httpx.Request("GET", "http://api")
            self.response = httpx.Response(
                503, request=request, headers={"Retry-After": "3"}
            )

    assert http.transient(ApiError())
    assert http.retry_after(ApiError()) == 3.0


@pytest.mark.parametrize("client", CLIENTS[:4], ids=lambda c: c.library)
def test_it_works_on_functions(client: Client, server: Peer) -> None:
    """A decorated function is called again after what may pass, and not otherwise."""

    @svcready.retry(
        "payments", on=http.transient, retry_after=http.retry_after, wait_base=0.001
    )
    def ask(method: str) -> None:
        client.call(method, server.url)

    server.then("/status/503", "/drop")
    ask("GET")
    assert server.methods == ["GET"] * 3
    server.then("/status/503")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the library has
        ask("POST")

    assert server.methods == ["GET"] * 3 + ["POST"]
    assert not getattr(caught.value, "__notes__", None)


def test_no_client_is_imported() -> None:
    """Classification knows errors by name; the application brings the libraries."""
    code = """
import sys
from svcready.resilience import http
assert http.transient(ConnectionRefusedError())
assert not http.transient(ValueError())
print([m for m in ("httpx", "requests", "aiohttp", "urllib3", "asyncio", "email")
       if m in sys.modules])
"""
    assert run_clean(code).strip() == "[]"


def test_methods_and_keys() -> None:
    """`idempotent` takes methods in any case and headers in any shape."""
    assert http.idempotent("get")
    assert not http.idempotent("POST")
    assert http.idempotent("POST", [("Idempotency-Key", "7")])
    assert http.idempotent("POST", [(b"idempotency-key", b"7")])
    assert http.idempotent("PATCH", httpx.Headers({"Idempotency-Key": "7"}))
    assert not http.idempotent("PATCH", 5)
