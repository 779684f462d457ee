"""Many workers: the page of each shows the whole service, exactly and at any time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.servers.harness import Service, eventually, sample_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_APP = "tests.servers.apps.many_workers:app"
_GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}", "--no-control-socket")
_THREADS = ("-k", "gthread", "--threads", "4", "--keep-alive", "75")
_PUBLISHED_S = 1.0
_PATIENCE_S = 0.2
_STOPPED = "svcready.stopped"


def gunicorn(
    directory: Path, *options: str, workers: int = 4, **environ: str
) -> Service:
    """Return the service under gunicorn, whose processes meet in *directory*."""
    run_dir = directory / "run"
    run_dir.mkdir(mode=0o700, exist_ok=True)
    return Service(
        [*_GUNICORN, "--workers", str(workers), *options, _APP],
        directory,
        workers=workers,
        environ={"SVCREADY_CORE_RUN_DIR": str(run_dir), **environ},
    )


def pages(service: Service) -> dict[int, bytes]:
    """Return the page of each worker."""
    return {
        pid: service.on_worker(pid, "/metrics").body for pid in service.worker_pids()
    }


def settled(service: Service, name: str, total: float) -> None:
    """Wait until the pages of all workers show a total."""

    def shown() -> bool:
        return all(sample_of(page, name) == total for page in pages(service).values())

    eventually(shown, f"{name} = {total}", 5)


@pytest.fixture(
    scope="module",
    params=[_THREADS, (*_THREADS, "--preload")],
    ids=["each-imports", "preload"],
)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Four workers that serve."""
    with gunicorn(tmp_path_factory.mktemp("many"), *request.param) as running:
        yield running


def test_each_page_is_of_the_whole_service(service: Service) -> None:
    """
    Ours and prometheus_client's totals are exact on the page of each worker, process
    metrics are by process, and what can't be joined is of who answers.
    """
    preload = any("--preload" in part for part in service.command)
    pids = service.worker_pids()
    before = sample_of(service.get("/metrics").body, "hits_total")
    for pid in pids:
        for _ in range(5):
            service.on_worker(pid, "/hit")

    hits = before + 5 * len(pids)
    settled(service, "hits_total", hits)
    settled(service, "theirs_total", hits + (100 if preload else 400))
    settled(service, "imported_total", 1 if preload else 4)
    for pid, page in pages(service).items():
        assert sample_of(page, "sizes_bucket", le="10.0") == hits
        assert sample_of(page, "sizes_sum") == 5 * hits
        assert sample_of(page, "spread_count") == hits
        assert sample_of(page, "spread_sum") == 5 * hits
        assert sample_of(page, "busy") == 4
        assert sample_of(page, "answering") == pid
        assert sample_of(page, "svcready_workers", state="live") == 4
        assert sample_of(page, "target_info") == 1
        assert sample_of(page, "svcready_internal_errors_total") == 0
        for each in pids:
            assert sample_of(page, "process_open_fds", pid=str(each)) > 0


def test_a_hung_worker_delays_nobody_and_is_reported(service: Service) -> None:
    """With one worker stopped a scrape takes no longer, and says that it is stale."""
    first, *_, last = service.worker_pids()
    pages(service)
    took_s = min(_timed(service, first) for _ in range(5))
    shown = sample_of(service.on_worker(first, "/metrics").body, "hits_total")
    os.kill(last, signal.SIGSTOP)
    try:

        def stale() -> bool:
            page = service.on_worker(first, "/metrics").body
            assert sample_of(page, "hits_total") == shown
            return sample_of(page, "svcready_workers", state="stale") == 1

        eventually(stale, "the stopped worker is reported")
        assert min(_timed(service, first) for _ in range(5)) < took_s + _PATIENCE_S
    finally:
        os.kill(last, signal.SIGCONT)

    settled(service, "svcready_workers", 4)


def _timed(service: Service, pid: int) -> float:
    began_s = time.monotonic()
    service.on_worker(pid, "/metrics")
    return time.monotonic() - began_s


def test_a_killed_worker_loses_one_interval_at_most(tmp_path: Path) -> None:
    """What a worker counted more than a second before SIGKILL is never lost."""
    with gunicorn(tmp_path, *_THREADS, workers=2) as service:
        victim, other = service.worker_pids()
        sent: list[float] = []
        for _ in range(100):
            service.on_worker(victim, "/hit")
            sent.append(time.monotonic())
            threading.Event().wait(0.015)

        os.kill(victim, signal.SIGKILL)
        killed_s = time.monotonic()
        kept = sum(at < killed_s - _PUBLISHED_S for at in sent)
        service.forget_workers()
        shown = sample_of(service.on_worker(other, "/metrics").body, "hits_total")
        assert kept <= shown <= 100

        def absorbed() -> bool:
            rooms = list((tmp_path / "run").glob("group-*/metrics"))
            assert len(rooms) == 1
            return not list(rooms[0].glob(f"{victim}-*"))

        eventually(absorbed, "the dead worker's files are gone")
        for page in pages(service).values():
            assert sample_of(page, "hits_total") == shown


def load(service: Service, requests: int, threads: int = 4) -> Counter[int]:
    """Send requests from threads, and return how many were answered by status."""
    answered: Counter[int] = Counter()
    lock = threading.Lock()

    def send() -> None:
        for _ in range(requests // threads):
            try:
                status = service.get("/hit").status
            except OSError:  # refused while a worker is exchanged: never counted
                status = 0

            with lock:
                answered[status] += 1

    senders = [threading.Thread(target=send) for _ in range(threads)]
    for sender in senders:
        sender.start()

    for sender in senders:
        sender.join()

    return answered


def watch(service: Service, over: threading.Event, names: Sequence[str]) -> list[str]:
    """Scrape until it is over, and return which totals were seen to fall."""
    falls: list[str] = []
    highest = dict.fromkeys(names, 0.0)
    while not over.is_set():
        try:
            answer = service.get("/metrics")
        except OSError:
            continue

        for name in names:
            value = sample_of(answer.body, name) if answer.status == 200 else 1e99
            if value < highest[name]:
                falls.append(f"{name}: {value} after {highest[name]}")

            highest[name] = max(highest[name], value) if value < 1e99 else highest[name]

    return falls


@pytest.mark.parametrize("kind", [("-k", "sync"), (*_THREADS, "--preload")])
def test_recycled_workers_lose_nothing(tmp_path: Path, kind: tuple[str, ...]) -> None:
    """Under load, workers recycled all the time: no total falls, and all are exact."""
    names = ("hits_total", "sizes_sum", "sizes_count", "theirs_total", "spread_count")
    options = ("--max-requests", "60", "--max-requests-jitter", "20", *kind)
    with gunicorn(tmp_path, *options) as service:
        over = threading.Event()
        falls: list[str] = []
        watcher = threading.Thread(
            target=lambda: falls.extend(watch(service, over, names))
        )
        watcher.start()
        answered = load(service, 800)
        over.set()
        watcher.join()

        hits = answered[200]
        assert falls == []
        assert hits > 700

        def exact() -> bool:
            page = service.get("/metrics").body
            return (
                sample_of(page, "hits_total") == hits
                and sample_of(page, "sizes_sum") == 5 * hits
                and sample_of(page, "spread_count") == hits
            )

        eventually(exact, f"{hits} hits", 5)
        page = service.get("/metrics").body
        assert sample_of(page, "theirs_total") - hits == 100 * sample_of(
            page, "imported_total"
        )
        assert sample_of(page, "imported_total") == 1 or "--preload" not in kind
        ended = [line for line in service.lines if line.get("event") == _STOPPED]
        assert len(ended) > 6  # so many were exchanged

        def absorbed() -> bool:
            files = list((tmp_path / "run").glob("group-*/metrics/*"))
            # Two each, of the master too if it counted, the past and the lock.
            return len(files) <= 2 * (service.workers + 1) + 2

        eventually(absorbed, "the files of dead workers are gone", 5)


def test_two_services_side_by_side_do_not_mix(tmp_path: Path) -> None:
    """Two instances of one service under one supervisor each count for themselves."""
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    environ = {"SVCREADY_CORE_RUN_DIR": str(run_dir)}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    with (
        gunicorn(tmp_path / "a", "--preload", workers=2, **environ) as one,
        gunicorn(tmp_path / "b", workers=2, **environ) as other,
    ):
        for _ in range(10):
            one.get("/hit")

        for _ in range(3):
            other.get("/hit")

        for service, hits in ((one, 10.0), (other, 3.0)):

            def shown(service: Service = service, hits: float = hits) -> bool:
                page = service.get("/metrics").body
                live = sample_of(page, "svcready_workers", state="live")
                return (sample_of(page, "hits_total"), live) == (hits, 2)

            eventually(shown, f"{hits} hits", 5)


def test_multiprocess_files_are_read(tmp_path: Path) -> None:
    """With PROMETHEUS_MULTIPROC_DIR that library's metrics come from its files."""
    files = tmp_path / "files"
    files.mkdir()
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(files)}
    with gunicorn(tmp_path, *_THREADS, workers=2, **environ) as service:
        for pid in service.worker_pids():
            for _ in range(5):
                service.on_worker(pid, "/hit")

        settled(service, "hits_total", 10)
        for pid, page in pages(service).items():
            assert sample_of(page, "theirs_total") == 210
            assert sample_of(page, "spread_count") == 10
            assert sample_of(page, "busy") == 2
            assert sample_of(page, "answering") == pid


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """SVCREADY_METRICS_WORKERS=false lets each worker answer for itself again."""
    environ = {"SVCREADY_METRICS_WORKERS": "false"}
    with gunicorn(tmp_path, *_THREADS, workers=2, **environ) as service:
        first, second = service.worker_pids()
        service.on_worker(first, "/hit")

        assert sample_of(service.on_worker(first, "/metrics").body, "hits_total") == 1
        assert sample_of(service.on_worker(second, "/metrics").body, "hits_total") == 0
        assert not list((tmp_path / "run").glob("group-*/metrics"))


def test_without_a_directory_each_stands_alone(tmp_path: Path) -> None:
    """Where no directory can be made each worker answers for itself, and says so."""
    nowhere = {"SVCREADY_CORE_RUN_DIR": "/proc/svcready"}
    with gunicorn(tmp_path, *_THREADS, workers=2, **nowhere) as service:
        first, second = service.worker_pids()
        service.on_worker(first, "/hit")

        assert sample_of(service.on_worker(first, "/metrics").body, "hits_total") == 1
        assert sample_of(service.on_worker(second, "/metrics").body, "hits_total") == 0
        assert "SVCREADY_CORE_RUN_DIR" in str(service.started_lines)
        for page in pages(service).values():
            assert sample_of(page, "svcready_internal_errors_total") == 0


def test_workers_of_uvicorn(tmp_path: Path) -> None:
    """Processes that uvicorn spawned are one service as well; a single one is alone."""
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    command = ["uvicorn", "--port", "{port}", "--timeout-keep-alive", "75"]
    environ = {"SVCREADY_CORE_RUN_DIR": str(run_dir)}
    app = "tests.servers.apps.fastapi_app:app"
    workers = Service(
        [*command, "--workers", "2", app], tmp_path, workers=2, environ=environ
    )
    with workers:
        settled(workers, "test_imports_total", 2)
        settled(workers, "svcready_workers", 2)

    for each in run_dir.glob("group-*"):
        each.rename(tmp_path / each.name)

    with Service([*command, app], tmp_path, environ=environ) as alone:
        page = alone.get("/metrics").body
        assert sample_of(page, "test_imports_total") == 1
        assert b"pid=" not in page.replace(b"process_pid=", b"")
        assert b"svcready_workers" not in page
        assert not list(run_dir.glob("group-*"))
