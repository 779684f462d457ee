"""Events: how pillars that don't know each other tell of rare things."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ClientFound",
    "DestinationFailed",
    "DestinationNoted",
    "DestinationRecovered",
    "ItemsDropped",
    "publish",
    "subscribe",
]

E = TypeVar("E")


class ItemsDropped(NamedTuple):
    """Telemetry was thrown away, because a queue was full or a sink refused it."""

    component: str
    """Whose items: `logging`, `tracing.otlp`, ..."""
    reason: str
    """A fixed word: `queue_full`, `rejected`, `deadline`, `too_large`, ..."""
    items: int
    """How many items."""


class DestinationFailed(NamedTuple):
    """Telemetry could not be delivered; told once until it can be again."""

    component: str
    """Whose: `logging.file`, `audit.cloudwatch`, `metrics.cloudwatch`, ..."""
    destination: str
    """Where it was to go, for people."""
    reason: str
    """Why it did not, in a few words."""


class DestinationRecovered(NamedTuple):
    """Telemetry can be delivered again."""

    component: str
    destination: str
    failed_s: float
    """How long it could not, in seconds."""
    lost: int
    """How many items were given up meanwhile."""


class DestinationNoted(NamedTuple):
    """Something about a destination is amiss, though it is delivered to."""

    component: str
    destination: str
    notice: str
    """What, in one sentence."""


class ClientFound(NamedTuple):
    """The application uses a client or framework that more can be done for."""

    library: str
    """Its module: `django`, ..."""


_hooks: dict[type, tuple[Callable[[object], None], ...]] = {}


def publish(event: object) -> None:
    """
    Hand *event* to everyone who subscribed to its type.

    For rare things only (a retry, a state change, a drop): never per request or log
    line. A hook that fails is reported, and the others still run. Call it with no
    lock held.
    """
    for hook in _hooks.get(type(event), ()):
        try:
            hook(event)
        except Exception as error:  # noqa: BLE001 - a hook must not hurt its caller
            report_fault("events", error)


def subscribe(kind: type[E], hook: Callable[[E], None]) -> Callable[[], None]:
    """
    Have *hook* called with every event of exactly the type *kind*.

    Returns:
        A function that ends the subscription; calling it again does nothing.
    """
    entry: Callable[[object], None] = hook  # type: ignore[assignment]
    _hooks[kind] = (*_hooks.get(kind, ()), entry)

    def unsubscribe() -> None:
        _hooks[kind] = tuple(h for h in _hooks.get(kind, ()) if h is not entry)

    return unsubscribe
