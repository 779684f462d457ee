"""The controller with a real process on the other end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from benchmarks.harness import SubjectFailedError, Worker, interleave
from benchmarks.model import Subject

ENDPOINT = "http://127.0.0.1:9/v1/traces"
ROUND = 100_000


def test_rounds_are_interleaved() -> None:
    """Every round has each subject once, and each begins with another."""
    assert "".join(interleave("abc", 3)) == "abcbcacab"


def test_a_subject_measures_rounds_in_its_own_process() -> None:
    """A worker builds its workload, calibrates it and answers with CPU and wall."""
    subject = Subject("floor", "metrics:floor_append")
    worker = Worker(subject, Path(sys.executable), ENDPOINT)
    try:
        assert worker.start()["lines"] == []
        count = worker.ask({"calibrate": 0.1})["count"]
        began_s = time.perf_counter()
        answer = worker.ask({"round": ROUND})
        took_s = time.perf_counter() - began_s
        done = worker.ask({})["done"]
    finally:
        worker.close()

    assert count > 1
    assert 0 < answer["cpu"] * ROUND < took_s  # of an operation, on one thread
    assert 0 < answer["wall"] * ROUND < took_s
    assert done > ROUND


def test_a_subject_that_cannot_be_built_says_why() -> None:
    """The reason crosses the pipe, so that a missing part can be named."""
    subject = Subject("none", "metrics:no_such_factory")
    worker = Worker(subject, Path(sys.executable), ENDPOINT)
    try:
        assert "no_such_factory" in worker.start()["missing"]
        with pytest.raises(SubjectFailedError, match="no_such_factory"):
            worker.ask({"round": 1})
    finally:
        worker.close()
