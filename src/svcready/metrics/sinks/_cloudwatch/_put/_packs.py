"""The fewest requests that a flush fits into."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import ceil
from typing import TYPE_CHECKING

from svcready.metrics.sinks._cloudwatch._put._members import body_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready.metrics.sinks._cloudwatch._put._members import Entry

__all__ = ["MOST_BYTES", "MOST_DATUMS", "least_requests", "pack"]

MOST_DATUMS = 1000
"""Datums in one request."""
MOST_BYTES = 1_000_000
"""Bytes of one request, before compression. The service says 1 MB and not of what."""


def least_requests(namespace: str, entries: Sequence[Entry]) -> int:
    """Return how many requests *entries* need at least, by count and by bytes."""
    frame = body_bytes(namespace, 0, 0)
    # Every datum but the first of a request brings a comma and a blank.
    comma = body_bytes(namespace, 0, 2) - frame
    each = [entry.size + comma for entry in entries]
    by_bytes = sum(each) / (MOST_BYTES - frame + comma)
    return max(ceil(len(each) / MOST_DATUMS), ceil(by_bytes))


def pack(namespace: str, entries: Sequence[Entry]) -> list[list[Entry]]:
    """
    Divide *entries* into as few requests as the limits allow.

    Taking them as they come would fill one request with a thousand small datums and
    the next with a megabyte of large ones. Dealt out by size, the largest first and
    each to the lightest request, both limits are approached together (Graham's LPT
    rule), so that the lower bound is reached unless the last bytes are needed.

    Args:
        namespace: Of all of them; its bytes count.
        entries: None larger than a request.
    """
    if not entries:
        return []

    by_size = sorted(entries, key=lambda entry: entry.size, reverse=True)
    requests = least_requests(namespace, entries)
    while True:
        packs = _deal(namespace, by_size, requests)
        if packs is not None:
            return packs

        requests += 1


def _deal(
    namespace: str, by_size: Sequence[Entry], requests: int
) -> list[list[Entry]] | None:
    packs: list[list[Entry]] = [[] for _ in range(requests)]
    lightest = [(0, number) for number in range(requests)]
    heapify(lightest)
    for entry in by_size:
        if not lightest:
            return None

        size, number = heappop(lightest)
        packs[number].append(entry)
        size += entry.size
        if body_bytes(namespace, size, len(packs[number])) > MOST_BYTES:
            return None

        if len(packs[number]) < MOST_DATUMS:
            heappush(lightest, (size, number))

    return [made for made in packs if made]
