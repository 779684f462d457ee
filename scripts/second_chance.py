"""
Runs pytest with the arguments given and, if a few tests fail, these once more alone.

A landing runs tens of thousands of tests that drive real servers, on a machine that
has other work: one of them that met a bad moment must not refuse the whole. Nor is it
passed over in silence: the file that `TEST_SECOND_CHANCES` names gets a line for each,
which `.ci/run` shows at its end. The gate on coverage holds whatever becomes of them.

Beside other steps alone is not quiet: where `TEST_SECOND_CHANCES_LATER` names a file,
the tests that are to run once more are written there, and `--due FILE` runs them.

A run that hangs is ended after `TEST_LONGEST_S` seconds, so that it tells where.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

FEW = 5
"""More failures than these are no bad moment."""

LONGEST_S = float(os.environ.get("TEST_LONGEST_S", "2400"))
"""A run that takes longer hangs, and is to say what it knows while somebody waits."""

LAST_WORDS_S = 60
"""How long it may take over that."""

TESTS_FAILED = 1
"""Pytest's exit status; any other failure means that not all tests were run."""

HUNG = 124
"""The exit status of what was ended, as that of `timeout`."""


class Chance(NamedTuple):
    """Tests that failed, and how they are run once more."""

    python: str
    environment: str
    cache: str
    arguments: list[str]
    tests: list[str]


def main() -> int:
    """Return the exit status of it all."""
    # Whom a shell starts in the background ignores Ctrl-C, and so would pytest.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = sys.argv[1:]
    if arguments[:1] == ["--due"]:
        return take_due(Path(arguments[1]))

    cache = Path(sys.prefix, ".pytest_cache")  # each environment has its own
    shutil.rmtree(cache, ignore_errors=True)
    status = pytest(sys.executable, cache, *arguments)
    failed = left_in(cache)
    if status != TESTS_FAILED or not failed:  # without failures: too little is covered
        return status

    if len(failed) > FEW:
        print(f"{len(failed)} failures: too many for a second chance", flush=True)
        return status

    uncovered = [it for it in arguments if not it.startswith("--cov")]
    environment = Path(sys.prefix).name.removeprefix(".venv-ci-")
    chance = Chance(sys.executable, environment, str(cache), uncovered, failed)
    if later := os.environ.get("TEST_SECOND_CHANCES_LATER"):
        print(f"A second chance later for {', '.join(failed)}", flush=True)
        with Path(later).open("a", encoding="utf-8") as due:
            due.write(f"{json.dumps(chance)}\n")

        status = 0
    else:
        status = take(chance)

    if status or uncovered == arguments:
        return status

    # What the first run covered is judged anew: its status was about the failures.
    return python(sys.executable, "-m", "coverage", "report", "--format=total")


def take_due(due: Path) -> int:
    """Give every second chance that is due, and return the worst exit status."""
    chances = [Chance(*json.loads(line)) for line in due.read_text().splitlines()]
    return max(map(take, chances), default=0)


def take(chance: Chance) -> int:
    """Run the tests once more, tell how they ended and return the exit status."""
    cache, tests = Path(chance.cache), chance.tests
    print(f"A second chance for {', '.join(tests)}", flush=True)
    status = pytest(chance.python, cache, *chance.arguments, "-n", "0", *tests)
    passed = [] if status not in {0, TESTS_FAILED} else without(left_in(cache), tests)
    note(chance.environment, passed, without(passed, tests))
    return status


def pytest(interpreter: str, cache: Path, *arguments: str) -> int:
    """Run pytest in a process of its own and return its exit status."""
    return python(interpreter, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments)


def python(interpreter: str, *arguments: str) -> int:
    """Run a Python and return its exit status; what it prints is shown."""
    with subprocess.Popen([interpreter, *arguments]) as process:
        try:
            return process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            print(f"hangs: not done after {LONGEST_S:g} s", flush=True)

        process.send_signal(signal.SIGINT)
        try:
            process.wait(LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            process.kill()

        return HUNG


def left_in(cache: Path) -> list[str]:
    """Return the tests that failed when they last ran."""
    try:
        return list(json.loads((cache / "v/cache/lastfailed").read_text()))
    except FileNotFoundError:
        return []


def without(some: list[str], tests: list[str]) -> list[str]:
    """Return the tests that are not among *some*."""
    return [test for test in tests if test not in some]


def note(environment: str, passed: list[str], failed: list[str]) -> None:
    """Tell of the tests that passed at their second attempt, and of the others."""
    lines = [f"unsteady: {test} ({environment})\n" for test in passed]
    lines += [f"failed twice: {test} ({environment})\n" for test in failed]
    print("".join(lines), end="", flush=True)
    if path := os.environ.get("TEST_SECOND_CHANCES"):
        with Path(path).open("a", encoding="utf-8") as notes:
            notes.writelines(lines)


if __name__ == "__main__":
    sys.exit(main())
