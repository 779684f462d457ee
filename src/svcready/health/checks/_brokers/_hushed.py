"""Keeps client libraries from logging what a check's own calls already say."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hushed"]


class _Span:
    __slots__ = ("is_over",)

    def __init__(self) -> None:
        self.is_over = False


_SPAN: ContextVar[_Span | None] = ContextVar("svcready_check_hushed", default=None)


class _Hush(logging.Filter):
    """Drops the records that are made in a check's own context."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        span = _SPAN.get()
        return span is None or span.is_over


_HUSH = _Hush()


@contextmanager
def hushed(*libraries: str, lasting: bool = False) -> Iterator[None]:
    """
    Drop what the loggers of *libraries* say within the block.

    A broker that is down would otherwise write several lines of level ERROR at each
    run, for as long as it is down; the check's result says the same, once. Only what
    the check itself calls is concerned: what the application does with the same
    library meanwhile is logged as ever.

    Args:
        libraries: Names of top loggers: `pika`, `aiokafka`, ...
        lasting: Whether tasks that begin within the block are silent for ever,
            because they belong to a client of the check's own, or only until it ends,
            because they belong to the application's.
    """
    _put_filters(libraries)
    span = _Span()
    token = _SPAN.set(span)
    try:
        yield
    finally:
        _SPAN.reset(token)
        span.is_over = not lasting


def _put_filters(libraries: tuple[str, ...]) -> None:
    # A logger's filters see only what is logged on itself, so each one needs its own;
    # modules that a library loads later bring new ones.
    for name in tuple(logging.root.manager.loggerDict):
        if name.partition(".")[0] in libraries:
            logger = logging.getLogger(name)
            if _HUSH not in logger.filters:
                logger.addFilter(_HUSH)
