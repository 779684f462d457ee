"""A real Prometheus scrapes a service whose workers are recycled and killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from tests.servers.harness import Service, eventually, free_port, sample_of
from tests.servers.test_many_workers import gunicorn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMETHEUS = shutil.which("prometheus")
_LOAD_S = 12.0
_THREADS = 4
_CONFIG = """
global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
  - job_name: many
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(PROMETHEUS is None, reason="no Prometheus server is installed"),
]


class Hit(NamedTuple):
    """One request that was answered."""

    pid: int
    at_s: float


class Prometheus:
    """A server that scrapes one target, asked by its HTTP API."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=5, trust_env=False)

    def ask(self, query: str) -> list[dict[str, object]]:
        """Return the result of a query."""
        answer = self.client.get("/api/v1/query", params={"query": query})
        result: list[dict[str, object]] = answer.json()["data"]["result"]
        return result

    def number(self, query: str) -> float:
        """Return the one value of a query, 0 if there is none."""
        result = self.ask(query)
        values = [each["value"] for each in result]
        return sum(float(value[1]) for value in values if isinstance(value, list))

    def ready(self) -> bool:
        """Tell whether it has scraped its target."""
        try:
            return self.number("up") == 1
        except (httpx.HTTPError, ValueError):  # it says so in words, at first
            return False


@contextmanager
def prometheus(service: Service, directory: Path) -> Iterator[Prometheus]:
    """Run Prometheus on *service*."""
    directory.mkdir()
    config = directory / "prometheus.yml"
    config.write_text(_CONFIG.format(port=service.port))
    port = free_port()
    assert PROMETHEUS is not None
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )

    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        with server.client:
            eventually(server.ready, "Prometheus scrapes")
            yield server
    finally:
        process.terminate()
        process.wait(10)


def load(service: Service, over: threading.Event) -> tuple[list[Hit], list[float]]:
    """Send requests until it is over; return the answers, and when one failed."""
    hits: list[Hit] = []
    failed: list[float] = []

    def send() -> None:
        with httpx.Client(
            base_url=service.url,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        ) as client:
            while not over.is_set():
                try:
                    answer = client.get("/hit")
                    hits.append(Hit(answer.json()["pid"], time.monotonic()))
                except (httpx.HTTPError, ValueError):
                    failed.append(time.monotonic())

    senders = [threading.Thread(target=send) for _ in range(_THREADS)]
    for sender in senders:
        sender.start()

    for sender in senders:
        sender.join()

    return hits, failed


def test_recycled_and_killed_under_load(tmp_path: Path) -> None:
    """
    Totals are exact for all but the killed worker, which loses at most what it counted
    within one second, and no counter ever falls.
    """
    options = ("--max-requests", "150", "--max-requests-jitter", "50")
    with (
        gunicorn(tmp_path, *options) as service,
        prometheus(service, tmp_path / "prometheus") as server,
    ):
        over = threading.Event()
        done: list[tuple[list[Hit], list[float]]] = []
        loading = threading.Thread(target=lambda: done.append(load(service, over)))
        loading.start()
        over.wait(_LOAD_S / 2)
        victim = service.get("/hit")  # counted below, as one more
        pid = int(victim.body.split(b":")[1].strip(b" }\n"))
        os.kill(pid, signal.SIGKILL)
        killed_s = time.monotonic()
        over.wait(_LOAD_S / 2)
        over.set()
        loading.join()
        ((hits, failed),) = done

        total = len(hits) + 1
        lost = sum(hit.pid == pid and hit.at_s > killed_s - 1.0 for hit in hits) + 1
        lowest, highest = total - lost, total + len(failed)

        def settled() -> bool:
            page = sample_of(service.get("/metrics").body, "hits_total")
            return server.number("hits_total") == page >= lowest

        eventually(settled, "the last total is scraped", 5)
        shown = server.number("hits_total")
        assert lowest <= shown <= highest
        assert server.number("sizes_sum") == 5 * shown
        imported = server.number("imported_total")
        assert imported > 8  # so many workers were there
        assert server.number("theirs_total") == shown + 100 * imported

        for name in ("hits_total", "sizes_sum", "sizes_bucket", "theirs_total"):
            resets = server.ask(f"resets({name}[5m]) > 0")
            assert resets == [], name
            falls = server.ask(f"min_over_time(deriv({name}[1s])[1m:250ms]) < 0")
            assert falls == [], name
            (series, *_) = server.ask(f"{name}[5m]")
            values = series["values"]
            assert isinstance(values, list)
            numbers = [float(value) for _, value in values]
            assert numbers == sorted(numbers)
            assert len(numbers) > _LOAD_S  # it was scraped all the time

        print(f"{shown:g} of {total} hits shown, {total - shown:g} lost with {pid}")
