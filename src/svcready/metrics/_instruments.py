"""The instruments that a declaration makes, each with a bounded set of children."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from svcready._core.declarations import calling_place
from svcready._core.events import publish
from svcready._core.guard import report_fault
from svcready.errors import DeclarationError
from svcready.metrics._children import (
    CounterChild,
    GaugeChild,
    LockedCounterChild,
    LockedGaugeChild,
    adds_are_atomic,
)
from svcready.metrics._events import SeriesCapped
from svcready.metrics._model import Family, Number
from svcready.metrics._names import label_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from svcready.metrics._model import Distribution

    class Child(Protocol):
        """What every child can do besides recording."""

        def reset(self) -> None:
            """Start again from zero."""
            ...

    class Increment(Protocol):
        """How a total or level is changed by an amount."""

        def __call__(self, amount: float = 1) -> None:
            """Apply *amount*; what is no finite number is reported, not raised."""
            ...


__all__ = ["OTHER", "Counter", "Gauge", "Instrument", "Spec"]

OTHER = "__other__"
"""The label value of the one series that takes what found no room."""
_MAX_SERIES = 2000
_MAX_LABEL = 200


C = TypeVar("C", bound="Child")


class Spec(NamedTuple):
    """What a metric was declared with."""

    kind: str
    name: str
    """In base form."""
    exposition: str
    """As Prometheus spells the family."""
    help: str
    unit: str
    labels: tuple[str, ...]
    origin: str
    """`application`, or `svcready` for our own."""
    workers: str = "sum"
    """How values of several processes make one: `sum max min latest pid`."""


class Instrument(Generic[C]):
    """
    One metric: its children by their label values.

    Args:
        spec: What it was declared with.
        make: Makes a child.
    """

    __slots__ = (
        "_cap_told",
        "_children",
        "_lost",
        "_make",
        "_max_label",
        "_max_series",
        "_own_cap",
        "_redact",
        "spec",
    )

    def __init__(self, spec: Spec, make: Callable[[], C]) -> None:
        self.spec = spec
        self._make = make
        self._max_series = _MAX_SERIES
        self._own_cap = False
        self._redact: Callable[[str], str] = str
        self._max_label = _MAX_LABEL
        # Only ever tried, never waited for: it lets one thread tell of the cap.
        self._cap_told = threading.Lock()
        self._lost = make()
        self._children: dict[tuple[object, ...], C] = {}
        if not spec.labels:
            self._children[()] = make()

    def labels(self, *values: object, **named: object) -> C:
        """
        Return the child of these label values; keep it where it is used often.

        Beyond the cap of series (`SVCREADY_METRICS_MAX_SERIES`) it is the one child
        whose labels are all `__other__`. Values that don't fit the declaration are
        reported as an internal error and recorded nowhere; nothing is raised.

        Args:
            values: One value for each label, in the order of declaration.
            named: The same by name.
        """
        try:
            # Keys are tuples of exact str, so values of another type miss.
            if not named:
                child = self._children.get(values)
            elif not values and len(named) == len(self.spec.labels):
                key = tuple([named[label] for label in self.spec.labels])
                child = self._children.get(key)
            else:
                child = None
        except (KeyError, TypeError):  # a wrong name; a value without a hash
            child = None

        return self._resolve(values, named) if child is None else child

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self._children)

    @property
    def capped(self) -> bool:
        """True once a series found no room."""
        return self._cap_told.locked()

    def cap(self, max_series: int) -> None:
        """Take a cap of its own, whatever is configured for the others."""
        self._own_cap = True
        self._max_series = max_series

    def limit(
        self, max_series: int, max_label: int, redact: Callable[[str], str] = str
    ) -> None:
        """Take the caps, of series and of a label's characters, and what redacts it."""
        self._max_label = max_label
        self._redact = redact
        if not self._own_cap:
            self._max_series = max_series

    def reset(self) -> None:
        """Start every series again from zero; kept children stay connected."""
        self._lost.reset()
        for child in self.children().values():
            child.reset()

    def children(self) -> dict[tuple[str, ...], C]:
        """Return the children by label values, as they are now."""
        return self._children.copy()  # type: ignore[return-value]  # keys are str

    def _resolve(self, values: tuple[object, ...], named: dict[str, object]) -> C:
        try:
            key = self._key(values, named)
        except Exception as error:  # noqa: BLE001 - recording never raises
            report_fault("metrics", error)
            return self._lost

        child = self._children.get(key)
        if child is not None:
            return child

        if self.spec.labels and len(self._children) >= self._max_series:
            return self._other(key)

        # Atomic, and no lock: a finalizer may come here while its thread is here.
        return self._children.setdefault(key, self._make())

    def _key(
        self, values: tuple[object, ...], named: dict[str, object]
    ) -> tuple[str, ...]:
        labels = self.spec.labels
        if named:
            if values or named.keys() != set(labels):
                raise self._mismatch((*values, *named))

            values = tuple([named[label] for label in labels])
        elif len(values) != len(labels):
            raise self._mismatch(values)

        longest = self._max_label
        redact = self._redact  # before the cut, and once: a known value is no secret
        return tuple([label_text(value, longest, redact) for value in values])

    def _mismatch(self, given: tuple[object, ...]) -> DeclarationError:
        spec = self.spec
        return DeclarationError(
            f"{spec.kind} {spec.name!r} has the labels {spec.labels!r}, was given "
            f"{len(given)} at {calling_place()}: {given!r:.200}"
        )

    def _other(self, key: tuple[str, ...]) -> C:
        labels = self.spec.labels
        other = self._children.setdefault((OTHER,) * len(labels), self._make())
        if self._cap_told.acquire(blocking=False):
            sample = tuple(zip(labels, key, strict=True))
            publish(SeriesCapped(self.spec.name, self._max_series, sample))

        return other

    def unlabelled(self, method: str) -> Callable[..., None]:
        """Return what stands for *method* where labels have to be given first."""
        spec = self.spec

        def report(*_: object, **__: object) -> None:
            try:
                raise DeclarationError(
                    f"{spec.kind} {spec.name!r} has labels: "
                    f"call .labels({', '.join(spec.labels)}).{method}(...) "
                    f"at {calling_place()}"
                )
            except DeclarationError as error:
                report_fault("metrics", error)

        return report

    def family(self, kind: str, points: tuple[Number | Distribution, ...]) -> Family:
        """Return *points* as the family of this metric."""
        spec = self.spec
        return Family(
            spec.name,
            spec.exposition,
            kind,
            spec.help,
            spec.unit,
            spec.labels,
            points,
            spec.origin,
            spec.workers,
        )


class Counter(Instrument[CounterChild]):
    """A total that only rises."""

    __slots__ = ("inc",)

    inc: Increment
    """Add an amount, 1 by default; for a counter that was declared without labels."""

    def __init__(self, spec: Spec) -> None:
        make = CounterChild if adds_are_atomic() else LockedCounterChild
        super().__init__(spec, make)
        self.inc = self.unlabelled("inc") if spec.labels else self._children[()].inc

    def read(self) -> Family:
        """Return all series as they are now."""
        points = [child.point(key) for key, child in self.children().items()]
        return self.family("counter", tuple(points))


class Gauge(Instrument[GaugeChild]):
    """A level that rises and falls."""

    __slots__ = ("dec", "inc", "set", "set_function")

    set: Callable[[float], None]
    """Set the level; for a gauge that was declared without labels."""
    inc: Increment
    """Raise the level, by 1 by default; for a gauge without labels."""
    dec: Increment
    """Lower the level, by 1 by default; for a gauge without labels."""
    set_function: Callable[[Callable[[], float]], None]
    """Observe a function at each reading; for a gauge without labels."""

    def __init__(self, spec: Spec) -> None:
        make = GaugeChild if adds_are_atomic() else LockedGaugeChild
        super().__init__(spec, make)
        if spec.labels:
            self.set = self.unlabelled("set")
            self.inc = self.unlabelled("inc")
            self.dec = self.unlabelled("dec")
            self.set_function = self.unlabelled("set_function")
        else:
            child = self._children[()]
            self.set, self.inc, self.dec = child.set, child.inc, child.dec
            self.set_function = child.set_function

    def read(self) -> Family:
        """Return all series as they are now."""
        points = []
        for key, child in self.children().items():
            value = child.read()
            if value is not None:
                points.append(Number(key, value))

        return self.family("gauge", tuple(points))
