"""A month is reckoned by metric and dimension set, from a dated price list."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.admin import OpsRequest, build_surface
from svcready.admin._port._port import OpsPort
from svcready.cli import main
from svcready.errors import SvcreadyError
from svcready.metrics.sinks._cloudwatch._cost import estimate, price_list
from svcready.testing import running

if TYPE_CHECKING:
    from pathlib import Path


def usage(
    metrics: int, *, mode: str = "api", emf_bytes: int = 1024, requests: int = 1
) -> dict[str, object]:
    """Say what a service would: so many metrics of one name, sent each minute."""
    push = {"interval_s": 60.0, "emf_bytes": emf_bytes, "put_requests": requests}
    return {
        "schema": 1,
        "service": "orders",
        "environment": "test",
        "mode": mode,
        "pushes": [push],
        "metrics": [
            {"name": "orders", "dimensions": {"n": str(n)}, "resolution": 60}
            for n in range(metrics)
        ],
    }


@pytest.mark.parametrize(
    ("metrics", "usd"),
    [
        (0, 0.0),
        (1, 0.30),
        (10_000, 3000.0),
        (10_001, 3000.10),
        (250_000, 3000.0 + 24_000.0),
        (260_000, 27_000.0 + 500.0),
        (1_000_001, 27_000.0 + 37_500.0 + 0.02),
    ],
)
def test_tiers(metrics: int, usd: float) -> None:
    """Each tier's price is for the metrics in it."""
    found = estimate(usage(metrics), price_list())

    assert found.metrics == metrics
    assert found.metrics_usd == pytest.approx(usd)
    assert sum(share.usd for share in found.shares) == pytest.approx(usd)


def test_requests_and_log_data_are_by_process() -> None:
    """43 800 minutes a month: requests by the thousand, log data by the GiB."""
    api = estimate(usage(5, requests=2), price_list(), processes=3)
    emf = estimate(usage(5, emf_bytes=2**20), price_list(), mode="emf", processes=2)

    assert api.transport == "262,800 requests of PutMetricData"
    assert api.transport_usd == pytest.approx(2.628)
    assert emf.transport == "85.55 GB of log data"
    assert emf.transport_usd == pytest.approx(2 * 43_800 / 1024 * 0.5)
    assert emf.usd == pytest.approx(5 * 0.3 + emf.transport_usd)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"metrics": 1},
        {"metrics": [{"name": "a"}]},
        {**usage(1), "pushes": [{"interval_s": 0, "emf_bytes": 1, "put_requests": 1}]},
    ],
)
def test_what_is_no_usage_is_said(wrong: dict[str, object]) -> None:
    """Whatever a file or an address gave."""
    with pytest.raises(SvcreadyError, match="no usage of CloudWatch"):
        estimate(wrong, price_list())


def test_the_command_reads_a_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And shows prices' date and source, so that they can be checked."""
    file = tmp_path / "usage.json"
    file.write_text(json.dumps(usage(10, mode="off")))

    assert main(["metrics", "cost", "--snapshot", str(file)]) == 0
    shown = capsys.readouterr().out
    assert main(["metrics", "cost", "--snapshot", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)

    assert "orders in test, mode emf (CloudWatch is off" in shown
    assert "3.00" in shown
    assert str(price_list()["noted"]) in shown
    assert "https://aws.amazon.com/cloudwatch/pricing/" in shown
    assert said["shares"] == [
        {"name": "orders", "dimensions": ["n"], "metrics": 10, "usd": 3.0}
    ]
    assert said["metrics_usd"] == 3.0
    assert said["prices"] == price_list()


@pytest.mark.parametrize(
    "words",
    [
        ["--snapshot", "/no/such/file"],
        ["--url", "localhost:8000"],
        ["--url", "http://127.0.0.1:1"],
        ["--url", "http://[::1"],
        ["--url", "http://or ders"],
    ],
)
def test_what_cannot_be_read_is_said(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with exit code 1."""
    assert main(["metrics", "cost", *words]) == 1
    assert capsys.readouterr().err.startswith("svcready: ")


@pytest.mark.parametrize("processes", ["0", "-3", "many"])
def test_a_service_has_a_process_at_least(
    processes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or its costs would be nothing, or less."""
    with pytest.raises(SystemExit):
        main(["metrics", "cost", "--snapshot", "-", f"--processes={processes}"])

    assert "is no number from 1" in capsys.readouterr().err


def test_a_token_goes_to_the_service_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Who is sent on to another address does not show it there."""
    seen: list[str | None] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            sends_on = self.path.startswith("/admin")
            self.send_response(302 if sends_on else 401)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert main(["metrics", "cost", "--url", url, "--token", "s3cret"]) == 1
        server.shutdown()

    assert seen == ["Bearer s3cret", None]
    assert "401" in capsys.readouterr().err


def test_the_command_asks_a_running_service(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose CloudWatch is off: it says what would be billed, to operators only."""
    shops = svcready.counter("cost_visits", "help", labels=("shop",))
    environ = {"SVCREADY_ADMIN_TOKENS": "s3cret", "SVCREADY_METRICS_HOST": "false"}
    with running(environ=environ) as harness:
        for number in range(7):
            shops.labels(number).inc()

        metrics = harness.runtime.metrics
        assert metrics is not None
        metrics.http.children("GET", "/a", 200).observe(0.1)
        surface = build_surface(harness.runtime)
        port = OpsPort(surface, "127.0.0.1", 0)
        try:
            address = f"http://127.0.0.1:{port.port}"
            assert main(["metrics", "cost", "--url", address]) == 1
            assert "answers 401; give one of" in capsys.readouterr().err
            words = ["--url", address, "--token", "wrong"]
            assert main(["metrics", "cost", *words]) == 1
            assert "401; the token is none of" in capsys.readouterr().err
            assert main(["metrics", "cost", "--url", f"{address}/elsewhere"]) == 1
            assert "ADMIN_TOKENS? With SVCREADY_ADMIN_PORT" in capsys.readouterr().err
            monkeypatch.setenv("SVCREADY_ADMIN_TOKEN", "s3cret")
            words = ["--url", f"{address}/metrics", "--json", "--mode", "api"]
            assert main(["metrics", "cost", *words]) == 0
        finally:
            port.close()

        assert shops.labels(0).read() == 1.0

    said = json.loads(capsys.readouterr().out)
    found = {(s["name"], *s["dimensions"]): s["metrics"] for s in said["shares"]}
    assert found == {
        ("cost_visits", "Environment", "shop"): 7,
        ("cost_visits", "Environment"): 1,
        ("RequestCount", "ApiEndpoint", "Environment"): 1,
        ("RequestCount", "Environment"): 1,
        ("ResponseTime", "ApiEndpoint", "Environment"): 1,
        ("ResponseTime", "Environment"): 1,
        ("ErrorCount", "Environment"): 1,
        ("FaultCount", "Environment"): 1,
    }
    assert said["transport"] == "43,800 requests of PutMetricData"


def test_asking_takes_nothing_from_what_is_sent() -> None:
    """The estimate reads; the sink sends all the same."""
    orders = svcready.counter("cost_orders", "help")
    times = svcready.histogram("cost_times", "help", unit="s")
    environ = {"SVCREADY_ADMIN_TOKENS": "s3cret", "SVCREADY_CLOUDWATCH_MODE": "emf"}
    with running(environ=environ) as harness:
        orders.inc(3)
        times.observe(0.5)
        surface = build_surface(harness.runtime)
        for _ in range(2):
            answer = surface.answer(
                OpsRequest(
                    "GET",
                    "/admin/metrics/cost",
                    "",
                    lambda name: {"authorization": "Bearer s3cret"}.get(name.lower()),
                    "203.0.113.9",
                )
            )
            assert answer.status == 200

        event = harness.emf_events[0]
        assert (event["cost_orders"], event["cost_times"]) == (3, 0.5)
