"""Switches instrumentation packages on as their libraries come, and off at the end."""

from __future__ import annotations

import logging
import os
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from svcready._core.guard import guard
from svcready._core.imports import when_imported
from svcready._core.optional import installed
from svcready.tracing.instrumentation._choice import VARIABLE, choose, unknown
from svcready.tracing.instrumentation._known import KNOWN
from svcready.tracing.instrumentation._options import Options, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from importlib.metadata import EntryPoint

    from svcready.config._sections.tracing import TracingSettings

__all__ = ["Instrumentation", "Instrumentor", "client_problems"]

_COMPONENT = "tracing.instrumentation"
_log = logging.getLogger("svcready.tracing")
_quiet = guard(_COMPONENT)
_ROOM = "opentelemetry.instrumentation"
_GROUP = "opentelemetry_instrumentor"


class Instrumentor(Protocol):
    """What every instrumentation package has, one per process."""

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether somebody switched it on."""
        ...

    def instrument(self, **options: object) -> object:
        """Patch the library."""
        ...

    def uninstrument(self) -> object:
        """Take the patches back."""
        ...


class Instrumentation:
    """
    The instrumentation packages of one runtime.

    A package is loaded when its library is imported, by whomever, because loading it
    loads the library as well, and wrapt, and with that asyncio.

    Args:
        words: The setting: `auto`, `none`, names, `-names`.
        propagators: The header formats that are written.
    """

    def __init__(
        self,
        words: Iterable[str],
        propagators: tuple[str, ...],
    ) -> None:
        self._choice = choose(words)
        self._propagators = propagators
        self._problems = list(self._choice.problems)
        self._state: dict[str, str] = {}
        self._undo: list[Callable[[], None]] = []
        self._listeners: list[Callable[[str], None]] = []
        self._started = self._closed = False

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be done, one line each."""
        return tuple(self._problems)

    def start(self) -> None:
        """Switch on what can be now, and wait for the rest."""
        self._closed = False
        packages = _packages()
        for name in (*self._choice.named, *self._choice.automatic):
            missing = _missing(name, packages)
            if missing and name in self._choice.automatic:
                # What nobody has is not worth a word.
                if _is_there(name):
                    self._state[name] = f"off: {missing}"
            elif missing:
                self._failed(name, missing)
            else:
                self._state[name] = "waits for its library"
                tell = partial(self._switch_on, name)
                self._undo.append(when_imported(KNOWN[name].library, tell))

        for name in self._choice.left_out:
            if not _missing(name, packages):
                self._state[name] = f"off: not in {VARIABLE}"

        for name in self._choice.others:
            self._switch_on_other(name)

        self._started = True

    def close(self) -> None:
        """Take everything back that was done here."""
        self._closed = True  # another thread may be importing a library
        undo, self._undo = self._undo, []
        for step in reversed(undo):
            with _quiet:
                step()

        self._listeners.clear()

    def tell(self, listener: Callable[[str], None]) -> None:
        """Have *listener* told each library that is traced, by name, now and later."""
        self._listeners.append(listener)
        for name, state in tuple(self._state.items()):
            if state.startswith("on"):
                listener(name)

    def describe(self) -> dict[str, object]:
        """Return what is on, what waits for its library, and what is off and why."""
        states = self._state
        return {
            "on": sorted(
                name if state == "on" else f"{name} ({state[4:]})"
                for name, state in states.items()
                if state.startswith("on")
            ),
            "waiting": sorted(n for n, state in states.items() if state[0] == "w"),
            "off": {n: s[5:] for n, s in sorted(states.items()) if s[:3] == "off"},
        }

    def _switch_on(self, name: str) -> None:
        if self._closed:
            return

        known = KNOWN[name]
        try:
            module = import_module(f"{_ROOM}.{known.package}")
            made = cast("Instrumentor", getattr(module, known.instrumentor)())
            options = options_of(name, self._propagators)
            self._instrument(name, made, options, any_version=known.any_version)
        except Exception as error:  # noqa: BLE001 - the service goes on without
            self._failed(name, _said(error))

    def _switch_on_other(self, name: str) -> None:
        entry = _entry_point(name)
        if entry is None:
            self._problems.append(unknown(name))
            return

        try:
            made = cast("Instrumentor", entry.load()())
            self._instrument(name, made, Options())
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(name, _said(error))

    def _instrument(
        self,
        name: str,
        made: Instrumentor,
        options: Options,
        *,
        any_version: bool = False,
    ) -> None:
        if made.is_instrumented_by_opentelemetry:
            self._state[name] = "on: by the application"
        else:
            if not options.alone:
                made.instrument(
                    skip_dep_check=any_version,
                    raise_exception_on_conflict=True,
                    **options.given,
                )
                self._undo.append(partial(_take_back, made))

            if options.besides is not None:
                self._undo.append(options.besides())

            self._state[name] = "on"

        for listener in tuple(self._listeners):
            with _quiet:
                listener(name)

    def _failed(self, name: str, reason: str) -> None:
        self._state[name] = f"off: {reason}"
        problem = _problem(name, reason)
        self._problems.append(problem)
        if self._started:  # the start line has been written
            _log.warning("%s", problem)


def client_problems(settings: TracingSettings) -> tuple[str, ...]:
    """
    Return what the start would say is wrong with the choice of clients.

    Args:
        settings: The section TRACING; nothing is loaded or switched on for it.
    """
    if not settings.enabled:
        return ()

    choice, packages = choose(settings.instrument), _packages()
    missing = ((name, _missing(name, packages)) for name in choice.named)
    return (
        *choice.problems,
        *(_problem(name, reason) for name, reason in missing if reason),
        *(unknown(name) for name in choice.others if _entry_point(name) is None),
    )


def _entry_point(name: str) -> EntryPoint | None:
    from importlib.metadata import entry_points  # slow, and rarely needed

    for entry in entry_points(group=_GROUP):
        if entry.name.lower().replace("-", "_") == name:
            return entry

    return None


def _problem(name: str, reason: str) -> str:
    return f"{VARIABLE}: {name} is not traced: {reason}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _take_back(made: Instrumentor) -> None:
    if made.is_instrumented_by_opentelemetry:
        made.uninstrument()


def _packages() -> frozenset[str]:
    """Return which packages are there: one look into each directory, no import."""
    try:
        paths = import_module(_ROOM).__path__
        return frozenset(name for path in paths for name in os.listdir(path))  # noqa: PTH208
    except (ImportError, OSError):
        return frozenset()


def _missing(name: str, packages: frozenset[str]) -> str:
    known = KNOWN[name]
    if known.package not in packages:
        if not known.distribution:
            return 'pip install "svcready[instrument]"'

        return f"pip install opentelemetry-instrumentation-{known.distribution}"

    if not _is_there(name):
        return f"the package {known.library.partition('.')[0]} is not installed"

    return ""


def _is_there(name: str) -> bool:
    return installed(KNOWN[name].library.partition(".")[0])
