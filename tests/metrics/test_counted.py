from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial, wraps
from inspect import iscoroutinefunction, isgeneratorfunction, signature
from typing import TYPE_CHECKING

import pytest

from svcready.errors import DeclarationError
from svcready.metrics import counted, counter
from svcready.metrics._instruments._register import REGISTER
from svcready.resilience import retry

if TYPE_CHECKING:
    from svcready.metrics._pillar import MetricsPillar
    from tests.conftest import Faults

Ends = dict[tuple[str, ...], float]
SUCCESS = ("success", "")
VALUE_ERROR = ("error", "ValueError")
CANCELLED = ("cancelled", "")


def ends(name: str = "calls") -> Ends:
    """Return what was counted, by label values, without what is still 0."""
    metric = REGISTER.get(name)
    assert metric is not None
    family = metric.read()
    assert family.labels[-2:] == ("outcome", "error_type")
    return {p.labels: p.value for p in family.points if p.value}  # type: ignore[union-attr, misc]


def test_a_function_is_counted_by_how_it_ends() -> None:
    """It returns and raises what it did, under its own name and signature."""

    @counted("calls")
    def halve(number: int, *, by: int = 2) -> int:
        """Halve."""
        if number % by:
            raise ValueError(number)

        return number // by

    assert [halve(4), halve(9, by=3)] == [2, 3]
    with pytest.raises(ValueError, match="5"):
        halve(5)

    assert ends() == {SUCCESS: 2, VALUE_ERROR: 1}
    assert (halve.__name__, halve.__doc__) == ("halve", "Halve.")
    assert list(signature(halve).parameters) == ["number", "by"]


def test_a_success_is_there_before_the_first_one() -> None:
    """A rate over a counter that appears at 1 would miss the first."""

    @counted("calls", labels={"kind": "retail"})
    def work() -> None: ...

    metric = REGISTER.get("calls")
    assert metric is not None
    assert [(p.labels, p.value) for p in metric.read().points] == [  # type: ignore[union-attr]
        (("retail", *SUCCESS), 0)
    ]


def test_a_coroutine_is_counted_when_it_ends() -> None:
    """Not when it is made; cancellation is neither a success nor an error."""

    @counted("calls")
    async def work(event: asyncio.Event, error: Exception | None = None) -> str:
        await event.wait()
        if error is not None:
            raise error

        return "done"

    async def main() -> None:
        event = asyncio.Event()
        unfinished = asyncio.ensure_future(work(event))
        await asyncio.sleep(0)
        assert ends() == {}

        unfinished.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unfinished

        event.set()
        assert await work(event) == "done"
        with pytest.raises(ValueError, match="no"):
            await work(event, ValueError("no"))

    asyncio.run(main())

    assert ends() == {SUCCESS: 1, VALUE_ERROR: 1, CANCELLED: 1}
    assert iscoroutinefunction(work)


def test_a_call_that_never_began_is_no_call() -> None:
    """A coroutine that nobody awaits did nothing; nor did an unused generator."""

    @counted("calls")
    async def work() -> None: ...

    @counted("calls")
    def items() -> Generator[int]:
        yield 1

    work().close()
    items().close()

    assert ends() == {}


def test_a_generator_is_counted_when_it_ends() -> None:
    """Exhausted or closed early is a success; sends, throws and result pass through."""

    @counted("calls")
    def work() -> Generator[int, str, str]:
        try:
            got = yield 1
        except KeyError:
            got = yield 2

        return got

    steps = work()
    assert next(steps) == 1
    assert steps.throw(KeyError()) == 2
    assert ends() == {}
    with pytest.raises(StopIteration) as end:
        steps.send("mine")

    assert end.value.value == "mine"
    early = work()
    next(early)
    early.close()
    assert ends() == {SUCCESS: 2}

    failing = work()
    next(failing)
    with pytest.raises(ValueError, match="theirs"):
        failing.throw(ValueError("theirs"))

    assert ends() == {SUCCESS: 2, VALUE_ERROR: 1}
    assert isgeneratorfunction(work)


def test_an_async_generator_is_counted_when_it_ends() -> None:
    """As a sync one, with asend, athrow, aclose and cancellation."""

    @counted("calls")
    async def work(last: Exception | None = None) -> AsyncGenerator[int, int]:
        try:
            got = yield 1
        except KeyError:
            got = yield 2

        yield got
        if last is not None:
            raise last

        await asyncio.Event().wait()

    async def main() -> None:
        steps = work(ValueError())
        assert await anext(steps) == 1
        assert await steps.athrow(KeyError()) == 2
        assert await steps.asend(7) == 7
        with pytest.raises(ValueError, match=r"^$"):
            await anext(steps)

        early = work()
        await anext(early)
        await early.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(early)

        stuck = work()
        await anext(stuck)
        await stuck.asend(1)
        waiting = asyncio.ensure_future(anext(stuck))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())

    assert ends() == {VALUE_ERROR: 1, SUCCESS: 1, CANCELLED: 1}


def test_what_a_context_manager_is_made_of_can_be_counted() -> None:
    """The block's error is what ended it."""

    @contextmanager
    @counted("calls")
    def sync_block() -> Generator[None]:
        yield

    @asynccontextmanager
    @counted("calls")
    async def async_block() -> AsyncGenerator[None]:
        yield

    async def main() -> None:
        async with async_block():
            pass

        with pytest.raises(ValueError, match=r"^$"):
            async with async_block():
                raise ValueError

    with sync_block():
        pass

    with pytest.raises(ValueError, match=r"^$"), sync_block():
        raise ValueError

    asyncio.run(main())
    assert ends() == {SUCCESS: 2, VALUE_ERROR: 2}


def test_what_leaves_the_program_is_no_error() -> None:
    """SystemExit and KeyboardInterrupt pass, as calls that were given up."""

    @counted("calls")
    def work(error: BaseException) -> None:
        raise error

    for error in (SystemExit(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            work(error)

    assert ends() == {CANCELLED: 2}


def test_methods_and_other_callables_are_told_apart() -> None:
    """Whatever can be called by one name or another."""

    class Shop:
        @counted("calls", labels={"kind": "method"})
        def sell(self, number: int) -> int:
            return number

        @counted("calls", labels={"kind": "class"})
        @classmethod
        def open(cls) -> str:
            return cls.__name__

        @counted("calls", labels={"kind": "static"})
        @staticmethod
        async def close() -> str:
            return "closed"

    class Clerk:
        async def __call__(self) -> str:
            return "called"

    clerk = counted("calls", labels={"kind": "object"})(Clerk())
    part = counted("calls", labels={"kind": "part"})(partial(Shop().sell, 3))
    bound = counted("calls", labels={"kind": "bound"})(Shop.open)

    assert (Shop().sell(2), Shop.open(), bound(), part()) == (2, "Shop", "Shop", 3)
    assert asyncio.run(Shop.close()) == "closed"
    assert asyncio.run(clerk()) == "called"
    assert ends() == {
        ("method", *SUCCESS): 2,
        ("class", *SUCCESS): 2,
        ("static", *SUCCESS): 1,
        ("object", *SUCCESS): 1,
        ("part", *SUCCESS): 1,
        ("bound", *SUCCESS): 1,
    }


def test_a_decorator_that_hides_a_coroutine_is_seen_through() -> None:
    """The call ends when what it returned does."""

    def hide(function: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        @wraps(function)
        def wrapper() -> Awaitable[None]:
            return function()

        return wrapper

    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError

    hidden = counted("calls", labels={"kind": "x"})(hide(work))
    with pytest.raises(ValueError, match=r"^$"):
        asyncio.run(hidden())  # type: ignore[arg-type]

    assert ends() == {("x", *VALUE_ERROR): 1}


def test_labels_are_taken_from_arguments_by_name() -> None:
    """Given by position, by name, or left to the default."""

    @counted("calls", labels=("kind", "shop", "fast"))
    def sell(number: int, kind: str, shop: str = "main", *, fast: bool = False) -> int:
        return number

    sell(1, "retail")
    sell(1, kind="retail", shop="main")
    sell(1, "whole", "other", fast=True)
    sell(number=1, shop="x", kind="y")

    assert ends() == {
        ("retail", "main", "False", *SUCCESS): 2,
        ("whole", "other", "True", *SUCCESS): 1,
        ("y", "x", "False", *SUCCESS): 1,
    }


def test_a_methods_arguments_are_found_behind_self() -> None:
    """In a class, bound, and of an object that is called."""

    class Shop:
        @counted("calls", labels=("kind",))
        def sell(self, kind: str) -> None: ...

        def lend(self, kind: str = "book") -> None: ...

        async def __call__(self, kind: str) -> None: ...

    Shop().sell("a")
    Shop().sell(kind="b")
    lend = counted("calls", labels=("kind",))(Shop().lend)
    lend("c")
    lend()
    asyncio.run(counted("calls", labels=("kind",))(Shop())("d"))

    assert set(ends()) == {(kind, *SUCCESS) for kind in ("a", "b", "c", "book", "d")}


def test_arguments_are_found_beneath_other_decorators() -> None:
    """By what the function was that they wrapped."""

    @counted("calls", labels=("kind",))
    @retry("payments", on=ConnectionError)
    async def pay(amount: int, kind: str = "card") -> int:
        return amount

    assert asyncio.run(pay(5)) == 5
    assert asyncio.run(pay(5, "cash")) == 5
    assert ends() == {("card", *SUCCESS): 1, ("cash", *SUCCESS): 1}


def test_arguments_may_come_in_a_dictionary() -> None:
    """Of a function that takes any, those that are missing are empty."""

    @counted("calls", labels=("kind",))
    def sell(**order: str) -> None: ...

    sell(kind="retail")
    sell()

    assert ends() == {("retail", *SUCCESS): 1, ("", *SUCCESS): 1}


def test_labels_may_be_asked_for() -> None:
    """Fixed values and functions of the call's arguments, side by side."""

    @counted(
        "calls",
        labels={
            "area": "shop",
            "kind": lambda order, **_: order["kind"],
            "size": lambda order, fast=False: "big" if order["n"] > 5 else "small",
        },
    )
    def sell(order: Mapping[str, object], *, fast: bool = False) -> None: ...

    sell({"kind": "retail", "n": 1}, fast=True)
    sell({"kind": "whole", "n": 9})

    assert ends() == {
        ("shop", "retail", "small", *SUCCESS): 1,
        ("shop", "whole", "big", *SUCCESS): 1,
    }


def test_a_function_for_a_label_that_fails_hurts_no_call(faults: Faults) -> None:
    """The call goes on and is counted, the label is empty, the fault is reported."""

    @counted("calls", labels={"kind": lambda order: order["kind"]})
    def sell(order: Mapping[str, str]) -> str:
        return "sold"

    assert sell({}) == "sold"
    assert isinstance(faults.claim("metrics.counted"), KeyError)
    assert ends() == {("", *SUCCESS): 1}


def test_a_call_with_wrong_arguments_raises_as_ever() -> None:
    """What the function doesn't take is its own error, and counted as one."""

    @counted("calls", labels=("kind",))
    def sell(number: int, kind: str) -> None: ...

    @counted("calls", labels=("kind",))
    async def lend(number: int, kind: str) -> None: ...

    with pytest.raises(TypeError, match="kind"):
        sell(1)  # type: ignore[call-arg]

    with pytest.raises(TypeError, match="kind"):
        asyncio.run(lend(1))  # type: ignore[call-arg]

    assert ends() == {("", "error", "TypeError"): 2}


def test_an_error_is_named_by_its_class_as_elsewhere() -> None:
    """With its module, as the HTTP metrics have it."""

    class OutOfStockError(Exception):
        pass

    @counted("calls")
    def sell() -> None:
        raise OutOfStockError

    with pytest.raises(OutOfStockError):
        sell()

    ((_, error_type),) = ends()
    assert error_type.startswith("tests.metrics.test_counted.")
    assert error_type.endswith(".OutOfStockError")


def test_several_functions_may_share_a_counter() -> None:
    """One declaration, whichever of them is called."""

    @counted("calls", "Prices changed", labels={"kind": "a"})
    def first() -> None: ...

    @counted("calls", "Prices changed", labels=("kind",))
    def second(kind: str) -> None: ...

    first()
    second("a")

    assert ends() == {("a", *SUCCESS): 2}
    same = counter("calls", "Prices changed", labels=("kind", "outcome", "error_type"))
    assert same is REGISTER.get("calls")


def test_labels_of_calls_are_bounded(make_pillar: Callable[..., MetricsPillar]) -> None:
    """Arguments are a request's, so they end in one series."""
    make_pillar(max_series=3)

    @counted("calls", labels=("user",))
    def sell(user: str) -> None: ...

    for number in range(50):
        sell(f"user-{number}")

    assert len(ends()) == 4
    assert ends()["__other__", "__other__", "__other__"] == 47


def test_a_class_cannot_be_counted() -> None:
    """It would be no class any more; nor can what is not callable."""
    for thing in (Shop, property(lambda self: 1), 5):
        with pytest.raises(DeclarationError, match="is no function"):
            counted("calls")(thing)  # type: ignore[arg-type]


class Shop:
    """A class."""


def test_the_name_has_to_be_given() -> None:
    """A metric's name must not change when a function moves."""
    with pytest.raises(DeclarationError, match=r'@counted\("price_changes"\)'):

        @counted  # type: ignore[arg-type]
        def sell() -> None: ...


@pytest.mark.parametrize("label", ["outcome", "error_type"])
def test_the_ends_have_labels_of_their_own(label: str) -> None:
    """Those that are added can't be given."""
    with pytest.raises(DeclarationError, match=label):
        counted("calls", labels={label: "x"})


@pytest.mark.parametrize("labels", ["kind", ("a-b",), {"a b": 1}, ("a", "a"), 5])
def test_labels_are_checked_as_a_counters(labels: tuple[str, ...]) -> None:
    """The same rules, at the same moment."""
    with pytest.raises(DeclarationError, match="label"):
        counted("calls", labels=labels)


@pytest.mark.parametrize(
    "function",
    [
        lambda number: number,
        partial(lambda kind: kind, "x"),
        len,
        "".join,
        type("Bare", (), {})().__init__,
    ],
)
def test_a_label_that_is_no_parameter_raises(function: Callable[..., object]) -> None:
    """The message says what to write where parameters can't be seen."""
    with pytest.raises(DeclarationError, match=re.escape("labels={'kind': lambda")):
        counted("calls", labels=("kind",))(function)


def test_self_is_no_label() -> None:
    """What a bound method was given already is no argument of its calls."""

    class Counter:
        def work(self) -> None: ...

    with pytest.raises(DeclarationError, match="no parameter 'self'"):
        counted("calls", labels=("self",))(Counter().work)
