"""Rate limits as a variable says them: `POST /orders 50/s burst 100 by address`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.declarations import check_name, variable
from svcready._core.http import METHODS
from svcready._core.rates import ALLOWED as RATES_ALLOWED
from svcready._core.rates import read_rate
from svcready.config._kinds import Kind, PartlyWrongError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_RULES", "RATE_AND_BURST", "RATE_RULES", "RateRule"]

MOST_RULES = 100
"""How many rules are taken."""
_PATH = re.compile(r"\*|/\S{0,255}")
_PART = r"(?:header:[!#$%&'*.^_`|~0-9A-Za-z-]{1,64}|[a-z0-9_.-]{1,64})"
_BY = re.compile(rf"{_PART}(?:\+{_PART}){{0,3}}", re.IGNORECASE)
_UNFIT = re.compile(r"[^a-z0-9]+")
_MOST_COST = 1_000_000
_LONGEST_SLUG = 64


class RateRule(NamedTuple):
    """One rule."""

    name: str
    """What metrics, fields and `SVCREADY_LIMIT__<NAME>__...` call it."""
    method: str
    """The method it is for; `*` for all."""
    path: str
    """The route's template it is for, where `*` stands for anything; `*` for all."""
    per_s: float
    """How often, on average."""
    burst: int
    """How many at once."""
    by: str
    """Whose requests share it."""
    cost: int
    """What each request takes."""


def _parse_rules(raw: object) -> tuple[RateRule, ...]:
    if isinstance(raw, tuple) and all(isinstance(it, RateRule) for it in raw):
        return raw

    parts = raw.split(";") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)  # noqa: TRY004 - one kind of error means "not allowed"

    said = [text for part in parts if (text := str(part).strip())]
    rules: dict[str, RateRule] = {}
    wrong = said[MOST_RULES:]
    for text in said[:MOST_RULES]:
        try:
            rule = _parse_rule(text)
        except ValueError:
            wrong.append(text)
            continue

        rule = _named_apart(rule, rules)
        rules[variable(rule.name)] = rule

    if wrong:
        raise PartlyWrongError(tuple(rules.values()), tuple(wrong))

    return tuple(rules.values())


def _parse_rule(text: str) -> RateRule:
    words = text.split() if text.isprintable() else []
    options: dict[str, str] = {}
    while len(words) > 2 and words[-2].lower() in {"by", "cost", "as"}:
        value, word = words.pop(), words.pop().lower()
        if word in options:
            raise ValueError(text)

        options[word] = value

    if not words:
        raise ValueError(text)

    method = "*" if words[0].startswith("/") else words.pop(0).upper()
    path = words.pop(0) if words and words[0][0] in "/*" else "*"
    by, cost = options.get("by", "client").lower(), options.get("cost", "1")
    name = check_name("limit", options["as"]) if "as" in options else ""
    if (
        (method != "*" and method not in METHODS)
        or not _PATH.fullmatch(path)
        or not _BY.fullmatch(by)
        or not (cost.isdecimal() and cost.isascii() and len(cost) <= 7)
        or not 0 <= int(cost) <= _MOST_COST
    ):
        raise ValueError(text)

    per_s, burst = read_rate(" ".join(words))
    if int(cost) > burst:  # nobody would ever be let through
        raise ValueError(text)

    return RateRule(
        name or _slug(method, path, by), method, path, per_s, burst, by, int(cost)
    )


def _slug(method: str, path: str, by: str) -> str:
    said = f"{'all' if method == '*' else method} {'' if path == '*' else path} by {by}"
    slug = _UNFIT.sub("-", said.lower()).strip("-")
    return slug[:_LONGEST_SLUG].strip("-")


def _named_apart(rule: RateRule, others: dict[str, RateRule]) -> RateRule:
    """Return *rule* under a name that no other has."""
    name, number = rule.name, 2
    while variable(name) in others:
        name = f"{rule.name[: _LONGEST_SLUG - 4]}-{number}"
        number += 1

    return rule._replace(name=name)


def _show_rules(rules: Sequence[RateRule]) -> str:
    return "; ".join(
        f"{rule.method} {rule.path} {_show_rate((rule.per_s, rule.burst))} "
        f"cost {rule.cost} by {rule.by} as {rule.name}"
        for rule in rules
    )


def _parse_rate(raw: object) -> tuple[float, int]:
    if isinstance(raw, tuple) and len(raw) == 2:
        per_s, burst = raw
        return float(per_s), int(burst)

    return read_rate(raw)


def _show_rate(rate: tuple[float, int]) -> str:
    per_s, burst = rate
    for unit, seconds in (("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)):
        times = per_s * seconds
        if times >= 1.0 and abs(times - round(times)) < 1e-9 * times:
            return f"{round(times)}/{unit} burst {burst}"

    return f"{per_s:.9f}/s burst {burst}"


RATE_AND_BURST: Kind[tuple[float, int]] = Kind(
    "rate", _parse_rate, RATES_ALLOWED, show=_show_rate
)
RATE_RULES: Kind[tuple[RateRule, ...]] = Kind(
    "rate limits",
    _parse_rules,
    "METHOD PATH RATE burst NUMBER by KEY; ..., where METHOD and PATH may be * or left "
    "out, PATH is a route's template, KEY is address, client, route, all, "
    "header:NAME or a resolver's name, and cost NUMBER or as NAME may follow: "
    "POST /orders 50/s burst 100 by address; * 1000/s by tenant",
    show=_show_rules,
)
