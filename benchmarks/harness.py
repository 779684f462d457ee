"""The controller: starts the subjects' processes and interleaves their rounds."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

from benchmarks.environments import ROOT, clean_environment
from benchmarks.model import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.model import Bench, Subject

T = TypeVar("T")

PATIENCE_S = 120
"""A subject that has not answered for so long is ended."""

TIMED = Path(__file__).resolve().parent / "fresh" / "timed.py"


class SubjectFailedError(RuntimeError):
    """A subject's process ended or refused; carries the end of its error output."""


class Answer(TypedDict, total=False):
    """Whatever a worker answers."""

    missing: str
    lines: list[str]
    count: int
    done: int
    wall: float
    cpu: float


class Collector:
    """The sink's process, and what it says it received."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.sink"],
            cwd=ROOT,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def endpoint(self, subject: str) -> str:
        """Return the address to which one subject sends its traces."""
        return f"http://127.0.0.1:{self._port}/{subject}/v1/traces"

    def spans(self) -> Mapping[str, int]:
        """Return the spans received so far by subject."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/counts")
            return cast("dict[str, int]", json.load(connection.getresponse()))

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()


class Worker:
    """One subject's process, spoken to in JSON lines."""

    def __init__(self, subject: Subject, python: Path, endpoint: str) -> None:
        self.subject = subject
        self._scratch = tempfile.TemporaryDirectory(prefix="svcready-bench-")
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - see close
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.worker"],
            cwd=ROOT,
            env=clean_environment(
                OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint, TMPDIR=self._scratch.name
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.count = 0

    def start(self) -> Answer:
        """Have the workload built and return a sample of its output."""
        return self.ask(
            {"target": self.subject.target, "arguments": dict(self.subject.arguments)}
        )

    def ask(self, command: Mapping[str, object]) -> Answer:
        """Send one command and wait, within bounds, for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()

        if not line:
            raise SubjectFailedError(f"{self.subject.label}: {self._last_words()}")

        return cast("Answer", json.loads(line))

    def close(self) -> None:
        """End the process; its exit work is not part of what is measured."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()
        self._scratch.cleanup()

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:]


class Harness:
    """Runs benches with interpreters and a collector that it is given."""

    def __init__(
        self,
        pythons: Callable[[bool], Path],
        collector: Collector,
        rounds: int,
        say: Callable[[str], None],
    ) -> None:
        self._pythons = pythons
        self._collector = collector
        self._rounds = rounds
        self._say = say

    def run(self, bench: Bench) -> dict[str, Series]:
        """Measure all subjects of a bench, round by round beside each other."""
        self._say(f"{bench.key}: {', '.join(s.label for s in bench.subjects)}")
        return self._run_fresh(bench) if bench.fresh else self._run_workers(bench)

    def _run_workers(self, bench: Bench) -> dict[str, Series]:
        series = {subject.label: Series() for subject in bench.subjects}
        with contextlib.ExitStack() as stack:
            workers = []
            for index, subject in enumerate(bench.subjects):
                endpoint = self._collector.endpoint(name_for(bench, index))
                worker = Worker(subject, self._pythons(subject.distro), endpoint)
                stack.callback(worker.close)
                if self._ready(worker, bench, series[subject.label]):
                    workers.append(worker)

            for turn in interleave(workers, self._rounds):
                answer = turn.ask({"round": turn.count})
                series[turn.subject.label].cpu.append(answer["cpu"])
                series[turn.subject.label].wall.append(answer["wall"])

            received = self._collector.spans()
            for index, subject in enumerate(bench.subjects):
                for worker in workers:
                    if worker.subject is subject:
                        done = worker.ask({})["done"]
                        got = received.get(name_for(bench, index), 0)
                        series[subject.label].spans = got / done

        return series

    def _ready(self, worker: Worker, bench: Bench, series: Series) -> bool:
        answer = worker.start()
        if "missing" in answer:
            if not worker.subject.ours:
                raise SubjectFailedError(f"{worker.subject.label}: {answer['missing']}")

            series.missing = answer["missing"]
            return False

        series.lines = answer["lines"]
        if bench.count is None:
            worker.count = worker.ask({"calibrate": bench.round_s})["count"]
        else:
            worker.count = bench.count

        worker.ask({"round": worker.count})
        return True

    def _run_fresh(self, bench: Bench) -> dict[str, Series]:
        series = {subject.label: Series() for subject in bench.subjects}
        for number, subject in enumerate(bench.subjects):
            # The first import compiles and caches; it is nobody's cost.
            self._fresh(bench, number, subject, Series())

        turns = interleave(list(enumerate(bench.subjects)), self._rounds)
        for number, subject in turns:
            if not series[subject.label].missing:
                self._fresh(bench, number, subject, series[subject.label])

        return series

    def _fresh(
        self, bench: Bench, number: int, subject: Subject, series: Series
    ) -> None:
        endpoint = self._collector.endpoint(name_for(bench, number))
        done = subprocess.run(
            [
                str(self._pythons(subject.distro)),
                "-P",
                str(TIMED),
                *subject.after,
                subject.target,
            ],
            cwd=ROOT,
            env=clean_environment(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode != 0:
            reason = done.stderr.strip().rpartition("\n")[2]
            if not subject.ours:
                raise SubjectFailedError(f"{subject.label}: {done.stderr[-2000:]}")

            series.missing = reason
            return

        wall, cpu, rss, modules, *loaded = done.stdout.split()
        series.wall.append(float(wall))
        series.cpu.append(float(cpu))
        series.rss.append(float(rss))
        series.modules = int(modules)
        series.loaded = loaded


def interleave(subjects: Sequence[T], rounds: int) -> Iterator[T]:
    """Yield every subject once per round, beginning each round with another one."""
    for number in range(rounds):
        start = number % len(subjects) if subjects else 0
        yield from subjects[start:]
        yield from subjects[:start]


def name_for(bench: Bench, number: int) -> str:
    """Return what the collector knows a subject by, fit for a path."""
    return f"{bench.key.replace(' ', '-')}-{number}"


def tell(message: str) -> None:
    """Show progress where it does not mix with results."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
