"""The process's one provider: restarts, early tracers, applications' own."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref

import pytest
from opentelemetry import trace

from svcready._core import fork
from svcready._core.identity import Identity
from svcready.config._sections.tracing import TracingSettings
from svcready.tracing import span
from svcready.tracing._otel import new_ids, span_ids
from svcready.tracing._provider import DELEGATE
from svcready.tracing._sdk import SpanSink
from svcready.tracing._tracer import Provider
from tests.architecture.house import run_clean, run_clean_json
from tests.conftest import Faults
from tests.tracing.support import NONE, make_pillar

PILLAR = """
import json
from tests.tracing.support import make_pillar
from svcready.tracing import span
"""


def test_tracers_follow_the_runtime() -> None:
    """A tracer taken before any start works in each runtime, and rests between."""
    early = trace.get_tracer("library")
    names = []
    for number in range(3):
        with early.start_as_current_span("between") as between:
            assert not between.is_recording()

        made = make_pillar()
        made.start()
        with early.start_as_current_span(f"run-{number}"):
            pass

        names.append([record.name for record in made.recent()])
        made.close(1.0)

    assert names == [["run-0"], ["run-1"], ["run-2"]]
    assert trace.get_tracer_provider() is DELEGATE


def test_tracers_are_not_kept() -> None:
    """An application may ask for one with a name of its own in each request."""
    made = make_pillar()
    made.start()
    tracers = [trace.get_tracer(f"request-{number}") for number in range(3)]
    inner = []
    for tracer in tracers:
        tracer.start_span("work").end()
        inner.append(weakref.ref(tracer._resolved[1]))  # type: ignore[attr-defined]

    assert None not in [each() for each in inner]
    made._view._ring.clear()  # type: ignore[union-attr]
    del tracer, tracers
    gc.collect()
    assert [each() for each in inner] == [None, None, None]
    made.close(1.0)


def test_a_hundred_starts_leave_one_provider_and_no_threads() -> None:
    """Starting again and again adds nothing."""
    before = threading.active_count()
    for _ in range(100):
        made = make_pillar()
        made.start()
        made.start()
        with span("work"):
            pass

        assert len(made.recent()) == 1
        assert made.describe()["provider"] == "ours"
        made.close(0.1)

    assert threading.active_count() == before
    assert trace.get_tracer_provider() is DELEGATE


def test_secrets_of_others_spans_stay_here() -> None:
    """Names, events and links that came through OpenTelemetry's API are redacted."""
    made = make_pillar()
    made.start()
    sent: list[str] = []
    provider = DELEGATE.current
    assert isinstance(provider, Provider)
    sink = provider._sink
    assert isinstance(sink, SpanSink)
    sink._takers = (lambda span: sent.append(span.to_json()),)
    tracer = trace.get_tracer("library")
    with tracer.start_as_current_span("password=hunter2") as there:
        there.add_event("password=hunter2", {"api_key": "hunter2"})

    link = trace.Link(there.get_span_context(), {"api_key": "hunter2"})
    with tracer.start_as_current_span("linked", links=[link]):
        pass

    made.close(1.0)
    first, second = sent
    assert first.count("***") == 3
    assert second.count("***") == 1
    assert "hunter2" not in first + second


def test_an_old_runtime_cannot_close_a_new_one() -> None:
    """Closing a pillar that another has followed leaves that one in force."""
    old, new = make_pillar(), make_pillar()
    old.start()
    new.start()
    old.close(0.1)
    with span("work"), trace.get_tracer("library").start_as_current_span("inner"):
        pass

    assert [record.name for record in new.recent()] == ["inner", "work"]
    new.close(0.1)
    assert new.close(0.1) == 0


def test_tracers_decorate() -> None:
    """`start_as_current_span` decorates functions and coroutines, even before start."""
    tracer = trace.get_tracer("library")

    @tracer.start_as_current_span("sync")
    def work() -> object:
        return span_ids()

    @tracer.start_as_current_span("async")
    async def later() -> object:
        await asyncio.sleep(0)
        return span_ids()

    made = make_pillar()
    made.start()
    seen = [work(), work(), asyncio.run(later())]
    made.close(1.0)

    records = made.recent()
    assert [record.name for record in records] == ["sync", "sync", "async"]
    assert seen == [(record.trace_id, record.span_id) for record in records]


def test_an_error_inside_a_tracers_block() -> None:
    """It is recorded as the API promises, and the switches for that work."""
    made = make_pillar()
    made.start()
    tracer = trace.get_tracer("library")
    with pytest.raises(KeyError), tracer.start_as_current_span("loud"):
        raise KeyError("x")

    with (
        pytest.raises(KeyError),
        tracer.start_as_current_span(
            "quiet", record_exception=False, set_status_on_exception=False
        ),
    ):
        raise KeyError("x")

    with tracer.start_as_current_span("open", end_on_exit=False) as kept:
        pass

    assert kept.is_recording()
    kept.end()
    made.close(1.0)
    loud, quiet, _ = made.recent()
    assert (loud.status, len(loud.events)) == ("error", 1)
    assert (quiet.status, len(quiet.events)) == ("unset", 0)


def test_roots_through_the_api_are_sampled_by_the_rule() -> None:
    """OpenTelemetry's own spans follow our sampling, and unsampled ones have ids."""
    made = make_pillar(TracingSettings(sampling=NONE, view_spans=10))
    made.start()
    with trace.get_tracer("library").start_as_current_span("root") as root:
        assert not root.is_recording()
        assert root.get_span_context().is_valid
        with span("inner"):
            pass

    made.close(1.0)
    assert made.recent() == []


def test_processors_can_be_added_to_ours() -> None:
    """As on the SDK's provider, and they stay across restarts."""
    code = (
        PILLAR
        + """
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
for _ in range(2):
    made = make_pillar()
    made.start()
    if not exporter.get_finished_spans():
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    with span("work"):
        pass
    assert trace.get_tracer_provider().force_flush(100)
    made.close(1.0)
print(json.dumps([record.name for record in exporter.get_finished_spans()]))
"""
    )
    assert run_clean_json(code) == ["work", "work"]


@pytest.mark.parametrize("shutdown", ["trace.get_tracer_provider().shutdown()", ""])
def test_added_processors_are_shut_down(shutdown: str) -> None:
    """By hand as the SDK's provider does it, or at the process's end; once."""
    code = f"""
from tests.tracing.support import make_pillar
from svcready.tracing import span
from opentelemetry import trace
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

class Exporter(SpanExporter):
    def export(self, spans):
        print(*[it.name for it in spans], flush=True)

    def shutdown(self):
        print("shut down", flush=True)

made = make_pillar()
made.start()
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(Exporter()))
with span("work"):
    pass

{shutdown}
with span("later"):
    pass

print("end", flush=True)
"""
    by_hand = ["work", "shut down", "end"]
    assert run_clean(code).splitlines() == (
        by_hand if shutdown else ["end", "work later", "shut down"]
    )


def test_a_fault_at_the_end_stops_none_of_the_rest(
    faults: Faults,
) -> None:
    """One thing that cannot be taken back keeps no other in place."""

    def fail() -> None:
        raise LookupError

    original = vars(threading.Thread)["start"]
    made = make_pillar(TracingSettings(threads=True))
    made.start()
    assert vars(threading.Thread)["start"] is not original
    made._leaving.append(fail)
    made.close(1.0)

    assert isinstance(faults.claim("tracing"), LookupError)
    assert vars(threading.Thread)["start"] is original


def test_an_applications_own_provider_stays() -> None:
    """It is attached to: its sampling rules, our view, ids and redaction; told so."""
    code = (
        PILLAR
        + """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
theirs = TracerProvider()
trace.set_tracer_provider(theirs)
result = []
for _ in range(3):
    made = make_pillar()
    made.start()
    request = made.server.begin("GET", "/x", None, None, None, None, dict)
    request.activate()
    with span("ours"), trace.get_tracer("lib").start_as_current_span("lib"):
        pass
    request.end("/x", 200, None)
    request.deactivate()
    made.close(1.0)
    with span("after"):
        pass
    result.append([record.name for record in made.recent()])
theirs.sampler = ALWAYS_OFF
theirs._tracers.clear()
made = make_pillar()
made.start()
request = made.server.begin("GET", "/x", None, None, None, None, dict)
with span("ours") as handle:
    pass
print(json.dumps([
    result, trace.get_tracer_provider() is theirs, made.describe()["provider"],
    request.sampled, len(made.recent()),
    len(theirs._active_span_processor._span_processors),
]))
"""
    )
    assert run_clean_json(code) == [
        [["lib", "ours", "GET /x"]] * 3,
        True,
        "attached to the application's opentelemetry.sdk.trace.TracerProvider",
        False,
        0,
        1,
    ]


def test_a_provider_without_processors() -> None:
    """Another vendor's provider still makes the spans; export isn't ours."""
    code = (
        PILLAR
        + """
from opentelemetry import trace
trace.set_tracer_provider(trace.NoOpTracerProvider())
made = make_pillar()
made.start()
request = made.server.begin("GET", "/x", None, None, None, None, dict)
with span("work"):
    pass
described = made.describe()
print(json.dumps([described["export"], len(request.trace_id), request.sampled]))
"""
    )
    assert run_clean_json(code) == [
        "off: the application's provider takes no processors",
        32,
        False,
    ]


def test_fork_keeps_a_fixed_instance_and_takes_a_new_one() -> None:
    """The SDK would make up an instance id; ours is what the runtime says."""
    fork.install()
    made = make_pillar()
    made.start()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = made._resource().attributes["service.instance.id"]
            made.identify(Identity(service="orders", instance="i-2", host_instance="h"))
            assert made._live is not None
            assert made._live.provider is not None
            after = made._live.provider.resource.attributes["service.instance.id"]
            os.write(writer, " ".join([str(before), str(after), new_ids()[0]]).encode())
        finally:
            os._exit(0)

    os.waitpid(child, 0)
    before, after, child_id = os.read(reader, 200).decode().split()
    os.close(reader)
    os.close(writer)
    made.close(1.0)

    assert (before, after) == ("i-1", "i-2")
    assert child_id != new_ids()[0]
