"""Probes as adapters answer them: whose a path is, and what no probe waits for."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import anyio.to_thread
import pytest
from fastapi import FastAPI
from flask import Flask

import svcready
from svcready import health
from svcready._runtime import current
from svcready.health._check import CHECKS
from svcready.testing import running
from tests.adapters.support import Reply, ask_asgi, ask_wsgi, http_scope
from tests.adapters.test_asgi import hello as hello_asgi
from tests.adapters.test_wsgi import hello as hello_wsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.testing import Harness

PROBES_TYPE = "application/health+json"


@pytest.fixture(autouse=True)
def _no_checks() -> Iterator[None]:
    """Forget the checks that a test declares."""
    yield
    CHECKS.bind(None)
    CHECKS.clear()


def asgi() -> Callable[[str], Reply]:
    """Return what asks a bare ASGI application."""
    app = svcready.wrap(hello_asgi)
    return lambda path: asyncio.run(ask_asgi(app, http_scope(path)))


def wsgi() -> Callable[[str], Reply]:
    """Return what asks a bare WSGI application."""
    app = svcready.wrap(hello_wsgi)
    return lambda path: ask_wsgi(app, path)


def fastapi() -> Callable[[str], Reply]:
    """Return what asks a FastAPI application, which has a route of its own."""
    app = FastAPI()
    app.get("/livez")(lambda: "mine")
    app.get("/health/startup")(lambda: "mine")
    svcready.wrap(app)
    return lambda path: asyncio.run(ask_asgi(app, http_scope(path)))


def flask() -> Callable[[str], Reply]:
    """Return what asks a Flask application, which has a route of its own."""
    app = Flask(__name__)
    app.add_url_rule("/livez", "a", lambda: "mine")
    app.add_url_rule("/health/startup", "b", lambda: "mine")
    svcready.wrap(app)
    return lambda path: ask_wsgi(app, path)


EVERY = pytest.mark.parametrize("make", [asgi, wsgi, fastapi, flask])
FRAMEWORKS = pytest.mark.parametrize("make", [fastapi, flask])


@EVERY
def test_a_group_that_comes_late(
    make: Callable[[], Callable[[str], Reply]], harness: Harness
) -> None:
    """A check of a new group, declared while requests are served, has its path."""
    ask = make()
    before = ask("/health/shipping")

    health.check("printer", groups=("shipping",))(lambda: None)
    after = ask("/health/shipping")

    assert before.headers.get("content-type") != PROBES_TYPE
    assert after.status == 200
    assert after.headers["content-type"] == PROBES_TYPE
    CHECKS.clear()
    assert harness.runtime.health is not None


@EVERY
def test_a_slash_too_many_is_the_applications(
    make: Callable[[], Callable[[str], Reply]], harness: Harness
) -> None:
    """`/readyz/` is another path than `/readyz`, and no probe's."""
    del harness
    ask = make()

    assert ask("/readyz").headers["content-type"] == PROBES_TYPE
    assert ask("/readyz/").headers.get("content-type") != PROBES_TYPE


@FRAMEWORKS
def test_paths_that_the_application_has(
    make: Callable[[], Callable[[str], Reply]], harness: Harness
) -> None:
    """They stay the application's: with a notice, but for an alias without one."""
    ask = make()

    assert b"mine" in ask("/livez").body
    assert b"mine" in ask("/health/startup").body
    assert json.loads(ask("/startupz").body) == {"status": "pass"}
    told = [notice.split(" ")[0] for notice in harness.runtime.notices]
    assert told == ["/health/startup"]
    assert "/health/startup" not in harness.runtime.public


def test_full_pools_keep_no_probe_waiting(harness: Harness) -> None:
    """On an event loop a probe needs no thread of any pool, whatever fills them."""
    del harness
    app = FastAPI()
    svcready.wrap(app)
    let_go = threading.Event()

    async def scenario() -> list[Reply]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = 1
        held = [
            loop.run_in_executor(None, let_go.wait),
            asyncio.ensure_future(anyio.to_thread.run_sync(let_go.wait)),
        ]
        await asyncio.sleep(0)
        try:
            return [
                await asyncio.wait_for(ask_asgi(app, http_scope(path)), 5)
                for path in ("/livez", "/readyz", "/health/startup")
            ]
        finally:
            let_go.set()
            await asyncio.gather(*held)

    replies = asyncio.run(scenario())

    assert [reply.status for reply in replies] == [200, 200, 200]


def locks() -> Iterator[threading.Lock]:
    """Find every lock that svcready's modules and the runtime in force lead to."""
    kinds = (type(threading.Lock()), type(threading.RLock()))
    around = (threading.Condition, threading.Event, threading.Semaphore)
    modules = [m for name, m in sys.modules.items() if name.startswith("svcready")]
    foreign = {id(vars(m)) for m in sys.modules.values() if m not in modules}
    seen = {id(current()), *(id(vars(m)) for m in modules)}
    left: list[object] = [current(), *(vars(m) for m in modules)]
    while left:
        for thing in gc.get_referents(left.pop()):
            kind = type(thing)  # `isinstance` would ask lazy objects what they are
            home = kind.__module__
            if kind in kinds:
                yield cast("threading.Lock", thing)
            elif id(thing) in seen or id(thing) in foreign:
                continue  # locks of other libraries, and of Python, are not ours
            elif home.startswith(("svcready", "builtins")) or kind in around:
                seen.add(id(thing))
                left.append(thing)


@pytest.mark.timeout(60)
def test_no_lock_keeps_a_probe_waiting() -> None:
    """
    On WSGI a probe answers while another thread holds every lock of svcready's.

    A handler that is interrupted anywhere, at a log line or a counter, may hold one.
    """
    with running(environ={"SVCREADY_ADMIN_TOKENS": "s3cret"}):
        ask = wsgi()
        health.check("database", critical=True)(lambda: None)
        assert ask("/readyz").status in {200, 503}
        held, release = threading.Event(), threading.Event()
        found: list[threading.Lock] = []

        def hold() -> None:
            taken = {id(lock): lock for lock in locks()}.values()
            found.extend(lock for lock in taken if lock.acquire(timeout=1))
            held.set()
            release.wait(20)
            for lock in found:
                lock.release()

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(20)
        replies: list[Reply] = []
        prober = threading.Thread(
            target=lambda: replies.extend(map(ask, ("/livez", "/readyz", "/startupz"))),
            daemon=True,
        )
        prober.start()
        prober.join(5)
        answered = len(replies)
        release.set()
        holder.join()

    assert len(found) > 20
    assert answered == 3


@pytest.mark.parametrize("server", ["asgi", "wsgi"])
def test_whoever_shows_credentials_is_looked_at(server: str) -> None:
    """Others get what anybody gets, for which nobody asks who they are."""

    def ask(method: str = "GET", shown: str = "") -> Reply:
        if server == "wsgi":
            said = {"HTTP_AUTHORIZATION": f"Bearer {shown}"} if shown else {}
            return ask_wsgi(on_wsgi, "/readyz", REQUEST_METHOD=method, **said)

        pairs = [(b"authorization", f"Bearer {shown}".encode())] if shown else []
        scope = http_scope("/readyz", method=method, headers=pairs)
        return asyncio.run(ask_asgi(on_asgi, scope))

    token = "t" * 32
    with running(environ={"SVCREADY_ADMIN_TOKENS": token}) as harness:
        on_wsgi, on_asgi = svcready.wrap(hello_wsgi), svcready.wrap(hello_asgi)
        harness.runtime.ready()
        anybody = ask()
        assert {"lifecycle", "checks"} <= json.loads(ask(shown=token).body).keys()
        assert ask(shown="wrong").body == anybody.body
        head = ask("HEAD")
        assert (head.status, head.body) == (anybody.status, b"")
        assert ask("POST").status == 405
        assert json.loads(anybody.body).keys() == {"status"}
        admitted, refused = harness.audit_entries

    assert (admitted["outcome"], refused["outcome"]) == ("success", "denied")
