"""The load shedder: who is admitted, what counts, what is told, forks and threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core import fork
from svcready._core.events import subscribe
from svcready.config._priorities_text import CLASSES
from svcready.resilience._events import SheddingBegan, SheddingEnded
from svcready.resilience._shed._gradient import GradientConfig
from svcready.resilience._shed._shedder import Shedder, SheddingConfig
from svcready.testing import FakeClock


@pytest.fixture
def heard() -> Iterator[list[object]]:
    """Every event of shedders, in order."""
    events: list[object] = []
    kinds = (SheddingBegan, SheddingEnded)
    ends = [subscribe(kind, events.append) for kind in kinds]
    yield events
    for end in ends:
        end()


def made(clock: FakeClock, mode: str = "enforce", limit: int = 20) -> Shedder:
    """Return a shedder that begins with *limit*."""
    config = SheddingConfig(mode, GradientConfig(initial_limit=limit))
    return Shedder("http", config, clock=clock)


def fill(shedder: Shedder, priority: str) -> list[int]:
    """Enter until refused, and return the admissions."""
    admissions = []
    while admission := shedder.enter(priority):
        admissions.append(admission)

    return admissions


@pytest.mark.parametrize(
    ("limit", "rooms"), [(20, (20, 18, 14)), (5, (5, 4, 3)), (200, (200, 180, 140))]
)
def test_classes_fill_their_share(
    clock: FakeClock, limit: int, rooms: tuple[int, ...]
) -> None:
    """Sheddable fills 70 % of the limit, default 90 %, critical all of it."""
    for priority, room in zip(CLASSES, rooms, strict=True):
        assert len(fill(made(clock, limit=limit), priority)) == room

    shedder = made(clock, limit=limit)
    filled = [len(fill(shedder, priority)) for priority in reversed(CLASSES)]
    assert filled == [rooms[2], rooms[1] - rooms[2], rooms[0] - rooms[1]]


def test_the_least_limit_leaves_room_for_every_class(clock: FakeClock) -> None:
    """With a limit of one, each class gets in while nobody is."""
    config = SheddingConfig(gradient=GradientConfig(1, 1, 1))
    shedder = Shedder("http", config, clock=clock)
    for priority in CLASSES:
        admission = shedder.enter(priority)
        assert admission
        shedder.leave(admission, None)


def test_whoever_leaves_makes_room(clock: FakeClock) -> None:
    """A place is free again at once, with or without a latency."""
    shedder = made(clock)
    admissions = fill(shedder, "critical")
    shedder.leave(admissions[0], None)
    shedder.leave(admissions[1], 0.1)
    assert len(fill(shedder, "critical")) == 2


def test_observing_refuses_nobody(clock: FakeClock, heard: list[object]) -> None:
    """In observe mode all get in, and what would be refused is counted and told."""
    shedder = made(clock, "observe")
    assert all(shedder.enter("default") for _ in range(30))
    assert shedder.counts() == {("default", "success"): 18, ("default", "observed"): 12}
    assert heard == [SheddingBegan("http", "observe", 20, 18, "default", 18)]
    assert shedder.state().in_flight == 30


def test_what_has_no_latency_says_nothing(clock: FakeClock) -> None:
    """Streams and clients that left don't enter the window, however many there are."""
    shedder = made(clock)
    for _ in range(100):
        admission = shedder.enter("default")
        clock.advance(0.1)
        shedder.leave(admission, None)

    assert shedder.state().baseline_s is None


def test_a_window_needs_ten_samples(clock: FakeClock) -> None:
    """Nine in a second move nothing; the window goes on until there are ten."""
    shedder = made(clock)
    for expected in [None] * 9 + [0.5]:
        admission = shedder.enter("default")
        clock.advance(0.5)
        shedder.leave(admission, 0.5)
        assert shedder.state().baseline_s == expected


@given(st.floats(0.0, 1.0, exclude_max=True))
def test_refusals_spread_the_return(draw: float) -> None:
    """The wait that a refusal names is 1, 2 or 3 s, each for a third of the draws."""
    shedder = Shedder("http", SheddingConfig(), rng=lambda: draw)
    assert shedder.retry_after_s() == 1 + int(draw * 3)


def test_only_the_beginning_and_the_end_are_told(
    clock: FakeClock, heard: list[object]
) -> None:
    """A thousand refusals in 25 s: two events, the second 10 s after the last."""
    shedder = made(clock)
    held = [shedder.enter("critical") for _ in range(20)]
    for number in range(1_000):
        clock.advance(0.025)
        assert not shedder.enter(CLASSES[number % 3])

    for admission in held:
        shedder.leave(admission, None)

    clock.advance(9.9)
    assert shedder.state().shedding
    clock.advance(0.2)
    assert not shedder.state().shedding
    began, ended = heard
    assert began == SheddingBegan("http", "enforce", 20, 20, "critical", 20)
    assert isinstance(ended, SheddingEnded)
    assert ended.rejected == 1_000
    assert ended.lasted_s == pytest.approx(24.975)


def test_requests_alone_notice_the_end(clock: FakeClock, heard: list[object]) -> None:
    """Where nobody reads the gauges, the next request that ends tells of the end."""
    shedder = made(clock)
    admissions = fill(shedder, "critical")
    clock.advance(11.0)
    shedder.leave(admissions[0], 0.1)
    assert [type(event) for event in heard] == [SheddingBegan, SheddingEnded]


def test_other_numbers_keep_what_was_learnt(clock: FakeClock) -> None:
    """A new configuration leaves counts, places and the baseline as they are."""
    shedder = made(clock)
    for _ in range(20):
        admission = shedder.enter("default")
        clock.advance(0.1)
        shedder.leave(admission, 0.1)

    held = shedder.enter("critical")
    shedder.use(SheddingConfig("observe", GradientConfig(max_limit=8)), clock)
    state = shedder.state()
    assert (state.mode, state.limit, state.in_flight) == ("observe", 8, 1)
    assert state.baseline_s == pytest.approx(0.1)
    shedder.leave(held, None)
    assert shedder.state().in_flight == 0


def test_another_clock(clock: FakeClock) -> None:
    """A clock that stands elsewhere is taken without a window of its difference."""
    shedder = made(clock)
    other = FakeClock(start_s=5.0)
    shedder.use(SheddingConfig(), other)
    for _ in range(20):
        admission = shedder.enter("default")
        other.advance(0.1)
        shedder.leave(admission, 0.1)

    assert shedder.state().baseline_s == pytest.approx(0.1)


def test_a_forked_child_starts_empty(clock: FakeClock) -> None:
    """With the lock held at the fork, the child is free, empty and knows the limit."""
    fork.install()
    shedder = made(clock, limit=30)
    held = shedder.enter("critical")
    with shedder._lock:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                shedder.leave(held, 0.1)  # a request that the child goes on with
                state = shedder.state()
                refused = len(fill(shedder, "critical"))
                code = not (state.in_flight == 0 and refused == 30)
            finally:
                os._exit(code)

    assert os.waitpid(pid, 0)[1] == 0
    assert shedder.state().in_flight == 1


def test_threads_lose_nothing(clock: FakeClock) -> None:
    """Eight threads in and out: never over the limit, empty at the end, all counted."""
    shedder = made(clock, limit=5)
    most: list[int] = []
    inside = [0]
    lock = threading.Lock()

    def work(seed: int) -> None:
        for number in range(2_000):
            admission = shedder.enter(CLASSES[(number + seed) % 3])
            if not admission:
                continue

            with lock:
                inside[0] += 1
                most.append(inside[0])

            with lock:
                inside[0] -= 1

            shedder.leave(admission, None)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert max(most) <= 5
    assert shedder.state().in_flight == 0
    assert sum(shedder.counts().values()) == 16_000


@given(st.lists(st.tuples(st.sampled_from((*CLASSES, "leave")), st.floats(0.0, 20.0))))
def test_the_count_is_never_wrong(steps: list[tuple[str, float]]) -> None:
    """Whatever comes and goes, in flight is who came in less who left."""
    clock = FakeClock()
    shedder = made(clock, limit=5)
    inside: list[int] = []
    for what, seconds in steps:
        clock.advance(seconds)
        if what != "leave":
            admission = shedder.enter(what)
            inside += [admission] if admission else []
        elif inside:
            shedder.leave(inside.pop(), seconds)

        assert shedder.state().in_flight == len(inside) <= 200


def test_a_failing_listener_hurts_nobody(clock: FakeClock) -> None:
    """Who is refused is told so, although what hears of it raises or asks back."""
    shedder = made(clock)
    states = []
    end = subscribe(SheddingBegan, lambda _: states.append(shedder.state()))
    try:
        fill(shedder, "default")
    finally:
        end()

    assert states[0].in_flight == 18
