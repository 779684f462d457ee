"""The one shape of a sampling rule, whoever wrote it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DEFAULT_PRIORITY", "MOST_RULES", "SamplingRule"]

DEFAULT_PRIORITY = 10_000
"""That of X-Ray's rule `Default`, which no other may have."""
MOST_RULES = 500
"""So many of one source at most: each costs a decision some nanoseconds."""


class SamplingRule(NamedTuple):
    """
    A sampling rule as X-Ray's API describes it.

    Patterns match a whole value; `*` stands for any characters and `?` for one.
    """

    name: str
    """1 to 32 characters; empty for a rule that X-Ray knows nothing of."""
    priority: int = 9999
    """The lowest is tried first; of equal ones the first by name, in byte order."""
    reservoir: float = 0.0
    """So many a second are sampled first, over all processes and services."""
    rate: float = 0.0
    """The part of the others that is sampled, from 0 to 1."""
    method: str = "*"
    path: str = "*"
    host: str = "*"
    service_name: str = "*"
    service_type: str = "*"
    resource_arn: str = "*"
    attributes: tuple[tuple[str, str], ...] = ()
    """Key and pattern of each attribute that has to be there."""
    boost_max_rate: float | None = None
    """To where adaptive sampling may raise the rate; None: it may not."""
    boost_cooldown_s: float = 0.0
