"""The seam between an attempt and the gates that admit it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from svcready._core.guard import report_fault
from svcready.resilience._admitting._blocks import block
from svcready.resilience._admitting._permits import Permit
from svcready.resilience._admitting._whose import whose

if TYPE_CHECKING:
    from svcready._core.clock import Clock

__all__ = ["Gate", "Passage", "Unjudged"]


class Gate(Protocol):
    """
    What admits attempts and hears how they ended.

    A gate holds no lock while it waits, and `leave` neither waits nor raises.
    """

    name: str

    @property
    def clock(self) -> Clock:
        """Monotonic time, and who waits."""
        ...

    def peek(self) -> None:
        """
        Refuse now what is bound to be refused, before anybody queues for it.

        Raises:
            Rejected: The attempt must not be made; nothing was taken.
        """
        ...

    def enter(self) -> object:
        """
        Admit an attempt, after a wait if the gate has a queue.

        Returns:
            What the attempt is left with.

        Raises:
            Rejected: The attempt must not be made; nothing is held.
        """
        ...

    async def enter_async(self) -> object:
        """Do as `enter`, waiting as a task; cancelled, nothing is held."""
        ...

    def leave(
        self, token: object, error: BaseException | None, elapsed_s: float
    ) -> None:
        """
        Take the end of an admitted attempt, from whichever thread or task.

        Args:
            token: What it was admitted with.
            error: What it raised; None: it succeeded.
            elapsed_s: How long it took, in seconds, waits at gates not included.
        """
        ...

    def renew(self, token: object) -> None:
        """Hear that a long attempt, a stream, is alive."""
        ...


_OVERDUE: list[tuple[Gate, object]] = []
"""What there was no room on the stack for to be left, with what it was entered."""


class Unjudged(Exception):
    """Stands for an end that says nothing of the dependency: a consumer's own error."""


class Passage:
    """
    One attempt's way through the gates of its policy.

    Dropped on the way, it leaves them: nobody has awaited what an admitted call
    returned, or a block was never left.

    Args:
        gates: From the outside in.
    """

    __slots__ = ("_entered", "_gates", "_resting", "_started_s")

    def __init__(self, gates: tuple[Gate, ...]) -> None:
        self._gates = gates
        self._entered: list[tuple[Gate, object]] = []
        self._resting: list[Permit] = []
        self._started_s = 0.0

    def enter(self) -> None:
        """
        Pass all gates.

        Raises:
            Rejected: One refused; those before it have been left.
        """
        gates, entered = self._gates, self._entered
        if _OVERDUE:
            _leave_overdue()

        if len(gates) > 1:
            for gate in gates:
                gate.peek()

        try:
            for gate in gates:
                entered.append((gate, gate.enter()))
        except BaseException as error:
            self.leave(error, 0.0)
            raise

        self._started_s = gates[0].clock.monotonic()

    async def enter_async(self) -> None:
        """Pass all gates, waiting as a task."""
        gates, entered = self._gates, self._entered
        if _OVERDUE:
            _leave_overdue()

        if len(gates) > 1:
            for gate in gates:
                gate.peek()

        try:
            for gate in gates:
                entered.append((gate, await gate.enter_async()))
        except BaseException as error:
            self.leave(error, 0.0)
            raise

        self._started_s = gates[0].clock.monotonic()

    def elapsed_s(self) -> float:
        """Return how long ago the last gate was passed, in seconds."""
        return self._gates[0].clock.monotonic() - self._started_s

    def leave(
        self, error: BaseException | None = None, elapsed_s: float | None = None
    ) -> None:
        """
        Leave the gates that were passed, the inner ones first; once.

        Args:
            error: What the attempt raised; None: it succeeded.
            elapsed_s: What counts as its duration; None: the time since the last gate.
        """
        entered, self._entered = self._entered, []
        if self._resting:
            self._go_on(None)

        if elapsed_s is None:
            elapsed_s = self._gates[0].clock.monotonic() - self._started_s

        for gate, token in reversed(entered):
            try:
                gate.leave(token, error, elapsed_s)
            except RecursionError:
                _OVERDUE.append((gate, token))
            except Exception as fault:  # noqa: BLE001 - the others must be left too
                report_fault("resilience.gate", fault)

    def rest(self) -> None:
        """Tell the gates that a stream is alive, and that nobody is in it for now."""
        for gate, token in self._entered:
            gate.renew(token)

        self._rest()

    def go_on(self) -> None:
        """Tell them that somebody is in it again."""
        if self._resting:
            self._go_on(whose())

    def hold(self) -> None:
        """Hold on for a block, which what follows in this context is nested in."""
        self._rest()
        if self._resting:
            block(whose(), self._resting)

    def _rest(self) -> None:
        for _, token in self._entered:
            if type(token) is Permit:
                token.rest()
                self._resting.append(token)

    def _go_on(self, owner: object) -> None:
        resting = self._resting
        while resting:
            resting.pop().go_on(owner)

    def __del__(self) -> None:
        if self._entered:
            self.leave(Unjudged())


def _leave_overdue() -> None:
    for _ in range(len(_OVERDUE)):
        try:
            gate, token = _OVERDUE.pop()
        except IndexError:  # another thread was faster
            return

        try:
            gate.leave(token, Unjudged(), 0.0)
        except RecursionError:
            _OVERDUE.append((gate, token))
            return
