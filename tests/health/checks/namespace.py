"""Runs code where the machine's own files and network can be replaced."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile

import pytest

from tests.architecture.house import ROOT

__all__ = ["needs_namespaces", "run_apart"]

_UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--net"]


def _allowed() -> bool:
    if shutil.which("unshare") is None:
        return False

    tried = [*_UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(tried, check=False, capture_output=True).returncode == 0


needs_namespaces = pytest.mark.skipif(
    not _allowed(), reason="this machine lets nobody make namespaces"
)


def run_apart(code: str, *prepare: str) -> str:
    """
    Run *code* in a namespace of its own and return what it printed.

    Args:
        code: Python.
        prepare: Commands of the shell before it; `$DIR` is an empty directory.
    """
    with tempfile.TemporaryDirectory() as directory:
        words = shlex.join([sys.executable, "-W", "error", "-c", code])
        script = "\n".join(("set -e", f"DIR={directory}", *prepare, f"exec {words}"))
        done = subprocess.run(
            [*_UNSHARE, "sh", "-c", script],
            check=False,
            capture_output=True,
            text=True,
            timeout=50,
            cwd=ROOT,
        )

    assert done.returncode == 0, done.stderr
    return done.stdout
