from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from tests.servers.harness import Ending, Service
from tests.servers.matrix import SERVERS, Stack, often, start
from tests.servers.peers import Collector, server_span

FLUSH_S = 2.0
SERVER_S = 5.0
"""
What servers need for their own end: gunicorn's asgi worker looks once a second. A
busy machine doubles it; who waits for a collector without a limit takes 10 s.
"""

SLOW_EXPORT = {
    "SVCREADY_TRACING_SAMPLING": "100%",
    "SVCREADY_TRACING_EXPORT_DELAY_S": "60",  # nothing leaves before it must
    "SVCREADY_LIFECYCLE_FLUSH_TIMEOUT_S": f"{FLUSH_S:g}",
}


def ask_each_worker(service: Service) -> list[dict[str, object]]:
    """Have each worker serve a last request, and return their access lines."""
    answers = [service.on_worker(pid, "/orders/1") for pid in service.worker_pids()]
    return [service.access_line(answer.headers["x-request-id"]) for answer in answers]


def check_ending(ending: Ending, limit_s: float) -> None:
    """Check that the server ended as a platform expects, in time."""
    # uvicorn ends by the signal itself once it has shut down; gunicorn with 0.
    assert ending.code in {0, -15, 143}
    assert ending.took_s < limit_s


@often(
    "fastapi-uvicorn-workers",
    "fastapi-gunicorn-asgi-preload",
    "fastapi-gunicorn-uvicorn",
    "flask-gunicorn",
    "django-uvicorn",
)
def test_sigterm_loses_nothing(stack: Stack, tmp_path: Path) -> None:
    """
    After SIGTERM every worker's last request is exported and its lines are written,
    well before the flush budget is spent.
    """
    with (
        Collector() as collector,
        start(
            stack, tmp_path, **SLOW_EXPORT, SVCREADY_OTLP_ENDPOINT=collector.url
        ) as service,
    ):
        accesses = ask_each_worker(service)
        assert not collector.spans

        ending = service.terminate()

        check_ending(ending, FLUSH_S + SERVER_S)
        for access in accesses:
            server_span(collector, str(access["trace_id"]))

        last = [
            line for line in service.lines if line.get("event") == "svcready.stopped"
        ]
        assert len(last) <= service.workers
        assert all(line.get("context", {}) == {} for line in last)
        assert "Traceback" not in service.errors


@often("fastapi-uvicorn", "fastapi-gunicorn-asgi", "flask-gunicorn-preload")
@pytest.mark.parametrize("trouble", ["killed", "hanging"])
def test_a_lost_collector_slows_nothing(
    stack: Stack, tmp_path: Path, trouble: str
) -> None:
    """
    With a killed or a hanging OTLP endpoint no request takes longer and the process
    ends within its flush budget.
    """
    environ = {**SLOW_EXPORT, "SVCREADY_TRACING_EXPORT_DELAY_S": "0.05"}
    with (
        Collector() as collector,
        start(
            stack, tmp_path, **environ, SVCREADY_OTLP_ENDPOINT=collector.url
        ) as service,
    ):
        ask_each_worker(service)
        if trouble == "killed":
            collector.close()
        else:
            collector.hang()

        slowest_s = 0.0
        for _ in range(20):
            began_s = time.monotonic()
            assert service.get("/plain").status == 200
            slowest_s = max(slowest_s, time.monotonic() - began_s)

        ask_each_worker(service)
        ending = service.terminate()

        assert slowest_s < 1.0
        check_ending(ending, FLUSH_S + SERVER_S)


def test_what_a_hanging_collector_cost_is_said_at_the_end(tmp_path: Path) -> None:
    """The last line counts the spans that were lost, where the exit lets it be said."""
    stack = next(stack for stack in SERVERS if stack.name == "flask-gunicorn")
    with (
        Collector() as collector,
        start(
            stack, tmp_path, **SLOW_EXPORT, SVCREADY_OTLP_ENDPOINT=collector.url
        ) as service,
    ):
        collector.hang()
        ask_each_worker(service)

        service.terminate()

        lost = [
            line["context"]
            for line in service.lines
            if line.get("event") == "svcready.stopped"
        ]
        assert len(lost) == service.workers
        for context in lost:
            assert isinstance(context, dict)
            assert sum(context["lost"]["spans"].values()) >= 1


def test_a_request_in_flight_at_sigterm_is_finished_and_logged(tmp_path: Path) -> None:
    """A request that SIGTERM meets half-way is answered, logged and exported."""
    stack = next(stack for stack in SERVERS if stack.name == "fastapi-uvicorn")
    request_id = f"last-{uuid.uuid4()}"
    with (
        Collector() as collector,
        start(
            stack, tmp_path, **SLOW_EXPORT, SVCREADY_OTLP_ENDPOINT=collector.url
        ) as service,
    ):
        with service.client.stream(
            "GET", "/stream", headers={"X-Request-ID": request_id}
        ) as response:
            chunks = response.iter_raw(1000)
            next(chunks)
            assert service.signal_term()
            assert sum(map(len, chunks)) == 3000

        service.wait()
        (line,) = (line for line in service.lines_of(request_id) if "http" in line)
        assert collector.servers_of(str(line["trace_id"]))
