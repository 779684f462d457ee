"""The API page has every name that the face and the small packages promise."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

import svcready
from scripts import write_settings
from svcready import errors, testing
from svcready.config._sections.resilience import POLICY_FIELDS
from tests.architecture.house import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()


def named(module: str) -> set[str]:
    """Return the names that the page lists of a module."""
    blocks = re.findall(rf"```{{api}} {re.escape(module)}\n(.*?)```", PAGE, re.DOTALL)
    return {word.partition(":")[0] for block in blocks for word in block.split()}


@pytest.mark.parametrize(
    "module", [svcready, errors, testing], ids=lambda m: m.__name__
)
def test_every_public_name_is_on_the_page(module: ModuleType) -> None:
    """A name that is added to a face cannot be forgotten in the reference."""
    names = {
        name
        for name in module.__all__
        if not isinstance(getattr(module, name), ModuleType)
    }
    assert names == named(module.__name__)


def test_every_field_of_policies_has_its_argument() -> None:
    """Who reads code finds the variable, and who sets the variable the argument."""
    page = (ROOT / "docs" / "resilience-parts.md").read_text()
    table = page.partition("## Arguments and variables")[2]
    assert {word.lower() for word in re.findall(r"`([A-Z_]+)`", table)} == {
        *POLICY_FIELDS
    }


def test_the_settings_on_the_page_are_those_of_the_code() -> None:
    """The tables are there as text, wherever the page is read, and up to date."""
    same = write_settings.PAGE.read_text() == write_settings.written(
        write_settings.PAGE.read_text()
    )
    assert same, "run `python scripts/write_settings.py`"
