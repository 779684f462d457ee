"""A start that does not come to its end."""

from __future__ import annotations

import pytest

import svcready
from svcready.testing import running
from tests.left_behind import look_around


@pytest.mark.parametrize(
    "step",
    [
        "svcready.tracing.instrumentation._switch.options_of",
        "svcready.tracing.instrumentation._switch.Instrumentation.tell",
        "svcready._wiring.connect",
    ],
)
def test_a_start_that_is_cut_off_leaves_nothing_behind(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C or a test's time limit, wherever it stands: all is as it was before."""

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = look_around()
    with monkeypatch.context() as patch:
        patch.setattr(step, cut_off)
        with pytest.raises(KeyboardInterrupt):
            svcready.init(service="orders")

        assert look_around() == before
        with pytest.raises(KeyboardInterrupt), running():
            pass

    assert look_around() == before
