"""Each test of the log has `logging` for itself and finds it as it left it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from svcready._core import context
from tests.logging.support import Log, make_log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Take the test runner's own handlers off the root logger during a test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)


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
    yield made
    made.pillar.close()
