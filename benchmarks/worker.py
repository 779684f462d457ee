"""
One subject's process: builds its workload, then runs rounds when told to.

Commands come as JSON lines on standard input and are answered as JSON lines on what
was standard output when the process began. From then on file descriptor 1 is the null
device, so that whatever a subject logs costs every subject the same write.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING, TypedDict, cast

from benchmarks.model import SAMPLE_COUNT

if TYPE_CHECKING:
    from benchmarks.workload import Workload

_LOOKS = 3
"""How often a count has to take long enough."""


class Order(TypedDict):
    """What the controller asks for first: a factory and its arguments."""

    target: str
    arguments: dict[str, object]


class Host:
    """The workload with the count of what it has done."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self.done = 0

    def measure(self, count: int) -> dict[str, float]:
        """
        Run one round and return seconds per operation, wall and CPU.

        Wall time is that of the operations. CPU time is that of the whole process,
        threads and the flush included.
        """
        gc.collect()
        cpu = time.process_time()
        wall = time.perf_counter()
        self._workload.run(count)
        wall = time.perf_counter() - wall
        self._workload.flush()
        cpu = time.process_time() - cpu
        self.done += count
        return {"wall": wall / count, "cpu": cpu / count}

    def calibrate(self, target_s: float) -> int:
        """
        Return how many operations fill `target_s` seconds.

        What seems to take long enough is run again: one pause of the machine is no
        measure.
        """
        count = 1
        while True:
            walls: list[float] = []
            while len(walls) < _LOOKS and min(walls, default=target_s) >= target_s / 4:
                walls.append(self.measure(count)["wall"] * count)

            if min(walls) >= target_s / 4:
                return max(1, round(count * target_s / min(walls)))

            count *= 4

    def sample(self) -> list[str]:
        """Return the lines that a few operations write to standard output."""
        with tempfile.TemporaryFile() as file:
            saved = os.dup(1)
            os.dup2(file.fileno(), 1)
            try:
                self._workload.run(SAMPLE_COUNT)
                self._workload.flush()
                sys.stdout.flush()
            finally:
                os.dup2(saved, 1)
                os.close(saved)

            self.done += SAMPLE_COUNT
            file.seek(0)
            return file.read().decode(errors="replace").splitlines()


def build(order: Order) -> Workload:
    """Make the workload that an order names as `module:factory`."""
    module, _, factory = order["target"].partition(":")
    made = getattr(importlib.import_module(f"benchmarks.subjects.{module}"), factory)
    return cast("Workload", made(**order["arguments"]))


def main() -> None:
    """Serve the controller until it closes our standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    order = cast("Order", json.loads(sys.stdin.readline()))
    try:
        host = Host(build(order))
        lines = host.sample()
    except Exception as error:
        answers.write(json.dumps({"missing": f"{type(error).__name__}: {error}"}))
        answers.write("\n")
        raise

    answers.write(json.dumps({"lines": lines}) + "\n")
    for line in sys.stdin:
        command = json.loads(line)
        answer: object
        if "calibrate" in command:
            answer = {"count": host.calibrate(command["calibrate"])}
        elif "round" in command:
            answer = host.measure(command["round"])
        else:
            answer = {"done": host.done}

        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
