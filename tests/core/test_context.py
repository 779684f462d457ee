"""The record of the work at hand, and who sees it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

from svcready._core.context import (
    ContextRecord,
    activate,
    bind,
    bound,
    current,
    deactivate,
)


def fields() -> dict[str, object]:
    """Return what is bound now."""
    record = current()
    return {} if record is None else dict(record.fields)


def in_copy(function: object) -> None:
    """Run *function* in a copy of the context, so that nothing leaks out of a test."""
    assert callable(function)
    contextvars.copy_context().run(function)


def test_a_record_is_in_force_between_activate_and_deactivate() -> None:
    """And what was before is back afterwards."""
    outer, inner = ContextRecord(request_id="a"), ContextRecord(request_id="b")
    first = activate(outer)
    second = activate(inner)

    assert current() is inner
    deactivate(second)
    assert current() is outer
    deactivate(first)
    assert current() is None


def test_a_token_of_another_context_clears() -> None:
    """A body closed by another thread of the server has nothing to put back."""
    token = contextvars.copy_context().run(activate, ContextRecord(request_id="a"))

    def close() -> None:
        activate(ContextRecord(request_id="b"))
        deactivate(token)
        assert current() is None

    in_copy(close)


def test_binding_keeps_the_record_and_adds_fields() -> None:
    """A name bound again gets the new value; the record before is not changed."""

    def work() -> None:
        before = ContextRecord(request_id="a", fields={"x": 1})
        activate(before)
        bind(x=2, y=3)
        after = current()

        assert after is not None
        assert after.request_id == "a"
        assert fields() == {"x": 2, "y": 3}
        assert before.fields == {"x": 1}

    in_copy(work)


def test_bound_ends_with_its_block_even_on_errors() -> None:
    """And one object can be entered again inside itself."""

    def work() -> None:
        block = bound(x=1)
        try:
            with block, bound(y=2), block:
                assert fields() == {"x": 1, "y": 2}
                raise KeyError
        except KeyError:
            pass

        assert current() is None

    in_copy(work)


def test_concurrent_tasks_never_mix() -> None:
    """Each task has the fields that it bound, whatever the others do meanwhile."""

    async def task(number: int) -> dict[str, object]:
        bind(number=number)
        for _ in range(5):
            await asyncio.sleep(0)

        return fields()

    async def main() -> list[dict[str, object]]:
        return await asyncio.gather(*(task(number) for number in range(50)))

    assert asyncio.run(main()) == [{"number": number} for number in range(50)]


def test_a_thread_that_is_used_again_starts_clean() -> None:
    """A pool's thread does not carry one request's fields into the next."""
    seen = []

    def request(number: int) -> None:
        with bound(number=number):
            seen.append(fields())

        seen.append(fields())

    with ThreadPoolExecutor(1) as pool:
        list(pool.map(request, range(3)))

    assert seen == [{"number": 0}, {}, {"number": 1}, {}, {"number": 2}, {}]


def test_a_new_thread_sees_nothing_of_its_starter() -> None:
    """Nothing is shared but what was copied on purpose."""
    seen = []
    with bound(x=1):
        thread = threading.Thread(target=lambda: seen.append(fields()))
        thread.start()
        thread.join()

    assert seen == [{}]
