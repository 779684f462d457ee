"""Rate limits as a variable says them: `POST /orders 50/s burst 100 by address`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.declarations import check_name, variable
from svcready._core.http import METHODS
from svcready._core.rates import ALLOWED as RATES_ALLOWED
from svcready._core.rates import read_rate
from svcready.config._kinds import Kind, PartlyWrongError
from svcready.config._problems import nearest, suggestion
from svcready.errors import DeclarationError

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
_OPTIONS = ("by", "cost", "as")
_EXAMPLE = "POST /orders 50/s burst 100 by address"
_LIKE = 0.75
"""How alike a word and a known one must be to be taken for each other."""


class _WrongPartError(ValueError):
    """
    A part of a rule can't be read.

    Args:
        part: What was written.
        use: What to write in its place.
    """

    def __init__(self, part: str, use: str) -> None:
        super().__init__(f"{use} in place of {part[:_LONGEST_SLUG]!r}")


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
    uses = [f"{MOST_RULES} rules at most"] if wrong else []
    for text in said[:MOST_RULES]:
        try:
            rule = _parse_rule(text)
        except ValueError as error:
            wrong.append(text)
            uses.append(str(error))
            continue

        rule = _named_apart(rule, rules)
        rules[variable(rule.name)] = rule

    if wrong:
        use = f"{', '.join(dict.fromkeys(uses))}, as in {_EXAMPLE}"
        raise PartlyWrongError(tuple(rules.values()), tuple(wrong), use)

    return tuple(rules.values())


def _parse_rule(text: str) -> RateRule:
    if not text.isprintable():
        raise _WrongPartError(text, "printable text")

    words = text.split()
    options: dict[str, str] = {}
    while len(words) > 2 and words[-2].lower() in _OPTIONS:
        value, word = words.pop(), words.pop().lower()
        if word in options:
            raise _WrongPartError(f"{word} {value}", f"one {word} alone")

        options[word] = value

    method = "*" if words[0].startswith("/") else _method(words.pop(0))
    path = words.pop(0) if words and words[0][0] in "/*" else "*"
    if not _PATH.fullmatch(path):
        raise _WrongPartError(path, "a path of up to 256 characters")

    by, cost = _key(options.get("by", "client")), _cost(options.get("cost", "1"))
    name = _name(options["as"]) if "as" in options else ""
    per_s, burst = _rate(words)
    if cost > burst:
        raise _WrongPartError(
            f"cost {cost}", f"a cost up to the burst, which is {burst},"
        )

    return RateRule(
        name or _slug(method, path, by), method, path, per_s, burst, by, cost
    )


def _method(word: str) -> str:
    method = word.upper()
    if method != "*" and method not in METHODS:
        if word[0].isdigit():
            raise _WrongPartError(word, f"* {word}")

        hint = suggestion(nearest(method, METHODS, _LIKE)).replace("; ", "")
        raise _WrongPartError(word, f"a method or *{f' ({hint})' if hint else ''}")

    return method


def _key(said: str) -> str:
    if not _BY.fullmatch(said):
        raise _WrongPartError(
            f"by {said}",
            "by address, client, route, all, header:NAME or a resolver's name, up to "
            "four of them with + between,",
        )

    return said.lower()


def _cost(said: str) -> int:
    plain = said.isdecimal() and said.isascii() and len(said) <= 7
    if not plain or int(said) > _MOST_COST:
        raise _WrongPartError(f"cost {said}", f"a cost from 0 to {_MOST_COST}")

    return int(said)


def _name(said: str) -> str:
    try:
        return check_name("limit", said)
    except DeclarationError:
        use = "a name of lower-case letters, digits, _, . and -, not default,"
        raise _WrongPartError(f"as {said}", use) from None


def _rate(words: list[str]) -> tuple[float, int]:
    if not words:
        raise ValueError(f"{RATES_ALLOWED}, behind the method and the path")

    for count in range(len(words), 0, -1):
        try:
            rate = read_rate(" ".join(words[:count]))
        except ValueError:
            continue

        if count == len(words):
            return rate

        rest, known = words[count:], ("burst", *_OPTIONS)
        word = rest[0].lower()
        near = "" if word in known else nearest(word, known)
        raise _WrongPartError(
            " ".join(rest), near or "burst NUMBER, by KEY, cost NUMBER or as NAME"
        )

    if not words[0][0].isdigit():
        raise _WrongPartError(" ".join(words), "a path with / in front, or a rate,")

    raise _WrongPartError(" ".join(words), RATES_ALLOWED)


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
    "METHOD PATH RATE burst NUMBER by KEY; ..., where METHOD and PATH may be *, and "
    "one of them left out, PATH is a route's template, KEY is address, client, route, "
    "all, header:NAME or a resolver's name, and cost NUMBER or as NAME may follow: "
    "POST /orders 50/s burst 100 by address; * 1000/s by tenant",
    show=_show_rules,
)
