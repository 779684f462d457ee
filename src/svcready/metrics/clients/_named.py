"""Instrumentation of client libraries by name, as settings ask for it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_fault
from svcready._core.optional import installed
from svcready.metrics.clients._shared import COMPONENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["AUTO", "instrument_named", "named_problems"]

AUTO, NONE = "auto", "none"
"""What is traced is measured too; nothing but what is named."""


class _Client(NamedTuple):
    """How a library is instrumented as a whole."""

    packages: tuple[str, ...]
    """Any of these has to be installed."""
    file: str
    function: str
    """Takes no arguments and returns what takes the instrumentation back."""


_CLIENTS = {
    "aio_pika": _Client(("aio_pika",), "_aio_pika", "instrument_aio_pika"),
    "botocore": _Client(("botocore",), "_botocore", "instrument_every_client"),
    "celery": _Client(("celery",), "_celery", "instrument_celery"),
    "django": _Client(("django",), "_django", "instrument_django"),
    "kafka": _Client(("aiokafka",), "_kafka", "instrument_kafka"),
    "pika": _Client(("pika",), "_pika", "instrument_pika"),
    "psycopg_pool": _Client(
        ("psycopg_pool",), "_psycopg_pool", "instrument_every_pool"
    ),
    "sqlalchemy": _Client(("sqlalchemy",), "_sqlalchemy", "instrument_every_engine"),
}


def instrument_named(
    names: Iterable[str],
) -> tuple[tuple[str, ...], Callable[[], None]]:
    """
    Instrument the libraries called *names*, as far as they are there.

    Args:
        names: As `SVCREADY_METRICS_INSTRUMENT` has them.

    Returns:
        What could not be done, one line each, and what takes back what was done.
    """
    problems: list[str] = []
    undos: list[Callable[[], None]] = []
    for name in _real(names):
        problem = _problem(name)
        if problem:
            problems.append(problem)
        else:
            client = _CLIENTS[name]
            try:
                file = import_module(f"svcready.metrics.clients.{client.file}")
                undos.append(getattr(file, client.function)())
            except Exception as error:  # noqa: BLE001 - the service starts without
                report_fault(COMPONENT, error)
                problems.append(
                    f"SVCREADY_METRICS_INSTRUMENT: {name} is not measured: "
                    f"{type(error).__name__}: {error}"
                )

    def undo() -> None:
        for each in reversed(undos):
            each()

    return tuple(problems), undo


def named_problems(names: Iterable[str]) -> list[str]:
    """Return what of *names* cannot be instrumented here, one line each."""
    return [problem for problem in map(_problem, _real(names)) if problem]


def _real(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in {AUTO, NONE}]


def _problem(name: str) -> str:
    client = _CLIENTS.get(name)
    if client is None:
        return _unknown(name)

    if any(installed(package) for package in client.packages):
        return ""

    return (
        f"SVCREADY_METRICS_INSTRUMENT: {name} is not measured: the package "
        f"{' or '.join(client.packages)} is not installed"
    )


def _unknown(name: str) -> str:
    import difflib  # only where something is wrong: it is slow to load

    near = difflib.get_close_matches(name, _CLIENTS, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return (
        f"SVCREADY_METRICS_INSTRUMENT: {name!r} is not known (one of "
        f"{', '.join(sorted(_CLIENTS))}){hint}"
    )
