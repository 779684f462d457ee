"""The stores that processes share: families, and lines when one is lost or back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.events import subscribe
from svcready.metrics._model import Family, Number
from svcready.resilience._events import StoreBack, StoreLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from svcready.logging._pillar import LogPillar
    from svcready.resilience._sharing._shared import Shared

__all__ = ["log_stores", "store_families"]

_MEANWHILE = {
    "breakers": "circuit breakers of this process hear of no others",
    "rate_limits": "rate limits follow SVCREADY_HTTP_RATE_LIMIT_ON_STORE_FAILURE={}",
}


def store_families(shared: Shared | None) -> Iterator[Family]:
    """Yield what is known of the stores; nothing where none is used."""
    if shared is None or not (stores := shared.contacts()):
        return

    yield _family(
        "store_up",
        "gauge",
        "1 if the shared store answers, 0 while it is lost.",
        ("store",),
        [((store.name,), float(store.is_up)) for store in stores],
        workers="min",
    )
    yield _family(
        "store_failures",
        "counter",
        "Times that a shared store did not answer, by reason.",
        ("store", "reason"),
        [
            ((store.name, reason), float(times))
            for store in stores
            for reason, times in store.failures().items()
        ],
    )
    if shared.rates is not None:
        without = shared.rates.without()
        yield _family(
            "store_bypassed",
            "counter",
            "Decisions made without the shared store, by what decided.",
            ("store", "mode"),
            [(("rate_limits", mode), float(times)) for mode, times in without.items()],
        )

    if shared.gossip is not None:
        counts = shared.gossip.counts()
        yield _family(
            "gossip",
            "counter",
            "Openings of circuit breakers told to other processes or heard of them.",
            ("outcome",),
            [((outcome,), float(times)) for outcome, times in counts.items()],
        )


def log_stores(logs: LogPillar, on_failure: str) -> list[Callable[[], None]]:
    """
    Have a line written when a store is lost, and when it is back.

    Args:
        logs: Where.
        on_failure: What rate limits do meanwhile: `local`, `open` or `closed`.
    """

    def lost(e: StoreLost) -> None:
        what = f"does not answer ({e.reason})"
        if e.code or e.reason == "refused":
            what = f"answers {e.code or 'an error'}"

        meanwhile = _MEANWHILE.get(e.name, e.name).format(on_failure)
        logs.event(
            f"Redis {what}: {meanwhile}",
            "WARNING",
            event="shared_store.lost",
            **{name: said for name, said in e._asdict().items() if said},
        )

    def back(e: StoreBack) -> None:
        logs.event(
            f"Redis answers again after {e.lost_s:.3g} s",
            "INFO",
            event="shared_store.back",
            **(e._asdict() | {"lost_s": round(e.lost_s, 3)}),
        )

    return [subscribe(StoreLost, lost), subscribe(StoreBack, back)]


def _family(
    name: str,
    kind: str,
    text: str,
    labels: tuple[str, ...],
    points: Iterable[tuple[tuple[str, ...], float]],
    *,
    workers: str = "sum",
) -> Family:
    base = f"svcready_resilience_{name}"
    numbers = tuple(Number(values, value) for values, value in points)
    return Family(base, base, kind, text, "", labels, numbers, "svcready", workers)
