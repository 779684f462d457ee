"""How decorators meet what they decorate, and one another."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import sys
import types
from collections.abc import Callable, Generator

import pytest

from svcready._core.declarations import name_of
from svcready.errors import CircuitOpen, DeclarationError
from svcready.resilience import circuit_breaker, retry
from svcready.resilience._breaking._circuit import BREAKERS
from svcready.resilience._retrying._retry import RETRIERS
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency, breaker_of, retrier_of, run_on

Wrap = Callable[[Callable[..., object]], Callable[..., object]]


class Answering:
    """A callable object with a coroutine for its call."""

    def __init__(self, dependency: Dependency) -> None:
        self.dependency = dependency

    async def __call__(self, order: int) -> object:
        """Ask the dependency."""
        return self.dependency(order)


def plain_forms(dependency: Dependency, wrap: Wrap) -> dict[str, Callable[..., object]]:
    """Return every form of a plain callable, wrapped."""

    def function(order: int) -> object:
        return dependency(order)

    class Service:
        @wrap
        def method(self, order: int) -> object:
            return dependency(order)

        @staticmethod
        @wrap
        def below_static(order: int) -> object:
            return dependency(order)

        @wrap
        @staticmethod
        def above_static(order: int) -> object:
            return dependency(order)

        @classmethod
        @wrap
        def below_class(cls, order: int) -> object:
            return dependency(order)

        above_class = wrap(classmethod(lambda cls, order: dependency(order)))  # type: ignore[arg-type]

    return {
        "function": wrap(function),
        "lambda": wrap(lambda order: dependency(order)),
        "partial": wrap(functools.partial(function, order=1)),
        "object": wrap(dependency),
        "bound method": wrap(dependency.__call__),
        "method": Service().method,
        "below staticmethod": Service().below_static,
        "above staticmethod": Service.above_static,
        "below classmethod": Service.below_class,
        "above classmethod": Service.above_class,
    }


def async_forms(dependency: Dependency, wrap: Wrap) -> dict[str, Callable[..., object]]:
    """Return every form of a callable whose call is to be awaited, wrapped."""

    async def function(order: int) -> object:
        return dependency(order)

    class Service:
        @wrap
        async def method(self, order: int) -> object:
            return dependency(order)

    class Promise:
        def __init__(self, order: int) -> None:
            self.order = order

        def __await__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
            return function(self.order).__await__()

    return {
        "function": wrap(function),
        "lambda": wrap(lambda order: function(order)),
        "lambda of a task": wrap(lambda order: asyncio.ensure_future(function(order))),
        "lambda of an awaitable": wrap(lambda order: Promise(order)),
        "partial": wrap(functools.partial(function, order=1)),
        "partial of a partial": wrap(functools.partial(functools.partial(function))),
        "object": wrap(Answering(dependency)),
        "method": Service().method,
    }


def wrappers() -> dict[str, Wrap]:
    """Return the decorators, alone and together."""
    return {
        "retry": lambda function: retry("payments", on=ConnectionError, budget=False)(
            function
        ),
        "fused": lambda function: retry("payments", on=ConnectionError, budget=False)(
            circuit_breaker("payments")(function)
        ),
        "nested": lambda function: retry("payments", on=ConnectionError, budget=False)(
            circuit_breaker("orders")(function)
        ),
        "slow": lambda function: retry(
            "payments", on=ConnectionError, budget=False, deadline=60
        )(circuit_breaker("payments", slow_after=50)(function)),
    }


@pytest.mark.parametrize("way", list(wrappers()))
@pytest.mark.parametrize("form", list(plain_forms(Dependency(), lambda f: f)))
def test_every_plain_form_is_retried(clock: FakeClock, way: str, form: str) -> None:
    """Functions, methods, partials, objects: a failure is retried, the answer kept."""
    dependency = Dependency(ConnectionError(), ConnectionError())
    call = plain_forms(dependency, wrappers()[way])[form]
    run_on(clock)

    assert (call() if form == "partial" else call(1)) == "answer"
    assert dependency.calls == 3
    assert (call() if form == "partial" else call(1)) == "answer"
    assert retrier_of("payments").counts() == {"success": 1, "recovered": 1}
    if way == "fused":
        assert breaker_of("payments").counts() == {"failure": 2, "success": 2}


@pytest.mark.parametrize("way", list(wrappers()))
@pytest.mark.parametrize("form", list(async_forms(Dependency(), lambda f: f)))
def test_every_async_form_is_retried(clock: FakeClock, way: str, form: str) -> None:
    """Coroutine functions and whatever returns an awaitable: retried when awaited."""
    dependency = Dependency(ConnectionError(), ConnectionError())
    call = async_forms(dependency, wrappers()[way])[form]
    run_on(clock)

    async def main() -> object:
        made = call() if form == "partial" else call(1)
        return await made  # type: ignore[misc]

    assert asyncio.run(main()) == "answer"
    assert dependency.calls == 3
    assert asyncio.run(main()) == "answer"
    assert retrier_of("payments").counts() == {"success": 1, "recovered": 1}
    if way == "fused":
        assert breaker_of("payments").counts() == {"failure": 2, "success": 2}


@pytest.mark.parametrize("form", ["plain", "async", "lambda of a coroutine"])
def test_without_the_interpreter_lock_nothing_counts_unlocked(
    clock: FakeClock, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a free-threaded build every success goes through the lock, and counts."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    dependency = Dependency()

    async def coroutine() -> object:
        return dependency()

    calls: dict[str, Callable[[], object]] = {
        "plain": dependency,
        "async": coroutine,
        "lambda of a coroutine": lambda: coroutine(),
    }
    call = calls[form]
    retried = retry("retried", on=ConnectionError)(call)
    guarded = circuit_breaker("guarded")(call)
    both = retry("both", on=ConnectionError)(circuit_breaker("both")(call))
    run_on(clock)
    for wrapped in (retried, guarded, both):
        made = wrapped()
        if form != "plain":
            asyncio.run(made)  # type: ignore[arg-type]

    assert retrier_of("retried").budget.meter.edge == -math.inf
    for counts in (
        retrier_of("retried").counts(),
        breaker_of("guarded").counts(),
        retrier_of("both").counts(),
        breaker_of("both").counts(),
    ):
        assert counts == {"success": 1}


def test_old_and_marked_coroutines(clock: FakeClock) -> None:
    """Generator-based coroutines and marked functions are awaited as others are."""
    dependency = Dependency(ConnectionError(), ConnectionError())

    @types.coroutine
    def old() -> Generator[None, None, object]:
        yield
        return dependency()

    def marked() -> object:
        return old()

    marked._is_coroutine_mark = object()  # type: ignore[attr-defined]  # from 3.12 on
    run_on(clock)
    calls: dict[str, Callable[[], object]] = {
        "old": old,
        "lambda": lambda: old(),
        "marked": marked,
    }
    for name, call in calls.items():
        dependency.failures = [ConnectionError()]
        wrapped = retry(name, on=ConnectionError)(circuit_breaker(name)(call))
        run_on(clock)

        async def main(wrapped: Callable[[], object] = wrapped) -> object:
            return await wrapped()  # type: ignore[misc]

        assert asyncio.run(main()) == "answer"
        assert breaker_of(name).counts() == {"failure": 1, "success": 1}


def test_a_function_that_fails_before_it_returns_an_awaitable(
    clock: FakeClock,
) -> None:
    """The first attempt raises at once, the second's awaitable raises: both count."""
    dependency = Dependency(ConnectionError(), ConnectionError())

    async def coroutine() -> object:
        return dependency()

    def sometimes() -> object:
        return dependency() if dependency.calls == 0 else coroutine()

    call = retry("payments", on=ConnectionError)(circuit_breaker("payments")(sometimes))
    run_on(clock)

    async def main() -> object:
        return await call()  # type: ignore[misc]

    assert asyncio.run(main()) == "answer"
    assert dependency.calls == 3
    assert breaker_of("payments").counts() == {"failure": 2, "success": 1}


def test_wrapped_functions_look_like_themselves() -> None:
    """Name, documentation, signature and kind are those of what was decorated."""

    async def charge(order: int, *, dry: bool = False) -> str:
        """Charge an order."""
        return f"{order} {dry}"

    both = retry("payments", on=OSError)(circuit_breaker("payments")(charge))
    assert (both.__name__, both.__doc__) == ("charge", "Charge an order.")
    assert inspect.signature(both) == inspect.signature(charge, eval_str=True)
    assert inspect.iscoroutinefunction(both)
    assert inspect.unwrap(both) is charge


def test_signatures_need_no_module_of_ours() -> None:
    """What an annotation names is there already, unless nothing can find it."""

    def charge(order: int, by: Nobody, *rest: str) -> Nothing:  # type: ignore[name-defined]  # noqa: F821
        return None

    both = circuit_breaker("payments")(retry("payments", on=OSError)(charge))
    signature = inspect.signature(both)
    assert [one.annotation for one in signature.parameters.values()] == [
        int,
        "Nobody",
        str,
    ]
    assert signature.return_annotation == "Nothing"
    untyped = retry("payments", on=OSError)(lambda order: order)
    assert not hasattr(untyped, "__signature__")


@pytest.mark.parametrize("outer", ["retry", "breaker"])
def test_stacked_decorators_of_a_name_have_one_order(
    clock: FakeClock, outer: str
) -> None:
    """However they are written, every attempt meets the breaker inside the retry."""
    dependency = Dependency(*[ConnectionError() for _ in range(9)])
    again = retry("payments", on=ConnectionError, attempts=5)
    breaker = circuit_breaker("payments", consecutive_failures=2)
    call = (
        again(breaker(dependency)) if outer == "retry" else breaker(again(dependency))
    )
    run_on(clock)
    with pytest.raises(CircuitOpen):
        call()

    assert dependency.calls == 2
    assert call.__wrapped__ is dependency  # type: ignore[attr-defined]  # one closure


def test_different_names_nest_as_written(clock: FakeClock) -> None:
    """A breaker outside a retry of another name sees one failure per call."""
    dependency = Dependency(*[ConnectionError() for _ in range(3)])
    call = circuit_breaker("orders")(retry("payments", on=ConnectionError)(dependency))
    run_on(clock)
    with pytest.raises(ConnectionError):
        call()

    assert dependency.calls == 3
    assert breaker_of("orders").counts()["failure"] == 1


def test_a_decorator_between_is_kept(clock: FakeClock) -> None:
    """A foreign decorator that copies attributes is not fused away."""
    seen = []

    def foreign(function: Callable[[], object]) -> Callable[[], object]:
        @functools.wraps(function)
        def wrapper() -> object:
            seen.append(1)
            return function()

        return wrapper

    dependency = Dependency(ConnectionError())
    call = retry("payments", on=ConnectionError)(
        foreign(circuit_breaker("payments")(dependency))
    )
    run_on(clock)
    assert call() == "answer"
    assert len(seen) == 2


def test_twice_is_once(clock: FakeClock) -> None:
    """The same retry stacked twice is one layer."""
    dependency = Dependency(*[ConnectionError() for _ in range(9)])
    again = retry("payments", on=ConnectionError, nested=True)
    call = again(again(dependency))
    run_on(clock)
    with pytest.raises(ConnectionError):
        call()

    assert dependency.calls == 3


def test_a_name_is_derived_from_the_function() -> None:
    """Without a name it is where the function is defined, for both decorators."""

    @retry(on=ConnectionError)
    @circuit_breaker()
    def charge() -> None:
        pass

    assert BREAKERS.names() == RETRIERS.names() == (name_of(charge),)
    charge()
    assert breaker_of(name_of(charge)).counts() == {"success": 1}


def test_equal_arguments_share_and_others_raise() -> None:
    """The same name with equal arguments is the same state; with others an error."""

    def declare(low: int) -> None:
        retry(
            "payments",
            on=lambda error: error.args[0] > low,
            retry_after=lambda error: error.args[0] * low,
        )

    first = retry("orders", on=(OSError, KeyError))
    assert retry("orders", on=(KeyError, OSError)).retrier is first.retrier
    declare(1)
    declare(1)  # an application factory that runs twice
    with pytest.raises(DeclarationError):
        declare(2)

    with pytest.raises(DeclarationError) as caught:
        retry("orders", on=OSError)

    assert str(caught.value).count("test_layers.py:") == 2


def test_a_breaker_without_arguments_is_the_one_of_its_name() -> None:
    """In either order, arguments given once hold for all; given twice they raise."""
    for plain_first in (True, False):
        name = "payments" if plain_first else "orders"
        if plain_first:
            circuit_breaker(name)

        circuit_breaker(name, min_calls=5, ignore=KeyError)
        assert circuit_breaker(name).breaker.config.min_calls == 5
        assert breaker_of(name).judge(KeyError()) == "ignored"
        with pytest.raises(DeclarationError) as caught:
            circuit_breaker(name, min_calls=6)

        assert str(caught.value).count("test_layers.py:") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"failure_rate": 0.0},
        {"failure_rate": 1.5},
        {"failure_rate": True},
        {"min_calls": 0},
        {"window": 0.5},
        {"consecutive_failures": 0},
        {"slow_after": 0},
        {"slow_rate": "half"},
        {"open_for": 200.0},
        {"probes": 0},
        {"ignore": KeyboardInterrupt},
    ],
)
def test_wrong_arguments_of_a_breaker(arguments: dict[str, object]) -> None:
    """What cannot be meant is refused where it is declared, value in the message."""
    with pytest.raises(DeclarationError) as caught:
        circuit_breaker("payments", **arguments)  # type: ignore[arg-type]

    assert any(key in str(caught.value) for key in arguments)


@pytest.mark.parametrize("thing", [Dependency, property(lambda self: 1), 5])
def test_what_is_no_function_is_refused(thing: object) -> None:
    """A class, a property or a number cannot be decorated."""
    with pytest.raises(DeclarationError):
        retry("payments", on=OSError)(thing)  # type: ignore[arg-type]


def test_without_a_name_there_is_only_decorating() -> None:
    """An explicit call or block needs a name."""
    with pytest.raises(DeclarationError):
        retry(on=OSError).call(print)

    with pytest.raises(DeclarationError), circuit_breaker():
        pass


def test_bad_names_are_refused() -> None:
    """A name of other characters, or the reserved one, raises at once."""
    for name in ("Pay ments", "", "default"):
        with pytest.raises(DeclarationError):
            retry(name, on=OSError)

        with pytest.raises(DeclarationError):
            circuit_breaker(name)


def test_it_says_what_it_is() -> None:
    """Its text shows the name, so that a debugger does."""
    assert repr(retry("payments", on=OSError)) == "<retry 'payments'>"
