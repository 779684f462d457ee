"""The configuration file: a table `default` and one per environment, in TOML."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.declarations import variable
from svcready.config._masking import one_line, shown
from svcready.config._named import KINDS, NamedText
from svcready.config._origins import Origin
from svcready.config._problems import Problem, nearest
from svcready.config._table import known_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


__all__ = ["FileValues", "parse_file", "watch_file"]

_DEEPEST = 8
_USUAL = ("default", "development", "dev", "local", "test", "staging", "production")


class FileValues(NamedTuple):
    """What a configuration file says for one environment."""

    values: dict[str, tuple[object, Origin]]
    """By key (`log.level`), not yet parsed."""
    named: tuple[NamedText, ...]
    """What it says of things that have names."""
    problems: tuple[Problem, ...]
    """What is wrong with its tables and keys."""
    readable: bool = True
    """False if it could not be read or parsed at all."""


def watch_file(
    path: str, stat_file: Callable[[str], os.stat_result] = os.stat
) -> Callable[[], bool]:
    """
    Return a function that tells whether the file *path* changed since its last call.

    A mounted ConfigMap changes by a link to another directory, so the file is
    followed and told apart by its number, size and time. The first call says True: a
    change between the file's first reading and the watcher's start is not lost.

    Args:
        path: The file; it may be missing, come and go.
        stat_file: Looks at it.
    """
    seen: list[tuple[int, ...]] = [()]

    def file_changed() -> bool:
        now: tuple[int, ...]
        try:
            found = stat_file(path)
            now = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
        except (OSError, ValueError):
            now = (-1,)

        changed, seen[0] = now != seen[0], now
        return changed

    return file_changed


def parse_file(
    path: str, environment: str, read_file: Callable[[str], bytes], said: str
) -> FileValues:
    """
    Read the file *path* for *environment*; whatever is wrong becomes a problem.

    Args:
        path: Where it is.
        environment: Its table lies over the table `default`.
        read_file: Reads it.
        said: Who named it, as a problem says it.
    """
    import tomllib

    try:
        tree = tomllib.loads(read_file(path).decode("utf-8-sig"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        reason = f"it is not TOML: {one_line(str(error))}"
    except ValueError as error:
        reason = one_line(str(error))
    except Exception as error:  # noqa: BLE001 - tables nested too deeply, and the like
        reason = type(error).__name__
    else:
        reader = _TableReader(path)
        for table in dict.fromkeys(("default", environment)):
            reader.read(table, tree.get(table, {}))

        problems = (*_misplaced(path, tree, environment), *reader.problems)
        return FileValues(reader.values, tuple(reader.named.values()), problems)

    problem = Problem("unreadable", said, shown(path, secret=False), reason)
    return FileValues({}, (), (problem,), readable=False)


def _misplaced(
    path: str, tree: Mapping[str, object], environment: str
) -> Iterator[Problem]:
    """Yield a problem for each table that was probably meant to be another."""
    sections = {key.partition(".")[0] for key in known_keys()}
    sections |= {kind.lower() for kind in KINDS}
    usual = {*_USUAL, environment}
    for table, content in tree.items():
        if table in usual:
            continue

        name = f"{path} [{one_line(table[:80])}]"
        near = nearest(table, usual, 0.84)
        if table in sections or not isinstance(content, dict):
            meant = f"[default.{table}]" if table in sections else ""
            yield Problem("unknown", name, nearest=meant)
        elif near and abs(len(near) - len(table)) <= 1 and not table.startswith(near):
            # Other tables are other environments', which this process cannot know.
            yield Problem("unknown", name, nearest=f"[{near}]")
        elif environment not in tree and _is_short_for(table, environment):
            yield Problem("unknown", name, nearest=f"[{environment}]")


def _is_short_for(table: str, environment: str) -> bool:
    """Tell whether it is a shorter word for it: `prod`, `stage` for `staging`."""
    shared = table.lower()[: max(3, len(table) - 1)]
    return 3 <= len(table) < len(environment) and environment.lower().startswith(shared)


class _TableReader:
    """Reads the tables of one file, one environment over the other."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.values: dict[str, tuple[object, Origin]] = {}
        self.named: dict[tuple[str, str, str], NamedText] = {}
        self.problems: list[Problem] = []

    def read(self, table: str, content: object) -> None:
        """Read everything below [*table*]."""
        if not isinstance(content, dict):
            self._refuse("unknown", f"[{table}]", allowed="a table")
            return

        sections = {key.partition(".")[0] for key in known_keys()}
        for name, inner in content.items():
            where = f"[{table}.{name}]"
            if name.upper() in KINDS and isinstance(inner, dict):
                self._read_kind(name.upper(), table, inner)
            elif name not in sections or not isinstance(inner, dict):
                known = [*sections, *(kind.lower() for kind in KINDS)]
                self._refuse("unknown", where, nearest(name, known))
            else:
                self._read_section(name, where, inner)

    def _read_section(
        self, section: str, where: str, content: Mapping[str, object]
    ) -> None:
        for field, raw in content.items():
            key = f"{section}.{field}"
            entry = known_keys().get(key)
            place = f"{self._path} {where}"
            if entry is None:
                known = [each for each in known_keys() if each.startswith(section)]
                self._refuse("unknown", f"{where} {field}", nearest(key, known))
            elif not entry.declared.in_file:
                allowed = f"{entry.variable} or init(), as the file is read after it"
                self._refuse("malformed", f"{where} {field}", allowed=allowed)
            else:
                self.values[key] = (raw, Origin("file", field, place))

    def _read_kind(self, kind: str, table: str, content: Mapping[str, object]) -> None:
        # A name may hold dots, which TOML reads as tables in tables.
        waiting: list[tuple[tuple[str, ...], object]] = [((), content)]
        while waiting:
            path, inner = waiting.pop()
            if isinstance(inner, dict) and len(path) < _DEEPEST:
                waiting += [((*path, key), value) for key, value in inner.items()]
                continue

            bare = KINDS[kind].bare
            name = ".".join(path if bare else path[:-1])
            field = "value" if bare else path[-1]
            where = ".".join((table, kind.lower(), *(path[:-1])))
            if not variable(name) or isinstance(inner, dict):
                self._refuse("unknown", f"[{where}] {path[-1]}")
                continue

            origin = Origin("file", path[-1], f"{self._path} [{where}]")
            spelt = variable(name)
            said = NamedText(kind, spelt, field, inner, origin)
            self.named[kind, spelt, field] = said

    def _refuse(
        self, kind: str, where: str, near: str = "", *, allowed: str = ""
    ) -> None:
        name = f"{self._path} {one_line(where)}"
        self.problems.append(Problem(kind, name, allowed=allowed, nearest=near))
