"""Names: which variables and arguments are known, and what the others meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svcready._core.declarations import variable
from svcready.config._named import KINDS, NamedText
from svcready.config._origins import Origin
from svcready.config._problems import Problem, nearest, suggestion
from svcready.config._reader import text_of
from svcready.config._table import PREFIX, entries, known_keys, standard_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "misspelt_standards",
    "named_arguments",
    "named_variables",
    "unknown_arguments",
    "unknown_variables",
]

_MOST_REPORTED = 100
_OTEL = "OTEL_"
_NEARLY = 0.9
_NEARLY_FIELD = 0.85
_LONGEST_READ = 256
_OTHERS = re.compile("BLRP|EXEMPLAR|EXPERIMENTAL|INSTRUMENTATION|LOG|PYTHON|SEMCONV")
# Kubernetes tells every container of a service called `svcready-demo` by
# SVCREADY_DEMO_SERVICE_HOST, SVCREADY_DEMO_PORT, SVCREADY_DEMO_PORT_80_TCP_ADDR, ...
_LINK = (
    r"SVCREADY_\w+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_LINK_VALUE = r"(?:tcp|udp|sctp)://[0-9a-fA-F.:\[\]]{1,64}"


def named_variables(
    environ: Mapping[str, str],
) -> tuple[tuple[NamedText, ...], tuple[Problem, ...]]:
    """Return what variables say by names, and a problem for each that is misspelt."""
    said: list[NamedText] = []
    problems: list[Problem] = []
    for name in _ours(environ):
        text = text_of(environ, name)
        kind, separator, rest = name[len(PREFIX) :].partition("__")
        if text is None or not separator or kind not in KINDS:
            continue

        bare = KINDS[kind].bare
        thing, divider, field = rest.partition("__")
        if (
            variable(thing) != thing
            or not thing
            or bool(field) is bare
            or (divider and not field)
        ):
            problems.append(_unknown(name, PREFIX + _spelt_apart(f"{kind}_{rest}")))
            continue

        origin = Origin("variable", name)
        said.append(NamedText(kind, thing, field.lower() or "value", text, origin))

    return tuple(said), tuple(problems)


def named_arguments(arguments: Mapping[str, object]) -> tuple[NamedText, ...]:
    """Return what arguments say by names: `policy.payments.retry_attempts`."""
    said = []
    for key, raw in arguments.items():
        kind, name, field = _split(key)
        if kind:
            origin = Origin("argument", key)
            said.append(NamedText(kind, variable(name), field, raw, origin))

    return tuple(said)


def unknown_arguments(arguments: Mapping[str, object]) -> list[str]:
    """Return a message for every argument whose key means nothing."""
    messages = []
    for key in arguments:
        if key in known_keys() or _split(key)[0]:
            continue

        word = key if isinstance(key, str) else ""
        kinds = [f"{kind.lower()}.<name>" for kind in KINDS]
        near = suggestion(nearest(word.lower(), [*known_keys(), *kinds]))
        messages.append(f"the setting {key!r} is not known{near}")

    return messages


def unknown_variables(environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """
    Return a problem for every variable of ours that means nothing.

    What one holds is not told: nobody knows whether that is a secret.
    """
    known = {entry.variable for entry in entries()}
    unknown = [
        name
        for name in _ours(environ)
        if name not in known and not _is_named(name) and not _is_link(name, environ)
    ]
    fields = [each[len(PREFIX) :] for each in known]
    problems = []
    for name in unknown[:_MOST_REPORTED]:
        rest = name[len(PREFIX) :].upper()
        near = _spelt_apart(rest) or nearest(rest, fields) or _nearest_named(rest)
        meant = f"{PREFIX}{near}" if near else ""
        problems.append(_unknown(name, meant))

    more = len(unknown) - len(problems)
    if more:
        problems.append(Problem("unknown", f"{more} more variables {PREFIX}*"))

    return tuple(problems)


def misspelt_standards(environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """
    Return a problem for every variable that is nearly one of OpenTelemetry's.

    Those that are nothing like what we honour are other programs' concern, and so are
    those of signals and instrumentations that read theirs themselves.
    """
    known = standard_names()
    problems = []
    for name in environ:
        if not name.startswith(_OTEL) or name in known or _OTHERS.search(name):
            continue

        meant = nearest(name, known, _NEARLY)
        if meant:
            problems.append(_unknown(name, meant))

    return tuple(problems[:_MOST_REPORTED])


def _shape(kind: str) -> str:
    return f"{kind}__<NAME>" + ("" if KINDS[kind].bare else "__<FIELD>")


def _spelt_apart(rest: str) -> str:
    """
    Return *rest* with two underscores where they belong; empty if it is of no kind.

    Which of its words are the name shows at its end, by the fields of the kind.
    """
    kind, _, tail = rest.upper().partition("_")
    if kind not in KINDS:
        return ""

    words = [word for word in tail.split("_") if word]
    if len(tail) > _LONGEST_READ or not words or KINDS[kind].bare:
        alone = KINDS[kind].bare and variable(tail) == tail
        return f"{kind}__{tail}" if alone else _shape(kind)

    fields = KINDS[kind].fields
    ends = {at: "_".join(words[at:]).lower() for at in range(1, len(words))}
    near = {at: nearest(end, fields, _NEARLY_FIELD) for at, end in ends.items()}
    fits = [(at, field) for at, field in near.items() if field]
    if not fits:
        return _shape(kind)

    at, field = max(fits, key=lambda fit: _likeness(ends[fit[0]], fit[1]))
    return f"{kind}__{'_'.join(words[:at])}__{field.upper()}"


def _likeness(word: str, other: str) -> tuple[float, int]:
    from difflib import SequenceMatcher  # needed only when something is wrong

    return SequenceMatcher(None, word, other).ratio(), len(word)


def _nearest_named(rest: str) -> str:
    """Return the variable of a named thing that *rest* was meant to be."""
    word, separator, tail = rest.partition("__")
    kind = nearest(word if separator else rest.partition("_")[0], KINDS, 0.7)
    if not kind:
        return ""

    return f"{kind}__{tail}" if separator else _shape(kind)


def _ours(environ: Mapping[str, str]) -> Iterable[str]:
    return (name for name in environ if name[: len(PREFIX)].upper() == PREFIX)


def _unknown(name: str, meant: str) -> Problem:
    cut = name if len(name) <= 120 else f"{name[:120]}…"
    spelt = cut if cut.isprintable() else ascii(cut)
    return Problem("unknown", spelt, nearest=meant)


def _is_named(name: str) -> bool:
    kind, separator, _ = name[len(PREFIX) :].partition("__")
    return name.startswith(PREFIX) and bool(separator) and kind in KINDS


def _is_link(name: str, environ: Mapping[str, str]) -> bool:
    if len(name) > _LONGEST_READ:
        return False

    if name.endswith("_PORT") and re.fullmatch(_LINK_VALUE, environ[name]):
        return True

    return re.fullmatch(_LINK, name) is not None


def _split(key: object) -> tuple[str, str, str]:
    """Return kind, name and field of an argument's key; an empty kind if it is none."""
    if not isinstance(key, str):
        return "", "", ""

    kind, _, rest = key.partition(".")
    if kind != kind.lower() or kind.upper() not in KINDS:
        return "", "", ""

    kind = kind.upper()
    name, _, field = (rest, "", "value") if KINDS[kind].bare else rest.rpartition(".")
    return (kind, name, field) if variable(name) and field else ("", "", "")
