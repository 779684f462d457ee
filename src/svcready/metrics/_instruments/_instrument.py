"""The instruments that a declaration makes, each with a bounded set of children."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from svcready._core.events import publish
from svcready._core.guard import report_fault
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.metrics._events import SeriesCapped
from svcready.metrics._instruments._cardinality import fullest
from svcready.metrics._instruments._children import (
    CounterChild,
    LockedCounterChild,
    adds_are_atomic,
)
from svcready.metrics._instruments._names import label_text
from svcready.metrics._model import Family

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from svcready.metrics._instruments._cardinality import Room
    from svcready.metrics._model import Distribution, Number

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


__all__ = ["OTHER", "Counter", "Instrument", "Spec"]

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
        "_folded",
        "_lost",
        "_make",
        "_max_label",
        "_max_series",
        "_own_cap",
        "_redact",
        "_room",
        "spec",
    )

    def __init__(self, spec: Spec, make: Callable[[], C]) -> None:
        self.spec = spec
        self._make = make
        self._max_series = _MAX_SERIES
        self._own_cap = False
        self._redact: Callable[[str], str] = str
        self._max_label = _MAX_LABEL
        self._room: Room | None = None
        # Only ever tried, never waited for: it lets one thread tell of the cap.
        self._cap_told = threading.Lock()
        self._folded = CounterChild() if adds_are_atomic() else LockedCounterChild()
        self._lost = make()
        self._children: dict[tuple[object, ...], C] = {}
        if not spec.labels:
            self._children[()] = make()

    def labels(self, *values: object, **named: object) -> C:
        """
        Return the child of these label values; keep it where it is used often.

        Beyond the cap of series (`SVCREADY_METRICS_MAX_SERIES`, and
        `SVCREADY_METRICS_MAX_TOTAL_SERIES` for all metrics) it is the one child whose
        labels are all `__other__`. Values that don't fit the declaration are reported
        as an internal error and recorded nowhere; nothing is raised.

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
        except Exception:  # noqa: BLE001 - a wrong name; a value without a hash
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

    @property
    def folded(self) -> float:
        """How often label values were looked up that found no room."""
        return self._folded.read()

    def cap(self, max_series: int) -> None:
        """Take a cap of its own, whatever is configured for the others."""
        self._own_cap = True
        self._max_series = max_series

    def limit(
        self,
        max_series: int,
        max_label: int,
        redact: Callable[[str], str] = str,
        room: Room | None = None,
    ) -> None:
        """
        Take what bounds the series and their labels.

        Args:
            max_series: How many series there may be, unless it has a cap of its own.
            max_label: How many characters a label's value may have.
            redact: Hides the secrets in label values.
            room: What all metrics share, where its series are counted from now on.
        """
        self._max_label = max_label
        self._redact = redact
        if not self._own_cap:
            self._max_series = max_series

        if room is not self._room:
            self._room = room
            if room is not None:
                room.take(self.series)

    def offence(self, limit: int, *, together: bool = False) -> SeriesCapped:
        """Say by which label its series are so many that *limit* was reached."""
        keys = tuple(self.children())
        label, values = fullest(self.spec.labels, keys)
        # What came before there was a runtime was not redacted yet.
        sample = tuple([self._redact(value) for value in values if value != OTHER])
        return SeriesCapped(self.spec.name, limit, label, sample, together)

    def reset(self) -> None:
        """Start every series again from zero; kept children stay connected."""
        self._folded.reset()
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

        if self.spec.labels:
            if len(self._children) >= self._max_series:
                return self._other(None)

            if self._room is not None and self._room.full:
                return self._other(self._room)

        return self._keep(key)

    def _keep(self, key: tuple[str, ...]) -> C:
        made = self._make()
        # Atomic, and no lock: a finalizer may come here while its thread is here.
        child = self._children.setdefault(key, made)
        if child is made and self._room is not None:
            self._room.take()

        return child

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

    def _other(self, full: Room | None) -> C:
        """
        Return the one child that takes what found no room.

        Args:
            full: The shared room, if it was that which is full.
        """
        self._folded.inc()
        first = self._cap_told.acquire(blocking=False)
        if full is not None:
            full.tell()
        elif first:
            publish(self.offence(self._max_series))

        key = (OTHER,) * len(self.spec.labels)
        child = self._children.get(key)
        return self._keep(key) if child is None else child

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
