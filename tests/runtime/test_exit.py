"""SIGTERM: what runs before the handler that was there, which may end the process."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from svcready._runtime._exit import _TermHandler
from svcready.testing import running

if TYPE_CHECKING:
    import pytest


def test_what_is_pending_is_flushed_before_the_handler_before_acts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A handler of another library may end the process: nothing is lost to it."""
    order: list[str] = []
    with running() as harness:
        runtime = harness.runtime
        monkeypatch.setattr(runtime, "flush", lambda _: order.append("flushed"))
        handler = _TermHandler(lambda *_: order.append("theirs"))

        handler(signal.SIGTERM, None)

    assert order == ["flushed", "theirs"]
    assert runtime.draining
