"""Optional packages and the pip command that installs a missing one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from svcready._core.optional import installed, require
from svcready.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_installed_is_imported() -> None:
    """The module itself comes back."""
    assert require("json", extra="x", needed_for="y") is json


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inner"])
def test_a_missing_package_is_answered_with_the_pip_command(module: str) -> None:
    """The error says who needs it and how to install it, and is an ImportError."""
    with pytest.raises(ImportError) as caught:
        require(module, extra="aws", needed_for="the `aws` transport")

    assert isinstance(caught.value, MissingExtraError)
    assert caught.value.name == "no_such_package"
    assert str(caught.value) == (
        "the `aws` transport needs the package 'no_such_package', which is not "
        'installed: pip install "svcready[aws]"'
    )


def test_an_error_of_the_package_itself_is_not_disguised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that is there and broken raises its own error."""
    (tmp_path / "broken_package.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        require("broken_package", extra="x", needed_for="y")


def test_installed_tells_without_importing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a broken package is told to be there, and a missing parent is no error."""
    (tmp_path / "broken_too.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)

    assert installed("broken_too")
    assert not installed("no_such_package")
    assert not installed("no_such_package.inner")
    assert not installed("json.no_such_module.inner")
