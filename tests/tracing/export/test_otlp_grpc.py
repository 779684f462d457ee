"""Export over gRPC: what arrives at a real server, and what its refusals cost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("grpc")

import grpc

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.events import ItemsDropped, subscribe
from svcready._core.identity import Identity
from svcready._transport import _otlp_target as transport
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.tracing import TracingSettings
from svcready.metrics._model import Family, Number, Snapshot
from svcready.metrics.sinks._otlp._sink import plan_otlp
from svcready.tracing import span
from tests.tracing.grpc_collector import GrpcCollector, Refusal
from tests.tracing.support import ALL, make_pillar
from tests.tracing.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from svcready.tracing._pillar import TracePillar

SLOW = 3600.0
"""An export delay that no test waits for: only a flush sends."""

Code = grpc.StatusCode


@pytest.fixture
def collector() -> Iterator[GrpcCollector]:
    """Give a collector that listens."""
    made = GrpcCollector()
    yield made
    made.close()


@pytest.fixture
def drops() -> Iterator[dict[str, int]]:
    """Count the spans that were said to be dropped, by reason."""
    counts: dict[str, int] = {}

    def count(event: ItemsDropped) -> None:
        counts[event.reason] = counts.get(event.reason, 0) + event.items

    undo = subscribe(ItemsDropped, count)
    yield counts
    undo()


def started(
    address: str,
    *,
    export_delay_s: float = SLOW,
    batch_spans: int = 512,
    export_timeout_s: float = 30.0,
    **otlp: object,
) -> TracePillar:
    """Return a pillar that exports to *address* by gRPC."""
    made = OtlpSettings(endpoint=address, protocol="grpc", **otlp)  # type: ignore[arg-type]
    tracing = TracingSettings(
        sampling=ALL,
        export_delay_s=export_delay_s,
        batch_spans=batch_spans,
        export_timeout_s=export_timeout_s,
    )
    pillar = make_pillar(tracing, made)
    pillar.start()
    return pillar


def work(spans: int = 1) -> None:
    """Make so many spans."""
    for number in range(spans):
        with span(f"span-{number}", number=number):
            pass


def lane(pillar: TracePillar) -> dict[str, object]:
    """Return what the pillar says of its exporter."""
    exporters = pillar.describe()["exporters"]
    assert isinstance(exporters, dict)
    described = exporters["otlp"]
    assert isinstance(described, dict)
    return described


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_spans_arrive_whole(collector: GrpcCollector, compression: str) -> None:
    """A real server parses resource, names and attributes, and gets our headers."""
    pillar = started(
        f"http://{collector.address}",
        compression=compression,
        headers=(("authorization", "Bearer t"), ("team-bin", "shop")),
    )
    work(3)
    assert pillar.close(5.0) == 0

    assert [record.name for record in collector.spans] == ["span-0", "span-1", "span-2"]
    assert collector.spans[2].attributes[0].value.int_value == 2
    (request,) = collector.requests
    described = {
        each.key: each.value.string_value
        for each in request.resource_spans[0].resource.attributes
    }
    assert described["service.name"] == "orders"
    (metadata,) = collector.metadata
    assert metadata["authorization"] == "Bearer t"
    assert metadata["team-bin"] == b"shop"
    assert str(metadata["user-agent"]).startswith("svcready ")


@pytest.mark.parametrize(
    ("endpoint", "insecure", "shown"),
    [
        ("http://collector:4317", False, "grpc://collector:4317"),
        ("https://collector:4317/ignored", True, "grpcs://collector:4317"),
        ("collector:4317", False, "grpcs://collector:4317"),
        ("collector:4317", True, "grpc://collector:4317"),
        ("http://collector", False, "grpc://collector:4317"),
        ("http://u:p@collector:1", False, "grpc://collector:1"),
        (None, False, "grpc://localhost:4317"),
    ],
)
def test_addresses_as_the_specification_has_them(
    endpoint: str | None, insecure: bool, shown: str
) -> None:
    """A scheme decides about TLS; without one the option does, and TLS is the rule."""
    pillar = make_pillar(
        TracingSettings(exporter=("otlp",)),
        OtlpSettings(endpoint=endpoint, traces_protocol="grpc", insecure=insecure),
    )
    pillar.start()

    assert pillar.describe()["export"] == f"otlp: {shown}"
    assert pillar.problems == ()
    pillar.close(0.1)


def test_certificates_are_checked(tmp_path: Path, drops: dict[str, int]) -> None:
    """Over TLS spans arrive where the certificate is trusted, and only there."""
    certificate, key = make_certificate(tmp_path)
    collector = GrpcCollector(certificate.read_bytes(), key.read_bytes())
    try:
        trusting = started(f"https://{collector.address}", certificate=str(certificate))
        work()
        assert trusting.close(5.0) == 0
        assert len(collector.spans) == 1

        wary = started(f"https://{collector.address}")
        work()
        wary.flush(3.0)
        assert "UNAVAILABLE" in str(lane(wary)["last_error"])
        wary.close(1.0)
    finally:
        collector.close()

    assert len(collector.spans) == 1
    assert sum(drops.values()) == 1


def test_a_missing_certificate_is_said(drops: dict[str, int]) -> None:
    """A file that is not there costs the spans and is named as what it is."""
    pillar = started("https://localhost:1", certificate="/nowhere/ca.pem")
    work()
    pillar.flush(3.0)

    assert lane(pillar)["last_error"] == "FileNotFoundError"
    assert drops == {"unavailable": 1}
    pillar.close(1.0)


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(Code.UNAVAILABLE),
        Refusal(Code.ABORTED),
        Refusal(Code.RESOURCE_EXHAUSTED, "slow down", 0.01),
        Refusal(Code.UNAVAILABLE, "soon", 0.01),
    ],
)
def test_busy_collectors_are_tried_again(
    collector: GrpcCollector, refusal: Refusal
) -> None:
    """What the specification lets be tried again is, and nothing is lost."""
    collector.refusals = [refusal]
    pillar = started(f"http://{collector.address}")
    work()

    assert pillar.flush(10.0)
    assert collector.calls == 2
    assert len(collector.spans) == 1
    assert lane(pillar)["dropped"] == {}
    pillar.close(1.0)


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(Code.PERMISSION_DENIED, "no such team"),
        Refusal(Code.UNAUTHENTICATED, "who are you"),
        Refusal(Code.INVALID_ARGUMENT, "what is this"),
        Refusal(Code.UNIMPLEMENTED, "metrics only"),
        Refusal(Code.RESOURCE_EXHAUSTED, "quota spent"),
    ],
)
def test_a_refusal_is_final(
    collector: GrpcCollector, drops: dict[str, int], refusal: Refusal
) -> None:
    """Others are not tried again; their words are shown and the spans counted."""
    collector.refusals = [refusal]
    pillar = started(f"http://{collector.address}")
    work(3)
    pillar.flush(5.0)

    assert collector.calls == 1
    assert drops == {"rejected": 3}
    assert lane(pillar)["last_error"] == f"{refusal.code.name}: {refusal.details}"
    pillar.close(1.0)


def test_a_collector_that_wants_to_be_left_alone_is(
    collector: GrpcCollector, drops: dict[str, int]
) -> None:
    """Later spans wait for the time that RetryInfo names; a stop tries them once."""
    collector.refusals = [Refusal(Code.UNAVAILABLE, "maintenance", 600.0)]
    pillar = started(f"http://{collector.address}", export_delay_s=0.01, batch_spans=1)
    work()
    queue = pillar._exports.lanes[0].queue
    ends_s = time.monotonic() + 5
    while not drops and time.monotonic() < ends_s:
        collector.arrived.wait(0.01)

    assert drops == {"unavailable": 1}
    work(20)
    assert queue._resumes_at_s - time.monotonic() > 500
    assert collector.calls == 1
    assert pillar.close(5.0) == 0
    assert len(collector.spans) == 20


def test_a_time_beyond_all_reason_is_a_time(
    collector: GrpcCollector, drops: dict[str, int]
) -> None:
    """A RetryInfo of more seconds than its own reader takes is no fault of ours."""
    collector.refusals = [Refusal(Code.UNAVAILABLE, "maintenance", 1e12)]
    pillar = started(f"http://{collector.address}")
    work()
    assert pillar.flush(5.0)

    assert drops == {"unavailable": 1}
    work(2)
    assert pillar.close(5.0) == 0
    assert len(collector.spans) == 2


def test_partial_success_is_counted(
    collector: GrpcCollector, drops: dict[str, int]
) -> None:
    """Spans that an accepting collector rejects are counted as such."""
    collector.rejected = 2
    pillar = started(f"http://{collector.address}")
    work(5)
    pillar.close(5.0)

    assert drops == {"rejected": 2}


def test_requests_are_cut_before_the_server_refuses_them(
    collector: GrpcCollector,
) -> None:
    """Eight megabytes in one batch arrive at a server that takes four at a time."""
    pillar = started(f"http://{collector.address}")
    for number in range(512):
        with span(f"span-{number}", text="x" * 16_000):
            pass

    assert pillar.close(10.0) == 0
    assert len(collector.spans) == 512
    assert len(collector.requests) >= 3


def test_a_collector_that_comes_back_is_found(collector: GrpcCollector) -> None:
    """After an outage the next try connects, whatever gRPC's own pauses are."""
    pillar = started(f"http://{collector.address}")
    work()
    assert pillar.flush(5.0)
    collector.close()
    work()
    pillar.flush(1.0)
    collector.start()
    work()

    assert pillar.flush(5.0)
    assert lane(pillar)["sent"] == 2
    pillar.close(1.0)


def closed_port() -> str:
    """Return an address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_dead_collector_costs_no_time(drops: dict[str, int]) -> None:
    """With a closed port closing keeps its budget and counts the loss."""
    pillar = started(closed_port())
    work(7)
    began_s = time.monotonic()
    pillar.close(1.0)

    assert time.monotonic() - began_s < 2.0
    assert sum(drops.values()) == 7


def test_a_hanging_collector_costs_no_time(
    collector: GrpcCollector, drops: dict[str, int]
) -> None:
    """Requests are not slowed, and closing keeps to its budget."""
    collector.hang = threading.Event()
    pillar = started(f"http://{collector.address}", batch_spans=1, timeout_s=30.0)
    work()
    assert collector.arrived.wait(5)
    began_s = time.monotonic()
    work(100)
    assert time.monotonic() - began_s < 0.5
    lost = pillar.close(0.3)

    assert time.monotonic() - began_s < 1.5
    assert lost == 101
    assert drops == {"deadline": 101}


def test_missing_packages_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol without the extra is a problem with its pip command, no crash."""
    monkeypatch.setattr(transport, "installed", lambda name: name != "grpc")
    pillar = started("http://collector:4317")
    work()

    (problem,) = pillar.problems
    assert 'pip install "svcready[otlp-grpc]"' in problem
    assert pillar.close(1.0) == 0


def test_aws_is_not_spoken_to_by_grpc() -> None:
    """AWS takes OTLP over HTTP only, which is said with the variable that mends it."""
    pillar = started("https://xray.eu-west-1.amazonaws.com")

    assert "SVCREADY_OTLP_TRACES_PROTOCOL=http/protobuf" in pillar.problems[0]
    pillar.close(0.1)


def test_a_forked_child_exports_its_own(collector: GrpcCollector) -> None:
    """A parent that has a channel forks: parent and child both go on, none twice."""
    fork.install()
    pillar = started(f"http://{collector.address}")
    work(2)
    assert pillar.flush(5.0)
    work(1)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with span("child"):
                pass

            status = 0 if pillar.flush(5.0) else 2
        finally:
            os._exit(status)

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    with span("parent"):
        pass

    assert pillar.close(5.0) == 0
    names = sorted(record.name for record in collector.spans)
    assert names == ["child", "parent", "span-0", "span-0", "span-1"]


def test_metrics_go_by_grpc_too(collector: GrpcCollector) -> None:
    """The same channel's other service takes them."""
    family = Family("c", "c", "counter", "", "", (), (Number((), 3),), "application")
    plan = plan_otlp(
        OtlpSettings(
            metrics=True, protocol="grpc", endpoint=f"http://{collector.address}"
        ),
        snapshot=lambda: Snapshot(SYSTEM_CLOCK.time_ns(), (family,)),
        identity=Identity(service="orders", instance="i", host_instance="h"),
        clock=SYSTEM_CLOCK,
    )
    assert plan.sink is not None
    assert plan.sink.push(5.0)
    plan.sink.close()

    (push,) = collector.pushes
    (metric,) = push.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.sum.data_points[0].as_int) == ("c", 3)


def test_a_process_ends_in_time_while_a_call_hangs(collector: GrpcCollector) -> None:
    """With a call under way the interpreter leaves cleanly, within the flush budget."""
    collector.hang = threading.Event()
    script = """
import sys, svcready
settings = {
    "tracing.sampling": "100%",
    "tracing.batch_spans": 1,
    "otlp.endpoint": sys.argv[1],
    "otlp.protocol": "grpc",
    "lifecycle.flush_timeout_s": 0.5,
}
svcready.init(service="orders", settings=settings)
with svcready.span("one"):
    pass

sys.stdin.read(1)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, f"http://{collector.address}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert collector.arrived.wait(20)
    began_s = time.monotonic()
    said, complained = process.communicate("x", timeout=30)

    assert process.returncode == 0
    assert time.monotonic() - began_s < 4.0
    assert complained == ""
    assert '"spans":{"deadline":1}' in said
