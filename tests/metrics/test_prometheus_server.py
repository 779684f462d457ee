from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from svcready.metrics import counter, gauge, histogram, timer
from svcready.metrics._instruments._register import Declarer
from svcready.metrics._model import Distribution, Exemplar, Family, Number
from svcready.metrics.sources._cgroup import cgroup_families
from svcready.metrics.sources._runtime import declare_lag
from tests.servers.harness import eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from svcready.metrics._pillar import MetricsPillar

    Make = Callable[..., MetricsPillar]

LIMITED = {
    "cgroup.type": "domain",
    "cpu.max": "100000 100000",
    "cpu.stat": "user_usec 1\nsystem_usec 2\nnr_periods 3\nnr_throttled 1\n"
    "throttled_usec 9\n",
    "memory.max": "1000",
    "memory.current": "900",
    "memory.stat": "inactive_file 100",
    "memory.events": "oom_kill 0",
    "pids.max": "10",
    "pids.current": "1",
}


@pytest.fixture
def everything(make_pillar: Make, tmp_path: Path) -> MetricsPillar:
    """Return a pillar with every kind of metric, and all that svcready gives."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    for file, text in LIMITED.items():
        (tmp_path / "sys/fs/cgroup" / file).write_text(text)

    pillar = make_pillar(process=True, runtime=True, host=True)
    pillar.add_source(lambda: cgroup_families(str(tmp_path)))
    pillar.http.children("GET", "/orders/{id}", 200).observe(0.1)
    pillar.http.active("GET").inc()
    pillar.dropped("logging", "queue_full").inc()
    declare_lag(Declarer("svcready")).observe(0.01)
    counter("sent", "Bytes sent", labels=("to",), unit="By").labels('a"\\\n').inc(2)
    gauge("level", "A level").set(-1.5)
    histogram("sizes", "Sizes", unit="By", buckets=(1, 2)).observe(5)
    timer("checkout", "Time to check out").observe(0.25)
    return pillar


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not there")
def test_promtool_has_nothing_to_complain_about(everything: MetricsPillar) -> None:
    """The page with every kind of metric that we give passes Prometheus' linter."""
    page = everything.prometheus.render(None, None)
    for name in (
        *(b"process_cpu_seconds_total", b"python_gc_duration_seconds_bucket"),
        *(b"cgroup_memory_limit_bytes", b"svcready_event_loop_lag_seconds_sum"),
    ):
        assert b"\n" + name in page.body

    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=page.body,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def exemplary() -> Family:
    """Return a counter with an exemplar, which instruments get from sampled spans."""
    pointer = Exemplar((("trace_id", "4bf92f35"),), 2.0, time.time())
    points = (Number(("retail",), 3.0, pointer),)
    return Family(
        "paid", "paid", "counter", "Paid", "", ("kind",), points, "application"
    )


def exemplary_buckets() -> Family:
    """Return a histogram with an exemplar in its second bucket."""
    pointer = Exemplar((("trace_id", "0af76519"),), 1.5, time.time())
    point = Distribution((), (1.0, 2.0), (1, 1, 0), 2.0, (None, pointer, None))
    return Family("took", "took", "histogram", "h", "", (), (point,), "application")


@pytest.fixture
def targets(everything: MetricsPillar) -> Iterator[tuple[str, set[str]]]:
    """Serve the page, as negotiated and in plain text; tell what was negotiated."""
    everything.add_source(lambda: (exemplary(), exemplary_buckets()))
    served: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            accept = self.headers["Accept"] if self.path == "/metrics" else None
            page = everything.prometheus.render(accept, self.headers["Accept-Encoding"])
            served.add(f"{self.path} {page.content_type.split(';')[0]}")
            self.send_response(200)
            self.send_header("Content-Type", page.content_type)
            if page.encoding:
                self.send_header("Content-Encoding", page.encoding)

            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}", served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ask(
    targets: tuple[str, set[str]], tmp_path: Path
) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Start a Prometheus server that scrapes both, and return what asks it."""
    jobs = "".join(
        f"""
- job_name: {path}
  metrics_path: /{path}
  static_configs: [{{targets: ["{targets[0]}"]}}]"""
        for path in ("metrics", "plain")
    )
    config = tmp_path / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s}}\nscrape_configs:{jobs}\n")
    port = free_port()
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask_it(api: str, **parameters: object) -> Any:
        query = urllib.parse.urlencode(parameters)
        with contextlib.suppress(OSError):  # it starts
            url = f"http://127.0.0.1:{port}/api/v1/{api}?{query}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]

        return {}

    yield ask_it
    process.terminate()
    process.wait()


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="it is not there")
def test_a_prometheus_server_reads_the_page(
    targets: tuple[str, set[str]], ask: Callable[..., Any]
) -> None:
    """In OpenMetrics, which it prefers, and in plain text: the same values."""

    def value(query: str) -> dict[str, float]:
        found = ask("query", query=query).get("result", ())
        return {one["metric"]["job"]: float(one["value"][1]) for one in found}

    expected = {"metrics": 1.0, "plain": 1.0}
    eventually(lambda: value("up") == expected, "both are scraped", 30)
    assert {target["lastError"] for target in ask("targets")["activeTargets"]} == {""}
    assert targets[1] == {
        "/metrics application/openmetrics-text",
        "/plain text/plain",
    }
    for query, number in {
        'sent_bytes_total{to="a\\"\\\\\\n"}': 2.0,
        "level": -1.5,
        'sizes_bytes_bucket{le="+Inf"}': 1.0,
        "checkout_seconds_sum": 0.25,
        'python_gc_duration_seconds_count{generation="1"} >= bool 0': 1.0,
        "cgroup_memory_limit_bytes": 1000.0,
        'target_info{service_name="orders"}': 1.0,
    }.items():
        assert value(query) == dict.fromkeys(expected, number), query

    def exemplars(query: str) -> list[tuple[str, str, str]]:
        found = ask("query_exemplars", query=query, start=0, end=time.time() + 60)
        return [
            (
                series["seriesLabels"]["job"],
                series["seriesLabels"].get("le", ""),
                one["labels"]["trace_id"],
            )
            for series in found
            for one in series["exemplars"][:1]
        ]

    assert exemplars("paid_total") == [("metrics", "", "4bf92f35")]
    assert exemplars("took_bucket") == [("metrics", "2.0", "0af76519")]
