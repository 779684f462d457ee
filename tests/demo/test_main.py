"""The command line of the demo, before anything is started."""

from __future__ import annotations

import sys

import pytest

from svcready.demo import main
from svcready.errors import MissingExtraError


def test_what_is_missing_is_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the demo says how to install it."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    with pytest.raises(MissingExtraError, match=r'pip install "svcready\[cli\]"'):
        main([])


@pytest.mark.parametrize(
    "argv",
    [
        ["--seconds", "1"],
        ["--seconds", "nan"],
        ["--seconds", "inf"],
        ["--keep", "--json"],
        ["--wrong"],
    ],
)
def test_a_wrong_command_line_starts_nothing(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A value that cannot work is refused at once."""
    with pytest.raises(SystemExit) as caught:
        main(argv)

    assert caught.value.code == 2
    assert "svcready demo" in capsys.readouterr().err
