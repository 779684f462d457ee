"""An operator's values for the numbers of one part of a policy, read and checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["naming", "parsed"]


def naming(problem: str, named: Callable[[str], str]) -> str:
    """
    Return what is wrong with an operator's values, in the operator's words.

    Args:
        problem: What a part says of them, by fields.
        named: Returns what the operator calls a field.
    """
    from svcready.config._sections.resilience import POLICY_FIELDS  # at init() only

    words = re.compile(rf"\b(?:{'|'.join(POLICY_FIELDS)})\b")
    return words.sub(lambda word: named(word[0]), problem)


def parsed(
    fields: Mapping[str, str],
    values: Mapping[str, object],
    *,
    none: Collection[str] = (),
) -> tuple[dict[str, object], tuple[str, ...]]:
    """
    Return an operator's values by the names of a configuration, and what is wrong.

    Args:
        fields: The name in a configuration of each field of `POLICY_FIELDS` that this
            part takes; of two for the same name the later one wins, so that
            `breaker_mode` is stronger than `mode`.
        values: By field, values of the fields' kinds or text; others are left alone.
        none: The names where 0 means that there is no such bound.
    """
    from svcready.config._sections.resilience import POLICY_FIELDS  # at init() only

    changed: dict[str, object] = {}
    problems: list[str] = []
    for field, name in fields.items():
        if field not in values:
            continue

        kind, raw = POLICY_FIELDS[field].kind, values[field]
        try:
            value = kind.parse(raw)
        except ValueError:
            problems.append(f"{field} {raw!r} is not allowed: use {kind.allowed}")
            continue

        changed[name] = None if name in none and not value else value

    return changed, tuple(problems)
