"""Forks with each of svcready's locks held, and exercises everything in the child."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELD_BY_A_CALL_S = 20
AT_A_TIME = 12
"""Children beside each other; each waits most of its time for a collector."""

SITES: dict[str, list[Any]] = {}


def recording(make: Callable[[], Any]) -> Callable[[], Any]:
    """Make locks as *make* does, and note which line of svcready asked for them."""

    def made() -> Any:
        lock = make()
        frame = sys._getframe(1)
        while frame.f_code.co_filename == threading.__file__ and frame.f_back:
            frame = frame.f_back

        module = frame.f_globals.get("__name__", "")
        if module.startswith("svcready."):
            SITES.setdefault(f"{module}:{frame.f_code.co_qualname}", []).append(lock)

        return lock

    return made


threading.Lock = recording(threading.Lock)  # type: ignore[assignment]
threading.RLock = recording(threading.RLock)  # type: ignore[assignment]

os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
os.environ["SVCREADY_TRACING_SAMPLING"] = "100%"
os.environ["SVCREADY_TRACING_THREADS"] = "true"
os.environ["SVCREADY_TRACING_EXPORTER"] = "otlp,xray"
os.environ["AWS_XRAY_DAEMON_ADDRESS"] = "127.0.0.1:9"
os.environ["SVCREADY_XRAY_SAMPLING"] = "true"
os.environ["SVCREADY_LOG_FILE"] = f"{sys.argv[1]}.log"
os.environ["SVCREADY_CLOUDWATCH_MODE"] = "emf"
os.environ["SVCREADY_CLOUDWATCH_EMF_DESTINATION"] = f"{sys.argv[1]}.emf"
os.environ["SVCREADY_OTLP_METRICS"] = "true"
os.environ["SVCREADY_HTTP_DEADLINE_DEFAULT_S"] = "60"
os.environ["SVCREADY_HTTP_SHEDDING"] = "enforce"
os.environ["SVCREADY_RESILIENCE_REDIS_URL"] = "redis://127.0.0.1:9"
os.environ["SVCREADY_RESILIENCE_SHARE_BREAKERS"] = "true"
os.environ["SVCREADY_HTTP_RATE_LIMIT_STORE"] = "redis"

import opentelemetry.metrics  # noqa: E402
import psycopg_pool  # noqa: E402
import sqlalchemy  # noqa: E402
from opentelemetry import metrics as otel  # noqa: E402

import svcready  # noqa: E402 - the locks must be made by the recorders
from svcready._runtime import current  # noqa: E402
from svcready.resilience._admitting._gcra import Rate  # noqa: E402
from svcready.resilience._limiting._store import Want  # noqa: E402

events = svcready.counter("fork_events", "Events", labels=("kind",))
level = svcready.gauge("fork_level", "A level")
sizes = svcready.histogram("fork_sizes", "Sizes", unit="By")
work = svcready.timer("fork_work", "Work")
log = svcready.get_logger("forks")
meter = otel.get_meter("forks")
moved = meter.create_counter("fork.moved")
meter.create_observable_gauge("fork.heat", [lambda _: [otel.Observation(1)]])


@svcready.health.check("fork-check")
def check() -> None:
    """Pass."""


@svcready.policy(
    "fork-call",
    deadline=60,
    retry=svcready.retry(on=ConnectionError, attempts=2, wait_base="1ms"),
    throttle=True,
    bulkhead=1,
    breaker=True,
    rate_limit="1000/s",
    timeout=svcready.timeout(after=10, threads=2),
)
def call(fails: list[bool]) -> None:
    """Fail as often as *fails* says."""
    if fails.pop():
        raise ConnectionError


@svcready.resilience.resolver("fork-tenant")
def tenant(scope: Any) -> str:
    """Tell whose request it is."""
    return str(scope["path"])


@svcready.limit("1000/s", name="fork-limit", by="fork-tenant")
def limited() -> None:
    """Be called in a request."""


shared = svcready.limit("1000/s burst 2", name="fork-shared", by="all")
svcready.on_pressure(lambda told: events.labels(told.name).inc())


@svcready.fallback("fork-call", lambda fails: None, on=OSError, stale="1m")
def answered(fails: tuple[bool, ...]) -> None:
    """Fail if *fails* says so."""
    if any(fails):
        raise ConnectionError


@svcready.hedge("fork-hedge", "p95")
async def hedged() -> None:
    """Be raced."""


@svcready.hedge("fork-threads", after=9, threads=2)
def hedged_in_threads() -> None:
    """Be raced in threads."""


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request."""
    log.info("answering", path=scope["path"])
    limited()
    svcready.pressure()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


served = svcready.wrap(application)
meter = opentelemetry.metrics.get_meter("forks")
added = meter.create_counter("fork_added")
meter.create_observable_gauge(
    "fork_observed", [lambda _: [opentelemetry.metrics.Observation(1)]]
)
engine = sqlalchemy.create_engine("sqlite://")
svcready.metrics.instrument_engine(engine)
pool = psycopg_pool.ConnectionPool("", min_size=0, max_size=1, open=False)
svcready.metrics.instrument_pool(pool)


async def request(path: str) -> None:
    """Send one request through the wrapper."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, object]) -> None:
        del message

    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    await served(scope, receive, send)


def exercise(name: str) -> None:
    """Use every part once, in a way that takes its locks."""
    svcready.init(service="forks")
    events.labels(name).inc()
    level.set(1)
    sizes.observe(3)
    moved.add(1, {"kind": name})
    with work:
        call([False, True])

    answered(())
    answered((True,))
    hedged_in_threads()
    asyncio.run(hedged())
    svcready.counter(f"fork_declared_{len(name)}", "Declared in a child").inc()
    with svcready.span("work", attributes={"name": name}):
        svcready.annotate(name=name)

    added.add(1, {"kind": name})
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")

    svcready.audit.record("forks.exercise", name, "test", "success")
    shared.call(int)
    for path in ("/orders", "/metrics", "/health/readiness", "/admin/loggers"):
        asyncio.run(request(path))

    runtime = current()
    assert runtime is not None
    runtime.wake()
    assert runtime.resilience is not None
    together = runtime.resilience.shared
    assert together is not None
    assert together.gossip is not None
    assert together.rates is not None
    together.gossip.beat()
    together.rates.take([Want(name, Rate(1.0, 10))])
    svcready.drain()
    svcready.resume()
    runtime.drain.holds()
    runtime.drain.end()
    runtime.flush(2.0)
    svcready.shutdown(2.0)


def forked_with(lock: Any, name: str) -> int:
    """Fork while another thread holds *lock*; the child's copy stays held."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        lock.acquire()
        held.set()
        over.wait()
        lock.release()

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    held.wait(5)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.dump_traceback_later(HELD_BY_A_CALL_S - 1)  # where it hangs
        signal.alarm(HELD_BY_A_CALL_S)
        try:
            exercise(name)
        except BaseException as error:  # noqa: BLE001 - told by the exit code
            print(repr(error), file=sys.stderr)
            os._exit(1)

        os._exit(0)

    over.set()
    holder.join(5)
    return child


def outcome_of(child: int) -> str:
    """Tell how a child fared, once it has ended."""
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return "ok" if code == 0 else "hangs" if code == -signal.SIGALRM else f"exit {code}"


def main() -> None:
    """Print, by the place in the code that makes it, what became of each child."""
    svcready.init(service="forks")
    asyncio.run(request("/orders"))
    call([False, True])
    answered((True,))
    hedged_in_threads()
    asyncio.run(hedged())
    events.labels("parent").inc()
    svcready.audit.record("forks.begin", "parent", "test", "success")
    runtime = current()
    assert runtime is not None
    assert runtime.resilience is not None
    runtime.resilience.wake()
    with svcready.span("parent"):
        pass

    results: dict[str, str] = {}
    sites = sorted(SITES)
    for first in range(0, len(sites), AT_A_TIME):
        batch = sites[first : first + AT_A_TIME]
        children = {site: forked_with(SITES[site][-1], site) for site in batch}
        results |= {site: outcome_of(child) for site, child in children.items()}

    Path(sys.argv[1]).write_text(json.dumps(results))


main()
