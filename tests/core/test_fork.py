"""What a forked child is given anew, with every lock of the core held at the fork."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from svcready._core import fork

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Faults

CHILD = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of threads at fork: the point here
from svcready._core import fork
fork.install()
fork.install()

def in_child(work, lock):
    # Hold the lock on another thread, which the child does not have.
    held, done = threading.Event(), threading.Event()
    def hold():
        with lock:
            held.set()
            done.wait(30)
    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait(30)
    pid = os.fork()
    if pid == 0:
        import faulthandler
        faulthandler.dump_traceback_later(10, exit=True)
        os._exit(0 if work() else 3)
    done.set()
    thread.join()
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def run(script: str) -> None:
    """Run *script* after the helper above, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD + script],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_register_whose_lock_was_held_works_in_the_child() -> None:
    """Things declared before are there, and more can be declared."""
    run("""
from svcready._core.declarations import Register
register = Register("policy")
register.declare("before", None, object)
def work():
    register.declare("after", None, object)
    register.bind(None)
    return register.names() == ("before", "after")
in_child(work, register._lock)
""")


def test_a_worker_whose_condition_was_held_works_in_the_child() -> None:
    """The child starts a thread of its own, which runs the same jobs."""
    run("""
from svcready._core.worker import Worker
worker = Worker("w")
ran = threading.Event()
pids = []
def job():
    pids.append(os.getpid())
    ran.set()
worker.every(0.01, job, name="j")
worker.wake()
ran.wait(30)
def work():
    ran.clear()
    pids.clear()
    started = not ran.wait(0.1)
    worker.wake()
    return started and ran.wait(30) and set(pids) == {os.getpid()} and worker.stop(5)
in_child(work, worker._changed)
""")


def test_faults_are_counted_in_the_child_of_a_held_lock() -> None:
    """The guard's own lock is new, and the parent's faults stay the parent's."""
    run("""
from svcready._core import guard
guard.set_reporter(lambda component, error: None)
guard.report_fault("a", KeyError())
def work():
    guard.report_fault("a", KeyError())
    return guard.fault_counts() == {"a": 1}
in_child(work, guard._lock)
""")


def test_a_method_is_forgotten_with_its_object() -> None:
    """The registry keeps no object alive, and sweeps what is gone."""

    class Owner:
        def reset(self) -> None:
            raise AssertionError

    known = len(fork._resets)
    for _ in range(600):
        fork.reset_in_child(Owner().reset)

    assert len(fork._resets) < known + 300
    fork._run_resets()
    fork._resets[:] = [each for each in fork._resets if each() is not None]


def test_a_failing_reset_does_not_stop_the_others(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child must come up, and the fault is told."""
    monkeypatch.setattr(fork, "_resets", [])
    ran: list[int] = []

    def broken() -> None:
        raise OSError

    fork.reset_in_child(broken)
    fork.reset_in_child(lambda: ran.append(1))
    fork._run_resets()

    assert ran == [1]
    assert isinstance(faults.claim("fork"), OSError)


@pytest.mark.parametrize("ends", [True, False])
def test_a_fork_waits_for_what_a_thread_of_ours_imports(
    tmp_path: Path, ends: bool
) -> None:
    """
    The child can import it too, whose lock CPython would leave held by nobody; what
    itself waits for the thread that forks is given up.

    The module goes on at the fork, and is not done before the fork is, if that waits
    for nothing: the thread that forks keeps the interpreter.
    """
    (tmp_path / "slow.py").write_text(
        "from __main__ import begun, go_on\n"
        "begun.set()\n"
        "go_on.wait(30)\n"
        "[None for _ in range(2_000_000)]\n"
    )
    run(f"""
from svcready._core.worker import Worker
sys.path.insert(0, {str(tmp_path)!r})
begun, go_on = threading.Event(), threading.Event()
if {ends}:
    os.register_at_fork(before=go_on.set)  # before ours, which was registered first
else:
    fork._MOST_IMPORTING_S = 0.01
worker = Worker("w")
worker.every(9.0, lambda: __import__("slow"), name="j", first_s=0.0)
worker.wake()
begun.wait(30)
def work():
    if {ends}:
        import slow
    return True
in_child(work, threading.Lock())
""")


def test_a_signal_ends_no_wait_for_an_import(tmp_path: Path) -> None:
    """What its handler raises is dropped by CPython, and the fork is prepared for."""
    (tmp_path / "slow.py").write_text(
        "from __main__ import begun, go_on\nbegun.set()\ngo_on.wait(30)\n"
    )
    run(f"""
import time, types
from svcready._core.worker import Worker
sys.path.insert(0, {str(tmp_path)!r})
begun, go_on = threading.Event(), threading.Event()
pauses, dropped, prepared = [], [], []
def sleep(seconds):
    pauses.append(seconds)
    if len(pauses) == 1:
        raise KeyboardInterrupt
    go_on.set()
    time.sleep(seconds)
fork.time = types.SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
fork.before_fork(lambda: prepared.append("slow" in sys.modules))
sys.unraisablehook = lambda told: dropped.append(told.exc_type)
worker = Worker("w")
worker.every(9.0, lambda: __import__("slow"), name="j", first_s=0.0)
worker.wake()
begun.wait(30)
def work():
    import slow
    return True
in_child(work, threading.Lock())
assert dropped == [KeyboardInterrupt], dropped
assert prepared == [True]
""")


def test_a_service_that_forks_often_waits_once_for_an_import(tmp_path: Path) -> None:
    """
    An import that does not end (a service that runs as one) delays one fork.

    The next import is waited for as if there had been none.
    """
    (tmp_path / "endless.py").write_text(
        "from __main__ import begun, go_on\nbegun.set()\ngo_on.wait(30)\n"
    )
    run(f"""
from svcready._core.worker import Worker
sys.path.insert(0, {str(tmp_path)!r})
begun, go_on = threading.Event(), threading.Event()
fork._MOST_IMPORTING_S = 0.02
pauses = []
sleep = fork.time.sleep
def pause(s):
    pauses.append(s)
    sleep(s)
fork.time = type("Time", (), dict(monotonic=fork.time.monotonic, sleep=pause))
def forked():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
worker = Worker("w")
worker.every(9.0, lambda: __import__("endless"), name="j", first_s=0.0)
worker.wake()
begun.wait(30)
forked()
assert pauses
del pauses[:]
forked()
assert not pauses
go_on.set()
while fork._importing():
    sleep(0.001)
forked()
assert not fork._slow
""")


def test_what_prepares_for_a_fork_runs_when_imports_have_ended(tmp_path: Path) -> None:
    """What it notes is so at the fork: seconds later the child would count it twice."""
    (tmp_path / "slow.py").write_text(
        "from __main__ import begun, go_on\n"
        "begun.set()\n"
        "go_on.wait(30)\n"
        "[None for _ in range(2_000_000)]\n"
    )
    run(f"""
from svcready._core.worker import Worker
sys.path.insert(0, {str(tmp_path)!r})
begun, go_on = threading.Event(), threading.Event()
os.register_at_fork(before=go_on.set)  # before ours, which was registered first
imports = []
fork.before_fork(lambda: imports.append("slow" in sys.modules and fork._importing()))
worker = Worker("w")
worker.every(9.0, lambda: __import__("slow"), name="j", first_s=0.0)
worker.wake()
begun.wait(30)
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
assert imports == [set()]
""")
