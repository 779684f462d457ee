"""What a policy lacks for an operator's field to mean something."""

from __future__ import annotations

from svcready._core.declarations import variable
from svcready.resilience._parts import LIMIT_KIND, declared_as, parts

__all__ = ["lacking"]

_NO_THREADS = "uses no threads: the code says threads=..."
_NO_ANSWERS = "keeps no answers: the code says stale=..."
_BEGUN_BY_CODE = {
    "timeout_threads": ("timeout", "threads", _NO_THREADS),
    "hedge_threads": ("hedge", "threads", _NO_THREADS),
    "fallback_stale_max_age_s": ("fallback", "stale_max_age_s", _NO_ANSWERS),
    "fallback_stale_max_entries": ("fallback", "stale_max_entries", _NO_ANSWERS),
}


def lacking(spelt: str, field: str) -> str:
    """
    Return what a policy would need for an operator's field to mean something.

    Args:
        spelt: The policy's name as variables spell it.
        field: A field of `POLICY_FIELDS`.

    Returns:
        An empty string if it has what it needs, or if no policy is called so.
    """
    kinds, found = set(), ""
    for kind, register in parts():
        for name in register.names():
            if variable(name) == spelt and kind != LIMIT_KIND:
                kinds.add(kind)
                found = name

    if not found or field == "mode":
        return ""

    if kinds & _kinds_of(field):
        return _unbegun(found, field)

    missing = " or ".join(sorted(_kinds_of(field)))
    return f"policy {found!r} has no {missing.replace('_', ' ')}"


def _kinds_of(field: str) -> set[str]:
    """Return the kinds of parts that a field tunes, which begins with their name."""
    if field == "deadline_s":
        return {"deadline", "retry"}

    if field.startswith("budget_"):
        return {"retry", "hedge"}

    return {"rate_limit"} if field.startswith("rate_") else {field.partition("_")[0]}


def _unbegun(name: str, field: str) -> str:
    """Return what a field tunes that only code can begin, and has not."""
    kind, number, lacking = _BEGUN_BY_CODE.get(field, ("", "", ""))
    if not kind or getattr(declared_as(name)[kind].config, number):
        return ""

    return f"policy {name!r} {lacking}"
