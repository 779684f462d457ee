"""Last good answers: for whom they are kept, how long, and how many."""

from __future__ import annotations

import asyncio
import contextvars
import csv
import gc
import io
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import svcready
from svcready._core import fork
from svcready._core.context import ContextRecord, activate
from svcready.errors import CircuitOpen, DeclarationError
from svcready.resilience import FellBack, fallback, get_fallback, policy, stale
from svcready.resilience._parts import cores
from svcready.resilience._pillar import apply
from svcready.resilience._standing_in._stale import Answers
from svcready.testing import FakeClock
from tests.conftest import Faults
from tests.resilience.peers import Dependency, run_on


def refused() -> CircuitOpen:
    """Return a refusal."""
    return CircuitOpen("prices", "open")


def refuse() -> object:
    """Give no answer, but a refusal."""
    raise refused()


def counts(name: str = "prices") -> dict[str, int]:
    """Return the outcomes of a fallback's calls."""
    return get_fallback(name).core.counts()


class Prices:
    """A dependency that answers with how often it was asked, and can be shut."""

    def __init__(self) -> None:
        self.asked = 0
        self.shut = False

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Take a call."""
        self.asked += 1
        if self.shut:
            raise refused()

        return (self.asked, args, kwargs)


def test_the_last_good_answer_to_the_same_arguments(clock: FakeClock) -> None:
    """Up to its age the last answer is given; then the error is the caller's again."""
    prices = Prices()
    price = fallback("prices", stale="5m")(prices)
    run_on(clock)
    price(7)
    last = price(7)
    price(8)
    prices.shut = True
    clock.advance(300.0)
    assert price(7) is last
    with pytest.raises(CircuitOpen):
        price(9)

    clock.advance(0.1)
    with pytest.raises(CircuitOpen):
        price(7)

    prices.shut = False
    assert price(7) != last
    assert counts() == {"success": 4, "stale": 1, "failed": 2}


def test_then_the_function_then_the_error(clock: FakeClock) -> None:
    """A good answer is better than one that is made up."""
    prices = Prices()
    price = fallback("prices", lambda order: "about", stale="5m")(prices)
    run_on(clock)
    last = price(7)
    prices.shut = True
    assert price(7) is last
    clock.advance(301.0)
    assert price(7) == "about"
    assert counts() == {"success": 1, "stale": 1, "fallback": 1}


def test_an_age_does_not_begin_anew(clock: FakeClock) -> None:
    """An answer that was given as a stale one is no younger for it."""
    prices = Prices()
    price = fallback("prices", stale=10)(prices)
    run_on(clock)
    price()
    prices.shut = True
    for _ in range(3):
        clock.advance(3.0)
        price()

    clock.advance(3.0)
    with pytest.raises(CircuitOpen):
        price()


def test_the_wall_clock_says_nothing(clock: FakeClock) -> None:
    """A clock that NTP sets an hour ahead or back makes nothing older or younger."""
    prices = Prices()
    price = fallback("prices", stale=10)(prices)
    run_on(clock)
    last = price()
    prices.shut = True
    clock.set_wall(clock.time_ns() + 3_600_000_000_000)
    assert price() is last
    clock.set_wall(0)
    clock.advance(11.0)
    with pytest.raises(CircuitOpen):
        price()


def test_another_clock_makes_nothing_younger(clock: FakeClock) -> None:
    """Bound to another clock, an answer is as old as it was."""
    prices = Prices()
    price = fallback("prices", stale=10)(prices)
    run_on(clock)
    last = price()
    clock.advance(6.0)
    later = FakeClock(start_s=9_000_000.0)
    run_on(later)
    prices.shut = True
    later.advance(4.0)
    assert price() is last
    later.advance(1.0)
    with pytest.raises(CircuitOpen):
        price()


def test_arguments_tell_answers_apart() -> None:
    """By value, by name and by type; the order of keywords does not matter."""
    prices = Prices()
    price = fallback("prices", stale="5m")(prices)
    given = [(1,), (1.0,), (True,), ("1",), (1, 2), ((1,),), ((True,),)]
    answers = [price(*args) for args in given]
    named = price(a=1, b=2)
    prices.shut = True
    assert [price(*args) for args in given] == answers
    assert price(b=2, a=1) == named


def test_objects_have_answers_of_their_own() -> None:
    """A method's object is one of its arguments."""

    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name
            self.shut = False

        @fallback("prices", stale="5m")
        def price(self, order: int) -> str:
            if self.shut:
                raise refused()

            return f"{self.name} {order}"

    north, south = Shop("north"), Shop("south")
    north.price(7)
    south.price(7)
    north.shut = south.shut = True
    assert [north.price(7), south.price(7)] == ["north 7", "south 7"]


def test_a_key_says_otherwise() -> None:
    """What the function returns tells answers apart, and nothing else."""
    prices = Prices()
    keep = stale("5m", key=lambda order, trace: order["id"])
    price = fallback("prices", stale=keep)(prices)
    last = price({"id": 7}, "trace-1")
    prices.shut = True
    assert price({"id": 7}, trace="trace-2") is last
    with pytest.raises(CircuitOpen):
        price({"id": 8}, "trace-1")


def test_what_cannot_be_hashed_is_not_kept_and_told(faults: Faults) -> None:
    """A call with a list for an argument works; that it isn't kept is told once."""
    prices = Prices()
    made = fallback("prices", stale="5m")
    price = made(prices)
    price(["s3cr3t"])
    fault = faults.claim("resilience.stale")
    assert "(list)" in str(fault)
    assert "key=" in str(fault)
    assert "s3cr3t" not in str(fault)
    price([2])  # which nobody is told again
    price(1)
    prices.shut = True
    with pytest.raises(CircuitOpen):
        price([2])

    assert counts() == {"success": 1, "success_unkept": 2, "failed": 1}


@pytest.mark.parametrize("key", [lambda order: [order], lambda order: order.missing])
def test_a_key_that_fails_is_our_matter(
    key: Callable[..., object], faults: Faults
) -> None:
    """It is reported, and the call goes on as if no answers were kept."""
    prices = Prices()
    price = fallback("prices", stale=stale("5m", key=key))(prices)
    price(7)
    prices.shut = True
    with pytest.raises(CircuitOpen):
        price(7)

    faults.claim("resilience.stale_key")
    faults.claim("resilience.stale_key")


class Unequal:
    """Can be hashed, and fails when it is compared."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("equal")


def test_arguments_that_fail_when_compared_are_our_matter(faults: Faults) -> None:
    """The call's answer and its error go out as they are."""
    prices = Prices()
    price = fallback("prices", stale="5m")(prices)
    price(Unequal())
    assert price(Unequal()) is not None
    prices.shut = True
    with pytest.raises(CircuitOpen):
        price(Unequal())

    assert counts() == {"success": 1, "success_unkept": 1, "failed": 1}
    for _ in range(2):
        faults.claim("resilience.stale_key")


async def _secret() -> AsyncGenerator[str, None]:
    yield "s3cr3t"


@pytest.mark.parametrize(
    ("give", "kind"),
    [
        (lambda: map(str, ["s3cr3t"]), "map"),
        (lambda: csv.reader(["s3cr3t"]), "reader"),
        (lambda: io.StringIO("s3cr3t"), "StringIO"),
        (_secret, "async_generator"),
    ],
)
def test_what_gives_its_items_once_is_not_kept_and_told(
    give: Callable[[], object], kind: str, faults: Faults
) -> None:
    """What one caller has emptied is no answer for the next; it is told once."""
    prices = Prices()

    @fallback("prices", stale="5m")
    def items() -> object:
        prices()
        return give()

    items()
    fault = faults.claim("resilience.stale")
    assert f"({kind})" in str(fault)
    assert "s3cr3t" not in str(fault)
    items()  # which nobody is told again
    prices.shut = True
    with pytest.raises(CircuitOpen):
        items()

    assert counts() == {"success": 0, "success_unkept": 2, "failed": 1}


def test_arguments_and_answers_that_are_not_kept_are_told_apart(faults: Faults) -> None:
    """Who has heard of the one has not heard of the other."""
    items = fallback("prices", stale="5m")(iter)
    items([1])
    assert "(list)" in str(faults.claim("resilience.stale"))
    items((1,))
    assert "(tuple_iterator)" in str(faults.claim("resilience.stale"))


def test_generators_are_refused_when_declared() -> None:
    """The items of a stream are no answer that can be kept."""

    def stream() -> Generator[int, None, None]:
        yield 1

    with pytest.raises(DeclarationError, match="stale"):
        fallback("prices", stale="5m")(stream)


def test_coroutine_functions_and_awaitables_are_kept() -> None:
    """What was awaited is kept, not what was to be awaited."""
    prices = Prices()

    @fallback("prices", stale="5m")
    async def price(order: int) -> object:
        await asyncio.sleep(0)
        return prices(order)

    @fallback("orders", stale="5m")
    def order(number: int) -> object:
        return price(number)

    async def main() -> None:
        last, also = await price(7), await order(8)  # type: ignore[misc]
        prices.shut = True
        assert await price(7) is last
        assert await order(8) is also  # type: ignore[misc]

    asyncio.run(main())
    assert counts() == {"success": 2, "stale": 2}


WAYS = ("plain", "thread", "coroutine", "tasks", "awaitable", "between", "unkeyed")


@pytest.mark.parametrize("way", WAYS)
def test_what_stood_in_further_in_is_not_kept_as_new(
    way: str, clock: FakeClock
) -> None:
    """The age of an inner fallback's answer doesn't begin anew in an outer one."""
    prices = Prices()
    ask: Callable[..., object] = fallback("inner", stale="1h")(prices)
    if way == "thread":
        ask = svcready.timeout("limit", 30)(ask)
    elif way == "between":
        ask = fallback("between", stale="1h")(ask)
    elif way == "unkeyed":
        ask = fallback("between", to=0)(ask)

    async def awaited(order: int) -> object:
        if way != "tasks":
            return ask(order)

        async def one() -> object:
            return ask(order)

        (answer,) = await asyncio.gather(one())
        return answer

    outer: Callable[[int], object]
    if way in {"coroutine", "tasks"}:
        made = fallback("prices", stale="10s")(awaited)
        outer = lambda order: asyncio.run(made(order))  # noqa: E731
    elif way == "awaitable":
        given = fallback("prices", stale="10s")(lambda order: awaited(order))

        async def wait(order: int) -> object:
            return await given(order)

        outer = lambda order: asyncio.run(wait(order))  # noqa: E731
    else:
        outer = fallback("prices", stale="10s")(ask)

    run_on(clock)
    answer = outer(7)
    assert counts() == {"success": 1}
    prices.shut = True
    assert outer(7) == answer
    assert counts() == {"success": 1, "success_unkept": 1}
    core = get_fallback("prices").core
    assert core.answers is not None
    clock.advance(9.0)
    assert outer(7) == answer
    clock.advance(2.0)
    assert outer(7) == answer
    assert core.answers.get(core.key_of((7,), {}), 10.0) is None
    prices.shut = False
    assert outer(7) != answer
    assert counts() == {"success": 2, "success_unkept": 3}


def test_a_stand_in_of_a_call_beside_is_none_of_this_one() -> None:
    """What is asked at the same time, or in a call before, hinders nothing."""
    shut = fallback("shut", to=0)(refuse)

    @fallback("prices", stale="10s")
    async def good() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return 1

    @fallback("poor", stale="10s")
    async def poor() -> object:
        await asyncio.sleep(0)
        return shut()

    async def all_() -> object:
        shut()
        return await asyncio.gather(good(), poor(), good())

    assert asyncio.run(all_()) == [1, 0, 1]
    assert counts() == {"success": 2}
    assert counts("poor") == {"success": 0, "success_unkept": 1}


def test_none_is_an_answer() -> None:
    """A dependency that says None has said something."""
    dependency = Dependency(answer=None)
    price = fallback("prices", stale="5m")(dependency)
    price()
    dependency.failures.append(refused())
    assert price() is None
    assert counts() == {"success": 1, "stale": 1}


def test_it_is_flagged_and_told(told: list[object]) -> None:
    """A stale answer degrades its request, and is told as one."""
    prices = Prices()
    price = fallback("prices", stale="5m")(prices)

    def handle() -> tuple[str, ...]:
        activate(ContextRecord("req-1", degraded=[]))
        price(7)
        assert svcready.degraded() == ()
        prices.shut = True
        price(7)
        return svcready.degraded()

    assert contextvars.copy_context().run(handle) == ("prices",)
    assert told == [FellBack("prices", "stale", "CircuitOpen", 0)]


def test_a_policy_takes_it_for_its_fallback() -> None:
    """`policy(fallback=svcready.stale(...))` is the short spelling."""
    prices = Prices()
    price = policy("prices", fallback=stale("5m"), breaker=True)(prices)
    last = price(7)
    prices.shut = True
    assert price(7) is last


def test_an_operator_shortens_the_age_and_cannot_begin(clock: FakeClock) -> None:
    """0 ends it; where code keeps no answers a value has no effect."""
    prices = Prices()
    price = fallback("prices", stale="5m")(prices)
    run_on(clock)
    price()
    prices.shut = True
    assert apply("prices", {"fallback_stale_max_age_s": "10"}) == ()
    clock.advance(11.0)
    with pytest.raises(CircuitOpen):
        price()

    apply("prices", {"fallback_stale_max_age_s": 0})
    with pytest.raises(CircuitOpen):
        price()

    fallback("orders", "none")
    assert apply("orders", {"fallback_stale_max_age_s": 10}) == ()
    assert get_fallback("orders").core.config.stale_max_age_s is None


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("max_age", {"max_age": 0}),
        ("max_age", {"max_age": "soon"}),
        ("max_entries", {"max_age": 1, "max_entries": 1}),
        ("key", {"max_age": 1, "key": "order"}),
    ],
)
def test_wrong_arguments_are_refused(
    argument: str, arguments: dict[str, object]
) -> None:
    """Each is named with what is allowed."""
    with pytest.raises(DeclarationError, match=argument):
        stale(**arguments)  # type: ignore[arg-type]


def test_equal_ones_share() -> None:
    """A declaration that runs again equals itself, its key function included."""

    def declare() -> object:
        return fallback("prices", stale=stale("5m", key=lambda order: order)).core

    assert declare() is declare()
    assert fallback("orders", stale=300).core is fallback("orders", stale="5m").core
    with pytest.raises(DeclarationError):
        fallback("prices", stale=stale("5m"))


class Model:
    """Two exact LRU dictionaries: what must be kept, and what may be."""

    def __init__(self, entries: int) -> None:
        self.sure: OrderedDict[int, int] = OrderedDict()
        self.most = entries
        self.values: dict[int, int] = {}

    def use(self, key: int) -> None:
        """Note that *key* was the last to be used."""
        self.sure[key] = 0
        self.sure.move_to_end(key)
        while len(self.sure) > max(1, self.most // 2):
            self.sure.popitem(last=False)


@settings(max_examples=300)
@given(
    st.integers(2, 9),
    st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=80),
)
def test_it_is_bounded_and_keeps_what_is_used(
    entries: int, steps: list[tuple[bool, int]]
) -> None:
    """Never more than it may, and always the half that was used last, newest value."""
    clock = FakeClock()
    answers, model = Answers(stale(60, max_entries=entries), clock), Model(entries)
    for number, (writes, key) in enumerate(steps):
        if writes:
            answers.put(key, number)
            model.values[key] = number
            model.use(key)
        else:
            kept = answers.get(key, 60.0)
            if key in model.sure:
                assert kept is not None

            if kept is not None:
                assert kept.value == model.values[key]
                model.use(key)

        assert len(answers) <= entries


def test_threads_never_see_an_older_answer() -> None:
    """Under threads that write and read, a reader's answers only become newer."""
    answers = Answers(stale(60, max_entries=4), FakeClock())
    failures: list[str] = []
    over = threading.Event()

    def write() -> None:
        for number in range(20_000):
            answers.put("key", number)

        over.set()

    def disturb() -> None:
        number = 0
        while not over.is_set():
            number += 1
            answers.put(number % 7, number)

    def read() -> None:
        last = -1
        while not over.is_set():
            kept = answers.get("key", 60.0)
            if kept is not None:
                assert isinstance(kept.value, int)
                if kept.value < last:
                    failures.append(f"{kept.value} after {last}")

                last = kept.value

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(job) for job in (write, disturb, read, read)]
        for job in jobs:
            job.result(60)

    assert failures == []
    assert len(answers) <= 4 + 2  # two writers may have passed the bound together


class Compared:
    """A key whose comparison does something first, once."""

    meanwhile: ClassVar[list[Callable[[], object]]] = []

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        if Compared.meanwhile:
            Compared.meanwhile.pop()()

        return isinstance(other, Compared)


def test_an_answer_never_gives_way_to_one_that_was_given_before() -> None:
    """Who is held up while keys are compared doesn't replace what came meanwhile."""
    clock = FakeClock()
    answers = Answers(stale(60), clock)
    answers.put(Compared(), "first")

    def newer() -> None:
        clock.advance(1.0)
        answers.put(Compared(), "newer")

    Compared.meanwhile.append(newer)
    answers.put(Compared(), "older")
    kept = answers.get(Compared(), 60.0)
    assert kept == ("newer", clock.monotonic())


class Asked:
    """A clock that stands, and does something before it is read, once."""

    def __init__(self) -> None:
        self.meanwhile: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        """Return the time."""
        if self.meanwhile:
            self.meanwhile.pop()()

        return 0.0


def test_what_is_got_stays_whoever_puts_meanwhile() -> None:
    """The answer that was used last is kept, though its generation went just then."""
    clock = Asked()
    answers = Answers(stale(60, max_entries=4), clock)  # type: ignore[arg-type]
    for key in "ABCD":
        answers.put(key, key)

    clock.meanwhile.append(lambda: answers.put("E", "E"))
    assert answers.get("A", 60.0) is not None
    assert answers.get("A", 60.0) is not None
    assert answers.get("E", 60.0) is not None
    assert len(answers) <= 4


@pytest.mark.parametrize("at_s", [0.0, 1.0], ids=["same instant", "later"])
def test_what_is_got_stays_as_the_newest(at_s: float) -> None:
    """Who gets an answer that goes, and is put anew meanwhile, brings back no older."""
    clock = Asked()
    answers = Answers(stale(60, max_entries=4), clock)  # type: ignore[arg-type]
    for key in "ABCD":
        answers.put(key, key)

    def meanwhile() -> None:
        for key in "EFGH":  # by which A is gone
            answers.put(key, key)

        clock.monotonic = lambda: at_s  # type: ignore[method-assign]
        answers.put("A", "newer")

    clock.meanwhile.append(meanwhile)
    answers.get("A", 60.0)
    assert answers.get("A", 60.0) == ("newer", at_s)


def test_what_was_forgotten_is_not_brought_back() -> None:
    """Who gets an answer while all are forgotten doesn't keep it."""
    clock = Asked()
    answers = Answers(stale(60, max_entries=4), clock)  # type: ignore[arg-type]
    for key in "ABCD":
        answers.put(key, key)

    clock.meanwhile.append(answers.clear)
    assert answers.get("A", 60.0) is not None
    assert len(answers) == 0


@pytest.mark.parametrize(
    "go",
    [
        lambda answers: answers.put("A", 1),
        lambda answers: [answers.put(key, 1) for key in "BCDEF"],
        lambda answers: answers.put("B", 1) and answers.limit(2),
        lambda answers: answers.clear(),
    ],
    ids=["replaced", "aged", "limited", "forgotten"],
)
def test_finalizers_of_answers_run_without_the_lock(
    go: Callable[[Answers], object],
) -> None:
    """What an answer does as it goes can wait for a thread that puts another."""
    answers = Answers(stale(60, max_entries=4), FakeClock())
    gone: list[object] = []

    class Last:
        def __del__(self) -> None:
            thread = threading.Thread(target=answers.clear, daemon=True)
            thread.start()
            thread.join(5)
            gone.append(not thread.is_alive())

    answers.put("A", Last())
    go(answers)
    assert gone == [True]


def test_an_operator_changes_how_many_are_kept() -> None:
    """Of more than that the last ones stay, and what is kept is not lost by more."""
    policy("rates", retry=OSError, fallback=stale("1h", max_entries=10))
    core = cores("fallback")[0]
    for number in range(8):
        core.answers.put(number, number)

    assert apply("rates", {"fallback_stale_max_entries": 4}) == ()
    assert len(core.answers) == 4
    assert core.answers.get(2, 60.0) is None
    assert core.answers.get(7, 60.0).value == 7
    apply("rates", {"fallback_stale_max_entries": 100})
    for number in range(20, 60):
        core.answers.put(number, number)

    assert core.answers.get(7, 60.0).value == 7
    assert len(core.answers) == 44


def test_keys_may_use_the_fallback_themselves() -> None:
    """No lock is held while the application's `__eq__` and `__hash__` run."""
    answers = Answers(stale(60, max_entries=4), FakeClock())

    class Key:
        def __init__(self, value: int) -> None:
            self.value = value

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            taken = threading.Event()

            def other_thread() -> None:
                answers.clear()
                taken.set()

            thread = threading.Thread(target=other_thread)
            thread.start()
            assert taken.wait(30)
            thread.join(30)
            return isinstance(other, Key) and other.value == self.value

    answers.put(Key(1), "one")
    answers.put(Key(2), "two")
    answers.get(Key(3), 60.0)


def test_what_goes_is_let_go() -> None:
    """Nothing but the bounded entries holds an answer."""

    class Answer:
        """Something that can be waited for to go."""

    prices: Callable[[int], object] = fallback(
        "prices", stale=stale(60, max_entries=2)
    )(lambda order: Answer())
    for order in range(100):
        prices(order)

    gc.collect()
    assert sum(type(thing) is Answer for thing in gc.get_objects()) <= 2


def test_a_forked_child_keeps_the_answers() -> None:
    """They are the process's memory; counts are the parent's to tell."""
    prices = Prices()
    price = fallback("prices", stale="5m")(prices)
    last = price(7)
    prices.shut = True
    fork._run_resets()
    assert price(7) is last
    assert counts() == {"success": 0, "stale": 1}
