"""Context that follows work into threads and executors, by hand and unasked."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import baggage, context, trace

import svcready
from svcready._core.context import ContextRecord, activate, current, deactivate
from svcready.config._sections.tracing import TracingSettings
from svcready.errors import DeclarationError
from svcready.tracing import carry_context, span
from svcready.tracing._otel import span_ids
from svcready.tracing._pillar import TracePillar
from tests.tracing.support import ALL, make_pillar


def methods() -> tuple[object, object]:
    """Return the two methods that are wrapped, as they are now."""
    return vars(threading.Thread)["start"], vars(ThreadPoolExecutor)["submit"]


BARE = methods()

Seen = tuple[str | None, tuple[str, str] | None]


def seen() -> Seen:
    """Return the request id and the current span's ids where this runs."""
    record = current()
    return (None if record is None else record.request_id), span_ids()


@pytest.fixture
def request_id() -> Iterator[str]:
    """Be inside a request."""
    token = activate(ContextRecord("req-1", "chain-1"))
    yield "req-1"
    deactivate(token)


@pytest.fixture
def following() -> Iterator[TracePillar]:
    """Give a started pillar that has context follow."""
    made = make_pillar(TracingSettings(sampling=ALL, view_spans=100, threads=True))
    made.start()
    yield made
    made.close(1.0)
    assert methods() == BARE


def in_thread(function: Callable[[], object]) -> None:
    """Run in a thread and wait for it."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_python_alone_loses_it(pillar: TracePillar, request_id: str) -> None:
    """What the other tests show would not be so by itself."""
    found: list[Seen] = []
    with span("outer"):
        in_thread(lambda: found.append(seen()))

    assert found == [(None, None)]
    assert pillar.describe()["threads"] == "off"


def test_carried_work_has_the_ids_of_its_start(
    pillar: TracePillar, request_id: str
) -> None:
    """Ids, and the span as parent, although that has ended; nothing stays behind."""
    found: list[Seen] = []

    @functools.wraps(seen)
    def work() -> None:
        found.append(seen())
        with span("inner"):
            pass

    with ThreadPoolExecutor(1) as pool:
        with span("outer"):
            outer = span_ids()
            carried = svcready.carry_context(work)

        pool.submit(carried).result()
        pool.submit(carried).result()
        assert pool.submit(seen).result() == (None, None)

    names = {record.name: record for record in pillar.recent()}
    assert outer is not None
    assert found == [(request_id, outer)] * 2
    assert names["inner"].parent_id == outer[1]
    assert carried.__name__ == "seen"


def test_one_carried_function_runs_in_many_threads_at_once(
    pillar: TracePillar, request_id: str
) -> None:
    """Unlike a copied context, which only one may be in."""
    together = threading.Barrier(3, timeout=10)

    def work(number: int) -> tuple[int, Seen]:
        together.wait()
        return number, seen()

    with ThreadPoolExecutor(3) as pool, span("outer"):
        results = list(pool.map(carry_context(work), range(3)))
        expected = seen()

    assert results == [(number, expected) for number in range(3)]
    assert expected[0] == request_id


def test_carried_coroutines_keep_it_while_they_wait(
    pillar: TracePillar, request_id: str
) -> None:
    """A task of another loop is in the caller's context to its end, then out of it."""

    async def work() -> tuple[Seen, Seen]:
        before = seen()
        await asyncio.sleep(0)
        return before, seen()

    async def elsewhere(carried: Callable[[], object]) -> tuple[object, Seen]:
        return await carried(), seen()  # type: ignore[misc]

    with span("outer"):
        expected = seen()
        carried = carry_context(work)

    results: list[object] = []
    in_thread(lambda: results.append(asyncio.run(elsewhere(carried))))

    assert results == [((expected, expected), (None, None))]


def test_generators_are_not_carried() -> None:
    """Their bodies run where they are iterated, so the mistake is told at once."""

    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(DeclarationError, match="not a generator"):
        carry_context(numbers)


def test_carried_errors_come_out(pillar: TracePillar, request_id: str) -> None:
    """An error passes unchanged, and the context is put back."""

    def work() -> None:
        raise KeyError("x")

    carried = carry_context(work)
    token = activate(None)
    with pytest.raises(KeyError):
        carried()

    assert current() is None
    deactivate(token)


class Worker(threading.Thread):
    """A thread with a `run` of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Seen | None = None

    def run(self) -> None:
        """Look around."""
        self.found = seen()


def test_context_follows_into_threads(following: TracePillar, request_id: str) -> None:
    """Plain ones, subclasses with their own `run`, and timers."""
    found: list[Seen] = []
    worker = Worker()
    timer = threading.Timer(0.0, lambda: found.append(seen()))
    with span("outer"):
        expected = seen()
        in_thread(lambda: found.append(seen()))
        worker.start()
        timer.start()

    worker.join()
    timer.join()

    assert found == [expected, expected]
    assert worker.found == expected
    assert "run" not in vars(worker)
    assert following.describe()["threads"] == "context follows"


def test_context_follows_into_pools(following: TracePillar, request_id: str) -> None:
    """By submit, by map, and by an event loop's executor, with OTel's baggage."""

    async def in_executor() -> Seen:
        return await asyncio.get_running_loop().run_in_executor(None, seen)

    with ThreadPoolExecutor(1) as pool, span("outer"):
        expected = seen()
        token = context.attach(baggage.set_baggage("user", "7"))
        assert pool.submit(seen).result() == expected
        assert list(pool.map(lambda _: seen(), range(2))) == [expected] * 2
        assert asyncio.run(in_executor()) == expected
        assert pool.submit(baggage.get_baggage, "user").result() == "7"
        context.detach(token)


def test_a_pools_threads_belong_to_no_request(
    following: TracePillar, request_id: str
) -> None:
    """Work of nobody, on a thread that a request's work started, is nobody's."""
    with ThreadPoolExecutor(1) as pool:
        with span("outer"):
            assert pool.submit(seen).result()[0] == request_id

        token = activate(None)
        assert pool.submit(seen).result() == (None, None)
        deactivate(token)
        bare = pool.submit.__wrapped__  # type: ignore[attr-defined]
        assert bare(seen).result() == (None, None)


def test_our_own_threads_take_nothing_along(
    following: TracePillar, request_id: str
) -> None:
    """What svcready starts during a request serves all of them."""
    found: list[Seen] = []
    thread = threading.Thread(
        target=lambda: found.append(seen()), name="svcready-spans"
    )
    thread.start()
    thread.join()

    assert found == [(None, None)]


def test_wrong_threads_raise_pythons_own_errors(
    following: TracePillar, request_id: str
) -> None:
    """A thread started twice, one never made, and a pool that was closed."""

    class Unmade(threading.Thread):
        def __init__(self) -> None:
            pass

    thread = threading.Thread(target=seen)
    thread.start()
    thread.join()
    pool = ThreadPoolExecutor(1)
    pool.shutdown()

    with pytest.raises(RuntimeError, match="once"):
        thread.start()

    with pytest.raises(RuntimeError, match="__init__"):
        Unmade().start()

    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(seen)

    with pytest.raises(TypeError):
        pool.submit()  # type: ignore[call-arg]


def test_a_thread_that_cannot_start_is_left_as_it_was(
    following: TracePillar, request_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own `run` is there again, an instance's own included."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    thread = Worker()
    vars(thread)["run"] = seen
    monkeypatch.setattr(threading, "_start_new_thread", refuse, raising=False)
    monkeypatch.setattr(threading, "_start_joinable_thread", refuse, raising=False)
    with pytest.raises(RuntimeError, match="can't start"):
        thread.start()

    assert vars(thread)["run"] is seen


def test_re_init_wraps_once_and_the_last_undoes() -> None:
    """However often it is asked for, and in whatever order it is let go."""
    first = make_pillar(TracingSettings(sampling=ALL, threads=True))
    first.start()
    once = methods()
    assert BARE[0] is not once[0]
    second = make_pillar(TracingSettings(sampling=ALL, threads=True))
    second.start()
    assert methods() == once
    first.close(1.0)
    first.close(1.0)
    assert methods() == once
    second.close(1.0)

    assert methods() == BARE


def test_another_librarys_wrapper_around_ours_stays(request_id: str) -> None:
    """Ours falls silent beneath it, and is not put on twice."""
    made = make_pillar(TracingSettings(sampling=ALL, threads=True))
    made.start()
    ours = vars(threading.Thread)["start"]

    def theirs(thread: threading.Thread) -> None:
        ours.__get__(thread, threading.Thread)()

    found: list[Seen] = []
    setattr(threading.Thread, "start", theirs)  # noqa: B010
    try:
        made.close(1.0)
        assert methods()[0] is theirs
        in_thread(lambda: found.append(seen()))
        again = make_pillar(TracingSettings(sampling=ALL, threads=True))
        again.start()
        assert methods()[0] is theirs
        in_thread(lambda: found.append(seen()))
    finally:
        setattr(threading.Thread, "start", ours)  # noqa: B010
        again.close(1.0)

    assert found == [(None, None), (request_id, None)]
    assert methods() == BARE


def test_spans_in_threads_are_children(following: TracePillar) -> None:
    """Through OpenTelemetry's API too, whether the outer span has ended or not."""
    released = threading.Event()

    def work() -> None:
        released.wait(10)
        with trace.get_tracer("lib").start_as_current_span("inner"):
            pass

    thread = threading.Thread(target=work)
    with span("outer"):
        thread.start()

    released.set()
    thread.join()

    records = {record.name: record for record in following.recent()}
    assert records["inner"].parent_id == records["outer"].span_id
