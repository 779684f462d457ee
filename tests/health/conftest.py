"""Each test declares its own checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.health._check import CHECKS
from svcready.health._life._heartbeat import HEARTBEATS
from svcready.health._life._startup import STARTUP_TASKS
from tests.health.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def no_checks() -> Iterator[None]:
    """Forget the checks of other tests, heartbeats and startup tasks too."""
    registers = (CHECKS, HEARTBEATS, STARTUP_TASKS)
    for register in registers:
        register.clear()

    yield
    for register in registers:
        register.bind(None)
        register.clear()


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    """Make rigs that are closed at the end."""
    rigs = []

    def make(*args: object, **kwargs: object) -> Rig:
        rigs.append(Rig(*args, **kwargs))  # type: ignore[arg-type]
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
