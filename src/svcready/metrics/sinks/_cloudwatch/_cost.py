"""What CloudWatch costs in a month: a price list applied to what a service sends."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from svcready.errors import SvcreadyError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Estimate", "Share", "estimate", "price_list"]

_PRICES = Path(__file__).with_name("prices.json")
_S_PER_HOUR = 3600
_GB = 1024**3


class Share(NamedTuple):
    """One metric's part of the costs, by the names of its dimensions."""

    name: str
    dimensions: tuple[str, ...]
    metrics: int
    """How many values the dimensions have together; each is billed."""
    usd: float
    """For a month, by its part of all metrics."""


class Estimate(NamedTuple):
    """The costs of one month."""

    mode: str
    """`emf` or `api`."""
    metrics: int
    shares: tuple[Share, ...]
    """The dearest first."""
    metrics_usd: float
    transport: str
    """What carries the metrics, and how much of it."""
    transport_usd: float

    @property
    def usd(self) -> float:
        """All of it."""
        return self.metrics_usd + self.transport_usd


def price_list() -> dict[str, object]:
    """Return the price list, with its date and source."""
    prices: dict[str, object] = json.loads(_PRICES.read_bytes())
    return prices


def estimate(
    usage: Mapping[str, object],
    prices: Mapping[str, object],
    *,
    mode: str = "",
    processes: int = 1,
) -> Estimate:
    """
    Reckon a month at list prices, as if the account had nothing else.

    Metrics are billed once, however many processes send them; requests and log data
    are by process.

    Args:
        usage: What a service sends, as it says itself.
        prices: The price list.
        mode: `emf` or `api`; empty takes the service's own, and `emf` if it is off.
        processes: How many processes the service has.

    Raises:
        SvcreadyError: *usage* is not what a service says.
    """
    try:
        metrics = cast("list[Mapping[str, object]]", usage["metrics"])
        by_kind = Counter(
            (str(it["name"]), tuple(cast("Mapping[str, str]", it["dimensions"])))
            for it in metrics
        )
        mode = mode or str(usage["mode"]).replace("off", "emf")
        transport, transport_usd = _transport(usage, prices, mode, processes)
    except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        msg = f"this is no usage of CloudWatch: {error!r}"
        raise SvcreadyError(msg) from error

    total_usd = _metrics_usd(len(metrics), prices)
    each_usd = total_usd / len(metrics) if metrics else 0.0
    shares = [Share(*kind, count, count * each_usd) for kind, count in by_kind.items()]
    return Estimate(
        mode,
        len(metrics),
        tuple(sorted(shares, key=lambda share: (-share.metrics, share))),
        total_usd,
        transport,
        transport_usd,
    )


def _metrics_usd(metrics: int, prices: Mapping[str, object]) -> float:
    usd, below = 0.0, 0
    for tier in cast("list[Mapping[str, float | None]]", prices["metric_month"]):
        end = tier["up_to"]
        top = metrics if end is None else min(metrics, int(end))
        usd += max(0, top - below) * cast("float", tier["price"])
        below = max(below, top)

    return usd


def _transport(
    usage: Mapping[str, object], prices: Mapping[str, object], mode: str, processes: int
) -> tuple[str, float]:
    month_s = cast("float", prices["hours_per_month"]) * _S_PER_HOUR
    size, requests = 0.0, 0.0
    for push in cast("list[Mapping[str, float]]", usage["pushes"]):
        times = month_s / push["interval_s"] * processes
        size += times * push["emf_bytes"]
        requests += times * push["put_requests"]

    if mode == "api":
        price = cast("float", prices["put_metric_data_per_1000"])
        return f"{requests:,.0f} requests of PutMetricData", requests / 1000 * price

    usd = size / _GB * cast("float", prices["logs_ingested_per_gb"])
    return f"{size / _GB:,.2f} GB of log data", usd
