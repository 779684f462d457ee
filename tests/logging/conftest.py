"""Each test of the log has `logging` for itself and finds it as it left it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from svcready._core import context
from tests.logging.support import MADE, Log, make_log

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


def _runners(handler: logging.Handler) -> bool:
    return type(handler).__module__.startswith("_pytest.")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Take the test runner's own handlers off the root logger."""
    root = logging.getLogger()
    runners = [handler for handler in root.handlers if _runners(handler)]
    root.handlers = [handler for handler in root.handlers if not _runners(handler)]
    try:
        return (yield)
    finally:
        root.handlers += runners


@pytest.fixture(autouse=True)
def _root_as_it_was() -> Iterator[None]:
    """Keep the root logger's level and handlers, whatever a fixture puts back."""
    root = logging.getLogger()
    level, handlers = root.level, tuple(root.handlers)
    yield
    root.setLevel(level)
    root.handlers = [h for h in root.handlers if h in handlers or _runners(h)]


@pytest.fixture(autouse=True)
def _pillars_closed(_root_as_it_was: None) -> Iterator[None]:
    """Close what a failed test did not, so that those after it don't fail too."""
    yield
    while MADE:
        MADE.pop().close()


@pytest.fixture(autouse=True)
def no_context() -> Iterator[None]:
    """Start each test outside any request."""
    token = context.activate(None)
    yield
    context.deactivate(token)


@pytest.fixture
def log() -> Iterator[Log]:
    """Return a running pillar of a service in production."""
    made = make_log()
    made.pillar.start()
    made.written.clear()
    yield made
    made.pillar.close()
