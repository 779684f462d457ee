"""What the tests of X-Ray leave to the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _sdks_socket() -> Iterator[None]:
    """Close the socket that the X-Ray SDK opens when it is imported, and keeps open."""
    yield
    core = sys.modules.get("aws_xray_sdk.core")
    if core is not None:
        core.xray_recorder.emitter._socket.close()
