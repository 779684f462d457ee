"""The X-Ray SDK's public API makes spans of the current trace."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("aws_xray_sdk")

import aws_xray_sdk
from aws_xray_sdk.core import xray_recorder
from aws_xray_sdk.core.async_context import AsyncContext
from aws_xray_sdk.core.async_recorder import AsyncAWSXRayRecorder
from aws_xray_sdk.core.context import Context as SdkContext
from aws_xray_sdk.core.models.segment import Segment
from aws_xray_sdk.core.models.subsegment import Subsegment
from opentelemetry import trace

import svcready
from svcready.config._sections.tracing import TracingSettings
from svcready.config._sections.xray import XraySettings
from tests.tracing.support import NONE, make_pillar
from tests.tracing.xray.sdk_support import request, spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.tracing._pillar import TracePillar

TRACE = "463ac35c9f6413ad48485a3953bb6124"
XRAY_TRACE = "1-463ac35c-9f6413ad48485a3953bb6124"


@pytest.fixture
def unsampled() -> Iterator[TracePillar]:
    """Give a started pillar that samples nothing."""
    made = make_pillar(TracingSettings(sampling=NONE, view_spans=1000))
    made.start()
    yield made
    made.close(1.0)


class TestSubsegments:
    """Subsegments, which are spans inside others."""

    def test_begin_and_end(self, pillar: TracePillar) -> None:
        """`begin_subsegment` and `end_subsegment` make a child of the server span."""
        with request(pillar) as begun:
            made = xray_recorder.begin_subsegment("price")
            assert xray_recorder.current_subsegment() is made
            assert isinstance(made, Subsegment)
            xray_recorder.end_subsegment()
            assert xray_recorder.current_subsegment() is None

        span = spans(pillar)["price"]
        assert (span.trace_id, span.parent_id) == (begun.trace_id, begun.span_id)
        assert made.trace_id == f"1-{span.trace_id[:8]}-{span.trace_id[8:]}"
        assert made.id == span.span_id

    def test_nest(self, pillar: TracePillar) -> None:
        """One inside another is its child, svcready's own spans between them too."""
        with (
            request(pillar),
            xray_recorder.in_subsegment("outer"),
            svcready.span("ours"),
            xray_recorder.in_subsegment("inner"),
        ):
            pass

        found = spans(pillar)
        assert found["inner"].parent_id == found["ours"].span_id
        assert found["ours"].parent_id == found["outer"].span_id

    def test_of_opentelemetry(self, pillar: TracePillar) -> None:
        """A span of OpenTelemetry's API inside is a child, as instrumentation's are."""
        with request(pillar), xray_recorder.in_subsegment("outer"):
            trace.get_tracer("x").start_span("theirs").end()

        found = spans(pillar)
        assert found["theirs"].parent_id == found["outer"].span_id

    def test_capture(self, pillar: TracePillar) -> None:
        """`capture` makes one for each call, and names it by the function."""

        @xray_recorder.capture()  # type: ignore[untyped-decorator]
        def find(item: str) -> str:
            xray_recorder.put_annotation("item", item)
            return item

        with request(pillar) as begun:
            assert find("pear") == "pear"

        span = spans(pillar)["find"]
        assert span.parent_id == begun.span_id
        assert span.attributes["item"] == "pear"

    def test_capture_async(self, pillar: TracePillar) -> None:
        """`capture_async` keeps tasks that run at the same time apart."""

        @xray_recorder.capture_async("call")  # type: ignore[untyped-decorator]
        async def call(number: int) -> None:
            await asyncio.sleep(0)
            async with xray_recorder.in_subsegment_async(f"inner {number}"):
                await asyncio.sleep(0)
                xray_recorder.put_annotation("number", number)

        async def both() -> None:
            with request(pillar):
                await asyncio.gather(call(1), call(2))

        asyncio.run(both())
        made = pillar.recent()
        root = next(span for span in made if span.kind == "server")
        calls = {s.span_id: s for s in made if s.name == "call"}
        inner = [s for s in made if s.name.startswith("inner")]
        assert {span.parent_id for span in calls.values()} == {root.span_id}
        assert {span.parent_id for span in inner} == set(calls)
        assert all(s.name == f"inner {s.attributes['number']}" for s in inner)

    def test_outside(
        self, pillar: TracePillar, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Outside any request nothing is missing: it is a trace of its own."""
        with caplog.at_level(logging.DEBUG):
            assert xray_recorder.current_segment() is None
            assert xray_recorder.current_subsegment() is None
            xray_recorder.put_annotation("a", 1)
            xray_recorder.put_metadata("a", 1)
            with xray_recorder.in_subsegment("alone"), svcready.span("inside"):
                segment = xray_recorder.current_segment()
                assert isinstance(segment, Segment)
                segment.put_annotation("b", 2)

            xray_recorder.end_subsegment()
            xray_recorder.end_segment()

        assert spans(pillar)["alone"].attributes["b"] == 2
        assert not [r for r in caplog.records if r.name.startswith("aws_xray_sdk")]

    def test_an_exception(self, pillar: TracePillar) -> None:
        """One that leaves is an event with its causes, and the span has failed."""

        def fail() -> None:
            try:
                raise KeyError("deep")
            except KeyError as error:
                raise ValueError("shallow") from error

        with (
            request(pillar),
            pytest.raises(ValueError, match="shallow"),
            xray_recorder.in_subsegment("bad"),
        ):
            fail()

        span = spans(pillar)["bad"]
        (event,) = span.events
        stack = str(event.attributes["exception.stacktrace"])
        assert span.status == "error"
        assert event.attributes["exception.type"] == "ValueError"
        assert "KeyError: 'deep'" in stack
        assert stack.rstrip().endswith("ValueError: shallow")

    def test_ends_at(self, pillar: TracePillar) -> None:
        """`end_subsegment(end_time)` takes seconds since the epoch."""
        with request(pillar):
            made = xray_recorder.begin_subsegment("timed")
            xray_recorder.end_subsegment(made.start_time + 3)

        span = spans(pillar)["timed"]
        assert span.end_ns == pytest.approx((made.start_time + 3) * 1e9, abs=1e4)

    def test_renamed(self, pillar: TracePillar) -> None:
        """A name that is set later is the span's."""
        with request(pillar), xray_recorder.in_subsegment("template_render") as made:
            made.name = "index.html"

        assert "index.html" in spans(pillar)

    def test_after_its_end(self, pillar: TracePillar) -> None:
        """What is told after its end changes nothing and raises nothing."""
        with request(pillar):
            with xray_recorder.in_subsegment("over") as made:
                pass

            made.put_annotation("late", 1)
            made.put_http_meta("status", 500)
            made.close()

        assert spans(pillar)["over"].attributes == {}
        assert spans(pillar)["over"].status == "unset"

    def test_without_sampling(self, pillar: TracePillar) -> None:
        """What is begun without sampling is left out with all inside it, not more."""
        with request(pillar):
            xray_recorder.begin_subsegment_without_sampling("quiet")
            assert not xray_recorder.is_sampled()
            with xray_recorder.in_subsegment("quiet too"):
                pass

            assert not xray_recorder.is_sampled()
            xray_recorder.end_subsegment()
            assert xray_recorder.is_sampled()
            with xray_recorder.in_subsegment("loud"):
                pass

        assert set(spans(pillar)) == {"loud", "GET /x"}


class TestSegments:
    """Segments: a request's, or ones that code begins."""

    def test_of_a_request(self, pillar: TracePillar) -> None:
        """The current segment is the server's span: what is put there is on it."""
        with request(pillar) as begun, svcready.span("inner"):
            segment = xray_recorder.current_segment()
            assert isinstance(segment, Segment)
            segment.put_annotation("order", 7)
            segment.put_metadata("cart", ["pear"], "shop")
            segment.set_user("u-1")
            assert segment.id == begun.span_id
            assert xray_recorder.current_segment() is segment

        attributes = spans(pillar)["GET /x"].attributes
        assert attributes["order"] == 7
        assert attributes["aws.xray.annotations"] == ("order",)
        assert attributes["aws.xray.metadata.shop"] == '{"cart":["pear"]}'
        assert attributes["enduser.id"] == "u-1"

    def test_of_a_middleware(self, pillar: TracePillar) -> None:
        """A segment begun from a request's headers is the server's span itself."""
        with request(pillar) as begun:
            sampling = xray_recorder.sampler.should_trace({"path": "/x"})
            segment = xray_recorder.begin_segment(
                name="orders", traceid=None, parent_id=None, sampling=sampling
            )
            segment.put_http_meta("url", "http://orders/x")
            segment.put_http_meta("status", 200)
            assert segment.id == begun.span_id
            xray_recorder.end_segment()
            assert trace.get_current_span().is_recording()

        (span,) = pillar.recent()
        assert span.name == "GET /x"
        assert "server.address" not in span.attributes
        assert span.attributes["url.path"] == "/x"

    def test_inside_a_request(self, pillar: TracePillar) -> None:
        """A segment that code begins by itself in a request is a child of its span."""
        with request(pillar) as begun:
            with xray_recorder.in_segment("job") as job:
                assert xray_recorder.current_segment() is job
                with xray_recorder.in_subsegment("step") as step:
                    assert step.parent_segment is job

            assert xray_recorder.current_segment().id == begun.span_id

        found = spans(pillar)
        assert found["job"].parent_id == begun.span_id
        assert found["step"].parent_id == found["job"].span_id

    def test_of_a_script(self, pillar: TracePillar) -> None:
        """Outside any request a segment begins a trace, which the sampler decides."""
        xray_recorder.begin_segment("script")
        assert xray_recorder.is_sampled()
        with xray_recorder.in_subsegment("step"):
            pass

        xray_recorder.end_segment()
        found = spans(pillar)
        assert found["script"].parent_id is None
        assert found["step"].parent_id == found["script"].span_id
        assert not trace.get_current_span().get_span_context().is_valid

    def test_takes_the_services_name(self, pillar: TracePillar) -> None:
        """A segment without a name has the service's, where the SDK would raise."""
        with xray_recorder.in_segment():
            pass

        assert "orders" in spans(pillar)

    def test_async(self, pillar: TracePillar) -> None:
        """`in_segment_async` does the same in a coroutine."""

        async def work() -> None:
            async with (
                xray_recorder.in_segment_async("job"),
                xray_recorder.in_subsegment_async("step"),
            ):
                await asyncio.sleep(0)

        asyncio.run(work())
        found = spans(pillar)
        assert found["step"].parent_id == found["job"].span_id

    def test_closes_what_is_open(self, pillar: TracePillar) -> None:
        """A segment's end ends the subsegments that code forgot, so none is lost."""
        xray_recorder.begin_segment("script")
        xray_recorder.begin_subsegment("forgotten")
        xray_recorder.end_segment()
        assert set(spans(pillar)) == {"script", "forgotten"}
        assert xray_recorder.current_segment() is None

    @pytest.mark.parametrize("parent", [None, "a2fb4a1d1a96d312"])
    def test_of_a_message(self, pillar: TracePillar, parent: str | None) -> None:
        """A trace id that code read from a message is continued."""
        with xray_recorder.in_segment(
            "consume", traceid=XRAY_TRACE, parent_id=parent, sampling=1
        ):
            pass

        span = spans(pillar)["consume"]
        assert (span.trace_id, span.parent_id) == (TRACE, parent)
        assert span.remote_parent is (parent is not None)
        assert span.kind == "server"

    @pytest.mark.parametrize("traceid", [None, XRAY_TRACE])
    def test_that_nobody_wants(self, pillar: TracePillar, traceid: str | None) -> None:
        """`sampling=0` is obeyed, by what is inside as well."""
        with (
            xray_recorder.in_segment(
                "quiet", traceid=traceid, parent_id="a2fb4a1d1a96d312", sampling=0
            ) as segment,
            xray_recorder.in_subsegment("inside") as inside,
        ):
            assert not segment.sampled
            assert not inside.sampled
            assert inside.trace_id == segment.trace_id
            assert traceid in {None, segment.trace_id}

        assert pillar.recent() == []

    def test_by_the_path(self, pillar: TracePillar) -> None:
        """A middleware's request without a span of ours is told to our sampler."""
        decision = xray_recorder.sampler.should_trace(
            {"host": "shop", "method": "GET", "path": "/x", "service": "orders"}
        )
        with xray_recorder.in_segment("orders", traceid=None, sampling=decision):
            pass

        span = spans(pillar)["orders"]
        assert span.attributes["url.path"] == "/x"
        assert span.kind == "server"


class TestUnsampled:
    """Traces that are not sampled."""

    def test_makes_nothing(self, unsampled: TracePillar) -> None:
        """In a request that is not sampled all of it works and nothing is made."""

        @xray_recorder.capture("captured")  # type: ignore[untyped-decorator]
        def work() -> None:
            xray_recorder.current_subsegment().name = "renamed"
            xray_recorder.current_subsegment().put_http_meta("status", 500)
            xray_recorder.current_subsegment().set_sql({})
            xray_recorder.current_subsegment().set_aws({})
            xray_recorder.put_annotation("a", 1)
            xray_recorder.put_metadata("a", 1)
            xray_recorder.current_segment().set_user("u")
            xray_recorder.current_segment().add_exception(ValueError(), [])
            with xray_recorder.in_segment("job"), svcready.span("ours"):
                pass

        with request(unsampled) as begun:
            work()
            segment = xray_recorder.current_segment()
            subsegment = xray_recorder.begin_subsegment("x")
            assert isinstance(segment, Segment)
            assert isinstance(subsegment, Subsegment)
            assert isinstance(subsegment.parent_segment, Segment)
            assert subsegment.to_dict() == {}
            assert not xray_recorder.is_sampled()
            xray_recorder.end_subsegment()

        assert unsampled.recent() == []
        wanted = f"1-{begun.trace_id[:8]}-{begun.trace_id[8:]}"
        assert segment.trace_id == subsegment.trace_id == wanted

    def test_of_a_script(self, unsampled: TracePillar) -> None:
        """So it is in a script's segment, after which nothing is left over."""
        with xray_recorder.in_segment("script"), xray_recorder.in_subsegment("step"):
            assert not xray_recorder.is_sampled()

        assert xray_recorder.current_segment() is None
        assert unsampled.recent() == []

    def test_decides_once(self, unsampled: TracePillar) -> None:
        """The SDK's sampler is not asked, and starts no threads."""
        before = threading.active_count()
        with request(unsampled, f"Root={XRAY_TRACE};Parent=a2fb4a1d1a96d312;Sampled=1"):
            assert xray_recorder.sampler.should_trace() == 1
            assert xray_recorder.is_sampled()

        with request(unsampled):
            assert xray_recorder.sampler.should_trace() == 0

        assert threading.active_count() == before


class TestThreads:
    """Work that goes on in other threads."""

    def test_an_entity_handed_over(self, pillar: TracePillar) -> None:
        """`set_trace_entity` goes on in another thread, as the SDK's manual says."""

        def work(number: int) -> None:
            xray_recorder.set_trace_entity(entity)
            with xray_recorder.in_subsegment(f"part {number}"):
                pass

            xray_recorder.clear_trace_entities()
            assert xray_recorder.get_trace_entity() is None

        with request(pillar), xray_recorder.in_subsegment("fan out") as entity:
            assert xray_recorder.get_trace_entity() is entity
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(work, range(4)))

        found = spans(pillar)
        parts = [span for name, span in found.items() if name.startswith("part")]
        assert len(parts) == 4
        assert {span.parent_id for span in parts} == {found["fan out"].span_id}

    def test_ended_elsewhere(self, pillar: TracePillar) -> None:
        """An entity handed over can be ended there."""

        def end() -> None:
            xray_recorder.set_trace_entity(entity)
            xray_recorder.end_subsegment()

        with request(pillar):
            entity = xray_recorder.begin_subsegment("elsewhere")
            worker = threading.Thread(target=end)
            worker.start()
            worker.join()
            assert "elsewhere" in spans(pillar)
            xray_recorder.end_subsegment()

        assert len(pillar.recent()) == 2

    def test_to_thread(self, pillar: TracePillar) -> None:
        """What carries contexts to threads carries this too."""

        def work() -> None:
            with xray_recorder.in_subsegment("thread"):
                pass

        async def main() -> None:
            async with xray_recorder.in_segment_async("job"):
                await asyncio.to_thread(work)

        asyncio.run(main())
        found = spans(pillar)
        assert found["thread"].parent_id == found["job"].span_id


class TestConfiguration:
    """What an application configures, and what is undone."""

    def test_is_taken(self, pillar: TracePillar) -> None:
        """`configure` is taken as ever; what would part the traces has no effect."""

        async def work() -> None:
            xray_recorder.configure(
                service="shop",
                sampling=False,
                sampling_rules={
                    "version": 2,
                    "default": {"fixed_target": 0, "rate": 0},
                    "rules": [],
                },
                context_missing="RUNTIME_ERROR",
                context=AsyncContext(use_task_factory=False),
                plugins=(),
                daemon_address="127.0.0.1:2000",
                streaming_threshold=1,
                max_trace_back=3,
            )
            assert xray_recorder.current_segment() is None
            async with xray_recorder.in_segment_async():
                pass

        before = vars(xray_recorder).copy()
        try:
            asyncio.run(work())
        finally:
            vars(xray_recorder).update(before)

        assert "shop" in spans(pillar)

    def test_sends_nothing_by_itself(self) -> None:
        """The SDK's own emitter is silent: a document would be there twice."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
            daemon.bind(("127.0.0.1", 0))
            daemon.setblocking(False)
            emitter = xray_recorder.emitter
            address = emitter._ip, emitter._port
            emitter.set_daemon_address(f"127.0.0.1:{daemon.getsockname()[1]}")
            made = make_pillar()
            made.start()
            try:
                with xray_recorder.in_segment("job"):
                    for number in range(40):
                        with xray_recorder.in_subsegment(str(number)):
                            pass

                with pytest.raises(BlockingIOError):
                    daemon.recv(1)
            finally:
                emitter._ip, emitter._port = address
                made.close(1.0)

    def test_disabled(self, pillar: TracePillar) -> None:
        """`AWS_XRAY_SDK_ENABLED=false` and `set_sdk_enabled(False)` are obeyed."""
        config = aws_xray_sdk.global_sdk_config
        config.set_sdk_enabled(False)
        try:
            with (
                xray_recorder.in_segment("job") as segment,
                xray_recorder.in_subsegment("step") as step,
            ):
                xray_recorder.put_annotation("a", 1)
                xray_recorder.put_metadata("a", 1)
                assert not segment.sampled
                assert not step.sampled
                assert not xray_recorder.is_sampled()
                assert not xray_recorder.current_segment().sampled
                assert not xray_recorder.current_subsegment().sampled
        finally:
            config.set_sdk_enabled(True)

        assert pillar.recent() == []

    def test_is_undone(self) -> None:
        """After the runtime the recorder is what it was, with its own context."""
        before = dict(vars(xray_recorder))
        made = make_pillar()
        made.start()
        assert made.describe()["xray_sdk"] == "joined"
        assert isinstance(xray_recorder, AsyncAWSXRayRecorder)
        made.close(1.0)
        assert type(xray_recorder) is AsyncAWSXRayRecorder
        assert type(xray_recorder.context) is SdkContext
        assert dict(vars(xray_recorder)) == before

    def test_runtimes_follow_each_other(self) -> None:
        """A runtime that starts before the one before has closed keeps the SDK."""
        first, second = make_pillar(), make_pillar()
        first.start()
        second.start()
        first.close(1.0)
        with xray_recorder.in_segment("job"):
            pass

        assert "job" in spans(second)
        second.close(1.0)
        assert type(xray_recorder) is AsyncAWSXRayRecorder

    def test_can_be_left_alone(self) -> None:
        """`SVCREADY_XRAY_SDK=false` leaves the SDK to itself."""
        made = make_pillar(xray=XraySettings(sdk=False))
        made.start()
        assert type(xray_recorder) is AsyncAWSXRayRecorder
        assert made.describe()["xray_sdk"] == "off"
        made.close(1.0)


class TestKept:
    """Requests that are not sampled, but may be kept when they fail."""

    def test_has_what_is_inside(self) -> None:
        """A kept request has its subsegments; others are told it is not sampled."""
        settings = TracingSettings(
            sampling=NONE, view_spans=100, keep_errors=True, keep_spans=1
        )
        pillar = make_pillar(settings)
        pillar.start()
        begun = pillar.server.begin("GET", "/x", None, None, None, None, dict)
        begun.activate()
        with xray_recorder.in_subsegment("step") as step:
            xray_recorder.put_annotation("a", 1)
            assert not step.sampled

        with xray_recorder.in_subsegment("no room"):
            assert not xray_recorder.is_sampled()

        xray_recorder.current_segment().put_annotation("b", 2)
        begun.end("/x", 500, None)
        begun.deactivate()
        found = spans(pillar)
        pillar.close(1.0)
        assert set(found) == {"step", "GET /x"}
        assert found["step"].attributes["a"] == 1
        assert found["GET /x"].attributes["b"] == 2
