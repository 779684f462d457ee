"""What operators are shown of policies: numbers, who said them, how they stand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from svcready.resilience._breaking._states import CLOSED, HALF_OPEN, OPEN
from svcready.resilience._parts import (
    DERIVED,
    LIMIT_KIND,
    declaration,
    declared_as,
    of_the_preset,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.resilience._breaking._breaker import Breaker
    from svcready.resilience._parts import AnyDeclared

    Named = Callable[[str, str], str]

__all__ = ["MOST_SHOWN", "NESTING", "Names", "Shown", "fields_of", "show", "whose"]

MOST_SHOWN = 500
"""How many policies are shown at once."""

NESTING = (
    *("fallback", "deadline", "retry", "hedge", "throttle", "bulkhead", "breaker"),
    *("rate_limit", "timeout"),
)
"""The kinds of parts from the outside in, as their ranks have it."""
_OTHERWISE = {
    ("deadline", "bound_s"): "deadline_s",
    ("retry", "deadline_s"): "deadline_s",
    ("retry", "budget_ratio"): "budget_ratio",
    ("retry", "budget_reserve_per_s"): "budget_reserve_per_s",
    ("hedge", "budget_ratio"): "budget_ratio",
    ("hedge", "budget_reserve_per_s"): "budget_reserve_per_s",
    ("hedge", "max_hedges"): "hedge_max",
    ("rate_limit", "rate"): "rate_limit",
    ("timeout", "bound_s"): "timeout_s",
}


class Names(NamedTuple):
    """How operators are told of policies and limits: who said what, for what."""

    policy: Named
    """Returns what the operator calls a field of a policy."""
    limit: Named
    """The same of a limit."""
    rules: Callable[[], str]
    """Returns where the operator says the rules of limits."""
    about: Callable[[Any], dict[str, object]]
    """Returns what is shown of a limit besides its numbers."""


class Shown(NamedTuple):
    """Policies as operators are shown them."""

    policies: list[dict[str, Any]]
    """By name, each with its parts."""
    left_out: int
    """How many more there are."""


def show(
    cores: Callable[[str], list[Any]],
    names: Names,
    prefix: str,
    most: int,
) -> Shown:
    """
    Return what is in force, who said it, and how it stands.

    Args:
        cores: Returns the state of everything of a kind.
        names: How it is told who said a number.
        prefix: How the names begin.
        most: How many policies are shown; breakers that are not closed come first.
    """
    kinds = (*NESTING, LIMIT_KIND)
    found: dict[str, dict[str, Any]] = {}
    awry = set()
    for kind in kinds:
        for core in cores(kind):
            if core.name.startswith(prefix):
                found.setdefault(core.name, {})[kind] = core
                if kind == "breaker" and core.state != CLOSED:
                    awry.add(core.name)

    chosen = sorted(found, key=lambda name: (name not in awry, name))[:most]
    policies = []
    for name in sorted(chosen):
        parts = {kind: _part(kind, core, names) for kind, core in found[name].items()}
        made_from = {"made_from": DERIVED[name]} if name in DERIVED else {}
        order = [kind for kind in parts if kind != LIMIT_KIND]
        policies.append({"name": name, **made_from, "order": order, "parts": parts})

    return Shown(policies, len(found) - len(chosen))


def _part(kind: str, core: Any, names: Names) -> dict[str, Any]:
    named = names.limit if kind == LIMIT_KIND else names.policy
    part = {**_numbers(core.config), **_standing(kind, core)}
    part["calls"] = {what: total for what, total in core.counts().items() if total}
    declared = declaration(kind, core.name)
    if declared is not None and declared.core is core:
        part["sources"] = _sources(declared, kind, named)
        part["declared_at"] = str(declared.place)
    else:  # a limit of an operator's rule
        part["sources"] = {
            number: _of_rule(core.name, number, names) for number in core.config._fields
        }

    if kind == LIMIT_KIND:
        part.update(names.about(core))

    return part


def _of_rule(name: str, number: str, names: Names) -> str:
    for field in fields_of(LIMIT_KIND, number):
        if (said := names.limit(name, field)) != field:
            return said

    return names.rules() if number == "rate" else "default"


def fields_of(kind: str, number: str) -> tuple[str, ...]:
    """
    Return the operator's fields that set a part's number, the strongest one first.

    Args:
        kind: The part's kind.
        number: Its name in the part's configuration.
    """
    if kind == LIMIT_KIND:
        return ("burst", "rate") if number == "rate" else (number,)

    if number == "mode":
        return (f"{kind}_mode", "mode")

    return (_OTHERWISE.get((kind, number), f"{kind}_{number}"),)


def _numbers(config: Any) -> dict[str, object]:
    """Return a part's numbers as JSON can say them; None: no bound."""
    return {key: _plain(value) for key, value in config._asdict().items()}


def _sources(declared: AnyDeclared, kind: str, named: Named) -> dict[str, str]:
    """
    Return who said each number of a part: a variable's name, `preset http`, `code`.

    Args:
        declared: The part.
        kind: Its kind.
        named: Returns what the operator calls a field.
    """
    core, code = declared.core, declared.config
    told: dict[str, str] = {}
    for number, value in core.config._asdict().items():
        before = getattr(code, number)
        said = [it for it in fields_of(kind, number) if it in declared.values]
        if said and (value != before or _same(declared.values[said[0]], before)):
            told[number] = _said(named(core.name, said[0]), core.name, said[0])
        else:
            told[number] = _of_code(core.name, kind, number, value, type(code))

    return told


def _of_code(name: str, kind: str, number: str, value: object, of: Any) -> str:
    """Return who said what no operator did: `default`, `preset http`, `code`."""
    if number in of._field_defaults and value == of._field_defaults[number]:
        return "default"

    preset = of_the_preset(name, kind)
    return f"preset {preset}" if preset else "code"


def whose(name: str, field: str) -> str:
    """
    Return what a field of a policy is called that no operator said.

    Args:
        name: The policy's name.
        field: A field of `POLICY_FIELDS`.

    Returns:
        `the default retry_max_s`, `the preset's timeout_s`, `the code's timeout_s`.
    """
    for kind, declared in declared_as(name).items():
        for number, value in declared.config._asdict().items():
            if field in fields_of(kind, number):
                said = _of_code(name, kind, number, value, type(declared.config))
                word = said if said == "default" else f"{said.partition(' ')[0]}'s"
                return f"the {word} {field}"

    return f"the code's {field}"


def _standing(kind: str, core: Any) -> dict[str, object]:
    """Return how a part stands at the moment, in seconds and calls."""
    if kind == "breaker":
        return _breaker(core)

    if kind == "bulkhead":
        level = core.level()
        return {"in_use": level.in_use, "waiting": level.waiting}

    if kind == "rate_limit":
        return {"tokens": _rounded(core.tokens()), "waiting": core.waiting}

    if kind == "throttle":
        return {"rejection": _rounded(core.rejection)}

    if kind in {"retry", "hedge"}:
        return {"budget_left": _plain(core.budget.balance())}

    if kind == "timeout" and core.pool is not None:
        return {"abandoned": core.abandoned}

    return {}


def _breaker(breaker: Breaker) -> dict[str, object]:
    now_s, opening = breaker.clock.monotonic(), breaker.opening
    state, since_s = breaker.state, opening.since_s
    if state == HALF_OPEN:  # since its time was over, if no call has come yet
        since_s = max(since_s, min(opening.until_s, now_s))

    return {
        "state": state,
        "for_s": None if since_s == -math.inf else _rounded(max(0.0, now_s - since_s)),
        "probe_in_s": (
            _rounded(max(0.0, opening.until_s - now_s)) if state == OPEN else None
        ),
        "reason": breaker.reason,
        "last_failure": breaker.last_failure,
    }


def _said(where: str, name: str, field: str) -> str:
    """Return who said *field*: no variable did where the whole pillar is off."""
    unsaid = where in {field, whose(name, field)}
    return "SVCREADY_RESILIENCE_ENABLED" if unsaid else where


def _same(said: object, number: object) -> bool:
    return said == number or (not said and number is None)


def _plain(value: object) -> object:
    fields = getattr(value, "_asdict", None)
    if fields is not None:
        return {key: _plain(each) for key, each in fields().items()}

    if isinstance(value, float):
        return _rounded(value) if math.isfinite(value) else None

    known = value is None or isinstance(value, bool | int | str)
    return value if known else str(value)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
