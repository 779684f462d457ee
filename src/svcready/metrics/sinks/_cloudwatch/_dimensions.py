"""Dimension sets: which of them a metric has, and their values for each series."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from svcready.config._problems import nearest
from svcready.metrics.sinks._cloudwatch._texts import dimension_value

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from svcready._core.identity import Identity

__all__ = ["ENDPOINT", "Dimensions", "Dims", "Mapper", "Sets", "read_sets"]

ENDPOINT = "ApiEndpoint"
_OWN: dict[str, Callable[[Identity], str]] = {
    "Environment": lambda identity: identity.environment,
    "Service": lambda identity: identity.service,
    "Version": lambda identity: identity.version,
    "ServiceInstance": lambda identity: identity.host_instance,
}
_METHOD = "http_request_method"
_ROUTE = "http_route"
_MOST = 30
_MOST_CACHED = 100_000
_NAME = re.compile(r"[a-z_][a-zA-Z0-9_.]{0,199}")

Dims = tuple[tuple[str, str], ...]
Sets = tuple[tuple[str, ...], ...]


def read_sets(text: str, known: Collection[str] = ()) -> tuple[Sets, str]:
    """
    Read dimension sets, `Environment,ApiEndpoint;Environment`.

    Args:
        text: Sets divided by semicolons, names by commas.
        known: Labels and attributes that are there; others that are spelt like
            labels are taken as well, because metrics may be declared later.

    Returns:
        The sets, and what is wrong; then the sets are empty.
    """
    names = (*_OWN, ENDPOINT)
    sets: list[tuple[str, ...]] = []
    for part in text.split(";"):
        found = tuple(dict.fromkeys(name.strip() for name in part.split(",")))
        if not all(found):
            return (), "has an empty name"

        if len(found) > _MOST:
            return (), f"has a set of {len(found)} names, and CloudWatch takes {_MOST}"

        for name in found:
            if name not in names and name not in known:
                near = nearest(name, names) or _cased(name)
                if near or not _NAME.fullmatch(name):
                    meant = f" (did you mean {near}?)" if near else ""
                    return (), f"has the unknown name {name!r}{meant}"

        sets.append(found)

    return tuple(dict.fromkeys(sets)), ""


def _cased(name: str) -> str:
    plain = name.replace("_", "").lower()
    return next((own for own in (*_OWN, ENDPOINT) if own.lower() == plain), "")


class _Part(NamedTuple):
    """Where one dimension's value comes from."""

    name: str
    fixed: str
    """The value; empty where a label gives it."""
    labels: tuple[int, ...]
    """The label's place; method and route for the endpoint."""


class Mapper:
    """
    Gives the dimension sets of each series of metrics with the same labels.

    Args:
        plans: The parts of each set, sorted by name.
    """

    def __init__(self, plans: Iterable[tuple[_Part, ...]]) -> None:
        self._plans = tuple(plans)
        self._cache: dict[tuple[str, ...], tuple[Dims, ...]] = {}

    def __call__(self, labels: tuple[str, ...]) -> tuple[Dims, ...]:
        """Return the dimension sets of the series with these label values."""
        found = self._cache.get(labels)
        if found is None:
            if len(self._cache) >= _MOST_CACHED:  # series come and go
                self._cache.clear()

            made = [
                tuple([(part.name, _value(part, labels)) for part in plan])
                for plan in self._plans
            ]
            found = self._cache[labels] = tuple(dict.fromkeys(made))

        return found


def _value(part: _Part, labels: tuple[str, ...]) -> str:
    if part.fixed:
        return part.fixed

    return dimension_value(" ".join([labels[index] for index in part.labels]))


class Dimensions:
    """
    The dimension sets of one service's metrics.

    Args:
        sets: Names, as `read_sets` returns them.
        join_labels: Whether a metric's own labels join the first set.
    """

    def __init__(self, sets: Sets, *, join_labels: bool) -> None:
        self._sets = sets
        self._join_labels = join_labels
        self._fixed: dict[str, str] = {}
        self._mappers: dict[tuple[tuple[str, ...], bool], Mapper] = {}

    def identify(self, identity: Identity) -> None:
        """Take the values that all series share."""
        fixed = {key: str(value) for key, value in identity.resource().items()}
        fixed.update({name: read(identity) for name, read in _OWN.items()})
        self._fixed = {
            name: dimension_value(value) for name, value in fixed.items() if value
        }
        self._mappers = {}

    def fixed(self, *names: str) -> Dims:
        """Return those of *names* that all series share."""
        have = self._fixed
        return tuple(sorted((name, have[name]) for name in names if name in have))

    def mapper(self, labels: tuple[str, ...], *, join: bool = True) -> Mapper:
        """
        Return what gives the sets of series with these label names.

        Args:
            labels: The names, in the order in which values will be given.
            join: Whether labels may join the first set, if that is configured.
        """
        key = (labels, join)
        found = self._mappers.get(key)
        if found is None:
            found = self._mappers[key] = self._make(labels, join=join)

        return found

    def _make(self, labels: tuple[str, ...], *, join: bool) -> Mapper:
        plans: list[tuple[_Part, ...]] = []
        for number, names in enumerate(self._sets):
            parts = {name: self._part(name, labels) for name in names}
            if number == 0 and join and self._join_labels:
                for label in labels:
                    # They are in the endpoint already.
                    if ENDPOINT not in names or label not in {_METHOD, _ROUTE}:
                        parts.setdefault(label, self._part(label, labels))

            there = [part for part in parts.values() if part is not None][:_MOST]
            plans.append(tuple(sorted(there)))

        kept = [plan for plan in dict.fromkeys(plans) if plan]
        return Mapper(kept or [()])

    def _part(self, name: str, labels: tuple[str, ...]) -> _Part | None:
        if name == ENDPOINT:
            if _METHOD in labels and _ROUTE in labels:
                both = (labels.index(_METHOD), labels.index(_ROUTE))
                return _Part(name, "", both)

            return None

        if name in labels:
            return _Part(name, "", (labels.index(name),))

        fixed = self._fixed.get(name, "")
        return _Part(name, fixed, ()) if fixed else None
