"""Daemon threads, which an interpreter that ends refuses."""

from __future__ import annotations

from tests.architecture.house import run_clean

AT_THE_END = """
import atexit
import threading
from svcready._core.guard import fault_counts
from svcready._core.threads import start_daemon

def end():
    start_daemon(lambda: None, "late", "worker")
    print(fault_counts())

atexit.register(end)
threading._register_atexit(end)
"""


def test_an_interpreter_that_ends_is_nobodys_fault() -> None:
    """Python 3.12 and later start no threads at exit, and that is not reported."""
    assert run_clean(AT_THE_END) == "{}\n{}\n"
