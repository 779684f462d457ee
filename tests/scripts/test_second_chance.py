"""What fails once is told, what fails twice or too often is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.architecture.house import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCRIPT = ROOT / "scripts" / "second_chance.py"
UNSTEADY = """
from pathlib import Path

def test_unsteady():
    mark = Path(__file__).with_name("mark")
    been_here = mark.exists()
    mark.touch()
    assert been_here, "the first time"
"""
WRONG = """
import pytest

@pytest.mark.parametrize("what", [{values}])
def test_wrong(what):
    assert False, what
"""
HANGING = """
import threading

def test_hangs():
    threading.Event().wait()
"""
RIGHT = """
import code_under_test

def test_right():
    assert code_under_test.double(2) == 4
"""


CODE = """
def double(n):
    return 2 * n

def never():
    return 0
"""


class Outcome(NamedTuple):
    """How a run ended, what it printed and what is noted of second chances."""

    status: int
    output: str
    notes: list[str]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Outcome]:
    """Run tests in an environment of their own, which is called `.venv-ci-3.x`."""
    # Nothing is installed there: it is this environment's libraries under its name.
    environment = tmp_path / ".venv-ci-3.x"
    venv.create(environment, symlinks=True)
    libraries = os.pathsep.join(path for path in sys.path if "packages" in path)

    def run(
        *arguments: str,
        least_covered: int = 0,
        later: str = "",
        longest_s: int = 100,
        **files: str,
    ) -> Outcome:
        project = tmp_path / "project"
        project.mkdir(exist_ok=True)
        (project / "pytest.ini").write_text("[pytest]\naddopts = -q")
        (project / "code_under_test.py").write_text(CODE)
        (project / ".coveragerc").write_text(f"[report]\nfail_under={least_covered}")
        for name, text in files.items():
            (project / f"{name}.py").write_text(text)

        notes = tmp_path / "notes"
        ended = subprocess.run(
            [environment / "bin" / "python", SCRIPT, *arguments],
            cwd=project,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": libraries,
                "TEST_LONGEST_S": str(longest_s),
                "TEST_SECOND_CHANCES": str(notes),
                **({"TEST_SECOND_CHANCES_LATER": later} if later else {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        told = notes.read_text().splitlines() if notes.exists() else []
        return Outcome(ended.returncode, ended.stdout, told)

    return run


def test_what_fails_once_is_told(run: Callable[..., Outcome]) -> None:
    """It passes, the first failure is shown, and the note names where it was."""
    status, output, notes = run(test_a=UNSTEADY, test_b=RIGHT)

    assert status == 0, output
    assert "the first time" in output
    assert notes == ["unsteady: test_a.py::test_unsteady (3.x)"]
    assert "1 failed, 1 passed" in output
    assert "\n1 passed" in output  # and the other one was left alone


def test_what_fails_twice_is_refused(run: Callable[..., Outcome]) -> None:
    """A test that is wrong fails the run, whatever becomes of the others."""
    wrong = WRONG.format(values="'a::b'")
    status, output, notes = run("-n", "2", test_a=UNSTEADY, test_b=wrong)

    assert status == 1, output
    assert notes == [
        "unsteady: test_a.py::test_unsteady (3.x)",
        "failed twice: test_b.py::test_wrong[a::b] (3.x)",
    ]


def test_a_run_that_hangs_tells_where(run: Callable[..., Outcome]) -> None:
    """It is ended as by Ctrl-C, and is no bad moment."""
    status, output, notes = run(longest_s=12, test_a=RIGHT, test_b=HANGING)

    assert status == 124, output
    assert "hangs: not done after 12 s" in output
    assert "threading.py" in output
    assert "1 passed" in output
    assert notes == []


def test_many_failures_have_no_second_chance(run: Callable[..., Outcome]) -> None:
    """Six of them are no bad moment."""
    wrong = WRONG.format(values="1, 2, 3, 4, 5")
    status, output, notes = run(test_a=UNSTEADY, test_b=wrong)

    assert status == 1
    assert "6 failures: too many" in output
    assert notes == []


@pytest.mark.parametrize(("least", "expected"), [(60, 0), (90, 2)])
def test_the_gate_on_coverage_holds(
    run: Callable[..., Outcome], least: int, expected: int
) -> None:
    """What the first run covered, three lines of four, is judged all the same."""
    files = {"test_a": UNSTEADY, "test_b": RIGHT}
    status, output, notes = run(
        "-n", "2", "--cov=code_under_test", least_covered=least, **files
    )

    assert status == expected, output
    assert len(notes) == 1


def test_what_is_no_failed_test_is_refused(run: Callable[..., Outcome]) -> None:
    """A run that pytest could not do, as it was told to, is not tried again."""
    status, output, notes = run("--no-such-option", test_a=UNSTEADY)

    assert status == 4, output
    assert notes == []


def test_second_chances_can_wait(run: Callable[..., Outcome], tmp_path: Path) -> None:
    """Then the run passes without them, and they fail or pass when they are due."""
    due = str(tmp_path / "due")
    wrong = WRONG.format(values="'a::b'")
    status, output, notes = run("-k", "test", later=due, test_a=UNSTEADY, test_b=wrong)
    assert status == 0, output
    assert "2 failed" in output
    assert notes == []

    status, output, notes = run("--due", due)
    assert status == 1, output
    assert notes == [
        "unsteady: test_a.py::test_unsteady (3.x)",
        "failed twice: test_b.py::test_wrong[a::b] (3.x)",
    ]


def test_a_run_that_waits_is_judged_by_what_it_covers(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    """The gate on coverage does not wait."""
    due = str(tmp_path / "due")
    files = {"test_a": UNSTEADY, "test_b": RIGHT}
    status, output, _ = run(
        "-n", "2", "--cov=code_under_test", least_covered=90, later=due, **files
    )

    assert status == 2, output
