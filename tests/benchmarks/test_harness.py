"""The controller with a real process on the other end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from benchmarks.harness import SubjectFailedError, Worker, interleave
from benchmarks.model import Subject
from benchmarks.worker import Host

if TYPE_CHECKING:
    from benchmarks.workload import Workload

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


class Paused:
    """A workload of 1 ms an operation, whose second round the machine interrupts."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.rounds = 0

    def run(self, count: int) -> None:
        """Take time."""
        self.rounds += 1
        self.now_s += count * 0.001 + (5.0 if self.rounds == 2 else 0.0)

    def flush(self) -> None:
        """Have nothing."""


def test_one_pause_of_the_machine_ends_no_calibration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A count is enough when it takes long each time, and the least time counts."""
    workload = Paused()
    clock = SimpleNamespace(
        perf_counter=lambda: workload.now_s, process_time=lambda: workload.now_s
    )
    monkeypatch.setattr("benchmarks.worker.time", clock)

    assert Host(cast("Workload", workload)).calibrate(1.0) == 1000


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
