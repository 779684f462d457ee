"""What OpenTelemetry's observable instruments say when they are asked."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready.metrics._instruments._children import checked_number
from svcready.metrics._model import Number
from svcready.metrics.sources._otel._streams import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.metrics import CallbackT, Observation

    from svcready.metrics._model import Family
    from svcready.metrics.sources._otel._streams import Shape

    Ask = Callable[[CallbackOptions], Iterable[Observation]]

__all__ = ["ObservedStream"]

_OPTIONS = CallbackOptions(timeout_millis=10_000)
_COMPONENT = "metrics.otel"


class _Seen:
    """The last value that was observed of one series."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None

    def reset(self) -> None:
        self.value = None


class ObservedStream(Stream[_Seen]):
    """
    A metric whose callbacks are asked at each reading.

    One reader at a time asks; another one that comes meanwhile gets what was said
    last, because callbacks are seldom made for two threads and may take long.

    Args:
        shape: What it was created with.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, _Seen)
        self._callbacks: dict[object, tuple[str, Ask]] = {}
        self._asking = threading.Lock()  # only ever tried, never waited for
        fork.reset_in_child(self._reset_lock)

    def observe_by(self, scope: str, callbacks: Sequence[CallbackT] | None) -> None:
        """Ask *callbacks* of the meter *scope* from now on as well, each once."""
        for callback in callbacks or ():
            # Equal methods of one object are one; not every callable can be a key.
            key: object = callback
            try:
                hash(callback)
            except TypeError:
                key = id(callback)

            self._callbacks.setdefault(key, (scope, _ask(callback)))

    def read(self) -> Family:
        """Ask the callbacks and return what they said, in this reading alone."""
        if self._asking.acquire(blocking=False):
            try:
                self._ask_all()
            finally:
                self._asking.release()

        names, children = self.table()
        points = [
            Number(row, child.value)
            for row, child in children.items()
            if child.value is not None
        ]
        return self.family(names, tuple(points))

    def _reset_lock(self) -> None:
        self._asking = threading.Lock()

    def _ask_all(self) -> None:
        said: dict[_Seen, float] = {}
        for scope, ask in self._callbacks.copy().values():
            try:
                for observation in ask(_OPTIONS) or ():
                    self._take(scope, observation, said)
            except Exception as error:  # noqa: BLE001 - the others are asked on
                report_fault(_COMPONENT, error)

        for child in self.kept():
            child.value = said.get(child)

    def _take(
        self, scope: str, observation: Observation, said: dict[_Seen, float]
    ) -> None:
        kind = self.shape.kind
        lowest = {"lowest": 0.0} if kind == "counter" else {}
        value = checked_number(observation.value, finite=kind != "gauge", **lowest)
        if value is None:
            return

        child = self.find(scope, observation.attributes)
        if child is not None:
            said[child] = value
        elif kind == "gauge":
            said[self.other()] = value
        else:
            other = self.other()
            said[other] = said.get(other, 0) + value


def _ask(callback: CallbackT) -> Ask:
    """Return what asks *callback*, which may be a generator that is sent options."""
    if not isinstance(callback, Generator):
        return callback

    started = False

    def ask(options: CallbackOptions) -> Iterable[Observation]:
        nonlocal started
        try:
            if not started:
                started = True
                next(callback)

            return callback.send(options)
        except StopIteration:
            return ()

    return ask
