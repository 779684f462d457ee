"""Copies of policies and of their parts: the same ones, here and in other processes."""

from __future__ import annotations

import asyncio
import copy
import pickle

import pytest

from svcready.errors import BulkheadFull, DeclarationError
from svcready.resilience import get_bulkhead, policy
from tests.resilience.peers import Dependency


def test_copies_are_the_same_policy() -> None:
    """What has a policy for an attribute may be copied, or sent to another process."""
    payments = policy("payments", bulkhead=1)
    room = get_bulkhead("payments")
    with payments.guard():
        for made in (
            copy.copy(payments),
            copy.deepcopy(payments),
            pickle.loads(pickle.dumps(payments)),
            copy.deepcopy(room),
        ):
            with pytest.raises(BulkheadFull):
                asyncio.run(asyncio.to_thread(made.call, Dependency()))


def test_a_process_that_has_not_declared_it_says_so() -> None:
    """Nothing would guard the call there."""
    with pytest.raises(DeclarationError, match="elsewhere"):
        pickle.loads(pickle.dumps(policy("elsewhere"))).call(Dependency())
