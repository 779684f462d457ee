"""Imports of OpenTelemetry that its own environment variables must not break."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["import_safely"]

# What OpenTelemetry reads while it is being imported and raises over: an unknown
# propagator, a limit that is no number. We have judged them already.
_READ_AT_IMPORT = ("OTEL_PROPAGATORS", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")


class _Without(MutableMapping[str, str]):
    """The environment as it is, but without some variables; writes go through."""

    def __init__(self, real: MutableMapping[str, str], hidden: frozenset[str]) -> None:
        self._real = real
        self._hidden = hidden

    def __getitem__(self, name: str) -> str:
        if name in self._hidden:
            raise KeyError(name)

        return self._real[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._real[name] = value

    def __delitem__(self, name: str) -> None:
        del self._real[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._real if name not in self._hidden)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def import_safely(name: str) -> ModuleType:
    """
    Import the OpenTelemetry module *name*, whatever the environment says.

    The environment itself is not touched: while the import lasts, `os.environ` is a
    view that lacks the variables which could break it. Nothing of that is left.
    """
    module = sys.modules.get(name)
    if module is not None:
        return module

    hidden = frozenset(_READ_AT_IMPORT) & os.environ.keys()
    if not hidden:
        return import_module(name)

    real = os.environ
    view = _Without(real, hidden)
    os.environ = cast("os._Environ[str]", view)  # noqa: B003, SLF001 - restored below
    try:
        return import_module(name)
    finally:
        os.environ = real  # noqa: B003
        _put_back(view, real)


def _put_back(view: object, real: object) -> None:
    for name, module in tuple(sys.modules.items()):
        if name.startswith("opentelemetry") and vars(module).get("environ") is view:
            vars(module)["environ"] = real
