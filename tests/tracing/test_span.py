"""Declared spans: blocks, functions of every kind, annotations, errors."""

from __future__ import annotations

import asyncio
import json
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace

from svcready.config._sections.tracing import TracingSettings
from svcready.errors import DeclarationError
from svcready.tracing import annotate, metadata, span
from svcready.tracing._otel import current, span_ids
from tests.tracing.support import NONE, make_pillar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

    from svcready.tracing._pillar import TracePillar


def names(pillar: TracePillar) -> list[str]:
    """Return the names of finished spans, in the order of their ends."""
    return [record.name for record in pillar.recent()]


def test_before_a_runtime_spans_do_nothing() -> None:
    """Declared spans work without a runtime, and leave no context behind."""

    @span()
    def work(value: int) -> int:
        return value + 1

    with span("block") as handle:
        handle.annotate(order=1)
        handle.set(kind="retail")
        handle.metadata("cart", {"size": 2})
        handle.record_exception(KeyError("x"))
        annotate(order=1)
        metadata("cart", {})

    assert work(1) == 2
    assert span_ids() is None


def test_blocks_nest(pillar: TracePillar) -> None:
    """An inner block's span is the outer's child; afterwards nothing is current."""
    with span("outer", kind="retail"):
        outer = span_ids()
        with span("inner"):
            inner = span_ids()

    assert outer is not None
    assert inner is not None
    assert span_ids() is None
    assert names(pillar) == ["inner", "outer"]
    by_name = {record.name: record for record in pillar.recent()}
    assert by_name["outer"].parent_id is None
    assert by_name["outer"].attributes == {"kind": "retail"}
    assert by_name["inner"].parent_id == outer[1]
    assert {record.trace_id for record in by_name.values()} == {outer[0]}
    assert inner == (outer[0], by_name["inner"].span_id)


def test_functions_of_every_kind(pillar: TracePillar) -> None:
    """Functions, methods, partials and callable objects get one span a call."""

    class Shop:
        @span()
        def method(self) -> str:
            return "method"

        @span("cls")
        @classmethod
        def of_class(cls) -> str:
            return cls.__name__

        @span("static")
        @staticmethod
        def static() -> str:
            return "static"

        def __call__(self) -> str:
            return "called"

    shop = Shop()
    results = [
        shop.method(),
        shop.of_class(),
        shop.static(),
        span("object")(shop)(),
        span("partial")(partial(int, "7"))(),
    ]

    assert results == ["method", "Shop", "static", "called", 7]
    assert names(pillar) == [
        "test_functions_of_every_kind.Shop.method",
        "cls",
        "static",
        "object",
        "partial",
    ]


def test_coroutines_are_timed_to_their_end(pillar: TracePillar) -> None:
    """A coroutine's span is current in it and ends with it, not at its creation."""
    seen: list[object] = []

    @span("job")
    async def job() -> int:
        await asyncio.sleep(0)
        seen.append(span_ids())
        return 3

    async def main() -> int:
        made = job()
        assert pillar.recent() == []
        async with span("block"):
            return await made

    assert asyncio.run(main()) == 3
    assert names(pillar) == ["job", "block"]
    assert seen == [(pillar.recent()[0].trace_id, pillar.recent()[0].span_id)]


def test_tasks_and_threads_keep_their_own_spans(pillar: TracePillar) -> None:
    """Concurrent tasks and threads each see their own span, never another's."""

    async def job(number: int) -> None:
        with span(f"task-{number}"):
            mine = span_ids()
            await asyncio.sleep(0)
            with span(f"step-{number}"):
                await asyncio.sleep(0)

            assert span_ids() == mine

    async def main() -> None:
        await asyncio.gather(*(job(number) for number in range(50)))

    def work(number: int) -> None:
        for _ in range(50):
            with span(f"thread-{number}"):
                pass

    asyncio.run(main())
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    records = pillar.recent()
    assert len(records) == 300
    tasks = {r.name: r for r in records if r.name.startswith("task")}
    for record in records:
        if record.name.startswith("step"):
            parent = tasks[record.name.replace("step", "task")]
            assert record.parent_id == parent.span_id
            assert record.trace_id == parent.trace_id


def test_generators_are_current_only_while_they_run(pillar: TracePillar) -> None:
    """The consumer of a generator never sees its span, and gets all it would."""
    inside: list[object] = []

    @span("numbers")
    def numbers() -> Generator[int, str, str]:
        inside.append(span_ids())
        answer = yield 1
        inside.append(span_ids())
        try:
            yield len(answer)
        except KeyError:
            yield 99

        return "end"

    steps = numbers()
    with span("consumer"):
        outer = span_ids()
        got = [next(steps), steps.send("four")]
        assert span_ids() == outer
        got.append(steps.throw(KeyError("x")))
        assert span_ids() == outer
        with pytest.raises(StopIteration) as end:
            next(steps)

    assert got == [1, 4, 99]
    assert end.value.value == "end"
    record = next(r for r in pillar.recent() if r.name == "numbers")
    assert inside == [(record.trace_id, record.span_id)] * 2
    assert record.status == "unset"


def test_a_closed_generator_ends_its_span(pillar: TracePillar) -> None:
    """A generator that is left early runs its clean-up and ends its span unfailed."""
    cleaned: list[int] = []

    @span("numbers")
    def numbers() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(1)

    steps = numbers()
    next(steps)
    steps.close()  # type: ignore[attr-defined]

    assert cleaned == [1]
    assert [(r.name, r.status) for r in pillar.recent()] == [("numbers", "unset")]


def test_async_generators(pillar: TracePillar) -> None:
    """They are passed on with asend, athrow and aclose; the span ends with them."""
    inside: list[object] = []

    @span("numbers")
    async def numbers() -> AsyncGenerator[int, int]:
        inside.append(span_ids())
        got = yield 1
        await asyncio.sleep(0)
        try:
            yield got
        except KeyError:
            yield 99

    async def main() -> list[int]:
        steps = numbers()
        results = [await anext(steps), await steps.asend(5)]
        assert span_ids() is None
        results.append(await steps.athrow(KeyError("x")))
        results += [value async for value in steps]
        early = numbers()
        await anext(early)
        await early.aclose()
        return results

    assert asyncio.run(main()) == [1, 5, 99]
    assert names(pillar) == ["numbers", "numbers"]
    assert inside == [(r.trace_id, r.span_id) for r in pillar.recent()]


def test_unsampled_generators_work_as_without() -> None:
    """In a trace that is not sampled, generators of both kinds still give all."""

    @span("numbers")
    def numbers() -> Iterator[int]:
        yield from (1, 2)

    @span("numbers")
    async def later() -> AsyncIterator[int]:
        yield 3

    async def main() -> list[int]:
        return [value async for value in later()]

    pillar = make_pillar(TracingSettings(sampling=NONE, view_spans=10))
    pillar.start()
    assert [*numbers(), *asyncio.run(main())] == [1, 2, 3]
    assert pillar.recent() == []
    pillar.close(1.0)


def test_an_exception_fails_the_span_and_goes_on(pillar: TracePillar) -> None:
    """It is recorded, redacted, and raised unchanged."""
    error = ValueError("bad hunter2")

    @span("work")
    def work() -> None:
        raise error

    with pytest.raises(ValueError, match="hunter2") as caught:
        work()

    assert caught.value is error
    (record,) = pillar.recent()
    (event,) = record.events
    assert (record.status, record.description) == ("error", "ValueError")
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == "bad ***"
    assert "hunter2" not in str(event.attributes["exception.stacktrace"])
    assert str(event.attributes["exception.stacktrace"]).endswith("bad ***\n")


def test_cancellation_is_no_failure(pillar: TracePillar) -> None:
    """What is no Exception ends the span without failing it."""

    async def main() -> None:
        async with span("work"):
            await asyncio.sleep(30)

    async def cancel() -> None:
        task = asyncio.ensure_future(main())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert [(r.name, r.status, r.events) for r in pillar.recent()] == [
        ("work", "unset", ())
    ]


def test_annotations_are_indexed_and_metadata_is_json(pillar: TracePillar) -> None:
    """Annotations are listed for X-Ray, metadata grows per namespace, all redacted."""
    with span("work") as handle:
        handle.annotate(order_id=7, größe="XL")
        annotate(order_id=8, password="x", items=[1, 2])
        handle.set(plain=1.5, mixed=[1, "a"], huge=2**70, nothing=None, kind=object)
        metadata("cart", {"total": 1, "lines": [{"sku": "a"}]})
        handle.metadata("cart", {"total": 2, "password": "x", "when": {1: object()}})

    (record,) = pillar.recent()
    attributes = dict(record.attributes)
    cart = json.loads(str(attributes.pop("aws.xray.metadata.cart")))
    assert attributes == {
        "order_id": 8,
        "gr__e": "XL",
        "password": "***",
        "items": "(1, 2)",
        "plain": 1.5,
        "mixed": ("1", "a"),
        "huge": str(2**70),
        "kind": "<class 'object'>",
        "aws.xray.annotations": ("order_id", "gr__e", "password", "items"),
    }
    assert cart.pop("when")["1"].startswith("<object object")
    assert cart == {"total": 2, "lines": [{"sku": "a"}], "password": "***"}


def test_no_value_makes_a_span_raise(pillar: TracePillar) -> None:
    """A value whose text cannot be made is named by what went wrong."""

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError

    with span("work", bad=Bad()) as handle:
        handle.annotate(bad=Bad())

    (record,) = pillar.recent()
    assert record.attributes["bad"] == "<Bad: RuntimeError>"


def test_one_object_may_nest_in_itself(pillar: TracePillar) -> None:
    """Entering the same object again gives a child, and each exit ends its own."""
    block = span("again")
    with block, block:
        pass

    inner, outer = pillar.recent()
    assert inner.parent_id == outer.span_id


def test_an_unsampled_root_leaves_all_inside_out() -> None:
    """Blocks and OpenTelemetry's spans inside an unsampled root decide nothing."""
    pillar = make_pillar(TracingSettings(sampling=NONE, view_spans=10))
    pillar.start()
    ids: list[object] = []

    @span("root")
    def root() -> None:
        ids.append(span_ids())
        with span("inner"):
            ids.append(span_ids())

        with trace.get_tracer("other").start_as_current_span("inner"):
            ids.append(span_ids())

    root()
    assert pillar.recent() == []
    assert ids[0] is not None
    assert ids == [ids[0]] * 3
    assert span_ids() is None
    pillar.close(1.0)


def test_misuse_is_told_at_declaration() -> None:
    """`@span` without parentheses and things that are no functions raise."""
    with pytest.raises(DeclarationError, match=r"@span\(\)"):
        span(test_misuse_is_told_at_declaration)  # type: ignore[arg-type]

    with pytest.raises(DeclarationError, match="not a function"):
        span("x")(7)  # type: ignore[type-var]


def test_a_context_left_elsewhere_is_not_logged(
    pillar: TracePillar, caplog: pytest.LogCaptureFixture
) -> None:
    """A block that is left in another context than it was entered in says nothing."""
    block = span("work")
    thread = threading.Thread(target=block.__enter__)
    thread.start()
    thread.join()

    block.__exit__(None, None, None)

    assert names(pillar) == ["work"]
    assert span_ids() is None
    assert not current()
    assert caplog.records == []
