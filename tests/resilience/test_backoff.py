"""The draws behind jitter and throttling are svcready's own."""

from __future__ import annotations

import os
import random

import pytest

from svcready.resilience._retrying._backoff import uniform


def test_an_application_that_seeds_draws_undisturbed() -> None:
    """What `random` gives after a seed is the same with draws of ours between."""
    random.seed(11)
    expected = [random.random() for _ in range(3)]
    random.seed(11)
    drawn = []
    for _ in range(3):
        assert 0.0 <= uniform() < 1.0
        drawn.append(random.random())

    assert drawn == expected
    random.seed(11)
    first = uniform()
    random.seed(11)
    assert uniform() != first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_draws_other_numbers() -> None:
    """Workers that were forked don't retry in step."""
    uniform()
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, repr(uniform()).encode())
        os._exit(0)

    os.waitpid(child, 0)
    assert float(os.read(reads, 64)) != uniform()
    os.close(reads)
    os.close(writes)
