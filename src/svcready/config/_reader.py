"""The reader: one value out of its sources, with its origin and its problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core.identity import parse_attributes
from svcready.config._kinds import PartlyWrongError
from svcready.config._masking import MASK, shown
from svcready.config._origins import DEFAULT_ORIGIN, RELAXED_ORIGIN, Origin
from svcready.config._problems import Problem
from svcready.config._secrets import SecretError, resolve_references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from svcready.config._kinds import Kind
    from svcready.config._setting import Setting
    from svcready.config._table import Entry

__all__ = ["Reader", "text_of"]

_LONGEST = 64 * 1024
_REST = "the rest is used"


def text_of(environ: Mapping[str, str], name: str) -> str | None:
    """
    Return the text of the variable *name*, None if it is unset.

    An empty one counts as unset, as the OpenTelemetry specification has it: it is
    what a template leaves when it has nothing to put in.
    """
    text = environ.get(name)
    return None if text is None or not text.strip() else text


class _Said(NamedTuple):
    raw: object
    kind: Kind[object]
    origin: Origin


class Reader:
    """
    Reads settings one by one.

    Args:
        environ: Variables, ours and the standard ones.
        arguments: By key.
        file: By key, with origins; filled in when the file has been read.
        resolve_secret: Resolves one reference.
        kept: On a reload, the values in force with their origins: a wrong one leaves
            them as they are, and so does a right one that needs a restart.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        arguments: Mapping[str, object],
        resolve_secret: Callable[[str], str],
        kept: Mapping[str, tuple[object, Origin]],
    ) -> None:
        self._environ = environ
        self._arguments = arguments
        self._resolve_secret = resolve_secret
        self._kept = kept
        self.file: Mapping[str, tuple[object, Origin]] = {}
        self.relaxed = False
        self.values: dict[str, object] = {}
        self.origins: dict[str, Origin] = {}
        self.problems: list[Problem] = []
        self.wrong_arguments: list[str] = []

    def read(self, entry: Entry) -> object:
        """Read one setting; what is wrong with any of its sources is noted."""
        chosen: tuple[object, Origin] | None = None
        variable_is_right = False
        for said in self._sources(entry):
            if said.origin.kind == "standard" and variable_is_right:
                continue  # not ours to judge while nothing depends on it

            if chosen and entry.declared.secret:
                continue  # nothing is fetched in vain

            value, right = self._parse(entry, said)
            is_variable = said.origin.kind in {"variable", "standard"}
            variable_is_right = variable_is_right or (is_variable and right)
            if chosen is None:
                origin = said.origin if right else self._fallback(entry)[1]
                chosen = (value, origin)

        value, origin = chosen or self._default(entry.declared)
        before = self._kept.get(entry.key)
        if before and before[0] != value and not entry.declared.reloadable:
            name = entry.key if origin.kind == "default" else origin.where
            self.problems.append(Problem("restart", name))
            value, origin = before

        self.values[entry.key] = value
        self.origins[entry.key] = origin
        return value

    def parse_named(
        self, kind: Kind[object], raw: object, origin: Origin
    ) -> tuple[object, bool]:
        """Parse a value for a name; the second is False if it cannot be used."""
        value: object
        given: object
        allowed = kind.allowed
        try:
            return _parse(kind, raw), True
        except PartlyWrongError as error:
            value, given, used = error.value, ", ".join(error.wrong), _REST
            allowed = error.use or allowed
        except Exception:  # noqa: BLE001 - any fault of a kind: "not allowed"
            value, given, used = None, raw, "it is ignored"

        text = shown(given, secret=False)
        problem = Problem("malformed", origin.where, text, allowed, used=used)
        self._note(origin, problem)
        return value, used == _REST

    def _sources(self, entry: Entry) -> Iterator[_Said]:
        """Yield what was said, the strongest source first."""
        declared = entry.declared
        text = text_of(self._environ, entry.variable)
        if text is not None:
            origin = Origin("variable", entry.variable)
            yield _Said(text, declared.kind, origin)

        for standard in declared.standards:
            text = text_of(self._environ, standard.name)
            if text is not None and standard.key:
                text = parse_attributes(text[:_LONGEST])[0].get(standard.key)

            if text is not None:
                origin = Origin("standard", standard.name)
                yield _Said(text, standard.kind, origin)

        if entry.key in self.file:
            raw, origin = self.file[entry.key]
            yield _Said(raw, declared.kind, origin)

        if entry.key in self._arguments:
            raw = self._arguments[entry.key]
            yield _Said(raw, declared.kind, Origin("argument", entry.key))

    def _parse(self, entry: Entry, said: _Said) -> tuple[object, bool]:
        """Return the value to use if this source decides, and whether it is right."""
        declared, raw = entry.declared, said.raw
        if declared.secret and said.origin.kind != "standard":
            is_list = declared.kind.name == "list"
            try:
                raw = resolve_references(
                    raw, is_list=is_list, resolve=self._resolve_secret
                )
            except Exception as error:  # noqa: BLE001 - anyone's resolver
                known = isinstance(error, SecretError)
                reason = str(error) if known else type(error).__name__
                problem = self._problem("secret", entry, said, MASK, reason)
                if entry.key in self._kept:  # it was right once: an outage is no edit
                    used = "the one before stays in force"
                    self.problems.append(problem._replace(used=used))
                    return self._kept[entry.key][0], True

                self.problems.append(problem)

                return self._fallback(entry)[0], False

        value: object = None
        given, used, allowed = raw, "", said.kind.allowed
        try:
            return _parse(said.kind, raw), True
        except PartlyWrongError as error:
            allowed = error.use or allowed
            if declared.closed is None:
                value, given, used = error.value, ", ".join(error.wrong), _REST
        except Exception:  # noqa: BLE001, S110 - any fault of a kind: "not allowed"
            pass

        problem = self._problem(
            "malformed",
            entry,
            said,
            shown(given, secret=declared.secret),
            allowed,
        )
        self._note(said.origin, problem._replace(used=used or problem.used))
        return (value, True) if used else (self._fallback(entry)[0], False)

    def _problem(
        self, kind: str, entry: Entry, said: _Said, value: str, allowed: str
    ) -> Problem:
        used = self._used(entry)
        return Problem(kind, said.origin.where, value, allowed, used=used)

    def _fallback(self, entry: Entry) -> tuple[object, Origin]:
        """Return what a wrong value means."""
        if entry.declared.closed is not None:
            return entry.declared.closed, Origin("default", "closed")

        if entry.key in self._kept:
            return self._kept[entry.key]

        return self._default(entry.declared)

    def _used(self, entry: Entry) -> str:
        """Say what a wrong value means."""
        declared = entry.declared
        if declared.closed is not None:
            follows = f": {declared.follows}" if declared.follows else ""
            return f"it fails closed{follows}"

        secret = declared.secret
        value = declared.kind.show(self._fallback(entry)[0]) or "nothing"
        if entry.key in self._kept:
            return f"{'the one before' if secret else value} stays in force"

        return "the default is used" if secret else f"{value} (the default) is used"

    def _default(self, declared: Setting[object]) -> tuple[object, Origin]:
        if self.relaxed and declared.relaxed is not None:
            return declared.relaxed, RELAXED_ORIGIN

        return declared.default, DEFAULT_ORIGIN

    def _note(self, origin: Origin, problem: Problem) -> None:
        twice = origin.kind == "standard" and any(
            problem[:4] == other[:4] for other in self.problems
        )
        if twice:  # several settings honour the same variable
            return

        if origin.kind == "argument":
            self.wrong_arguments.append(str(problem._replace(used="")))
        else:
            self.problems.append(problem)


def _parse(kind: Kind[object], raw: object) -> object:
    if isinstance(raw, str) and len(raw) > _LONGEST:
        raise ValueError(raw)

    return kind.parse(raw)
