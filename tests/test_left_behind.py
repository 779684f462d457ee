"""What a test that fails leaves to those after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOOKS = """
from tests.conftest import pytest_runtest_makereport, pytest_runtest_protocol
"""
GARBAGE = """
import gc
import socket


class Owner:
    def __init__(self):
        self.itself = self
        self.socket = socket.socket()


def test_that_fails_before_it_closes():
    owner = Owner()
    raise LookupError


def test_that_collects():
    gc.collect()
"""


CHILD = """
import os


def test_whose_child_fails():
    child = os.fork()
    if child == 0:
        raise LookupError("in the child")

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 70


def test_that_comes_next():
    print("a test")
"""


def test_a_failed_tests_garbage_fails_no_other(tmp_path: Path) -> None:
    """What it did not get to close is nobody else's, whoever collects next."""
    assert "1 failed, 1 passed" in run(GARBAGE, tmp_path)


def test_a_child_that_leaves_its_test_runs_no_other(tmp_path: Path) -> None:
    """It ends there, and says on stderr which it was; its parent goes on."""
    said = run(CHILD, tmp_path)

    assert said.count("2 passed") == 1
    assert said.count("a test") == 1
    assert "a child left" in said
    assert "LookupError('in the child')" in said


def run(tests: str, tmp_path: Path) -> str:
    """Run tests under our hooks; return what was printed."""
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_two.py").write_text(tests)
    root = Path(__file__).parents[1]
    options = ("-c", root / "pyproject.toml", "--no-cov", "-s")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, tmp_path],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout
