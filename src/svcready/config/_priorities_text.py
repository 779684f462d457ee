"""Priority classes as a variable says them: `POST /orders critical; * /search …`."""

from __future__ import annotations

import re
from typing import NamedTuple

from svcready.config._kinds import Kind, PartlyWrongError

__all__ = ["CLASSES", "EXEMPT", "PRIORITIES", "PriorityRule"]

CLASSES = ("critical", "default", "sheddable")
"""The priority classes, the most important first."""
EXEMPT = "exempt"
"""The word for routes that are neither counted nor refused."""

_METHOD = re.compile(r"[A-Z]{1,16}|\*")
_TEMPLATE = re.compile(r"/\S{0,255}")
_WORDS = (*CLASSES, EXEMPT)
_PARTS = 3
_MOST = 256


class PriorityRule(NamedTuple):
    """One route's class."""

    method: str
    """The method in upper case, or `*` for all."""
    template: str
    """The route's template, as metrics and access lines show it."""
    priority: str
    """One of `CLASSES`, or `exempt`."""


def _parse(raw: object) -> tuple[PriorityRule, ...]:
    if isinstance(raw, tuple) and all(isinstance(it, PriorityRule) for it in raw):
        return raw

    parts = raw.split(";") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)  # noqa: TRY004 - one kind of error means "not allowed"

    said = [text for part in parts if (text := str(part).strip())]
    rules: list[PriorityRule] = []
    wrong = said[_MOST:]
    for text in said[:_MOST]:
        rule = _parse_rule(text)
        if rule is None:
            wrong.append(text)
        else:
            rules.append(rule)

    if wrong:
        raise PartlyWrongError(tuple(rules), tuple(wrong))

    return tuple(rules)


def _parse_rule(text: str) -> PriorityRule | None:
    words = text.split() if text.isprintable() else []
    if len(words) != _PARTS:
        return None

    method, template, priority = words[0].upper(), words[1], words[2].lower()
    fits = _METHOD.fullmatch(method) and _TEMPLATE.fullmatch(template)
    return (
        PriorityRule(method, template, priority)
        if fits and priority in _WORDS
        else None
    )


PRIORITIES: Kind[tuple[PriorityRule, ...]] = Kind(
    "rules",
    _parse,
    "`METHOD /template class` separated by ';', with a class of "
    + ", ".join(_WORDS)
    + " and * for every method",
    show=lambda rules: "; ".join(" ".join(rule) for rule in rules),
)
"""Which class each route has."""
