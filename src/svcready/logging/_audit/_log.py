"""The audit log of one runtime: ties entries to each other on their way out."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

from svcready._core import events, fork
from svcready._core.guard import report_fault
from svcready.config._sections.audit import UNKNOWN_KEY
from svcready.logging._audit import _state as _audit_state
from svcready.logging._audit._chain import ALGORITHMS, CLOSED, Chain
from svcready.logging._audit._entry import EntryTexts, make_entry
from svcready.logging._audit._queue import AuditQueue, Item
from svcready.logging._audit._repeats import Repeats
from svcready.logging._lines._values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._core.clock import Clock
    from svcready.config._sections.audit import AuditSettings
    from svcready.logging._audit._entry import Entry
    from svcready.logging._lines._line import Identity
    from svcready.logging._lines._values import Redaction

__all__ = ["AuditLog", "Target", "runs_event_loop"]

_LEVEL = 50
"""The level of every entry on its way: nothing is graver."""
_SAY_EVERY_S = 1.0
_START = b'{"schema":1,"log_type":"audit","timestamp":"'


class Target(Protocol):
    """Takes entries to their destination, in the order in which they come."""

    def put(self, line: bytes, level: int, timeout_s: float, /) -> bool:
        """
        Take *line*, waiting at most *timeout_s* seconds; never raises.

        False if it was not taken, which the target has counted as dropped.
        """
        ...

    def flush(self, timeout_s: float, /) -> bool:
        """Wait until what was taken is there; False if something was left."""
        ...

    def close(self, timeout_s: float, /) -> bool:
        """Flush for the last time: what is left then is counted as dropped."""
        ...

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many entries were dropped for which reason."""
        ...


class AuditLog:
    """
    Takes entries to their destination, numbered and tied to each other.

    An entry gets its number when it is its turn to go out, and only if the target
    takes it; the next one says how many were refused before it.

    Args:
        settings: The section AUDIT.
        identity: Who the service is.
        clock: Stamps the entries.
        redactor: Hides secrets.
        span_ids: Returns the current span's trace and span id in hex.
        target: Takes the lines.
        max_bytes: The longest line that it takes.
        destination: Its name, where it is not the one of the settings.
    """

    def __init__(
        self,
        settings: AuditSettings,
        *,
        identity: Identity,
        clock: Clock,
        redactor: Redaction,
        span_ids: Callable[[], tuple[str, str] | None],
        target: Target,
        max_bytes: int,
        destination: str = "",
    ) -> None:
        self.target = target
        """Takes the lines."""
        self._destination = destination or settings.destination
        self._block_max_s = settings.block_max_s
        self.strict = settings.strict
        """Whether an entry that could not be taken raises where it was recorded."""
        self.time_ns = clock.time_ns
        """What stamps the entries."""
        self.span_ids = span_ids
        """Returns the current span's trace and span id in hex, or None."""
        self._texts = EntryTexts(Values(redactor), max_bytes)
        self._algorithm = ALGORITHMS[bool(settings.key)]
        self._chain = Chain(_key_of(settings))
        self._queue = AuditQueue(self._bring_out, self._cut_off, settings.queue_bytes)
        self._repeats = Repeats(self.record, clock.monotonic)
        self.repeat = self._repeats.record
        """Record as `record` does what may come very often: then it is counted."""
        self._forget()
        self.identify(identity)
        fork.reset_in_child(self._after_fork)

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._refused: dict[str, int] = {}
        self._untold = 0
        self._said = 0
        self._said_s = float("-inf")

    def _after_fork(self) -> None:
        # What waits is the parent's to write, and what was lost its to tell.
        self._queue.forget()
        self._forget()
        self._chain.part()

    def start(self) -> None:
        """Take what is recorded from now on, and what was before."""
        _audit_state.use(self)

    def identify(self, identity: Identity) -> None:
        """Put what is known now of the service's identity on further entries."""
        self._service = identity.service or "unknown_service"
        named = {
            "service": self._service,
            "version": identity.version,
            "environment": identity.environment,
            "instance": identity.instance,
        }
        known = {key: text for key, text in named.items() if text}
        self._static = b'"' + self._texts.identity(known)

    def take(self, entry: Entry) -> bool:
        """Take *entry* to its destination; False if that failed, and it was said."""
        item: Item | None = None
        taken = False
        try:
            item = Item(self._texts.members(entry), entry.time_ns)
            taken = self._hand_over(item, self._limit_s())
        except Exception as error:  # noqa: BLE001 - counted, and raised only if strict
            report_fault("audit", error)
            if item is None:  # else the queue has counted it
                self.lose("internal_error", 1)

        if not taken:
            self._say()

        return taken

    def record(
        self,
        action: str,
        resource: str | Mapping[str, object],
        actor: str | Mapping[str, object],
        outcome: str,
        details: Mapping[str, object],
        changes: Mapping[str, object] | None = None,
    ) -> None:
        """Record what the library itself decided or did; only declarations raise."""
        self.take(
            make_entry(
                *(action, resource, actor, outcome, changes, details),
                time_ns=self.time_ns(),
                span_ids=self.span_ids,
            )
        )

    def lose(self, reason: str, entries: int) -> None:
        """Count *entries* that never came so far as the target."""
        with self._lock:
            self._untold += entries
            self._refused[reason] = self._refused.get(reason, 0) + entries

        events.publish(events.ItemsDropped("audit", reason, entries))

    def sweep(self) -> None:
        """Write what was counted instead of being repeated, and say what was lost."""
        self._repeats.sweep()
        self._say()

    def end_chain(self, timeout_s: float) -> None:
        """
        Flush, and close the chain if it has begun; what comes later begins another.

        Args:
            timeout_s: How long that may take, on an event loop as well: nothing else
                is to be done there any more.
        """
        ends_s = time.monotonic() + timeout_s
        self._repeats.sweep(now=True)
        if self._chain.at.sequence:  # what waits may leave no room for one more
            self.flush(timeout_s)

        left_s = max(0.0, ends_s - time.monotonic())
        self._hand_over(Item(None, self.time_ns()), left_s)

    def flush(self, timeout_s: float) -> bool:
        """Wait for what was taken; False if some was left after *timeout_s* s."""
        ends_s = time.monotonic() + timeout_s
        done = self._queue.flush(timeout_s)
        done &= self.target.flush(max(0.0, ends_s - time.monotonic()))
        self._say()
        return done

    def close(self, timeout_s: float) -> None:
        """End the chain, flush, and say what was lost; entries are kept from now on."""
        ends_s = time.monotonic() + timeout_s
        _audit_state.leave(self)
        self.end_chain(timeout_s)
        self.target.close(max(0.0, ends_s - time.monotonic()))
        self._say(now=True)

    @property
    def dropped(self) -> dict[str, int]:
        """How many entries this process lost for which reason."""
        lost = dict(self._refused)
        for reason, entries in self.target.dropped.items():
            lost[reason] = lost.get(reason, 0) + entries

        return lost

    def describe(self) -> dict[str, object]:
        """Return what the start line tells of the audit log."""
        return {"destination": self._destination, "algorithm": self._algorithm}

    def report(self) -> dict[str, object]:
        """Return what the deep health report tells of the audit log."""
        lost = self.dropped
        chain, entries, _ = self._chain.at
        status = "warn" if lost else "pass"
        told = {"status": status, **self.describe(), "chain": chain, "entries": entries}
        return {**told, "lost": lost}

    def _limit_s(self) -> float:
        return 0.0 if runs_event_loop() else self._block_max_s

    def _hand_over(self, item: Item, limit_s: float) -> bool:
        if not self._queue.hand_over(item, limit_s):
            self.lose("queue_full", 1)
            return False

        return item.taken or not item.done

    def _bring_out(self, item: Item, timeout_s: float) -> bool:
        """Tie an entry to the one before it and have it taken; under no lock."""
        chain, sequence, _ = self._chain.at
        members = item.members
        if members is None:
            if not sequence:
                return True

            members = self._closing(chain, sequence)

        head = _START + self._texts.timestamp(item.time_ns) + self._static
        lost = self._untold
        line, link = self._chain.link(head, members, lost=lost)
        taken = self.target.put(line, _LEVEL, timeout_s)
        with self._lock:
            self._untold += -lost if taken else 1

        if taken:
            self._chain.at = link
            if item.members is None:
                self._chain.part()

        return taken

    def _cut_off(self) -> None:
        # If it is out, its number is used: a new chain can't use it again.
        self._chain.part()
        self.lose("interrupted", 1)

    def _closing(self, chain: str, entries: int) -> bytes:
        entry = make_entry(
            CLOSED,
            {"type": "audit_chain", "id": chain},
            {"type": "service", "id": self._service},
            "success",
            None,
            {"entries": entries},
            time_ns=0,
            ours=True,
        )
        return self._texts.members(entry)

    def _say(self, *, now: bool = False) -> None:
        """Say on the ordinary log what was lost, at most once a second; unlocked."""
        lost = self.dropped
        entries = sum(lost.values()) - self._said
        now_s = time.monotonic()
        if entries <= 0 or not (now or now_s - self._said_s >= _SAY_EVERY_S):
            return

        self._said += entries
        self._said_s = now_s
        import logging

        reasons = ", ".join(f"{count} {reason}" for reason, count in lost.items())
        log = logging.getLogger("svcready.audit")
        log.error("%d audit entries were lost (in all: %s)", entries, reasons)


def _key_of(settings: AuditSettings) -> bytes:
    return os.urandom(32) if settings.key == UNKNOWN_KEY else settings.key.encode()


def runs_event_loop() -> bool:
    """Tell whether an asyncio event loop runs in this thread."""
    # Not imported yet: then none runs. It is asyncio's own way to ask, which raises
    # nothing; it may be missing while another thread imports asyncio.
    loops = sys.modules.get("asyncio.events")
    ask = getattr(loops, "_get_running_loop", None)
    return ask is not None and ask() is not None
