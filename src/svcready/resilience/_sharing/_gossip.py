"""Circuit breakers of one service hear of each other: openings are told by Redis."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.events import subscribe
from svcready._core.worker import Worker
from svcready._transport.redis._link import dial
from svcready._transport.redis._resp import RedisError
from svcready._transport.redis._whereabouts import Whereabouts
from svcready.resilience._breaking._states import OPEN
from svcready.resilience._events import BreakerMoved
from svcready.resilience._sharing._contact import Contact
from svcready.resilience._sharing._openings import (
    EXCHANGE,
    MOST,
    Opening,
    arguments,
    key,
    read,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from svcready._core.clock import Clock
    from svcready._core.worker import Job
    from svcready._transport.redis._link import Link
    from svcready.config._redis_address import RedisAddress
    from svcready.resilience._breaking._breaker import Breaker

__all__ = ["Gossip"]

_BEAT_S = 1.0
_JITTER = 0.2
_TIMEOUT_S = 1.0
_CLOSE_S = 0.1
_GARBAGE_S = 60.0
_MOST_SEEN = 8 * MOST
# What others said is no judgement of this process, and what an operator said is told
# by other means.
_NOT_OURS = {"peers", "manual"}


class _Told(NamedTuple):
    opening: Opening
    until_s: float


class Gossip:
    """
    Tells other processes which breakers opened here, and ours which opened there.

    Once a second, and at once when one opens, what is open is put where all see it and
    what others have open is read, in one round trip on a thread of its own. That is
    said anew as long as it holds, so what Redis loses comes back by itself, and what
    a dead process had open ends by itself. Durations are told, on the server's clock;
    no process has to know another's time.

    What others say never decides for a breaker that can judge by calls of its own
    (`Breaker.hear`), and is not passed on.

    Args:
        service: Whose breakers, with *environment*.
        environment: Where they run.
        address: The server.
        breakers: Those of this process, in force now.
        quorum: So many processes open a breaker that has seen no call here.
        clock: Monotonic time.
        dialled: Connects until a time; raises RedisError.
    """

    def __init__(
        self,
        service: str,
        environment: str,
        address: RedisAddress,
        *,
        breakers: Callable[[], Iterable[Breaker]],
        quorum: int,
        clock: Clock,
        dialled: Callable[[RedisAddress, float], Link] = dial,
    ) -> None:
        self.contact = Contact("breakers", clock)
        self._key = key(service, environment)
        self._where = Whereabouts(address)
        self._breakers = breakers
        self._quorum = quorum
        self._clock = clock
        self._dialled = dialled
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._told: dict[str, _Told] = {}
        self._withdrawn: list[Opening] = []
        self._seen: dict[bytes, float] = {}
        self._number = 0
        self._process = _new_process()
        self._link: Link | None = None
        self._closed = False
        self._worker = Worker("svcready.gossip", clock)
        self._job: Job | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        fork.reset_in_child(self._reset_in_child)

    def wake(self) -> None:
        """Begin in this process; a forked child begins here anew."""
        if self._job is None:
            self._unsubscribe = subscribe(BreakerMoved, self._moved)
            self._job = self._worker.every(
                _BEAT_S, self.beat, name="gossip", jitter=_JITTER, first_s=0.0
            )

        self._worker.wake()

    def close(self) -> None:
        """End it; what was told ends by itself."""
        self._unsubscribe()
        self._closed = True
        if self._worker.stop(_CLOSE_S):
            self._hang_up()

    def counts(self) -> Mapping[str, int]:
        """
        Return how often what has happened: `told`, `heard`, `opened`, `dropped`, and
        by why something was ignored `unknown`, `version`, `garbage`.
        """
        with self._lock:
            return dict(self._counts)

    def beat(self) -> None:
        """Tell and hear once, unless the server is to be left alone for now."""
        if not self.contact.wait_s():
            self._exchange()

        if self._closed:
            self._hang_up()

    def _exchange(self) -> None:
        now_s = self._clock.monotonic()
        told, withdrawn = self._outbound(now_s)
        address = self._where.address
        ends_s = time.monotonic() + _TIMEOUT_S
        try:
            if self._link is None or self._link.is_stale():
                self._hang_up()
                self._link = self._dialled(address, ends_s)

            words = arguments(told, withdrawn)
            reply = EXCHANGE.run(self._link, [self._key], words, ends_s)
            found = written(reply)
        except RedisError as error:
            self._hang_up()
            self._take_back(withdrawn)
            if error.reason == "busy":
                self.contact.missed(error.reason)
            elif not self._where.learn(error, address):
                self.contact.failed(error.reason, error.code)

            return

        self.contact.answered()
        self._heed(found, now_s)

    def _moved(self, event: BreakerMoved) -> None:
        """Note what a breaker did; on the thread of the call that made it do so."""
        opened = event.after == OPEN and event.reason not in _NOT_OURS
        with self._lock:
            before = self._told.pop(event.name, None)
            if before is not None and len(self._withdrawn) < MOST:
                self._withdrawn.append(before.opening)

            if event.after == OPEN and event.reason == "peers":
                self._counts["opened"] += 1

            if opened and len(self._told) >= MOST:
                self._counts["dropped"] += 1
            elif opened:
                self._number += 1
                self._counts["told"] += 1
                opening = Opening(event.name, self._process, self._number)
                until_s = self._clock.monotonic() + event.open_s
                self._told[event.name] = _Told(opening, until_s)

        if opened and self._job is not None:
            self._worker.soon(self._job)

    def _outbound(
        self, now_s: float
    ) -> tuple[list[tuple[Opening, float]], list[Opening]]:
        with self._lock:
            over = [n for n, told in self._told.items() if told.until_s <= now_s]
            for name in over:
                del self._told[name]

            told = [
                (each.opening, each.until_s - now_s) for each in self._told.values()
            ]
            withdrawn, self._withdrawn = self._withdrawn, []

        return told, withdrawn

    def _take_back(self, withdrawn: list[Opening]) -> None:
        with self._lock:
            self._withdrawn = [*withdrawn, *self._withdrawn][:MOST]

    def _heed(self, found: list[tuple[bytes, float]], now_s: float) -> None:
        """Let the breakers hear what is new, each once."""
        self._seen = {m: until for m, until in self._seen.items() if until > now_s}
        breakers = {breaker.name: breaker for breaker in self._breakers()}
        counts: Counter[str] = Counter()
        processes: dict[str, set[str]] = {}
        news: dict[str, float] = {}
        for member, left_s in found:
            opening = read(member)
            is_new = member not in self._seen
            if is_new and len(self._seen) < _MOST_SEEN:
                self._seen[member] = now_s + (left_s or _GARBAGE_S)

            if isinstance(opening, str):
                counts[opening] += is_new
            elif opening.process == self._process:
                pass
            elif opening.name not in breakers:
                counts["unknown"] += is_new
            else:
                processes.setdefault(opening.name, set()).add(opening.process)
                counts["heard"] += is_new
                if is_new:
                    least_s = min(left_s, news.get(opening.name, left_s))
                    news[opening.name] = least_s

        for name, left_s in news.items():
            enough = len(processes[name]) >= self._quorum
            breakers[name].hear(left_s, enough=enough)

        with self._lock:
            self._counts.update(counts)

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _reset_in_child(self) -> None:
        self._lock = threading.Lock()
        self._hang_up()  # the parent's goes on
        self._process = _new_process()
        self._told.clear()
        self._withdrawn = []
        self._counts.clear()


def _new_process() -> str:
    return os.urandom(8).hex()
