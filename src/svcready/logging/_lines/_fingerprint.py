"""The fingerprint of an error: its type and its way through the application's code."""

from __future__ import annotations

import os
import re
import sys
from hashlib import blake2s
from typing import TYPE_CHECKING

from svcready.logging._logger import names_in_use

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import CodeType

__all__ = ["digest", "is_library", "is_python", "mark_of", "type_mark"]

_STDLIB = os.__file__.rpartition(os.sep)[0] + os.sep
_OURS = __file__.rsplit(os.sep, 3)[0] + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_MAINS = {"__main__", "__mp_main__"}
# Python 3.12 runs comprehensions in the frame of the function around them.
_INLINED = re.compile(r"<(?:listcomp|setcomp|dictcomp)>\.?")
_MAX_CACHED = 1024
_types: dict[type[BaseException], str] = {}
_RENAMED = {"re.error": "re.PatternError"}
"""Types that a newer Python calls otherwise."""


def is_python(file: str) -> bool:
    """Tell whether the code in *file* is Python's own."""
    if file.startswith("<frozen"):
        return True

    return file.startswith(_STDLIB) and not any(part in file for part in _INSTALLED)


def is_library(file: str, module: str) -> bool:
    """
    Tell whether code is neither Python's nor the application's.

    An application that is installed like a library, from a wheel, is known by the
    names of the loggers that it asked svcready for.
    """
    if file.startswith(_OURS):
        return True

    if not any(part in file for part in _INSTALLED):
        return False

    top = module.partition(".")[0]
    return top not in {name.partition(".")[0] for name in names_in_use()}


def mark_of(code: CodeType, names: Mapping[str, object]) -> str:
    """
    Return what the fingerprint sees of a frame: no line, no directory, no version.

    Args:
        code: The frame's code.
        names: The module's globals.
    """
    module = _module(names.get("__name__"), names)
    if is_python(code.co_filename):  # whose functions differ between versions
        return module.partition(".")[0]

    return f"{module}:{_plain(code.co_qualname) or '<module>'}"


def type_mark(kind: type[BaseException]) -> str:
    """Return what the fingerprint sees of an exception's type."""
    mark = _types.get(kind)
    if mark is None:
        if len(_types) >= _MAX_CACHED:
            _types.clear()

        mark = _types[kind] = _type_mark(kind)

    return mark


def _type_mark(kind: type[BaseException]) -> str:
    module = kind.__module__
    names = vars(sys.modules[module]) if module in sys.modules else {}
    name = f"{_module(module, names)}.{_plain(kind.__qualname__)}"
    return _RENAMED.get(name, name)


def digest(kind: str, marks: Iterable[str], beneath: Iterable[str]) -> str:
    """
    Return the fingerprint, 16 hexadecimal digits.

    Args:
        kind: The mark of the exception's type.
        marks: Those of its frames; each counts once, so that the depth of a recursion
            does not count.
        beneath: The fingerprints of its cause and of its group's members.
    """
    seen = "\n".join((kind, *dict.fromkeys(marks), *beneath))
    return blake2s(seen.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _plain(qualname: str) -> str:
    name = _INLINED.sub("", qualname.replace("<locals>.", ""))
    return name.removesuffix(".")


def _module(name: object, names: Mapping[str, object]) -> str:
    """Return a module's name; that of the program's own is what others import it by."""
    if name not in _MAINS:
        return str(name or "")

    found = getattr(names.get("__spec__"), "name", None)
    if isinstance(found, str) and found not in _MAINS:  # python -m
        return found

    file = names.get("__file__")
    stem = os.path.basename(file) if isinstance(file, str) else ""  # noqa: PTH119
    return os.path.splitext(stem)[0] or "__main__"  # noqa: PTH122
