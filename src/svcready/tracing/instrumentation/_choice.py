"""Which libraries are to be traced, as the setting says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.tracing.instrumentation._known import KNOWN, SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AUTO", "NONE", "VARIABLE", "Choice", "choose", "unknown"]

AUTO, NONE = "auto", "none"
VARIABLE = "SVCREADY_TRACING_INSTRUMENT"
_SPECIAL = frozenset((AUTO, NONE))


class Choice(NamedTuple):
    """What is to be traced."""

    automatic: tuple[str, ...] = ()
    """Known names, of which those are traced that are there."""
    named: tuple[str, ...] = ()
    """Known names that were asked for one by one: to lack one is a problem."""
    others: tuple[str, ...] = ()
    """Names that only an entry point of an installed package can explain."""
    left_out: tuple[str, ...] = ()
    """Known names that were taken out."""
    problems: tuple[str, ...] = ()
    """What of the setting makes no sense, one line each."""


def choose(words: Iterable[str]) -> Choice:
    """
    Read `auto`, `none`, names, and `-name` for what `auto` is to leave out.

    Args:
        words: As the setting has them; case does not matter, nor does `-` for `_`.
    """
    given = [word.strip().lower() for word in words]
    out = {_plain(word[1:]) for word in given if word.startswith("-")}
    names = dict.fromkeys(_plain(word) for word in given if not word.startswith("-"))
    problems = [unknown(name) for name in sorted(out - KNOWN.keys())]
    if NONE in names and len(given) > 1:
        problems.append(f"{VARIABLE}: none stands alone; it is taken as the only word")

    if NONE in names:
        return Choice(left_out=tuple(KNOWN), problems=tuple(problems))

    # Only what is to be left out: of everything.
    everything = AUTO in names or (bool(out) and not names)
    servers = [name for name in names if name in SERVERS]
    problems += [
        f"{VARIABLE}: {name} is left out, svcready traces requests itself"
        for name in servers
    ]
    wanted = [n for n in names if n not in _SPECIAL and n not in servers]
    named = tuple(n for n in wanted if n in KNOWN and n not in out)
    return Choice(
        automatic=tuple(n for n in KNOWN if n not in out and n not in named)
        if everything
        else (),
        named=named,
        others=tuple(name for name in wanted if name not in KNOWN),
        left_out=tuple(n for n in KNOWN if n in out or not (everything or n in named)),
        problems=tuple(problems),
    )


def _plain(name: str) -> str:
    return name.strip().replace("-", "_")


def unknown(name: str) -> str:
    """Say that *name* is neither known nor an installed package's."""
    import difflib  # only where something is wrong: it is slow to load

    near = difflib.get_close_matches(name, KNOWN, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{VARIABLE}: {name!r} is not known (one of {', '.join(KNOWN)}){hint}"
