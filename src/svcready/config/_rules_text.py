"""Sampling rules as a variable says them: `POST /checkout 100%; * * 1/s+5%`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svcready.config._kinds import Kind, PartlyWrongError
from svcready.config._sampling import SAFE_RATE, SamplingRate, parse_sampling
from svcready.config._sampling_rules import MOST_RULES, SamplingRule

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RULES"]

_METHOD = re.compile(r"[A-Za-z*?_-]+")
_PATH = re.compile(r"(?!//)[/*?]\S*")
_HOST = re.compile(r"//([^\s/:]+)(/\S*)?")
_WORDS = 3


def _parse_rules(raw: object) -> tuple[SamplingRule, ...]:
    if isinstance(raw, tuple) and all(isinstance(it, SamplingRule) for it in raw):
        return raw

    parts = raw.split(";") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)  # noqa: TRY004 - one kind of error means "not allowed"

    said = [text for part in parts if (text := str(part).strip())]
    rules: list[SamplingRule] = []
    wrong = said[MOST_RULES:]
    for priority, text in enumerate(said[:MOST_RULES], 1):
        rule, right = _parse_rule(text, priority)
        rules += [] if rule is None else [rule]
        wrong += [] if right else [text]

    if wrong:
        raise PartlyWrongError(tuple(rules), tuple(wrong))

    return tuple(rules)


def _parse_rule(text: str, priority: int) -> tuple[SamplingRule | None, bool]:
    """Return the rule, if it can be told for what it is, and whether all is right."""
    words = text.split(None, _WORDS - 1) if text.isprintable() else []
    method, target, rate = (*words, "", "", "")[:_WORDS]
    on_host = _HOST.fullmatch(target)
    if on_host is not None:
        host, path = on_host[1], on_host[2] or "*"
    else:
        host, path = "*", target

    if not _METHOD.fullmatch(method) or not _PATH.fullmatch(path):
        return None, False

    try:
        sampling, right = parse_sampling(rate), True
    except ValueError:
        # Left out, its requests would be some later rule's, which may keep them all.
        sampling, right = SAFE_RATE, False

    return (
        SamplingRule(
            "",
            priority,
            sampling.per_second,
            sampling.ratio or 0.0,
            method.upper(),
            path,
            host,
        ),
        right,
    )


def _show_rules(rules: Sequence[SamplingRule]) -> str:
    return "; ".join(
        f"{rule.method} {_target(rule)} {SamplingRate(rule.reservoir, rule.rate)}"
        for rule in rules
    )


def _target(rule: SamplingRule) -> str:
    if rule.host == "*":
        return rule.path

    return f"//{rule.host}{'' if rule.path == '*' else rule.path}"


RULES: Kind[tuple[SamplingRule, ...]] = Kind(
    "rules",
    _parse_rules,
    "METHOD PATH RATE; METHOD //HOST/PATH RATE; ..., each PATH with / or * in front, "
    "as in POST /checkout 100%; * /admin/* 0; a rule with a wrong rate takes "
    f"{SAFE_RATE}",
    show=_show_rules,
)
