"""Floods: what repeats too often is summarised, and every line is accounted for."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core import context, events
from svcready._core.fork import _run_resets
from svcready.config._sections.log import LogSettings
from svcready.logging import _flood, get_logger
from svcready.logging._flood import FloodGate
from svcready.testing import FakeClock
from tests.logging.support import Line, Log, make_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready._core.events import ItemsDropped

FIRST_SECOND_NS = 1_800_000_000_000_000_000


def started(clock: FakeClock | None = None, **settings: object) -> Log:
    """Return a running log whose floods begin at 5 lines."""
    chosen = {"flood_per_s": 5, "flood_errors_per_s": 7, **settings}
    log = make_log(LogSettings(**chosen), clock=clock)  # type: ignore[arg-type]
    log.pillar.start()
    log.written.clear()
    return log


@pytest.fixture
def clock() -> FakeClock:
    """Time that a test moves."""
    return FakeClock()


@pytest.fixture
def log(clock: FakeClock) -> Iterator[Log]:
    """Return a running log whose floods begin at 5 lines, of errors at 7."""
    made = started(clock)
    yield made
    made.pillar.close()


@pytest.fixture
def dropped() -> Iterator[list[ItemsDropped]]:
    """Collect what is published as dropped."""
    seen: list[ItemsDropped] = []
    end = events.subscribe(events.ItemsDropped, seen.append)
    yield seen
    end()


def accounted(lines: list[Line]) -> Counter[str]:
    """Count each message's lines, those that a summary tells of included."""
    counted: Counter[str] = Counter()
    for line in lines:
        counted[line["message"]] += line.get("suppressed", 1)

    return counted


def of_svcready(message: str) -> None:
    """Log from one place, with our logger."""
    get_logger("shop").info(message)


def of_stdlib(message: str) -> None:
    """Log from one place, with stdlib's."""
    logging.getLogger("shop").info(message)


def test_a_flood_is_summarised_when_its_second_is_over(
    log: Log, clock: FakeClock, dropped: list[ItemsDropped]
) -> None:
    """The limit is written, the rest is one line like them, and counted."""
    for _ in range(12):
        of_svcready("again")

    assert [line["message"] for line in log.lines] == ["again"] * 5

    clock.advance(1.0)
    of_svcready("again")
    *_, before, summary, after = log.lines

    assert summary["suppressed"] == 7
    assert summary["level"] == "INFO"
    assert summary["source"] == before["source"] == after["source"]
    assert "context" not in summary
    assert "suppressed" not in after
    assert dropped == [("logging", "flood", 7)]


def test_stdlibs_loggers_are_held_back_too(log: Log) -> None:
    """The summary has the place that a record has."""
    for _ in range(8):
        of_stdlib("again")

    log.pillar.flush(0.0)
    *_, before, summary = log.lines

    assert len(log.lines) == 6
    assert summary["suppressed"] == 3
    assert summary["source"] == before["source"]


def test_the_background_says_it_if_nobody_comes_again(
    log: Log, clock: FakeClock
) -> None:
    """The summary comes within a second or two, not with the next such line."""
    for _ in range(6):
        of_svcready("again")

    log.pillar.sweep()
    assert len(log.lines) == 5

    clock.advance(1.0)
    log.pillar.sweep()
    log.pillar.sweep()

    assert [line.get("suppressed") for line in log.lines] == [None] * 5 + [1]


def test_the_end_says_it(log: Log) -> None:
    """What is held back when the service stops is told before the last line is out."""
    for _ in range(6):
        of_svcready("again")

    log.pillar.drain(0.0)

    assert log.last["suppressed"] == 1


def test_arguments_make_no_other_message(log: Log) -> None:
    """The message counts before its arguments are put in; the summary has none."""
    for number in range(8):
        get_logger("shop").info("order %d", number, order_id=number)

    log.pillar.flush(0.0)

    assert [line["message"] for line in log.lines] == [
        *(f"order {number}" for number in range(5)),
        "order %d",
    ]
    assert log.last["suppressed"] == 3


def test_a_function_that_says_many_things_is_not_silenced(log: Log) -> None:
    """Only what repeats is held back, though all comes from one place."""
    for number in range(50):
        of_svcready(f"message {number}")

    for _ in range(20):
        of_svcready("again")

    log.pillar.flush(0.0)

    counted = accounted(log.lines)
    assert [counted[f"message {number}"] for number in range(50)] == [1] * 50
    assert counted["again"] == 20
    assert log.last["suppressed"] == 15


def test_two_places_don_t_count_together(log: Log) -> None:
    """The same words from elsewhere are another matter."""
    for _ in range(5):
        get_logger("shop").info("again")
        get_logger("shop").info("again")
        logging.getLogger("shop").info("again")

    assert len(log.lines) == 15


def test_errors_have_a_bound_of_their_own(log: Log) -> None:
    """At the same place too, and never fewer than the setting allows."""
    for _ in range(10):
        get_logger("shop").log("ERROR", "again")

    log.pillar.flush(0.0)

    assert [line.get("suppressed") for line in log.lines] == [None] * 7 + [3]
    assert log.last["level"] == "ERROR"


def test_access_lines_are_never_held_back(log: Log) -> None:
    """Each request has its line."""
    access = log.pillar.access_log()
    for _ in range(20):
        access.write("GET", "/orders", 200, 0.01, None, 2, None)

    assert len(log.lines) == 20


@pytest.mark.parametrize(
    ("infos", "errors"), [(0, 7), (5, 0), (0, 0)], ids=["info", "errors", "both"]
)
def test_zero_is_no_limit(infos: int, errors: int) -> None:
    """Each of the two can be switched off by itself."""
    log = started(flood_per_s=infos, flood_errors_per_s=errors)
    for level in ("INFO", "ERROR"):
        for _ in range(20):
            get_logger("shop").log(level, "again")

    log.pillar.flush(0.0)
    log.pillar.close()

    summaries = [line for line in log.lines if "suppressed" in line]
    assert [line["suppressed"] for line in summaries] == [
        20 - limit for limit in (infos, errors) if limit
    ]
    assert accounted(log.lines) == {"again": 40}


def test_a_clock_set_back_does_not_prolong_a_second(log: Log, clock: FakeClock) -> None:
    """A flood's second ends, whatever the wall clock does."""
    for _ in range(6):
        of_svcready("again")

    clock.set_wall(clock.time_ns() - 3600 * 10**9)
    of_svcready("again")

    assert [line.get("suppressed") for line in log.lines] == [*[None] * 5, 1, None]


def test_a_thread_that_comes_late_does_not_end_a_second(
    log: Log, clock: FakeClock
) -> None:
    """Its time is from before the others' lines, as it was held up on its way."""
    for _ in range(6):
        of_svcready("again")

    clock.set_wall(clock.time_ns() - 5_000_000)
    of_svcready("again")
    log.pillar.flush(0.0)

    assert [line.get("suppressed") for line in log.lines] == [*[None] * 5, 2]


def test_a_thread_that_comes_late_does_not_stop_the_count() -> None:
    """With a large limit, too, where the process is counted as a whole at first."""
    clock = FakeClock()
    log = started(clock, flood_per_s=100, flood_errors_per_s=100)
    for step in range(1000):
        clock.set_wall(FIRST_SECOND_NS + (step + 1) % 2 * 5_000_000)
        of_svcready("again")

    log.pillar.close()

    assert sum("suppressed" not in line for line in log.lines) <= 200


def test_what_logs_amid_the_count_does_not_wait_for_itself(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage collection or a signal may run code that logs anywhere, here too."""

    class Held(_flood._Held):
        """Is made while the gate counts, and logs as a destructor might."""

        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            monkeypatch.undo()
            of_svcready("again")

    monkeypatch.setattr(_flood, "_Held", Held)

    def flood() -> None:
        for _ in range(10):
            of_svcready("again")

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    thread.join(10.0)

    assert not thread.is_alive()
    log.pillar.flush(0.0)
    assert accounted(log.lines) == {"again": 11}


def test_a_summary_is_in_no_requests_context(log: Log, clock: FakeClock) -> None:
    """It tells of many requests' lines, so it has none of their ids or fields."""
    for _ in range(6):
        of_svcready("again")

    clock.advance(1.0)
    with context.bound(order_id=7):
        of_svcready("again")

    summary, after = log.lines[-2:]
    assert "context" not in summary
    assert after["context"] == {"order_id": 7}


def test_messages_that_are_no_text(log: Log) -> None:
    """Dicts go by the text in them, other things by their type: twice the limit."""
    for number in range(12):
        logging.getLogger("shop").info({"event": "again", "n": number})

    for number in range(12):
        logging.getLogger("shop").info(ValueError(number))

    log.pillar.flush(0.0)

    summaries = [line for line in log.lines if "suppressed" in line]
    assert [(it["message"], it["suppressed"]) for it in summaries] == [
        ("again", 2),
        ("ValueError", 2),
    ]


def test_for_people_the_count_is_a_field() -> None:
    """The console's line shows it like any other."""
    log = started(format="console")
    for _ in range(8):
        of_svcready("again")

    log.pillar.flush(0.0)
    log.pillar.close()

    assert "suppressed=3" in log.text.splitlines()[-1]


def test_a_forked_child_leaves_the_summary_to_its_parent(log: Log) -> None:
    """What was held back before a fork is said once."""
    for _ in range(8):
        of_svcready("again")

    _run_resets()  # as in a child
    log.pillar.flush(0.0)

    assert not any("suppressed" in line for line in log.lines)


def test_places_are_bounded_and_nothing_is_lost(log: Log) -> None:
    """More places than are remembered: those forgotten say what they held back."""
    logger = get_logger("shop")
    for number in range(6000):
        code = compile("for _ in range(6): logger.info('again')", f"m{number}", "exec")
        exec(code, {"logger": logger})

    log.pillar.flush(0.0)

    assert accounted(log.lines) == {"again": 36_000}


def test_threads_lose_no_line(log: Log) -> None:
    """Written and suppressed make what was logged, whoever logs at the same time."""

    def flood() -> None:
        for _ in range(5000):
            of_svcready("again")

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    log.pillar.flush(0.0)

    assert accounted(log.lines) == {"again": 40_000}


class _Handler:
    """Stands in for the handler: notes the summaries."""

    def __init__(self) -> None:
        self.clock = FakeClock(wall_ns=FIRST_SECOND_NS)
        self.time_ns = self.clock.time_ns
        self.lines = self
        self.suppressed: Counter[str] = Counter()

    def text_of(self, message: str, args: tuple[object, ...]) -> str:
        """Return the message."""
        return message

    def line(self, *parts: object) -> bytes:
        """Return a line."""
        *_, marks = parts
        return json.dumps([parts[3], marks]).encode()

    def write(self, line: bytes, level: int) -> None:
        """Take a summary apart."""
        message, marks = json.loads(line)
        self.suppressed[message] += marks["suppressed"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([20, 40]),
        st.sampled_from([0.0, 0.1, 1.0, -5.0]),
        st.integers(1, 9),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_line_is_written_or_counted(
    steps: list[tuple[str, int, float, int]],
) -> None:
    """Whatever comes in which second, and a message that is rare always passes."""
    handler = _Handler()
    gate = FloodGate(handler, per_s=3, errors_per_s=5)  # type: ignore[arg-type]
    logged: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for message, level, seconds, times in steps:
        handler.clock.set_wall(handler.time_ns() + int(seconds * 1e9))
        for _ in range(times):
            site = ("shop", "f", 1)
            logged[message] += 1
            written[message] += gate.passes(
                site, "shop", level, message, handler.time_ns()
            )

    gate.flush()

    assert written + handler.suppressed == logged
    for message, times in logged.items():
        if times <= 3:
            assert written[message] == times


def test_a_process_that_says_little_is_not_counted_by_place() -> None:
    """Of a limit of 1000 the first quarter costs nothing; twice the limit may pass."""
    clock = FakeClock()
    log = started(clock, flood_per_s=1000, flood_errors_per_s=1000)
    places = log.pillar._flood._places
    for _ in range(40):
        of_svcready("calm")
        clock.advance(0.01)

    assert not places

    for _ in range(5000):
        of_svcready("again")

    assert places
    clock.advance(2.0)
    for _ in range(300):
        clock.advance(0.01)
        of_svcready("calm")

    assert not places
    log.pillar.close()
    counted = accounted(log.lines)
    written = sum("suppressed" not in line for line in log.lines)

    assert counted == {"calm": 340, "again": 5000}
    assert 1000 <= written - 340 <= 2000


def test_a_finaliser_that_logs_within_does_not_deadlock(log: Log) -> None:
    """Nor a signal handler: both run between any two steps of who holds the lock."""
    logger, gate = get_logger("flood"), log.pillar._flood
    done = threading.Event()

    def interrupted() -> None:
        with gate._lock:
            for _ in range(20):
                logger.info("again")

        done.set()

    threading.Thread(target=interrupted, daemon=True).start()

    assert done.wait(20)
    assert len(log.written) < 20


def test_a_lock_that_is_not_to_be_had_lets_lines_pass(log: Log) -> None:
    """Its holder may wait for what this thread holds; no line is lost for that."""
    logger, gate = get_logger("flood"), log.pillar._flood
    for _ in range(10):
        logger.info("again")

    passed = len(log.written)
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with gate._lock:
            held.set()
            over.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    logger.info("again")
    over.set()
    holder.join()

    assert len(log.written) == passed + 1
