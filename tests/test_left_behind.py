"""What a test that fails leaves to those after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
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


def test_a_failed_tests_garbage_fails_no_other(tmp_path: Path) -> None:
    """What it did not get to close is nobody else's, whoever collects next."""
    (tmp_path / "test_two.py").write_text(TESTS)
    root = Path(__file__).parents[1]
    options = ("-c", root / "pyproject.toml", "-p", "tests.conftest")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "--no-cov", tmp_path],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert "1 failed, 1 passed" in done.stdout
