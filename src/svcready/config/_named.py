"""Settings of things that have names: policies, checks, groups, buckets, limits."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from svcready._core.declarations import variable
from svcready.config._kinds import (
    BOUNDS,
    FLAG,
    NAMES,
    choice,
    duration,
    integer,
)
from svcready.config._problems import Problem, nearest
from svcready.config._rate_limits import RATE_AND_BURST
from svcready.config._sections.health import HealthSettings
from svcready.config._sections.resilience import POLICY_FIELDS
from svcready.config._setting import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from svcready.config._kinds import (
        Kind,
    )
    from svcready.config._origins import Origin

__all__ = [
    "DEFAULT",
    "KINDS",
    "Layer",
    "Named",
    "NamedField",
    "NamedKind",
    "NamedText",
    "NamedValue",
    "dotted",
]

T = TypeVar("T")

DEFAULT = "DEFAULT"
"""The name that means all of a kind."""


class NamedField(NamedTuple, Generic[T]):
    """One field that can be tuned on things of a kind."""

    kind: Kind[T]
    """How its values are read."""
    help: str
    """One line for the reference table."""
    default: str = ""
    """What holds if nobody says anything, as a variable would spell it."""


class NamedKind(NamedTuple):
    """A kind of things that have names."""

    fields: Mapping[str, NamedField[object]]
    """What can be tuned, by field; a kind without fields has one, called `value`."""
    help: str
    """What things of this kind are."""
    bare: bool = False
    """The name stands alone, without a field behind it."""
    inert: bool = False
    """Read and checked, and without effect in this version."""
    elsewhere: Mapping[str, str] = MappingProxyType({})
    """By what could be taken for a field, who says it instead."""


class NamedText(NamedTuple):
    """What was said of a thing by its name, not yet parsed."""

    kind: str
    """`POLICY`, ..."""
    spelt: str
    """The name as variables spell it."""
    field: str
    """The field; `value` for kinds whose names stand alone."""
    raw: object
    """What was said."""
    origin: Origin
    """Where."""


class NamedValue(NamedTuple):
    """A value for one field of one name."""

    value: object
    """The parsed value."""
    origin: Origin
    """Where it was said."""


_MODE = choice("enforce", "observe", "off")
_MANY = 1_000_000


def _field(kind: Kind[Any], text: str, default: str = "") -> NamedField[Any]:
    return NamedField(kind, text, default)


def _general(field: str) -> str:
    """Return the default of the section HEALTH, which checks take."""
    declared = settings_of(HealthSettings)[field]
    return declared.kind.show(declared.default)


_POLICY = {
    name: NamedField(f.kind, f.help, f.default) for name, f in POLICY_FIELDS.items()
}
_CHECK = {
    "enabled": _field(FLAG, "Runs at all", "true"),
    "criticality": _field(
        choice("critical", "degraded", "informational"),
        "What its failure does: takes the service out of rotation, warns, is reported",
        "degraded",
    ),
    "timeout_s": _field(
        duration(0.001, 3600),
        "A run that takes longer has failed",
        _general("timeout_s"),
    ),
    "interval_s": _field(
        duration(0.1, 86400), "From one run to the next", _general("interval_s")
    ),
    "fail_after": _field(
        integer(1, 1000), "Failures in a row that make it fail", _general("fail_after")
    ),
    "recover_after": _field(
        integer(1, 1000),
        "Successes in a row that make it pass",
        _general("recover_after"),
    ),
}
_LIMIT = {
    "mode": _field(_MODE, "enforce; observe counts but refuses nothing; off"),
    "rate": _field(RATE_AND_BURST, "How often, and with a burst how many at once"),
    "burst": _field(integer(1, _MANY), "Requests that may come at once"),
}
_OF_LIMITS = {
    "cost": "what a request costs is said by the code (cost=) or by the rule (cost 5)",
    "by": "whose requests share it is said by the code (by=) or by the rule (by all)",
}
KINDS: Mapping[str, NamedKind] = {
    "POLICY": NamedKind(_POLICY, "How calls to one dependency are guarded"),
    "CHECK": NamedKind(_CHECK, "A health check"),
    "GROUP": NamedKind(
        {"checks": _field(NAMES, "The checks that it is made of")},
        "A group of health checks",
    ),
    "BUCKETS": NamedKind(
        {"value": _field(BOUNDS, "The upper bounds of a histogram's buckets")},
        "A histogram",
        bare=True,
    ),
    "LIMIT": NamedKind(
        _LIMIT,
        "A limit on what callers may ask of the service",
        elsewhere=MappingProxyType(_OF_LIMITS),
    ),
}
"""Every kind of named things, by its word in variables."""

Layer = dict[tuple[str, str], dict[str, NamedValue]]


class Named:
    """
    What environment, file and code say of things by their names.

    Names are compared as variables spell them. It notes which names were asked for:
    those are the declared ones, and the rest is unmatched.

    Args:
        layers: By (kind, name as in variables) and field; the strongest source first.
    """

    def __init__(self, layers: tuple[Layer, ...] = ()) -> None:
        self._layers = layers
        self._declared: set[tuple[str, str]] = set()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.flat() == other.flat()

    __hash__ = None  # type: ignore[assignment] # it notes what was asked for

    def __repr__(self) -> str:
        return f"Named({self.flat()!r})"

    def values(self, kind: str, name: str, *, base: str = "") -> Mapping[str, object]:
        """
        Return what is said of the thing *name*, and note that it is declared.

        A stronger source wins over a weaker one, whichever of them says `DEFAULT`;
        within one source the name wins over `DEFAULT`.

        Args:
            kind: `POLICY`, `CHECK`, `GROUP`, `BUCKETS` or `LIMIT`.
            name: Its name as declared.
            base: The name of what it was made from, whose values are weaker than its
                own; empty: it was made from nothing.

        Returns:
            Values by field; what nobody spoke of is missing. `BUCKETS` has one
            field, `value`.
        """
        self._declared.add((kind, variable(name)))
        found = self.explained(kind, name, base=base)
        return {field: said.value for field, said in found.items()}

    def explained(
        self, kind: str, name: str, *, base: str = ""
    ) -> Mapping[str, NamedValue]:
        """Return the same, each with where it was said; nothing is noted."""
        spelt = variable(name)
        merged: dict[str, NamedValue] = {}
        for layer in reversed(self._layers):
            merged |= layer.get((kind, DEFAULT), {})
            if base:
                merged |= layer.get((kind, variable(base)), {})

            merged |= layer.get((kind, spelt), {})

        return merged

    def names(self, kind: str) -> tuple[str, ...]:
        """Return what things of a kind are called in variables, wherever it is said."""
        found = {name for layer in self._layers for of, name in layer if of == kind}
        return tuple(sorted(found))

    def unmatched(
        self,
        declared: Mapping[str, Iterable[str]] | None = None,
        *,
        comes: Callable[[str, str], bool] = lambda kind, spelt: False,  # noqa: ARG005
    ) -> tuple[Problem, ...]:
        """
        Return a problem for everything said of names that nobody declared.

        Args:
            declared: Names by kind that were declared without asking for values.
            comes: Tells of a kind and a name as variables spell it whether it may
                still be declared, at its first use.
        """
        known = set(self._declared)
        for kind, names in (declared or {}).items():
            known |= {(kind, variable(name)) for name in names}

        problems = []
        for layer in self._layers:
            for (kind, spelt), fields in layer.items():
                if spelt == DEFAULT or (kind, spelt) in known or comes(kind, spelt):
                    continue

                near = nearest(spelt, [name for of, name in known if of == kind])
                for said in fields.values():
                    instead = said.origin.name.upper().replace(spelt, near, 1)
                    problem = Problem("unmatched", said.origin.where)
                    if near:
                        is_variable = said.origin.kind == "variable"
                        near_name = instead if is_variable else near.lower()
                        problem = problem._replace(nearest=near_name)

                    problems.append(problem)

        return tuple(problems)

    def idle(self, kind: str, lacks: Callable[[str, str], str]) -> tuple[Problem, ...]:
        """
        Return a problem for what is said of things that lack what it would tune.

        Args:
            kind: `POLICY`, ...
            lacks: Told a name as variables spell it and a field; returns what is
                missing, or an empty string.
        """
        return tuple(
            Problem("idle", said.origin.where, allowed=missing)
            for layer in self._layers
            for (of, spelt), fields in layer.items()
            if of == kind and spelt != DEFAULT
            for field, said in fields.items()
            if (missing := lacks(spelt, field))
        )

    def flat(self) -> dict[str, object]:
        """Return all that is said by dotted names, the strongest source's word."""
        return {name: said.value for name, said in self.flat_explained().items()}

    def flat_explained(self) -> dict[str, NamedValue]:
        """Return the same as `flat`, each with where it was said."""
        flat: dict[str, NamedValue] = {}
        for layer in reversed(self._layers):
            for (kind, spelt), fields in layer.items():
                for field, said in fields.items():
                    flat[dotted(kind, spelt, field)] = said

        return dict(sorted(flat.items()))

    def carry_over(self, before: Named) -> None:
        """Take over the names that were asked for of the settings *before*."""
        self._declared = before._declared


def dotted(kind: str, spelt: str, field: str) -> str:
    """Return the key of a named value: `policy.payments.retry_attempts`."""
    name = f"{kind}.{spelt}".lower()
    return name if KINDS[kind].bare else f"{name}.{field}"
