"""Refusals as problem details: RFC 9457, with the types that RateLimit fields have."""

from __future__ import annotations

import json
import math
from random import random
from typing import TYPE_CHECKING

from svcready.resilience._limiting._inbound import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["QUOTA_EXCEEDED", "REDUCED_CAPACITY", "refusal", "retry_after"]

_TYPES = "https://iana.org/assignments/http-problem-types#"
QUOTA_EXCEEDED = (
    f"{_TYPES}quota-exceeded",
    "Request cannot be satisfied as assigned quota has been exceeded",
)
"""Type and title of a 429: draft-ietf-httpapi-ratelimit-headers-11, section 7."""
REDUCED_CAPACITY = (
    f"{_TYPES}temporary-reduced-capacity",
    "Request cannot be satisfied due to temporary server capacity constraints",
)
"""Type and title of a 503: the same."""


def retry_after(wait_s: float, rng: Callable[[], float] = random) -> int:
    """
    Return a Retry-After for a wait: whole seconds, at least 1, up to 10 % later.

    Args:
        wait_s: How long until a new try can succeed, in seconds.
        rng: Random numbers from 0 up to 1, so that not all come again at once.
    """
    least = max(1, math.ceil(wait_s))
    return least + int(rng() * (least // 10 + 1))


def refusal(
    status: int,
    kind: tuple[str, str],
    *,
    retry_after_s: int,
    headers: Sequence[tuple[str, str]] = (),
    more: Mapping[str, object] | None = None,
) -> Refusal:
    """
    Return a finished answer.

    Args:
        status: 429 or 503.
        kind: The problem's type and title.
        retry_after_s: When to come again, in seconds.
        headers: What else it carries.
        more: Further members of the body.
    """
    body = {"type": kind[0], "title": kind[1], "status": status, **(more or {})}
    return Refusal(
        status,
        (
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("retry-after", str(retry_after_s)),
            *headers,
        ),
        json.dumps(body, separators=(",", ":")).encode(),
    )
