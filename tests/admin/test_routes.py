"""The paths that show an operator what runs: each asked of a running service."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.admin import OpsRequest, build_surface
from svcready.errors import CircuitOpen
from svcready.metrics import instrument_engine
from svcready.testing import FakeClock, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from svcready.admin import OpsSurface
    from svcready.testing import Harness

TOKEN = "0123456789abcdef0123456789abcdef"
PATHS = (
    *("/admin", "/admin/breakers", "/admin/config", "/admin/health", "/admin/info"),
    *("/admin/loggers", "/admin/metrics/cost", "/admin/policies", "/admin/tasks"),
    "/admin/threads",
)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test turns."""
    return FakeClock()


@pytest.fixture
def harness(clock: FakeClock) -> Iterator[Harness]:
    """Run a service whose operators have a token."""
    environ = {
        "SVCREADY_ADMIN_TOKENS": TOKEN,
        "SVCREADY_OTLP_HEADERS": "api-key=hidden-from-all",
        "SVCREADY_LOG_LEVLE": "debug",
    }
    with running(environ=environ, clock=clock) as harness:
        harness.runtime.ready()
        yield harness


def ask(
    harness: Harness,
    path: str,
    method: str = "GET",
    body: object = None,
    *,
    token: str = TOKEN,
    accept: str = "",
    surface: OpsSurface | None = None,
) -> tuple[int, dict[str, object]]:
    """Ask a path; return the status and what it said."""
    known = {
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "accept": accept,
    }
    sent = b"" if body is None else json.dumps(body).encode()
    request = OpsRequest(
        method, path, "", lambda name: known.get(name.lower()), "203.0.113.9", sent
    )
    answer = (surface or build_surface(harness.runtime)).answer(request)
    assert ("cache-control", "no-store") in answer.headers
    if accept:
        return answer.status, {"text": answer.body.decode()}

    return answer.status, json.loads(answer.body) if answer.body[:1] == b"{" else {}


def test_the_index_lists_every_guarded_path(harness: Harness) -> None:
    """`/admin` says which paths there are, and with which methods."""
    status, said = ask(harness, "/admin")

    assert status == 200
    paths = said["paths"]
    assert isinstance(paths, list)
    methods = {each["path"]: each["methods"] for each in paths}
    assert set(PATHS) - {"/admin"} <= methods.keys()
    assert methods["/admin/breakers"] == ["GET", "HEAD", "POST"]
    assert "/metrics" not in methods


def test_the_index_knows_the_prefix() -> None:
    """What is listed can be asked."""
    environ = {
        "SVCREADY_HTTP_PATH_PREFIX": "/ops",
        "SVCREADY_ADMIN_TOKENS": TOKEN,
    }
    with running(environ=environ) as harness:
        said = json.dumps(ask(harness, "/ops/admin")[1])

    assert '"/ops/admin/info"' in said
    assert '"/admin/info"' not in said


@pytest.mark.parametrize("path", PATHS)
def test_every_path_is_behind_the_gate(harness: Harness, path: str) -> None:
    """Without a token nobody learns anything, and it is audited."""
    assert ask(harness, path, token="guess") == (401, {})
    entries = [entry["resource"] for entry in harness.audit_entries]
    assert entries == [{"type": "endpoint", "id": path}]
    assert ask(harness, path)[0] in {200, 503}


@pytest.mark.parametrize("path", PATHS)
def test_switched_off_there_is_none(path: str) -> None:
    """SVCREADY_ADMIN_ENABLED=false takes them all away."""
    environ = {"SVCREADY_ADMIN_ENABLED": "false", "SVCREADY_ADMIN_TOKENS": TOKEN}
    with running(environ=environ) as harness:
        assert path not in build_surface(harness.runtime).routes


# --- Info ----------------------------------------------------------------------------


def test_info_says_what_runs(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Service, versions, process, workers and the commit that was built."""
    sha = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setenv("GIT_COMMIT", sha)
    status, said = ask(harness, "/admin/info")

    assert status == 200
    service, runs_on, process = said["service"], said["runs_on"], said["process"]
    assert isinstance(service, dict)
    assert isinstance(runs_on, dict)
    assert isinstance(process, dict)
    assert service["name"] == "test"
    assert service["revision"] == sha
    assert runs_on["python"] == platform.python_version()
    assert process["pid"] == os.getpid()
    assert process["parent_pid"] == os.getppid()
    assert process["memory_bytes"] > 1_000_000
    assert said["workers"] == [os.getpid()]
    resource = said["resource"]
    assert isinstance(resource, dict)
    assert resource["service.name"] == "test"


@pytest.mark.parametrize("value", ["", "main", "hunter2 is a password", "xyz1234567"])
def test_a_revision_is_a_commits_hash(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """A variable of that name that holds anything else is not shown."""
    monkeypatch.setenv("GIT_SHA", value)
    service = ask(harness, "/admin/info")[1]["service"]

    assert isinstance(service, dict)
    assert service["revision"] is None


# --- Config --------------------------------------------------------------------------


def test_config_shows_values_origins_and_problems(harness: Harness) -> None:
    """What is secret is masked; what is wrong is said with the nearest name."""
    status, said = ask(harness, "/admin/config")

    assert status == 200
    settings, problems = said["settings"], said["problems"]
    assert isinstance(settings, dict)
    assert settings["admin.tokens"] == {
        "value": "***",
        "unit": "",
        "origin": "SVCREADY_ADMIN_TOKENS",
    }
    assert settings["log.level"]["value"] == "INFO"
    assert "did you mean SVCREADY_LOG_LEVEL?" in str(problems)
    text = json.dumps(said)
    assert TOKEN not in text
    assert "hidden-from-all" not in text


# --- Threads -------------------------------------------------------------------------


def test_threads_have_their_stacks(harness: Harness) -> None:
    """Each thread has a name and where it is, and never a value."""
    go = threading.Event()
    here = threading.Event()

    def wait_for_the_test(secret: str) -> None:
        del secret
        here.set()
        go.wait(10)

    thread = threading.Thread(
        target=wait_for_the_test,
        args=("hunter2",),
        name="a-worker of amqp://u:hunter2@mq",
        daemon=True,
    )
    thread.start()
    here.wait(10)
    try:
        status, said = ask(harness, "/admin/threads")
        text = ask(harness, "/admin/threads", accept="text/plain")[1]["text"]
    finally:
        go.set()
        thread.join()

    assert status == 200
    threads = said["threads"]
    assert isinstance(threads, list)
    (found,) = (each for each in threads if "a-worker" in each["name"])
    assert found["daemon"] is True
    assert found["native_id"] == thread.native_id
    assert any("wait_for_the_test" in line for line in found["stack"])
    (asks,) = (each for each in threads if each["asks"])
    assert asks["id"] == threading.get_ident()
    assert "hunter2" not in json.dumps(said)
    assert str(text).startswith(f"process {os.getpid()}, ")
    assert "a-worker of amqp://[redacted:user-info]@mq (id" in str(text)
    assert "wait_for_the_test" in str(text)


def test_a_thread_tells_which_request_it_serves(harness: Harness) -> None:
    """A worker of a WSGI server that is busy has the request's id beside its stack."""
    said: list[dict[str, object]] = []

    def app(environ: object, start_response: object) -> list[bytes]:
        del environ
        said.append(ask(harness, "/admin/threads")[1])
        start_response("200 OK", [])  # type: ignore[operator]
        return [b""]

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/orders",
        "HTTP_X_REQUEST_ID": "r-77",
        "wsgi.url_scheme": "http",
    }
    svcready.wrap(app)(environ, lambda *_: None)

    threads = said[0]["threads"]
    assert isinstance(threads, list)
    (asks,) = (each for each in threads if each["asks"])
    assert asks["serves"]["request_id"] == "r-77"
    assert asks["serves"]["method"] == "GET"
    assert all(each["serves"] is None for each in threads if not each["asks"])


# --- Tasks ---------------------------------------------------------------------------


def ask_tasks(harness: Harness) -> list[dict[str, object]]:
    """Ask for the tasks of all loops."""
    loops = ask(harness, "/admin/tasks")[1]["loops"]
    assert isinstance(loops, list)
    return loops


def test_tasks_are_listed_with_what_they_wait_for(harness: Harness) -> None:
    """Asked from another thread, each has its name, coroutines and what holds it."""

    async def inner() -> None:
        await asyncio.get_running_loop().create_future()

    async def outer() -> None:
        await inner()

    async def serve() -> list[dict[str, object]]:
        harness.runtime.begun(asyncio.get_running_loop())
        task = asyncio.create_task(outer(), name="a-consumer of amqp://u:hunter2@mq")
        await asyncio.sleep(0)
        try:
            return await asyncio.to_thread(ask_tasks, harness)
        finally:
            task.cancel()

    (loop,) = asyncio.run(serve())
    assert loop["state"] == "running"
    tasks = loop["tasks"]
    assert isinstance(tasks, list)
    (found,) = (each for each in tasks if "a-consumer" in each["name"])
    assert "hunter2" not in found["name"]
    assert found["coroutine"].endswith("outer")
    assert found["waits_for"] == "Future"
    assert [line.rpartition(".")[2] for line in found["stack"]] == ["inner", "outer"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks don't show their context")
def test_a_task_tells_which_request_it_serves(harness: Harness) -> None:
    """A request that hangs is found by its id."""

    async def app(scope: object, receive: object, send: object) -> None:
        await asyncio.get_running_loop().create_future()

    async def serve() -> list[dict[str, object]]:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/orders",
            "headers": [(b"x-request-id", b"r-78")],
        }
        task = asyncio.create_task(svcready.wrap(app)(scope, None, None))
        await asyncio.sleep(0)
        try:
            return await asyncio.to_thread(ask_tasks, harness)
        finally:
            task.cancel()

    (loop,) = asyncio.run(serve())
    assert "r-78" in json.dumps(loop)


def test_a_blocked_loop_shows_what_blocks_it(harness: Harness) -> None:
    """The loop has no time to answer, so its thread's stack is the answer."""
    got: list[list[dict[str, object]]] = []

    async def serve() -> None:
        harness.runtime.begun(asyncio.get_running_loop())
        thread = threading.Thread(target=lambda: got.append(ask_tasks(harness)))
        thread.start()
        thread.join()  # which no coroutine should do

    asyncio.run(serve())

    ((loop,),) = got
    assert loop["state"] == "blocked"
    assert "in Thread.join" in json.dumps(loop["blocked_at"])


def test_a_loop_that_has_ended_has_no_tasks(harness: Harness) -> None:
    """A loop that was closed is told of as such."""
    loop = asyncio.new_event_loop()
    harness.runtime.loops[loop] = 0
    loop.close()

    assert ask_tasks(harness) == [{"state": "stopped", "tasks": []}]


# --- Breakers ------------------------------------------------------------------------


def breaker_of(harness: Harness, name: str) -> dict[str, object]:
    """Return what is listed of one breaker."""
    listed = ask(harness, "/admin/breakers")[1]["breakers"]
    assert isinstance(listed, list)
    (found,) = (each for each in listed if each["name"] == name)
    assert isinstance(found, dict)
    return found


def change(harness: Harness, **body: object) -> tuple[int, dict[str, object]]:
    """Say something of a breaker."""
    return ask(harness, "/admin/breakers", "POST", body)


def test_a_breaker_is_held_open_and_let_go(harness: Harness) -> None:
    """It refuses every call until it decides by outcomes again; all is audited."""
    payments = svcready.circuit_breaker("admin-payments")
    assert breaker_of(harness, "admin-payments")["state"] == "closed"

    status, said = change(harness, name="admin-payments", state="open")
    assert status == 200
    assert said["state"] == "forced_open"
    assert said["forced"] == {"state": "open", "until": None}
    assert said["workers"] == {"reached": 1, "of": 1}
    with pytest.raises(CircuitOpen):
        payments.call(lambda: None)

    assert change(harness, name="admin-payments", state="closed")[0] == 200
    assert payments.state == "forced_closed"
    status, said = change(harness, name="admin-payments", state="auto")
    assert (said["state"], said["forced"]) == ("closed", None)
    assert payments.call(lambda: 7) == 7

    changes = [e for e in harness.audit_entries if e["action"] == "breaker.force"]
    assert [each["changes"] for each in changes] == [
        {"state": {"from": "closed", "to": "forced_open"}},
        {"state": {"from": "forced_open", "to": "forced_closed"}},
        {"state": {"from": "forced_closed", "to": "closed"}},
    ]
    assert changes[0]["actor"] == {
        "type": "operator",
        "id": "token 1",
        "ip": "203.0.113.9",
    }


def test_a_word_with_a_time_ends_by_itself(harness: Harness, clock: FakeClock) -> None:
    """After its time the breaker decides by outcomes again."""
    svcready.circuit_breaker("admin-mail")
    status, said = change(harness, name="admin-mail", state="open", ttl="30s")
    forced = said["forced"]
    assert status == 200
    assert isinstance(forced, dict)
    assert forced["until"].endswith("Z")
    assert harness.runtime.breakers is not None

    clock.advance(29.0)
    harness.runtime.breakers.tick()
    assert breaker_of(harness, "admin-mail")["state"] == "forced_open"
    clock.advance(2.0)
    harness.runtime.breakers.tick()
    assert breaker_of(harness, "admin-mail")["state"] == "closed"


def test_auto_ends_what_code_has_forced(harness: Harness, clock: FakeClock) -> None:
    """The operator's word is the last, and does not come again by itself."""
    search = svcready.circuit_breaker("admin-search")
    search.force_open()

    assert change(harness, name="admin-search", state="auto")[1]["state"] == "closed"
    search.force_open()
    assert harness.runtime.breakers is not None
    clock.advance(120.0)
    harness.runtime.breakers.tick()
    assert search.state == "forced_open"


def test_other_workers_hear_of_it(harness: Harness) -> None:
    """What another process posts is in force here, also on later declarations."""
    post = harness.runtime.group.post
    assert harness.runtime.breakers is not None
    post("resilience.breakers", {"admin-later": ["open", 0], "x": 7, "y": ["odd", 0]})
    later = svcready.circuit_breaker("admin-later")
    harness.runtime.breakers.tick()
    assert later.state == "forced_open"
    later.reset()  # the application's own word, after ours
    harness.runtime.breakers.tick()
    assert later.state == "closed"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "admin-orders", "state": "broken"}, 400),
        ({"name": "admin-orders"}, 400),
        ({"state": "open"}, 400),
        ({"name": ["admin-orders"], "state": "open"}, 400),
        ({"name": "admin-orders", "state": "open", "ttl": "soon"}, 400),
        ({"name": "admin-orders", "state": "open", "ttl": 0}, 400),
        ({"name": "admin-orders", "state": "open", "ttl": True}, 400),
        ({"name": "admin-orders", "state": "open", "ttl": "25h"}, 400),
        ({"name": "admin-orders", "state": "open", "more": 1}, 400),
        ([], 400),
        ({"name": "admin-ordres", "state": "open"}, 404),
    ],
)
def test_what_is_no_change_is_refused(
    harness: Harness, body: object, status: int
) -> None:
    """The breaker is left alone, and the answer says what is allowed."""
    orders = svcready.circuit_breaker("admin-orders")
    answered, said = ask(harness, "/admin/breakers", "POST", body)

    assert answered == status
    assert said["title"]
    if status == 404:
        assert "did you mean admin-orders?" in str(said["detail"])

    assert orders.state == "closed"


def test_policies_are_shown_with_the_numbers_in_force() -> None:
    """What code said and what an operator said over it, in JSON, whatever it is."""
    environ = {"SVCREADY_POLICY__ADMIN_BANK__RETRY_ATTEMPTS": "7"}
    with running(environ={**environ, "SVCREADY_ADMIN_TOKENS": TOKEN}) as harness:
        bank = svcready.policy(
            "admin-bank", retry=OSError, rate_limit="5/s burst 9", timeout=2
        )
        assert bank.call(int, "7") == 7
        status, said = ask(harness, "/admin/policies")

    assert status == 200
    listed = said["policies"]
    assert isinstance(listed, list)
    (parts,) = (each["parts"] for each in listed if each["name"] == "admin-bank")
    assert parts["retry"]["attempts"] == 7
    assert parts["retry"]["calls"] == {"success": 1}
    assert parts["rate_limit"]["rate"] == {"per_s": 5.0, "burst": 9}
    assert parts["timeout"]["bound_s"] == 2.0


def test_without_resilience_there_are_no_breakers() -> None:
    """The path is not there."""
    with running(environ={"SVCREADY_RESILIENCE_ENABLED": "false"}) as harness:
        assert "/admin/breakers" not in build_surface(harness.runtime).routes


# --- The deep report -----------------------------------------------------------------


def test_the_deep_report_has_an_overview(harness: Harness, clock: FakeClock) -> None:
    """Process, breakers and key figures, beside what checks found."""
    svcready.circuit_breaker("admin-overview")
    metrics = harness.runtime.metrics
    assert metrics is not None
    surface = build_surface(harness.runtime)
    first = ask(harness, "/admin/health", surface=surface)[1]["figures"]
    assert isinstance(first, dict)
    assert first["seconds"] is None  # since the process began
    clock.advance(5.0)
    good = metrics.http.children("GET", "/orders", 200)
    bad = metrics.http.children("GET", "/orders", 503, error="x")
    for _ in range(19):
        good.observe(0.004)

    bad.observe(0.004)
    said = ask(harness, "/admin/health", surface=surface)[1]
    figures = said["figures"]
    assert isinstance(figures, dict)
    assert figures["requests"] == 20
    assert figures["error_share"] == 0.05
    assert 0.0 < figures["p95_s"] <= 0.005
    assert figures["seconds"] == 5.0
    assert figures["in_flight"] == 0
    breakers, process = said["breakers"], said["process"]
    assert isinstance(breakers, dict)
    assert breakers["admin-overview"] == "closed"
    assert "not_enforced" not in said, "all are enforced"
    assert isinstance(process, dict)
    assert process["pid"] == os.getpid()
    assert "checks" in said
    assert "configuration" in str(said["info"])

    clock.advance(10.0)
    for _ in range(30):
        good.observe(1.5)

    again = ask(harness, "/admin/health", surface=surface)[1]["figures"]
    assert isinstance(again, dict)
    assert (again["seconds"], again["requests"]) == (10.0, 30)
    assert again["requests_per_s"] == 3.0
    assert again["error_share"] == 0.0
    assert again["p95_s"] > 1.0


def test_the_deep_report_names_levels_of_pools(tmp_path: Path) -> None:
    """What a pool's metrics know is in the report, by pool."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    environ = {
        "SVCREADY_ADMIN_TOKENS": TOKEN,
        "SVCREADY_HEALTH_AUTO_CHECKS": "false",  # a check would use the pool as well
    }
    with running(environ=environ) as harness:
        engine = sqlalchemy.create_engine(
            f"sqlite:///{tmp_path / 'admin-pool.db'}",
            poolclass=sqlalchemy.pool.QueuePool,
            pool_size=3,
            max_overflow=1,
        )
        instrument_engine(engine)
        with engine.connect():
            said = ask(harness, "/admin/health")[1]["pools"]

        engine.dispose()
        del engine  # whoever looks for engines to check finds those that there are
        gc.collect()

    assert isinstance(said, dict)
    levels = said["admin-pool.db"]
    assert levels == {"used": 1.0, "idle": 0.0, "max": 4.0, "waiting": 0.0}
