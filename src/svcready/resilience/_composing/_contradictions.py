"""Numbers of one policy that contradict each other: a time-out above its deadline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from svcready.errors import DeclarationError
from svcready.resilience._parts import declared_as, of_the_preset

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["blind", "check", "clashing", "consistent"]


class _Clash(NamedTuple):
    """Two numbers that can't both be meant."""

    text: str
    """What is wrong."""
    fields: frozenset[str]
    """The operator's fields that are about them."""


def check(name: str, *, later: bool = False) -> None:
    """
    Look at what the code has declared under a name.

    Args:
        name: The policy's name.
        later: What was declared without arguments may get them yet.

    Raises:
        DeclarationError: Two numbers contradict each other.
    """
    for clash in _clashes(name, {}, later=later):
        raise DeclarationError(f"policy {name!r}: {clash.text}")


def consistent(
    name: str, values: Mapping[str, object]
) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """
    Return an operator's values without those that contradict others, and a line each.

    Args:
        name: The policy's name.
        values: By field, in lower case.
    """
    problems: list[str] = []
    while True:
        clashes = [
            clash for clash in _clashes(name, values) if clash.fields & values.keys()
        ]
        if not clashes:
            problems += [clash.text for clash in _clashes(name, values)]
            return values, tuple(problems)

        clash = clashes[0]
        said = sorted(clash.fields & values.keys())
        left = "is" if len(said) == 1 else "are"
        problems.append(f"{clash.text}: {' and '.join(said)} {left} left as declared")
        values = {key: values[key] for key in values if key not in clash.fields}


def blind(name: str) -> str:
    """
    Return what is to be said of a breaker that never sees a call that hangs.

    A deadline cuts off what hangs, and that is not the dependency's doing, unless an
    attempt has a time of its own, or is slow before the deadline comes.

    Args:
        name: The policy's name.

    Returns:
        An empty string if it sees them, or if there is no breaker.
    """
    configs = {
        kind: declared.core.config for kind, declared in declared_as(name).items()
    }
    breaker = configs.get("breaker")
    if breaker is None or breaker.mode == "off":
        return ""

    attempt_s, whole_s = math.inf, math.inf
    for kind, field in (("deadline", "bound_s"), ("retry", "deadline_s")):
        if kind in configs and configs[kind].mode == "enforce":
            whole_s = min(whole_s, getattr(configs[kind], field) or math.inf)

    if "timeout" in configs and configs["timeout"].mode == "enforce":
        attempt_s = configs["timeout"].bound_s or math.inf

    slow_s = math.inf if breaker.slow_after_s is None else breaker.slow_after_s
    if whole_s == math.inf or min(attempt_s, slow_s) < whole_s:
        return ""

    return (
        f"policy {name}: its deadline of {whole_s:g} s cuts off a call that hangs, "
        "which its breaker does not count; give it a timeout below that, or the "
        "breaker slow_after"
    )


def _clashes(
    name: str, values: Mapping[str, object], *, later: bool = False
) -> list[_Clash]:
    """Return what is contradictory if *values* are put over the code's numbers."""
    attempt_s, whole_s, window_s = math.inf, math.inf, math.inf
    deadline_s = math.inf
    of_preset: set[str] = set()
    for kind, declared in declared_as(name).items():
        config = declared.overridden(values)
        if of_the_preset(name, kind) and f"{kind}_s" not in values:
            of_preset.add(kind)

        if config.mode == "off" or (later and not declared.is_explicit):
            continue

        if kind == "timeout":
            attempt_s = config.bound_s or math.inf
        elif kind == "deadline":
            deadline_s = config.bound_s or math.inf
            whole_s = min(whole_s, deadline_s)
        elif kind == "retry":
            whole_s = min(whole_s, config.deadline_s or math.inf)
        elif kind == "breaker":
            window_s = config.window_s

    if whole_s < deadline_s:  # it is the retry's own
        of_preset.discard("deadline")

    return clashing(attempt_s, whole_s, window_s, of_preset)


def clashing(
    attempt_s: float,
    whole_s: float,
    window_s: float,
    of_preset: Collection[str] = (),
) -> list[_Clash]:
    """
    Return what is contradictory in one policy.

    Args:
        attempt_s: What an attempt may take, in seconds; inf: as long as it does.
        whole_s: What the whole call may take.
        window_s: What the breaker's window covers; inf: there is no breaker.
        of_preset: The kinds of parts whose time nobody gave but the preset.
    """
    clashes: list[_Clash] = []
    attempt, whole = (
        f"{seconds:g} s{f', {word}' if kind in of_preset else ''}"
        for kind, seconds, word in (
            ("timeout", attempt_s, "the preset's timeout"),
            ("deadline", whole_s, "the preset's"),
        )
    )
    if attempt_s == math.inf:
        return clashes

    if attempt_s > whole_s:
        clashes.append(
            _Clash(
                f"an attempt may take {attempt}, but the whole call, its "
                f"deadline, {whole}",
                frozenset({"timeout_s", "deadline_s"}),
            )
        )

    if window_s < 2 * attempt_s:
        clashes.append(
            _Clash(
                f"the breaker's window of {window_s:g} s is less than twice what an "
                f"attempt may take, {attempt}",
                frozenset({"timeout_s", "breaker_window_s"}),
            )
        )

    return clashes
