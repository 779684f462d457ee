"""Tells when a module is imported, whoever imports it, without importing it itself."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, cast

from svcready._core.guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["when_imported"]

_quiet = guard("core.imports")


def when_imported(module: str, tell: Callable[[], None]) -> Callable[[], None]:
    """
    Call *tell* when *module* has been imported; at once if it is already.

    wrapt has hooks of this kind, but loading it costs 45 ms (it imports asyncio), at
    the start of services that may never import what is waited for.

    Args:
        module: The dotted name.
        tell: Called once, on the thread that imports, before the importing statement
            goes on; what it raises is reported.

    Returns:
        What ends the waiting.
    """
    if sys.modules.get(module) is not None:
        with _quiet:
            tell()

        return _nothing

    _finder.wait(module, tell)
    return lambda: _finder.forget(module, tell)


class _Finder:
    """
    Finds modules that are waited for by asking the other finders (PEP 451).

    It is on `sys.meta_path` only while something is waited for.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Callable[[], None], ...]] = {}
        self._local = threading.local()

    def wait(self, module: str, tell: Callable[[], None]) -> None:
        """Have *tell* called when *module* has been imported."""
        self._waiting[module] = (*self._waiting.get(module, ()), tell)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def forget(self, module: str, tell: Callable[[], None]) -> None:
        """Call *tell* no more; it may have been called."""
        left = tuple(each for each in self._waiting.get(module, ()) if each != tell)
        if left:
            self._waiting[module] = left
        else:
            self._waiting.pop(module, None)

        self._leave()

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return what another finder finds, with a loader that tells."""
        if name not in self._waiting:
            return None

        # Another hook of this kind may ask all finders in its turn.
        asked: set[str] = self._local.__dict__.setdefault("asked", set())
        if name in asked:
            return None

        asked.add(name)
        try:
            spec = self._ask_others(name, path, target)
        finally:
            asked.discard(name)

        if spec is not None and hasattr(spec.loader, "exec_module"):
            loader = _TellingLoader(cast("Loader", spec.loader), self._tell)
            spec.loader = cast("Loader", loader)

        return spec

    def _ask_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in tuple(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None
            if finder is not self and find is not None:
                spec = find(name, path, target)

            if spec is not None:
                return spec

        return None

    def _tell(self, name: str) -> None:
        tellers = self._waiting.pop(name, ())
        self._leave()
        for tell in tellers:
            with _quiet:
                tell()

    def _leave(self) -> None:
        if not self._waiting and self in sys.meta_path:
            sys.meta_path.remove(self)


class _TellingLoader:
    """
    Loads by another loader and tells; the module keeps the other one.

    Args:
        loader: The real one.
        tell: Told the module's name when it is loaded.
    """

    def __init__(self, loader: Loader, tell: Callable[[str], None]) -> None:
        self._loader = loader
        self._tell_of = tell

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module as the real loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Put the real loader in its place, load, and tell."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader

        self._loader.exec_module(module)
        self._tell_of(module.__name__)


def _nothing() -> None:
    pass


_finder = _Finder()
