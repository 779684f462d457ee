"""What a subject's process runs: a workload, and the one made of a single statement."""

from __future__ import annotations

import asyncio
import itertools
import textwrap
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

Loop = Callable[[Iterator[None]], None]
AsyncLoop = Callable[[Iterator[None]], Coroutine[object, object, None]]


class Workload(Protocol):
    """Something that can be repeated, and asked to finish what it left behind."""

    def run(self, count: int) -> None:
        """Do the operation `count` times."""

    def flush(self) -> object:
        """Do now what was put off: fold, encode, export."""


def nothing() -> None:
    """Stand in for a flush where nothing is put off."""


def compile_loop(statement: str, names: Mapping[str, object]) -> Loop:
    """Compile a loop around a statement, so that no call is added to its cost."""
    return cast("Loop", _compile("def", statement, names))


def compile_async_loop(statement: str, names: Mapping[str, object]) -> AsyncLoop:
    """Compile a coroutine function that loops around a statement that may await."""
    return cast("AsyncLoop", _compile("async def", statement, names))


def _compile(keyword: str, statement: str, names: Mapping[str, object]) -> object:
    body = textwrap.indent(textwrap.dedent(statement).strip(), " " * 8)
    source = f"{keyword} loop(_rounds):\n    for _ in _rounds:\n{body}\n"
    namespace = dict(names)
    exec(source, namespace)
    return namespace["loop"]


class Statement:
    """A statement repeated inline, written as a user would write it."""

    def __init__(
        self,
        statement: str,
        names: Mapping[str, object],
        flush: Callable[[], object] = nothing,
    ) -> None:
        self._loop = compile_loop(statement, names)
        self._flush = flush

    def run(self, count: int) -> None:
        """Do the statement `count` times."""
        self._loop(itertools.repeat(None, count))

    def flush(self) -> None:
        """Do what the subject put off."""
        self._flush()


class AsyncStatement:
    """A statement that awaits, repeated inline on one event loop."""

    def __init__(
        self,
        statement: str,
        names: Mapping[str, object],
        flush: Callable[[], object] = nothing,
    ) -> None:
        self._loop = compile_async_loop(statement, names)
        self._flush = flush
        self._events = asyncio.new_event_loop()

    def run(self, count: int) -> None:
        """Await the statement `count` times in one task."""
        self._events.run_until_complete(self._loop(itertools.repeat(None, count)))

    def flush(self) -> None:
        """Do what the subject put off."""
        self._flush()
