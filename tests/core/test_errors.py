"""Errors on their way: to other processes, and copied."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from svcready import errors

MADE = [
    errors.ConfigurationError(("SVCREADY_X: wrong", "SVCREADY_Y: wrong")),
    errors.DeclarationError("twice"),
    errors.MissingExtraError("pip install"),
    errors.CircuitOpen("payments", "open", 1.5),
    errors.LoadShed("reports", "full"),
    errors.AttemptTimeout("late"),
]


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "travel",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_an_error_arrives_as_it_was(
    error: Exception, travel: Callable[[Exception], Exception]
) -> None:
    """A pool of processes raises what its worker raised, attributes included."""
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
