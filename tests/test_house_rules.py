"""The suite's own safety nets."""

from __future__ import annotations

import os

import pytest

from svcready._core.guard import guard
from tests.conftest import Faults
from tests.left_behind import SETTINGS


def test_a_swallowed_fault_fails_the_test() -> None:
    """A fault that the guard swallowed is raised at the test's end."""
    noted = Faults()
    noted("health", KeyError("x"))

    with pytest.raises(ExceptionGroup, match="health") as caught:
        noted.check()

    assert [type(error) for error in caught.value.exceptions] == [KeyError]


def test_an_expected_fault_is_claimed(faults: Faults) -> None:
    """A test that provokes a fault takes it from the fixture and passes."""
    with guard("metrics"):
        raise LookupError

    assert isinstance(faults.claim("metrics"), LookupError)


def test_tests_see_no_settings() -> None:
    """What the developer's shell has set does not reach a test."""
    assert not [name for name in os.environ if name.startswith(SETTINGS)]
