"""Threads that go on one at a time, in turns that a generator draws."""

from __future__ import annotations

import random
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    import pytest

__all__ = ["Stage", "SteppedClock", "Stuck"]

_POINTS = ("call", "c_return")
_WATCHED = "svcready.resilience"


class Stuck(AssertionError):
    """Everybody waits for somebody else."""


class _Over(BaseException):
    """Ends an actor, because another one has failed."""


class _Actor:
    def __init__(self, part: Callable[[], None]) -> None:
        self.part = part
        self.bell = threading.Semaphore(0)
        self.waits_for: _Lock | None = None
        self.is_patient = True  # nothing but the lock ends its wait
        self.is_done = False


class _Lock:
    """A lock, reentrant or not, that passes the turn on in place of blocking."""

    def __init__(self, stage: Stage, *, reentrant: bool) -> None:
        self._stage = stage
        self._reentrant = reentrant
        self._owner: object = None
        self._depth = 0

    @property
    def is_taken(self) -> bool:
        return self._depth > 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        stage = self._stage
        me = stage.running or stage
        stage.point()
        if not (self._reentrant and self._owner is me):
            if self.is_taken and not (blocking and stage.wait(self, timeout)):
                return False

            self._owner = me

        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None

        self._stage.point()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Stage:
    """
    Where actors, each a thread, act by turns.

    A turn can end wherever CPython can take the interpreter from a thread in code of
    ours: where a function begins, after a call of one that is not Python, at a lock,
    and after a look at the clock. (And at a backward jump: ours have calls in them.)
    More often would find faults in code that relies on just that.

    Args:
        seed: Decides about turns, and whose is next.
    """

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)
        self.running: _Actor | None = None
        self.turns = 0
        """How many turns have ended before their actor had to wait."""
        self._often = self.rng.choice((0.02, 0.1, 0.3))
        self._actors: list[_Actor] = []
        self._failure: BaseException | None = None
        self._end = threading.Semaphore(0)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have what is made from now on lock by this stage."""
        stand_in = SimpleNamespace(
            RLock=lambda: _Lock(self, reentrant=True),
            Lock=lambda: _Lock(self, reentrant=False),
            local=threading.local,
        )
        for name, module in tuple(sys.modules.items()):
            if name.startswith(_WATCHED) and hasattr(module, "threading"):
                monkeypatch.setattr(module, "threading", stand_in)

    def act(self, *parts: Callable[[], None]) -> None:
        """Let all act to their end; raise what the first that fails does."""
        self._actors = [_Actor(part) for part in parts]
        threads = [
            threading.Thread(target=self._run, args=(actor,)) for actor in self._actors
        ]
        for thread in threads:
            thread.start()

        self._give(self.rng.choice(self._actors))
        self._end.acquire()
        for thread in threads:
            thread.join()

        self.running = None
        if self._failure is not None:
            raise self._failure

    def point(self, *, surely: bool = False) -> None:
        """End the turn of who is running, perhaps."""
        me = self.running
        if me is None or not (surely or self.rng.random() < self._often):
            return

        self.turns += 1
        able = self._able()
        self._switch(me, self.rng.choice(able))

    def wait(self, lock: _Lock, timeout: float) -> bool:
        """Wait for a lock that is taken; False: for too long."""
        me = self.running
        if me is None:
            raise Stuck("nobody can release what the stage's owner waits for")

        me.waits_for, me.is_patient = lock, timeout < 0
        while lock.is_taken:
            # An impatient one goes on when nobody else can, or once in a while.
            able = self._able() or [
                each
                for each in self._actors
                if not each.is_patient and not each.is_done
            ]
            if not able:
                self._fail(Stuck("every actor waits"))

            if not me.is_patient and (able == [me] or self.rng.random() < 0.01):
                break

            self._switch(me, self.rng.choice(able))

        me.waits_for, me.is_patient = None, True
        return not lock.is_taken

    def _able(self) -> list[_Actor]:
        return [
            each
            for each in self._actors
            if not each.is_done
            and (each.waits_for is None or not each.waits_for.is_taken)
        ]

    def _run(self, actor: _Actor) -> None:
        actor.bell.acquire()
        if self._failure is None:
            sys.setprofile(self._look)
            try:
                actor.part()
            except _Over:
                pass
            except BaseException as error:  # noqa: BLE001 - raised by `act`
                self._failure = self._failure or error
            finally:
                sys.setprofile(None)

        actor.is_done = True
        left = [each for each in self._actors if not each.is_done]
        if not left:
            self._end.release()
            return

        able = left if self._failure else self._able() or left
        self._give(self.rng.choice(able))

    def _look(self, frame: FrameType, event: str, _: object) -> None:
        if event in _POINTS and self.rng.random() < self._often:
            module = frame.f_globals.get("__name__", "")
            if module.startswith(_WATCHED):
                self.point(surely=True)

    def _switch(self, me: _Actor, to: _Actor) -> None:
        if to is not me:
            self._give(to)
            me.bell.acquire()

        if self._failure is not None:
            raise _Over

    def _give(self, to: _Actor) -> None:
        self.running = to
        to.bell.release()

    def _fail(self, error: BaseException) -> NoReturn:
        self._failure = self._failure or error
        raise _Over


class SteppedClock:
    """
    A clock after whose reading the turn may end.

    Args:
        stage: Whose turns.
        start_s: The monotonic time at first.
    """

    def __init__(self, stage: Stage, start_s: float = 1024.0) -> None:
        self._stage = stage
        self.now_s = start_s

    def monotonic(self) -> float:
        """Return the time, which may be over by then."""
        now_s = self.now_s
        self._stage.point()
        return now_s

    def time_ns(self) -> int:
        """Return no wall time to speak of."""
        return 0

    def sleep(self, seconds: float) -> None:
        """Sleep for no time."""
        self._stage.point(surely=True)

    async def sleep_async(self, seconds: float) -> None:
        """Sleep for no time."""
        self.sleep(seconds)
