"""RateLimit fields as draft-ietf-httpapi-ratelimit-headers-11 has them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from svcready.resilience._admitting._gcra import Rate
    from svcready.resilience._limiting._inbound_means import FieldOptions
    from svcready.resilience._limiting._store import Left

__all__ = ["Share", "fields", "legacy_fields", "most_constrained_first", "told_by"]

_MOST = 999_999_999_999_999
"""The largest integer of structured fields (RFC 9651)."""


class Share(NamedTuple):
    """How a caller stands with one limit."""

    name: str
    """The limit's name, which needs no escaping."""
    rate: Rate
    """Its rate."""
    left: Left
    """What is left of it."""
    partition: str = ""
    """A hash of whose share it is, in base64; empty: nothing is said of it."""
    key: str = ""
    """The bucket's, of which nothing is said."""


def most_constrained_first(shares: Iterable[Share]) -> list[Share]:
    """
    Return *shares*, those that refuse first, then by what is left of them.

    A policy is told of once for each partition that is told, as it is constrained most.
    """
    ordered = sorted(
        shares,
        key=lambda share: (
            share.left.allowed,
            share.left.remaining / share.rate.burst,
            -share.left.full_after_s,
        ),
    )
    told: dict[tuple[str, str], Share] = {}
    for share in ordered:
        told.setdefault((share.name, share.partition), share)

    return list(told.values())


def fields(shares: Sequence[Share]) -> tuple[tuple[str, str], ...]:
    """
    Return the fields for *shares*, in their order.

    A policy is what can be had at once, and the time in which that comes back; it
    depends on the rate alone. `t` is when there is more to be had, and not so early
    that what is left over `t` would be faster than the rate can last.

    Args:
        shares: How the caller stands with each limit; at least one.
    """
    policies, limits = [], []
    for name, rate, left, partition, _ in shares:
        pk = f";pk=:{partition}:" if partition else ""
        policies.append(f'"{name}";q={rate.burst};w={_window_s(rate)}{pk}')
        limits.append(f'"{name}";r={left.remaining};t={_effective_s(rate, left)}{pk}')

    return (
        ("ratelimit-policy", ", ".join(policies)),
        ("ratelimit", ", ".join(limits)),
    )


def legacy_fields(share: Share) -> tuple[tuple[str, str], ...]:
    """Return X-RateLimit-*, which have no standard; Reset in seconds from now."""
    rate, left = share.rate, share.left
    return (
        ("x-ratelimit-limit", str(rate.burst)),
        ("x-ratelimit-remaining", str(left.remaining)),
        ("x-ratelimit-reset", str(_whole(left.full_after_s))),
    )


def told_by(
    shares: Sequence[Share], options: FieldOptions
) -> tuple[tuple[str, str], ...]:
    """Return all that *options* have a response say of *shares*, at least one."""
    told = fields(shares) if options.standard else ()
    return told + legacy_fields(shares[0]) if options.legacy else told


def _window_s(rate: Rate) -> int:
    return max(1, _whole(rate.burst / rate.per_s))


def _effective_s(rate: Rate, left: Left) -> int:
    owed = left.full_after_s * rate.per_s  # of the burst, not yet back
    more_s = (owed - (rate.burst - left.remaining - 1)) / rate.per_s
    return max(1, _whole(max(more_s, left.remaining / rate.per_s)))


def _whole(seconds: float) -> int:
    return int(min(_MOST, math.ceil(seconds - 1e-9)))
