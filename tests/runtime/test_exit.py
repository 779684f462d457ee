"""How the process's end is noticed, and whose handlers are left alone."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from svcready.testing import running

if TYPE_CHECKING:
    import pytest


def test_a_handler_that_python_cannot_call_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An embedding server's own handler of SIGTERM could not be chained."""
    replaced: list[int] = []

    def note(number: int, _: object) -> None:
        replaced.append(number)

    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    monkeypatch.setattr(signal, "signal", note)
    with running():
        assert replaced == []
