"""What waits for a module to be imported."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from svcready._core.imports import when_imported
from tests.architecture.house import run_clean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Faults

NAME = "awaited_module"


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Offer a module that nobody has imported."""
    (tmp_path / f"{NAME}.py").write_text("done = True\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "part.py").touch()
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    yield
    for name in (NAME, "package", "package.part", "broken_module"):
        sys.modules.pop(name, None)

    assert sys.meta_path == finders


def test_it_is_told_once_and_after_the_module_is_whole() -> None:
    """The module is there with all its names, and the real loader has loaded it."""
    told: list[bool] = []
    when_imported(NAME, lambda: told.append(sys.modules[NAME].done))
    assert told == []

    module = importlib.import_module(NAME)
    importlib.import_module(NAME)
    importlib.reload(module)

    assert told == [True]
    assert type(module.__loader__) is type(importlib.import_module("json").__loader__)
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__


def test_what_is_there_already_is_told_at_once() -> None:
    """Nothing waits, so no finder is left."""
    told: list[str] = []

    when_imported("sys", lambda: told.append("sys"))

    assert told == ["sys"]


def test_a_submodule_can_be_awaited() -> None:
    """Its package is imported first, and that tells nothing."""
    told: list[str] = []
    when_imported("package.part", lambda: told.append("part"))

    importlib.import_module("package")
    assert told == []
    importlib.import_module("package.part")
    assert told == ["part"]


def test_waiting_can_be_ended() -> None:
    """Others who wait for the same module are told all the same."""
    told: list[str] = []
    end = when_imported(NAME, lambda: told.append("first"))
    when_imported(NAME, lambda: told.append("second"))
    end()
    end()

    importlib.import_module(NAME)
    assert told == ["second"]


def test_a_fault_of_who_is_told_is_not_the_importers(faults: Faults) -> None:
    """The import goes on, the fault is reported, and the others are told."""
    told: list[str] = []

    def fail() -> None:
        raise LookupError

    when_imported(NAME, fail)
    when_imported(NAME, lambda: told.append("second"))
    importlib.import_module(NAME)

    assert told == ["second"]
    assert isinstance(faults.claim("core.imports"), LookupError)


def test_a_module_that_breaks_tells_nothing() -> None:
    """The importer has the error; a second attempt is awaited again."""
    told: list[str] = []
    end = when_imported("broken_module", lambda: told.append("broken"))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            importlib.import_module("broken_module")

    end()
    assert told == []


def test_a_module_that_is_not_there_is_not_found() -> None:
    """The usual error, with the usual name."""
    end = when_imported("nowhere_module", lambda: None)

    with pytest.raises(ModuleNotFoundError, match="nowhere_module"):
        importlib.import_module("nowhere_module")

    end()


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_wrapts_hooks_tell_of_the_same_module(first: str) -> None:
    """Other tools wait in the same way; whoever came first, both are told."""
    code = f"""
import wrapt
from svcready._core.imports import when_imported

told = []
ours = lambda: when_imported("xmlrpc.client", lambda: told.append("ours"))
theirs = lambda: wrapt.register_post_import_hook(
    lambda module: told.append("theirs"), "xmlrpc.client"
)
for wait in ((ours, theirs) if {first!r} == "ours" else (theirs, ours)):
    wait()

import xmlrpc.client
print(sorted(told), type(xmlrpc.client.__spec__.loader).__name__)
"""
    assert run_clean(code) == "['ours', 'theirs'] SourceFileLoader\n"
