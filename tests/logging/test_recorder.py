from __future__ import annotations

import asyncio
import logging
import sys
import threading
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING

import pytest

import svcready.logging
from svcready._core.context import ContextRecord, activate, bind, bound, deactivate
from svcready.config._sections.log import LogSettings
from svcready.logging import get_logger
from svcready.testing import FakeClock
from tests.logging.support import SPAN, TRACE, Line, Listener, Log, make_log, run_script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.logging._recorder import Flights
    from tests.conftest import Faults

own = get_logger("tests.recorder")
plain = logging.getLogger("tests.recorder.plain")
library = logging.getLogger("somebodys.library")


class Recorder:
    """A pillar with a flight recorder, and requests in flight."""

    def __init__(self, log: Log, flights: Flights, clock: FakeClock) -> None:
        self.log = log
        self.flights = flights
        self.clock = clock

    @property
    def lines(self) -> list[Line]:
        """What was written."""
        return self.log.lines

    @property
    def recorded(self) -> list[str]:
        """The messages of the recorded lines."""
        return [line["message"] for line in self.lines if line.get("recorded")]

    def begin(self, span: str = SPAN) -> None:
        """Begin a request in this context."""
        self.flights.begin(span)
        activate(ContextRecord("req-1", "cor-1", TRACE, span))

    def end(
        self,
        status: int = 200,
        duration_s: float = 0.1,
        span: str | None = SPAN,
        *,
        sampled: bool = False,
    ) -> None:
        """End it, as the lifecycle does."""
        assert span is not None
        self.flights.end(span, status, duration_s, sampled=sampled)
        self.flights.close(span)


def make_recorder(
    lines: int = 200,
    size: int = 256 * 1024,
    on: tuple[str, ...] = ("failed", "slow"),
    **more: object,
) -> Recorder:
    """Start a pillar with a flight recorder."""
    settings = LogSettings(
        flight_recorder=lines,
        flight_recorder_bytes=size,
        flight_recorder_on=on,
        **more,  # type: ignore[arg-type]
    )
    clock = FakeClock()
    log = make_log(settings, clock=clock)
    log.pillar.start()
    log.written.clear()
    flights = log.pillar.handler.flights
    assert flights is not None
    return Recorder(log, flights, clock)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Return a running recorder with the default settings."""
    made = make_recorder()
    yield made
    made.log.pillar.close()


def test_a_failed_request_has_its_lines(recorder: Recorder) -> None:
    """Both kinds of loggers' lines come out in order, as they would at DEBUG."""
    recorder.begin()
    recorder.clock.advance(1)
    own.debug("looked for %s", "bolts", shelf=7, event="stock.looked")
    recorder.clock.advance(1)
    plain.debug("found %d", 3, extra={"shelf": 8})
    assert recorder.lines == []
    recorder.clock.advance(1)
    recorder.end(500)

    first, second = recorder.lines
    assert first["message"] == "looked for bolts"
    assert first["level"] == second["level"] == "DEBUG"
    assert first["event"] == "stock.looked"
    assert first["context"] == {"shelf": 7}
    assert first["source"]["logger"] == "tests.recorder"
    assert first["source"]["function"] == "test_a_failed_request_has_its_lines"
    assert second["message"] == "found 3"
    assert second["context"] == {"shelf": 8}
    assert second["source"]["line"] == first["source"]["line"] + 2
    assert second["source"]["function"] == "test_a_failed_request_has_its_lines"
    assert first["recorded"] is second["recorded"] is True
    assert (first["request_id"], first["span_id"]) == ("req-1", SPAN)
    assert first["timestamp"] < second["timestamp"]


def test_times_are_those_of_the_calls(recorder: Recorder) -> None:
    """Not one line moves to another millisecond by being kept."""
    recorder.begin()
    wanted = []
    for _ in range(50):
        recorder.clock.advance(0.001)
        wanted.append(f"{recorder.clock.time_ns() // 1_000_000 % 1000:03d}Z")
        own.debug("tick")

    recorder.end(500)

    assert [line["timestamp"][-4:] for line in recorder.lines] == wanted


def test_a_good_request_has_none(recorder: Recorder) -> None:
    """Nothing is written of it, and nothing of it is kept."""
    recorder.begin()
    own.debug("looked")
    plain.debug("looked")
    recorder.end(404)

    assert recorder.lines == []
    assert recorder.flights.open == {}
    assert recorder.flights.size == 0


@pytest.mark.parametrize(
    ("on", "status", "duration_s", "sampled", "written"),
    [
        (("failed",), 503, 0.1, False, True),
        (("failed",), 499, 0.1, True, False),
        (("failed",), 200, 9.0, True, False),
        (("slow",), 503, 0.99, True, False),
        (("slow",), 200, 1.0, False, True),
        (("slow",), 101, 3600.0, False, False),
        (("sampled",), 200, 0.1, True, True),
        (("sampled",), 500, 9.0, False, False),
        ((), 500, 9.0, True, False),
    ],
)
def test_what_counts_is_chosen(
    on: tuple[str, ...], status: int, duration_s: float, sampled: bool, written: bool
) -> None:
    """
    Failed is 5xx and not a client that left, slow is from the bound on and never an
    open websocket, sampled is a kept trace.
    """
    recorder = make_recorder(on=on)
    recorder.begin()
    own.debug("looked")
    recorder.end(status, duration_s, sampled=sampled)
    recorder.log.pillar.close()

    assert recorder.recorded == (["looked"] if written else [])


def test_an_exception_has_them_before_its_line(recorder: Recorder) -> None:
    """What led to an error stands before it, and is not said again at the end."""
    recorder.begin()
    own.debug("before")
    recorder.log.pillar.log_exception(ValueError("boom"))
    recorder.end(500)

    messages = [line["message"] for line in recorder.lines]
    assert messages == ["before", "unhandled exception: ValueError"]


def test_whose_lines_are_kept(recorder: Recorder) -> None:
    """The application's own from DEBUG, others' from INFO, svcready's never."""
    library.setLevel(logging.ERROR)
    try:
        recorder.begin()
        for logger in (plain, library, logging.getLogger("svcready.inner")):
            logger.debug("debug of %s", logger.name)

        library.info("info")
        library.warning("warning")
        recorder.end(500)
    finally:
        library.setLevel(logging.NOTSET)

    assert recorder.recorded == ["debug of tests.recorder.plain", "info", "warning"]


def test_every_way_of_logging_is_kept(recorder: Recorder) -> None:
    """`log`, adapters, bound loggers and all that stdlib's arguments mean."""
    recorder.begin()
    bound_to = own.bind(shop="north")
    bound_to.log("DEBUG", "%s log", "our", a=1)
    plain.log(10, "stdlib's log")
    logging.LoggerAdapter(plain, {"shop": "south"}).debug("adapter")
    own.info("unseen") if own.isEnabledFor("DEBUG") else None
    with suppress(ZeroDivisionError):
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            own.debug("ours failed", exc_info=True, extra={"b": 2})
            plain.debug("stdlib's failed", exc_info=True)
            raise

    _helper()
    recorder.end(500)

    lines = {line["message"]: line for line in recorder.lines}
    assert lines["our log"]["context"] == {"shop": "north", "a": 1}
    assert lines["our log"]["source"]["function"] == _here()
    assert lines["stdlib's log"]["source"]["function"] == _here()
    assert lines["adapter"]["context"] == {"shop": "south"}
    assert lines["adapter"]["source"]["function"] == _here()
    assert lines["ours failed"]["error"]["type"] == "ZeroDivisionError"
    assert lines["ours failed"]["context"] == {"b": 2}
    assert lines["stdlib's failed"]["error"]["message"] == "division by zero"
    for message in ("ours, for its caller", "stdlib's, for its caller"):
        assert lines[message]["source"]["function"] == _here()


def _here() -> str:
    return "test_every_way_of_logging_is_kept"


def _helper() -> None:
    own.debug("ours, for its caller", stacklevel=2)
    plain.debug("stdlib's, for its caller", stacklevel=2)


def test_who_asks_is_told_what_is_kept(recorder: Recorder) -> None:
    """
    An application that asks whether DEBUG is on is told yes in a request only, where
    the line is kept, and no for what is not.
    """
    asked = [plain.isEnabledFor(10), own.isEnabledFor("DEBUG")]
    recorder.begin()
    asked += [plain.isEnabledFor(10), own.isEnabledFor("DEBUG")]
    asked += [library.isEnabledFor(10), plain.isEnabledFor(5), plain.isEnabledFor(15)]
    plain.disabled = True
    asked.append(plain.isEnabledFor(10))
    plain.disabled = False

    assert asked == [False, False, True, True, False, False, False, False]


def test_who_writes_by_its_own_means_is_told_the_truth(recorder: Recorder) -> None:
    """A logger whose methods ask, then call `_log`, writes nothing below the level."""

    class Careful(logging.Logger):
        """Repeats stdlib's method, as classes for `setLoggerClass` do."""

        def debug(self, msg: object, *args: object, **_: object) -> None:
            if self.isEnabledFor(logging.DEBUG):
                self._log(logging.DEBUG, msg, args)

    listener = Listener()
    careful = Careful("tests.recorder.careful")
    careful.parent, careful.level = plain, logging.INFO
    logging.getLogger().addHandler(listener)
    try:
        recorder.begin()
        careful.debug("below the level")
        recorder.end(200)
    finally:
        logging.getLogger().removeHandler(listener)

    assert listener.records == []
    assert recorder.lines == []


def test_what_is_switched_off_stays_off(recorder: Recorder) -> None:
    """`logging.disable`, a disabled logger and one that leads elsewhere keep silent."""
    elsewhere = logging.getLogger("tests.recorder.elsewhere")
    elsewhere.propagate = False
    logging.disable(logging.DEBUG)
    try:
        recorder.begin()
        own.debug("disabled")
        plain.debug("disabled")
        plain.info("written")
        recorder.end(500)
    finally:
        logging.disable(logging.NOTSET)

    recorder.begin()
    elsewhere.debug("elsewhere")
    plain.debug("of a logger that is disabled by now")
    plain.disabled = True
    recorder.end(500)
    plain.disabled = False
    elsewhere.propagate = True

    assert [line["message"] for line in recorder.lines] == ["written"]


def test_filters_see_what_is_kept(recorder: Recorder) -> None:
    """A filter that would have dropped or scrubbed a line does so when it comes out."""

    def scrub(record: logging.LogRecord) -> bool:
        record.msg = str(record.msg).replace("4711", "****")
        return "drop" not in record.msg

    plain.addFilter(scrub)
    try:
        recorder.begin()
        plain.debug("card 4711")
        plain.debug("drop this")
        recorder.end(500)
    finally:
        plain.removeFilter(scrub)

    assert recorder.recorded == ["card ****"]


def test_others_handlers_see_nothing_of_it(recorder: Recorder) -> None:
    """A handler of somebody else's gets what it got before, and no DEBUG record."""
    listener = Listener()
    logging.getLogger().addHandler(listener)
    try:
        recorder.begin()
        own.debug("kept")
        plain.debug("kept")
        own.info("written")
        recorder.end(500)
    finally:
        logging.getLogger().removeHandler(listener)

    assert [record.getMessage() for record in listener.records] == ["written"]
    assert recorder.recorded == ["kept", "kept"]


def test_levels_set_in_code_don_t_hide_lines_from_it() -> None:
    """DEBUG that code asks for and production refuses is suppressed, so it is kept."""
    recorder = make_recorder()
    plain.setLevel(logging.DEBUG)
    logging.getLogger("tests.recorder").setLevel(logging.DEBUG)
    try:
        recorder.begin()
        plain.debug("stdlib's")
        own.debug("ours")
        recorder.end(500)
    finally:
        plain.setLevel(logging.NOTSET)
        logging.getLogger("tests.recorder").setLevel(logging.NOTSET)
        recorder.log.pillar.close()

    assert recorder.recorded == ["stdlib's", "ours"]


def test_values_show_their_later_state_and_are_never_asked(recorder: Recorder) -> None:
    """Nothing is formatted before the end, and then with secrets masked."""

    class Loud:
        asked = 0

        def __str__(self) -> str:
            Loud.asked += 1
            return "loud"

        __repr__ = __str__

        def __len__(self) -> int:
            raise AssertionError

    items = ["a"]
    recorder.begin()
    own.debug("%s", Loud(), items=items, password="hunter2", loud=Loud())
    plain.debug("%s %s", Loud(), items)
    items.append("b")
    assert Loud.asked == 0
    recorder.end(500)

    first, second = recorder.lines
    assert Loud.asked > 0
    assert first["context"]["items"] == ["a", "b"]
    assert "hunter2" not in str(first)
    assert second["message"] == "loud ['a', 'b']"


def test_a_value_that_fails_costs_no_other_line(recorder: Recorder) -> None:
    """A message whose arguments don't fit is written as far as it goes."""
    recorder.begin()
    own.debug("%d", "no number")
    own.debug("next")
    recorder.end(500)

    assert len(recorder.recorded) == 2
    assert recorder.recorded[1] == "next"


def test_bound_fields_are_those_of_then(recorder: Recorder) -> None:
    """What was bound when a line was logged is on it, and nothing bound later."""
    recorder.begin()
    with bound(step=1):
        own.debug("first")

    own.debug("second")
    bind(step=3)
    recorder.end(500)

    first, second = recorder.lines
    assert first["context"] == {"step": 1}
    assert "context" not in second


def test_the_last_lines_are_kept(recorder: Recorder) -> None:
    """More than the bound push the oldest out, and their number is said."""
    recorder.begin()
    for number in range(250):
        own.debug("line %d", number)

    recorder.end(500)

    said, *rest = recorder.lines
    assert said["event"] == "svcready.logging.recorder"
    assert said["context"] == {"pushed_out": 50}
    assert said["recorded"] is True
    assert [line["message"] for line in rest] == [f"line {n}" for n in range(50, 250)]


@pytest.mark.parametrize("logger", [own, plain])
def test_a_requests_bytes_are_bounded(logger: logging.Logger) -> None:
    """Long texts push out more lines, and one that is too long itself."""
    recorder = make_recorder(size=10_000)
    recorder.begin()
    for _ in range(20):
        logger.debug("%s", "x" * 3000)
        assert recorder.flights.size <= 10_000

    logger.debug("%s", "y" * 20_000)
    assert recorder.flights.size <= 10_000
    logger.debug("small")
    recorder.end(500)
    recorder.log.pillar.close()

    assert recorder.recorded == ["earlier lines were not kept", "small"]
    assert recorder.lines[0]["context"] == {"pushed_out": 21}


def test_all_requests_together_are_bounded() -> None:
    """
    Ten thousand requests in flight take no more than 64 full ones; the oldest make
    room, and say so if they fail.
    """
    recorder = make_recorder(size=64 * 1024)
    flights = recorder.flights
    most = 64 * 64 * 1024
    for number in range(10_000):
        recorder.begin(f"{number:016x}")
        for _ in range(3):
            own.debug("%s", "x" * 1000)

        assert flights.size <= most

    assert flights.size == sum(flight.size for flight in flights.open.values())
    assert f"{9_999:016x}" in flights.open
    assert len(flights.open[f"{9_999:016x}"]) == 3
    oldest = next(iter(flights.open))
    recorder.end(500, span=oldest)
    (line,) = recorder.lines
    assert line["context"] == {"pushed_out": 3}
    for span in tuple(flights.open):
        recorder.end(span=span)

    assert flights.open == {}
    assert flights.size == 0
    recorder.log.pillar.close()


def test_requests_without_lines_are_bounded_too() -> None:
    """Connections that stay open are forgotten, oldest first, and end as any other."""
    recorder = make_recorder(size=4096)
    flights = recorder.flights
    for number in range(10_000):
        flights.begin(f"{number:016x}")
        assert flights.size <= 64 * 4096

    assert 0 < len(flights.open) < 1000
    assert f"{9_999:016x}" in flights.open
    recorder.end(500, span=f"{0:016x}")
    flights.close(f"{0:016x}")
    assert recorder.lines == []
    recorder.log.pillar.close()


def test_late_lines_are_not_kept(recorder: Recorder) -> None:
    """What outlives its request keeps nothing alive, in whichever order it ends."""
    recorder.begin()
    own.debug("in time")
    recorder.flights.end(SPAN, 200, 0.1, sampled=False)
    own.debug("after the response")
    recorder.flights.close(SPAN)
    own.debug("too late")
    recorder.begin("b" * 16)
    recorder.flights.close("b" * 16)
    own.debug("a stream goes on")
    recorder.flights.end("b" * 16, 500, 0.1, sampled=False)
    own.debug("too late")

    assert recorder.recorded == ["a stream goes on"]
    assert recorder.flights.open == {}
    assert recorder.flights.size == 0


def test_concurrent_requests_are_kept_apart(recorder: Recorder) -> None:
    """Each has the lines of its tasks and threads, and of no other request."""

    async def handle(number: int) -> None:
        span = f"{number:016x}"
        recorder.begin(span)
        own.debug("%d before", number)
        await asyncio.sleep(0)
        await asyncio.gather(
            asyncio.to_thread(plain.debug, "%d thread", number),
            asyncio.create_task(_look(number)),
        )
        await asyncio.get_running_loop().run_in_executor(
            None, copy_context().run, own.debug, "%d executor", number
        )
        recorder.end(500 if number % 2 else 200, span=span)

    async def main() -> None:
        await asyncio.gather(*(handle(number) for number in range(20)))

    asyncio.run(main())

    wanted = {
        f"{number} {word}"
        for number in range(1, 20, 2)
        for word in ("before", "thread", "task", "executor")
    }
    assert set(recorder.recorded) == wanted
    assert len(recorder.recorded) == len(wanted)
    for line in recorder.lines:
        assert int(line["span_id"], 16) == int(line["message"].split()[0])


async def _look(number: int) -> None:
    own.debug("%d task", number)


def test_threads_of_one_request_lose_no_line() -> None:
    """Eight threads that log at once: all lines are there, and the sizes add up."""
    recorder = make_recorder(lines=10_000, size=64 * 1024**2, flood_per_s=0)
    recorder.begin()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [
            threading.Thread(target=copy_context().run, args=(_many, number))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()

        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    recorder.end(500)
    recorder.log.pillar.close()

    for number in range(8):
        mine = [text for text in recorder.recorded if text.startswith(f"{number}:")]
        assert mine == [f"{number}:{count}" for count in range(500)]

    assert recorder.flights.size == 0


def _many(number: int) -> None:
    for count in range(500):
        own.debug("%d:%d", number, count)


def test_the_spans_of_then_are_on_the_lines() -> None:
    """A line logged inside an inner span names that span when it comes out."""
    from contextvars import ContextVar

    span: ContextVar[tuple[str, str] | None] = ContextVar("span", default=None)
    log = make_log(LogSettings(flight_recorder=5), span_ids=span.get)
    log.pillar.start()
    log.written.clear()
    flights = log.pillar.handler.flights
    assert flights is not None
    flights.begin(SPAN)
    activate(ContextRecord("req-1", "cor-1", TRACE, SPAN))
    token = span.set((TRACE, "c" * 16))
    own.debug("inside")
    span.reset(token)
    own.debug("outside")
    flights.end(SPAN, 500, 0.1, sampled=False)
    log.pillar.close()

    assert [line["span_id"] for line in log.lines] == ["c" * 16, SPAN]


def test_outside_requests_nothing_is_kept(recorder: Recorder) -> None:
    """Neither without a context nor with fields bound outside a request."""
    own.debug("nowhere")
    bind(job="nightly")
    own.debug("nowhere")
    plain.debug("nowhere")

    assert recorder.flights.open == {}
    assert recorder.lines == []


def test_a_flood_of_failures_is_held_back() -> None:
    """Recorded lines pass the flood gate, as any others do."""
    recorder = make_recorder(flood_per_s=10)
    for number in range(30):
        recorder.begin(f"{number:016x}")
        own.debug("the same")
        recorder.end(500, span=f"{number:016x}")

    recorder.log.pillar.close()

    assert recorder.recorded.count("the same") == 10


def test_without_it_nothing_is_touched(log: Log) -> None:
    """Off, which is the default, loggers and their methods are as they were."""
    assert log.pillar.handler.flights is None
    assert logging.Logger.isEnabledFor.__module__ == "logging"
    assert svcready.logging.Logger.debug.__code__.co_filename.endswith("_logger.py")


def test_it_leaves_the_process_as_it_found_it() -> None:
    """After it is closed, stdlib and our loggers have their own methods again."""
    before = logging.Logger.isEnabledFor, svcready.logging.Logger.debug
    recorder = make_recorder()
    recorder.log.pillar.start()
    own.debug("outside any request")
    assert logging.Logger.isEnabledFor is not before[0]
    recorder.log.pillar.close()
    recorder.log.pillar.close()

    assert (logging.Logger.isEnabledFor, svcready.logging.Logger.debug) == before


def test_who_came_after_it_is_left_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's patch over ours stays, and passes through what is left."""
    before = logging.Logger.isEnabledFor
    # Set before ours, so that what is put back at the end is not ours.
    monkeypatch.setattr(logging.Logger, "isEnabledFor", before)
    recorder = make_recorder()
    ours = logging.Logger.isEnabledFor

    def theirs(self: logging.Logger, level: int) -> bool:
        return ours(self, level)

    monkeypatch.setattr(logging.Logger, "isEnabledFor", theirs)
    recorder.begin()
    recorder.log.pillar.close()
    assert logging.Logger.isEnabledFor is theirs
    assert not plain.isEnabledFor(logging.INFO)


def test_a_fault_of_ours_is_not_the_applications(
    recorder: Recorder, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong in keeping or writing is reported, and the call returns."""

    def broken(*_: object) -> None:
        raise LookupError

    recorder.begin()
    own.debug("kept")
    monkeypatch.setattr(recorder.flights, "_write_entry", broken)
    recorder.end(500)
    assert isinstance(faults.claim("logging"), LookupError)
    recorder.begin()
    monkeypatch.setattr(recorder.flights, "keep", broken)
    plain.debug("kept")
    assert isinstance(faults.claim("logging"), LookupError)
    monkeypatch.setattr(recorder.flights, "size", None)
    own.debug("kept")
    assert isinstance(faults.claim("logging"), TypeError)


def test_jobs_are_recorded_too(recorder: Recorder) -> None:
    """A block that fails has its lines; one that ends well has none."""
    with svcready.logging.recorded():
        own.debug("well")

    with pytest.raises(LookupError):
        _fail_in_a_job()

    with svcready.logging.recorded():
        own.debug("slow")
        recorder.clock.advance(1)

    own.debug("outside")

    assert recorder.recorded == ["failing", "slow"]
    assert recorder.flights.open == {}


def _fail_in_a_job() -> None:
    with svcready.logging.recorded():
        own.debug("failing")
        raise LookupError


def test_a_job_inside_a_request_is_the_requests(recorder: Recorder) -> None:
    """Its lines are written when the request fails, once."""
    recorder.begin()
    with svcready.logging.recorded():
        own.debug("inner")

    assert recorder.lines == []
    recorder.end(500)

    assert recorder.recorded == ["inner"]


def test_jobs_that_outlive_their_request_are_kept_apart(recorder: Recorder) -> None:
    """They have its context, and each its own lines, whichever ends first."""
    recorder.begin()
    recorder.end(200)

    async def job(word: str, *, fails: bool) -> None:
        with svcready.logging.recorded():
            own.debug(f"{word} begins")
            await asyncio.sleep(0)
            own.debug(f"{word} goes on")
            if fails:
                raise LookupError(word)

    async def both() -> None:
        jobs = job("good", fails=False), job("bad", fails=True)
        await asyncio.gather(*jobs, return_exceptions=True)

    asyncio.run(both())

    assert recorder.recorded == ["bad begins", "bad goes on"]
    assert recorder.flights.size == 0


def test_jobs_run_without_a_recorder(log: Log) -> None:
    """The block is there to be used anywhere, before `init()` too."""
    with svcready.logging.recorded():
        own.debug("nothing")

    log.pillar.close()
    with svcready.logging.recorded():
        own.debug("nothing")

    assert log.lines == []


def test_a_forked_child_starts_empty() -> None:
    """
    The child neither writes what the parent kept nor keeps it; the parent's request
    goes on and has its lines once.
    """
    lines, errors = run_script(
        """
import os
from svcready._core.context import ContextRecord, activate

pillar = start(flight_recorder=10)
flights = pillar.handler.flights
log = get_logger("shop")
activate(ContextRecord("r", "r", "a" * 32, "b" * 16))
flights.begin("b" * 16)
log.debug("before the fork")
child = os.fork()
if not child:
    log.debug("in the child")
    flights.end("b" * 16, 500, 0.1, sampled=False)
    assert not flights.open and not flights.size
    flights.begin("c" * 16)
    activate(ContextRecord("s", "s", "a" * 32, "c" * 16))
    log.debug("a request of the child's")
    flights.end("c" * 16, 500, 0.1, sampled=False)
    pillar.flush(5)
    os._exit(0)

os.waitpid(child, 0)
log.debug("after the fork")
flights.end("b" * 16, 500, 0.1, sampled=False)
pillar.flush(5)
"""
    )

    assert errors == ""
    assert [line["message"] for line in lines if "recorded" in line] == [
        "a request of the child's",
        "before the fork",
        "after the fork",
    ]


def test_contexts_come_back(recorder: Recorder) -> None:
    """Writing what was kept changes nothing for the code that goes on."""
    recorder.begin()
    token = activate(ContextRecord("other"))
    own.debug("elsewhere")
    deactivate(token)
    bind(a=1)
    own.debug("here")
    recorder.end(500)
    own.info("goes on")

    assert recorder.lines[-1]["request_id"] == "req-1"
    assert recorder.lines[-1]["context"] == {"a": 1}
