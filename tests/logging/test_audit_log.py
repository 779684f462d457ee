"""How entries get out: in order, with bounded waits, and with nothing lost unsaid."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from svcready._core import events
from svcready.config._sections.audit import AuditSettings
from svcready.errors import AuditError
from svcready.logging import audit
from svcready.logging._audit._log import runs_event_loop
from svcready.logging._audit._queue import AuditQueue, Item
from svcready.testing import FakeClock
from tests.conftest import Faults
from tests.logging.audit_support import Lines, make_audit, verified
from tests.logging.support import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.logging._audit._log import AuditLog


@pytest.fixture
def drops() -> Iterator[list[events.ItemsDropped]]:
    """Return every drop that is published."""
    seen: list[events.ItemsDropped] = []
    stop = events.subscribe(events.ItemsDropped, seen.append)
    yield seen
    stop()


@pytest.fixture
def said() -> Iterator[Listener]:
    """Return what is said on the ordinary log about the audit log."""
    listener = Listener()
    logging.getLogger("svcready.audit").addHandler(listener)
    yield listener
    logging.getLogger("svcready.audit").removeHandler(listener)


class Stuck(Lines):
    """A target that takes the first line only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.let = threading.Event()

    def put(self, line: bytes, level: int, timeout_s: float) -> bool:
        """Wait to be let, and keep the line."""
        self.entered.set()
        assert self.let.wait(30)
        return super().put(line, level, timeout_s)


def record(number: int = 0) -> None:
    """Record anything."""
    audit.record("a.b", "r", "me", "success", number=number)


def test_many_threads_make_one_chain() -> None:
    """8 threads record 1 000 entries each: all there, in order, tied."""
    made, lines = make_audit()
    made.start()

    def work() -> None:
        for number in range(1000):
            record(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    made.close(5.0)

    found = verified(lines.data, closed=True)
    assert (found.entries, found.found, made.dropped) == (8001, 0, {})
    assert [entry["sequence"] for entry in lines.entries] == list(range(1, 8002))


def test_refusals_leave_no_hole(
    drops: list[events.ItemsDropped], said: Listener
) -> None:
    """An entry that is refused has no number; the next says how many there were."""
    made, lines = make_audit()
    made.start()
    record(1)
    lines.refuses = True
    record(2)
    record(3)
    lines.refuses = False
    record(4)
    made.close(1.0)

    assert [entry["sequence"] for entry in lines.entries] == [1, 2, 3]
    assert "lost" not in lines.entries[0]
    assert lines.entries[1]["lost"] == 2
    assert "lost" not in lines.entries[2]
    assert made.dropped == {"queue_full": 2}
    problems = verified(lines.data, closed=True).problems
    assert [problem.kind for problem in problems] == ["lost"]
    assert "2 before entry 2" in problems[0].text
    assert drops == []  # the target publishes what it refuses
    lost = [record.getMessage() for record in said.records]
    assert lost[0] == "1 audit entries were lost (in all: 1 queue_full)"
    assert lost[-1] == "1 audit entries were lost (in all: 2 queue_full)"
    assert {record.levelname for record in said.records} == {"ERROR"}


def test_strict_raises_where_it_was_recorded() -> None:
    """With SVCREADY_AUDIT_STRICT a refused entry is the caller's error."""
    made, lines = make_audit(AuditSettings(strict=True))
    made.start()
    lines.refuses = True
    with pytest.raises(AuditError, match=r"the audit entry of a\.b could not be taken"):
        record()

    made.record("ours", "r", "me", "success", {})  # what the library records does not
    lines.refuses = False
    record()
    made.close(1.0)

    assert lines.entries[0]["lost"] == 2


def test_it_waits_off_a_loop_only() -> None:
    """A thread waits as long as the settings say, an event loop not at all."""
    made, lines = make_audit(AuditSettings(block_max_s=5.0))
    made.start()
    record()

    async def on_loop() -> None:
        assert runs_event_loop()
        record()
        await asyncio.to_thread(record)

    asyncio.run(on_loop())
    assert not runs_event_loop()
    made.close(0.0)

    first, on_the_loop, in_a_thread, _ = lines.waited
    assert 4.0 < first <= 5.0
    assert on_the_loop == 0.0
    assert 4.0 < in_a_thread <= 5.0


def stuck_log(**settings: float) -> tuple[AuditLog, Stuck, threading.Thread]:
    """Start a log whose target is busy with an entry of another thread."""
    target = Stuck()
    made, _ = make_audit(AuditSettings(**settings), target=target)  # type: ignore[arg-type]
    made.start()
    other = threading.Thread(target=record, args=(1,))
    other.start()
    assert target.entered.wait(30)
    return made, target, other


def test_a_loop_leaves_its_entry_to_the_thread_that_writes() -> None:
    """It returns at once, and the entry is out when the other's is."""
    made, target, other = stuck_log()

    async def on_loop() -> None:
        record(2)

    asyncio.run(on_loop())
    assert target.lines == []

    target.let.set()
    other.join()
    assert [entry["details"]["number"] for entry in target.entries] == [1, 2]
    made.close(1.0)


def test_a_thread_waits_no_longer_than_it_is_told() -> None:
    """Its entry stays queued, and the thread that writes takes it along."""
    made, target, other = stuck_log(block_max_s=0.01)
    record(2)
    record(3)
    assert target.lines == []

    target.let.set()
    other.join()
    assert [entry["details"]["number"] for entry in target.entries] == [1, 2, 3]
    assert target.waited[1:] == [0.0, 0.0]
    made.close(1.0)


def test_who_waits_brings_out_its_own() -> None:
    """The one that writes does not wait for others: each thread takes its turn."""
    made, target, other = stuck_log(block_max_s=30.0)
    waiting = threading.Thread(target=record, args=(2,))
    waiting.start()
    queue = made._queue
    while len(queue._pending) < 1:
        threading.Event().wait(0.001)

    target.let.set()
    other.join()
    waiting.join()
    assert [entry["details"]["number"] for entry in target.entries] == [1, 2]
    assert target.waited[1] > 1.0
    made.close(1.0)


def test_the_queue_is_bounded(drops: list[events.ItemsDropped]) -> None:
    """Entries beyond the bytes are refused and counted; recorded = written + lost."""
    made, target, other = stuck_log(block_max_s=0.0, queue_bytes=2000)
    for number in range(100):
        record(number)

    target.let.set()
    other.join()
    made.close(1.0)

    written = len(target.entries) - 1
    assert 2 < written < 60
    assert made.dropped == {"queue_full": 101 - written}
    assert sum(drop.items for drop in drops) == 101 - written
    assert {drop.component for drop in drops} == {"audit"}
    assert not [p for p in verified(target.data).problems if p.kind != "lost"]


def test_room_is_waited_for() -> None:
    """A thread that finds the queue full waits for room before it is refused."""
    made, target, other = stuck_log(block_max_s=30.0, queue_bytes=1)
    late = [threading.Thread(target=record, args=(number,)) for number in (2, 3)]
    for thread in late:
        thread.start()

    while len(made._queue._pending) < 1:
        threading.Event().wait(0.001)

    target.let.set()
    for thread in (other, *late):
        thread.join()

    made.close(1.0)
    assert made.dropped == {}
    assert len(target.entries) == 4


def test_a_flush_waits_for_whoever_writes() -> None:
    """It gives up after its time, and succeeds once everything is out."""
    made, target, other = stuck_log(block_max_s=0.0)
    record(2)
    assert not made.flush(0.01)

    target.let.set()
    assert made.flush(30.0)
    other.join()
    assert len(target.entries) == 2
    made.close(1.0)


def test_an_interrupt_costs_the_entry_and_no_number() -> None:
    """Ctrl-C while the target has a line: it is counted, and the chain begins anew."""

    class Interrupted(Lines):
        def put(self, line: bytes, level: int, timeout_s: float) -> bool:
            """Take the line, and be interrupted behind that."""
            super().put(line, level, timeout_s)
            if len(self.lines) == 2:
                raise KeyboardInterrupt

            return True

    made, lines = make_audit(target=Interrupted())
    made.start()
    record(1)
    with pytest.raises(KeyboardInterrupt):
        record(2)

    record(3)
    made.close(1.0)

    assert made.dropped == {"interrupted": 1}
    assert [p.kind for p in verified(lines.data).problems] == ["lost"]
    assert lines.entries[2]["parent"]["chain"] == lines.entries[0]["chain"]


def test_a_target_that_fails_reaches_nobody(faults: Faults) -> None:
    """A fault of ours behind the queue is reported and counted once."""

    class Faulty(Lines):
        def put(self, line: bytes, level: int, timeout_s: float) -> bool:
            """Fail the first time."""
            if not self.calls:
                self.calls.append("failed")
                raise LookupError

            return super().put(line, level, timeout_s)

    made, lines = make_audit(target=Faulty())
    made.start()
    record(1)
    record(2)
    made.close(1.0)

    assert isinstance(faults.claim("audit"), LookupError)
    assert made.dropped == {"interrupted": 1}
    assert lines.entries[0]["lost"] == 1


def test_a_signal_handler_may_record_while_its_thread_writes() -> None:
    """The entry is queued behind the one beneath, and nobody waits for himself."""

    class Interrupting(Lines):
        def put(self, line: bytes, level: int, timeout_s: float) -> bool:
            """Record once more, as a handler that interrupts this thread would."""
            if not self.calls:
                self.calls.append("interrupted")
                record(2)
                assert made.flush(0.0) is False

            return super().put(line, level, timeout_s)

    made, lines = make_audit(target=Interrupting())
    made.start()
    record(1)

    assert [entry["details"]["number"] for entry in lines.entries] == [1, 2]
    made.close(1.0)


def test_an_interrupted_waiter_leaves_its_entry_to_others() -> None:
    """Its entry is brought out by whoever writes, who waits for nobody."""
    calls: list[Item] = []

    def bring_out(item: Item, _timeout_s: float) -> bool:
        calls.append(item)
        return True

    queue = AuditQueue(bring_out, lambda: None, 1000)
    queue._leader = -1  # another thread
    item = Item(b"", 0)

    class Broken(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            """Be interrupted."""
            raise KeyboardInterrupt

    queue._changed = Broken()
    with pytest.raises(KeyboardInterrupt):
        queue.hand_over(item, 10.0)

    queue._leader = 0
    later = Item(b"", 0)
    queue.hand_over(later, 10.0)
    assert calls == [item, later]


def test_what_is_the_same_is_counted() -> None:
    """The first is written at once, the others as one entry when the minute is over."""
    clock = FakeClock()
    made, lines = make_audit(clock=clock)
    made.start()
    for _ in range(500):
        made.repeat("x", {"id": "p"}, {"ip": "::1"}, "denied", {"reason": "no"})

    made.repeat("x", {"id": "p"}, {"ip": "::2"}, "denied", {"reason": "no"})
    clock.advance(59.0)
    made.sweep()
    assert len(lines.entries) == 2

    clock.advance(1.0)
    made.sweep()
    assert lines.entries[2]["actor"] == {"ip": "::1"}
    assert lines.entries[2]["details"] == {"reason": "no", "again": 499}

    made.repeat("x", {"id": "p"}, {"ip": "::1"}, "denied", {"reason": "no"})
    made.repeat("x", {"id": "p"}, {"ip": "::1"}, "denied", {"reason": "no"})
    made.close(1.0)
    *_, first, again, closing = lines.entries
    assert first["details"] == {"reason": "no"}
    assert again["details"] == {"reason": "no", "again": 1}
    assert closing["details"] == {"entries": 5}


def test_the_different_are_bounded() -> None:
    """From 256 on, what is new in a minute counts as of `others`."""
    made, lines = make_audit()
    made.start()
    for number in range(5000):
        made.repeat("x", {"id": "p"}, {"ip": number}, "denied", {})

    made.close(1.0)
    others = [e for e in lines.entries if e["actor"].get("id") == "others"]
    assert len(lines.entries) == 256 + 2 + 1
    assert [e.get("details") for e in others] == [None, {"again": 5000 - 256 - 1}]
