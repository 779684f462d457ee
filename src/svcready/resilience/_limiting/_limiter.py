"""One limit: its numbers, its counts, and whether it is refusing."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._events import LimitMoved
from svcready.resilience._limiting._limit_keys import NOBODY, address_key, digest
from svcready.resilience._limiting._limit_rules import template_of
from svcready.resilience._limiting._store import Want
from svcready.resilience._outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from svcready._core.clock import Clock
    from svcready.resilience._limiting._inbound import Inbound
    from svcready.resilience._limiting._limit_keys import KeyPart

__all__ = ["LimitConfig", "Limiter", "key_of", "override_limit"]

_PASSING, _REFUSING = "passing", "refusing"
_QUIET_S = 10.0
"""So long without a refusal, and it passes again."""


class LimitConfig(NamedTuple):
    """The numbers of a limit."""

    rate: Rate
    """How often one caller may ask."""
    mode: str = "enforce"
    """`enforce`, `observe` (decides and tells, refuses nothing) or `off`."""


def override_limit(
    config: LimitConfig, values: Mapping[str, object], dearest: int = 0
) -> tuple[LimitConfig, tuple[str, ...]]:
    """
    Return *config* with the operator's values in it, and what is wrong with them.

    Args:
        config: What code or rule declared.
        values: By field: `mode`, `rate` (times a second, and at once), `burst`.
        dearest: The highest cost that code gave; a burst below it is wrong.
    """
    declared = config.rate
    problems: tuple[str, ...] = ()
    rate, burst, mode = (values.get(field) for field in ("rate", "burst", "mode"))
    if isinstance(rate, tuple):
        config = config._replace(rate=Rate(*rate))

    if isinstance(burst, int):
        config = config._replace(rate=config.rate._replace(burst=burst))

    if config.rate != declared and config.rate.burst < dearest:
        field = "burst" if isinstance(burst, int) else "rate"
        problem = (
            f"{field}: a burst of {config.rate.burst} is below the cost of {dearest} "
            "that a call has, which nobody could ever pay: the rate is left as declared"
        )
        config, problems = config._replace(rate=declared), (problem,)

    if isinstance(mode, str):
        config = config._replace(mode=mode)

    return config, problems


class Limiter:
    """
    The state of one limit that its callers have in common; buckets are the store's.

    Args:
        name: Its name, which callers see in the fields.
        config: Its numbers.
        by: What tells callers apart.
        dearest: The highest cost that code gave so far.
    """

    __slots__ = (
        "__weakref__",
        "_counts",
        "_lock",
        "_outbox",
        "_refused_s",
        "_state",
        "by",
        "clock",
        "config",
        "dearest",
        "name",
    )

    def __init__(
        self,
        name: str,
        config: LimitConfig,
        by: tuple[KeyPart, ...],
        *,
        dearest: int = 0,
    ) -> None:
        self.name = name
        self.config = config
        self.clock: Clock = SYSTEM_CLOCK
        self.by = by
        self.dearest = dearest
        self._counts: dict[str, int] = {"success": 0}
        self._state = _PASSING
        self._refused_s = -math.inf
        self._outbox = Outbox()
        self._lock = threading.Lock()
        fork.reset_in_child(self._reset)

    def use(self, config: LimitConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force, keeping the state."""
        if clock is not self.clock:
            self._refused_s = -math.inf

        self.config, self.clock = config, clock

    def counts(self) -> dict[str, int]:
        """Return how many requests had each outcome."""
        with self._lock:
            return dict(self._counts)

    def want(self, key: str, cost: int) -> Want:
        """
        Return what a request wants of it; never more than could ever be had.

        An operator may have set the burst below a cost that code gave: such a request
        takes the whole of it.
        """
        rate = self.config.rate
        name = self.name
        return Want(f"{name}:{key}", rate, min(cost, rate.burst), name)

    def settle(self, *, allowed: bool) -> None:
        """Count a decision on it alone, and tell if it begins or ends to refuse."""
        enforces = self.config.mode == "enforce"
        refused = "rejected" if enforces else "observed"
        outcome = "success" if allowed else refused
        calm = allowed and self._state is _PASSING
        now_s = 0.0 if calm else self.clock.monotonic()
        with self._lock:
            self._counts[outcome] = self._counts.get(outcome, 0) + 1
            if not calm:
                self._move(now_s, allowed=allowed, reason=outcome)

        if not calm:
            self._outbox.tell()

    def _move(self, now_s: float, *, allowed: bool, reason: str) -> None:
        if not allowed:
            self._refused_s = now_s
            after = _REFUSING
        elif now_s - self._refused_s >= _QUIET_S:
            after, reason = _PASSING, "quiet"
        else:
            return

        if after is not self._state:
            self._outbox.add(LimitMoved(self.name, self._state, after, reason))
            self._state = after

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._outbox.reset()
        self._counts = {"success": 0}  # the parent tells of its own


def key_of(request: Inbound, parts: Sequence[KeyPart], told: Mapping[str, str]) -> str:
    """
    Return whose share a request takes, as stores may know it.

    Args:
        request: The request.
        parts: What tells callers apart.
        told: What resolvers said of it; who is unknown to them goes by address.
    """
    if len(parts) == 1 and parts[0].kind == "address":
        return address_key(request.client)

    values = [_value(request, part, told) for part in parts]
    if all(value is None for value in values):
        return NOBODY  # `all`

    return digest(NOBODY if value is None else value for value in values)


def _value(request: Inbound, part: KeyPart, told: Mapping[str, str]) -> str | None:
    if part.kind == "all":
        return None

    if part.kind == "route":
        return f"r{template_of(request) or ''}"

    value = told.get(part.of)
    if part.kind == "header":
        value = request.header(part.of)
        if value is not None and "," in value:  # several lines: who knows which is read
            value = None

    # Of another kind than what was told, so that nobody can pass for somebody.
    return f"a{address_key(request.client)}" if not value else f"{part.kind}={value}"
