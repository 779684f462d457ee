"""What bounds calls in time: its numbers, its counts, and the errors it raises."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready.errors import AttemptTimeout, DeadlineExceeded, DeadlineSpent
from svcready.resilience._layering._kinds import Kind
from svcready.resilience._overrides import parsed
from svcready.resilience._tally import can_count_unlocked
from svcready.resilience._timing import _timed, _timed_streams
from svcready.resilience._timing._alarms import alarms_of
from svcready.resilience._timing._cut_short import overran
from svcready.resilience._timing._threads import Pool

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping
    from weakref import ref

    from svcready._core.clock import Clock
    from svcready.resilience._timing._alarms import Queue

    Call = Callable[..., object]

__all__ = [
    "DeadlineTimer",
    "Lapse",
    "TimeConfig",
    "TimeoutConfig",
    "Timer",
    "override_deadline",
    "override_timeout",
]


class TimeConfig(NamedTuple):
    """The numbers of a deadline."""

    bound_s: float | None = None
    """What the whole call may take; None: no bound."""
    mode: str = "enforce"
    """`enforce`, `observe` (counts what comes too late, and that is all) or `off`."""


class TimeoutConfig(NamedTuple):
    """The numbers of a time-out."""

    bound_s: float | None = None
    """What an attempt may take; None: no bound."""
    mode: str = "enforce"
    """`enforce`, `observe` (counts what comes too late, and that is all) or `off`."""
    threads: int = 0
    """How many plain functions may run in threads at once; 0: none does."""


_Times = TimeConfig | TimeoutConfig
_DEADLINE_FIELDS = {"mode": "mode", "deadline_mode": "mode", "deadline_s": "bound_s"}
_TIMEOUT_FIELDS = {
    "mode": "mode",
    "timeout_mode": "mode",
    "timeout_s": "bound_s",
    "timeout_threads": "threads",
}


def override_deadline(
    config: TimeConfig, values: Mapping[str, object]
) -> tuple[TimeConfig, tuple[str, ...]]:
    """Return *config* with the operator's values in it, and what is wrong with them."""
    changed, problems = parsed(_DEADLINE_FIELDS, values, none=("bound_s",))
    return config._replace(**changed), problems  # type: ignore[arg-type]


def override_timeout(
    config: TimeoutConfig, values: Mapping[str, object]
) -> tuple[TimeoutConfig, tuple[str, ...]]:
    """Return *config* with the operator's values in it, and what is wrong with them."""
    changed, problems = parsed(_TIMEOUT_FIELDS, values, none=("bound_s",))
    if not config.threads:  # only code can say that another thread will do
        changed.pop("threads", None)

    return config._replace(**changed), problems  # type: ignore[arg-type]


def _threads(config: _Times) -> int:
    return config.threads if isinstance(config, TimeoutConfig) else 0


class _Nobody:
    """Counts for a timer that is off."""

    ok = 0


_NOBODY = _Nobody()


class Lapse:
    """
    What a call reads when it begins: one object, so that its numbers belong together.

    Args:
        config: The numbers in force.
        monotonic: The clock.
        timer: Whose they are; None: nobody's.
    """

    __slots__ = (
        "after_s",
        "bound_s",
        "counter",
        "latest",
        "mode",
        "monotonic",
        "plain_s",
        "short_s",
    )

    def __init__(
        self,
        config: _Times,
        monotonic: Callable[[], float],
        timer: Timer | None = None,
    ) -> None:
        self.bound_s = math.inf if config.bound_s is None else config.bound_s
        self.mode = "off" if config.bound_s is None else config.mode
        self.monotonic = monotonic
        self.after_s = self.bound_s if self.mode == "enforce" else math.inf
        """What the short way of a coroutine takes; inf: there is none."""
        threads = timer is not None and timer.pool is not None
        self.plain_s = math.inf if threads else self.after_s
        """The same of a plain function."""
        self.short_s = -math.inf if self.mode == "observe" else self.after_s
        """What a whole policy's short way takes; inf: nothing, -inf: there is none."""
        self.counter = _NOBODY if timer is None or self.mode == "off" else timer
        """Whose `ok` counts what the short way did in time."""
        self.latest: Callable[[], Queue | None] | ref[Queue] = _no_queue
        """Where the last call queued."""

    def queue(self, loop: AbstractEventLoop) -> Queue:
        """Return where a call queues on *loop*, and keep it for the next one."""
        from weakref import ref

        queue = alarms_of(loop).queue(self.bound_s, self.monotonic)
        self.latest = ref(queue)
        return queue


class Timer:
    """
    A time-out: bounds every attempt that is made under its name.

    Args:
        name: The policy's name.
        config: Its numbers.
        clock: Monotonic time.
        unlocked: Successes may count without a lock; None: as the build allows.
    """

    def __init__(
        self,
        name: str,
        config: _Times,
        *,
        clock: Clock = SYSTEM_CLOCK,
        unlocked: bool | None = None,
    ) -> None:
        self.name = name
        self.config: _Times = config
        self.clock = clock
        self.calm = can_count_unlocked() if unlocked is None else unlocked
        """Whether a call in time may count on `ok` by itself."""
        self.ok = 0
        threads = _threads(config)
        self.pool = Pool(name, threads) if threads else None
        self._lock = threading.RLock()
        self._outcomes: Counter[str] = Counter()
        self._before_fork = 0
        self.lapse = Lapse(config, clock.monotonic, self)
        fork.reset_in_child(self._reset_in_child)

    @property
    def abandoned(self) -> int:
        """How many threads still run what nobody waits for any more."""
        return 0 if self.pool is None else self.pool.abandoned

    def twice_s(self) -> float:
        """Return twice what an attempt may take, in seconds; 0.0: it is not bounded."""
        after_s = self.lapse.after_s
        return 0.0 if after_s == math.inf else 2.0 * after_s

    def use(self, config: _Times, clock: Clock) -> None:
        """Put other numbers or another clock in force, for calls that begin."""
        self.config = config
        self.clock = clock
        self.lapse = Lapse(config, clock.monotonic, self)
        if self.pool is not None:
            self.pool.resize(_threads(config))

    def around(self, kind: Kind, call: Call) -> Call:
        """Return *call* with this around it, of the same kind."""
        return _WRAPPERS[kind](self, call)

    def count(self, outcome: str) -> None:
        """Count how a call ended."""
        with self._lock:
            self._outcomes[outcome] += 1

    def ended(
        self,
        error: BaseException | None,
        *,
        late: bool,
        enforced: bool = True,
        own: bool = True,
    ) -> None:
        """
        Count a call that this did not end.

        Args:
            error: What it raised; None: it succeeded.
            late: It took too long.
            enforced: It would have been ended, if anybody could have.
            own: The time that it had was this one's, and not what a deadline left.
        """
        if late and enforced and own and error is not None:
            self.overrun_by(error)

        if error is not None and not isinstance(error, Exception):
            self.count("cancelled")
        elif late and enforced and isinstance(error, DeadlineExceeded | DeadlineSpent):
            self.count("timed_out")  # something further in has noticed it first
        elif late:
            self.count("overrun" if enforced else "observed")
        else:
            self.count("success" if error is None else "failure")

    def overrun_by(self, error: BaseException) -> None:
        """Note on the error of an attempt that its own time was over."""
        overran(error)

    def counts(self) -> dict[str, int]:
        """Return how many calls have had each outcome since the process started."""
        with self._lock:
            ok = self.ok - self._before_fork
            return {**self._outcomes, "success": ok + self._outcomes["success"]}

    def spent(self) -> DeadlineSpent:
        """Return the error of a call for which no time was left."""
        return DeadlineSpent(self.name, "spent")

    def expired(self, bound_s: float) -> Exception:
        """Return the error of a call that took longer than *bound_s* seconds."""
        said = f"{self.name}: no end within {bound_s:g} s"
        return AttemptTimeout(said, name=self.name)

    def cut_off(self) -> DeadlineExceeded:
        """Return the error of a call that a deadline further out has ended."""
        said = f"{self.name}: the deadline has passed"
        return DeadlineExceeded(said, name=self.name)

    def _reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._outcomes.clear()  # the parent tells of them
        self._before_fork = self.ok


class DeadlineTimer(Timer):
    """A deadline: bounds the whole call, retries and waits included."""

    def around_attempts(self, timeout: Timer, call: Call) -> Call:
        """Return a coroutine function whose every attempt is under *timeout*."""
        return _timed.around_attempts(self, timeout, call)

    def overrun_by(self, error: BaseException) -> None:
        """Note nothing: it is the attempts' own time that matters."""

    def expired(self, bound_s: float) -> Exception:
        """Return the error of a call that took longer than *bound_s* seconds."""
        said = f"{self.name}: no end within {bound_s:g} s"
        return DeadlineExceeded(said, name=self.name)


def _no_queue() -> None:
    return None


_WRAPPERS: dict[Kind, Callable[[Timer, Call], Call]] = {
    Kind.PLAIN: _timed.plain,
    Kind.COROUTINE: _timed.coroutine,
    Kind.STREAM: _timed_streams.stream,
    Kind.ASYNC_STREAM: _timed_streams.stream_async,
}
