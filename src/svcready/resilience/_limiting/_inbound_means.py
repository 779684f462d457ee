"""What a runtime hands over for inbound requests: the operator's word, ways to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from svcready.config._rate_limits import RateRule
    from svcready.config._sections.http import HttpSettings
    from svcready.resilience._limiting._store import Store

__all__ = ["NO_INBOUND", "DeclaredRoute", "FieldOptions", "InboundMeans"]


class DeclaredRoute(NamedTuple):
    """A route that an application declares."""

    template: str
    """Its template."""
    methods: Collection[str] | None
    """What it takes; None: all methods, or that is not known."""
    endpoint: object
    """The function or class that serves it; None: not known."""


class FieldOptions(NamedTuple):
    """What responses say of limits."""

    standard: bool = True
    """`RateLimit-Policy` and `RateLimit`."""
    legacy: bool = False
    """`X-RateLimit-*`, of the most constrained one."""
    partition: bool = False
    """A hash of whose share it is, in the standard ones."""


class InboundMeans(NamedTuple):
    """What the pillar is given for inbound requests, read whenever it is needed."""

    rules: Callable[[], Sequence[RateRule]]
    """The operator's rules."""
    values: Callable[[str], Mapping[str, object]]
    """The operator's values for a limit's name."""
    options: Callable[[], FieldOptions]
    """What responses say."""
    changed: Callable[[], None]
    """Has adapters ask anew what requests are asked of."""
    http: Callable[[], HttpSettings] | None = None
    """The section HTTP, for deadlines and load shedding."""
    store: Callable[[], Store] | None = None
    """Makes what the limits are counted in; None: this process's memory."""
    routes: Callable[[], Sequence[DeclaredRoute]] = lambda: ()
    """Tells all routes; none where some application's are not known."""
    elsewhere: Callable[[], str] = str
    """Says where a request may have routes beside these; empty: nowhere."""
    named: Callable[[str, str], str] = lambda _, field: field
    """Returns what the operator calls a limit's field."""
    is_own: Callable[[str], bool] = lambda _: False
    """Tells whether a path is one of svcready's own: metrics, probes, operators."""
    kept_in: Callable[[], str] = lambda: "memory"
    """Tells where limits are counted: `memory`, of this process, or `redis`."""
    rules_said: Callable[[], str] = lambda: ""
    """Returns where the operator says the rules."""


NO_INBOUND = InboundMeans(lambda: (), lambda _: {}, FieldOptions, lambda: None)
"""Where nothing is served."""
