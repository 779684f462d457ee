"""Health in real processes: exit, fork, and the real clock."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import pytest

PRELUDE = """
import asyncio, os, sys, threading, time
from svcready import health
from svcready._core import events, fork
from svcready.config._sections.health import HealthSettings
from svcready.config._sections.lifecycle import LifecycleSettings
from svcready.health import CheckRan, HealthPillar

fork.install()
ran = threading.Semaphore(0)
events.subscribe(CheckRan, lambda event: ran.release())

def start(**settings):
    pillar = HealthPillar(HealthSettings(**settings), LifecycleSettings())
    pillar.start()
    pillar.lifecycle.ready()
    return pillar

def codes(pillar):
    names = ("liveness", "readiness", "startup")
    return tuple(pillar.probe(name).status for name in names)

def threads():
    return sorted(thread.name for thread in threading.enumerate())
"""


def run(script: str) -> str:
    """Run a script after the prelude in a process of its own; return what it said."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_process_with_hanging_checks_exits() -> None:
    """Checks that hang, on threads and on a loop of ours, hold up no exit."""
    began = time.monotonic()
    said = run(
        """
        async def never():
            await asyncio.Event().wait()

        for number in range(20):
            health.check(f"s{number}")(lambda: time.sleep(600))
            health.check(f"a{number}", loop="private")(never)

        pillar = start(timeout_s=0.05)
        pillar.wake()
        for _ in range(40):
            assert ran.acquire(timeout=20)

        print(codes(pillar), threads().count("svcready-check"))
        """
    )

    assert said == "(200, 200, 200) 20\n"
    assert time.monotonic() - began < 30


def test_a_check_that_resists_on_the_applications_loop() -> None:
    """A check that does not let itself be cancelled holds up no end of the loop."""
    said = run(
        """
        calls = []

        async def never():
            calls.append(1)
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    pass

        health.check("a", critical=True, interval=0.1)(never)
        pillar = start(timeout_s=0.05)

        async def main():
            pillar.learn_loop(asyncio.get_running_loop())
            pillar.wake()
            while pillar.results()[0].failures < 3:
                await asyncio.sleep(0)

        asyncio.run(main())
        print(len(calls), pillar.results()[0].stuck, pillar.close(10))
        """
    )

    assert said == "1 True True\n"


def test_on_demand_no_probe_hangs() -> None:
    """With checks that hang, on demand, probes answer in time and the exit is clean."""
    said = run(
        """
        async def never():
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    pass

        for number in range(20):
            health.check(f"s{number}", critical=True)(lambda: time.sleep(600))
            health.check(f"a{number}", loop="private")(never)

        pillar = start(mode="on_demand", total_timeout_s=0.2, timeout_s=0.2, ttl_s=0)
        pillar.wake()
        print(threads())
        slowest = 0
        ends = time.monotonic() + 1.5
        while time.monotonic() < ends:
            asked = time.monotonic()
            probing = [threading.Thread(target=pillar.refresh, args=("readiness",))
                       for _ in range(5)]
            for thread in probing:
                thread.start()

            for thread in probing:
                thread.join()

            slowest = max(slowest, time.monotonic() - asked)
            time.sleep(0.02)

        ours = [name for name in threads() if name.startswith("svcready")]
        print(codes(pillar), ours.count("svcready-check"), len(ours))
        print("slow" if slowest > 1 else "in time")
        """
    )

    assert said == "['MainThread']\n(200, 503, 200) 20 22\nin time\n"


def test_close_ends_the_threads() -> None:
    """After a close nothing of ours runs any more."""
    said = run(
        """
        async def fine():
            pass

        health.check("a", loop="private")(fine)
        health.check("b")(lambda: None)
        pillar = start()
        pillar.wake()
        for _ in range(2):
            assert ran.acquire(timeout=20)

        print(threads())
        ours = [t for t in threading.enumerate() if t.name.startswith("svcready")]
        print(pillar.close(10))
        for thread in ours:
            thread.join(10)

        print(threads(), codes(pillar))
        """
    )

    assert said.splitlines() == [
        "['MainThread', 'svcready-check', 'svcready-check-loop', 'svcready-health']",
        "True",
        "['MainThread'] (503, 503, 503)",
    ]


def test_nothing_runs_before_wake() -> None:
    """A server's master process starts the pillar and has no thread of ours."""
    said = run(
        """
        health.check("a")(lambda: print("runs"))
        pillar = start()
        print(threads())
        """
    )

    assert said == "['MainThread']\n"


def test_probe_wakes() -> None:
    """A process that answers probes runs the checks, even if nobody woke it."""
    said = run(
        """
        gate = threading.Event()
        health.check("a", critical=True)(lambda: gate.wait(20))
        pillar = start(timeout_s=30)
        print(codes(pillar))
        gate.set()
        assert ran.acquire(timeout=20)
        while pillar.probe("readiness").status != 200:
            time.sleep(0)

        print(codes(pillar))
        """
    )

    assert said == "(200, 503, 503)\n(200, 200, 200)\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_starts_anew() -> None:
    """A forked child has no results and no threads until it wakes, then its own."""
    said = run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)

        async def fine():
            pass

        gate = threading.Event()
        gate.set()
        health.check("a", critical=True)(lambda: gate.wait(20))
        health.check("b", critical=True, loop="private")(fine)
        pillar = start(timeout_s=30)
        pillar.wake()
        for _ in range(2):
            assert ran.acquire(timeout=20)

        while codes(pillar) != (200, 200, 200):
            time.sleep(0)

        # In the parent they came late, and in the child they are there from the start.
        for state in pillar.runner.states.values():
            state.late = True


        # Every lock of ours is held by a thread that the child does not have.
        runner = pillar.runner
        held = [runner._pulse._changed, pillar._board._lock, runner._lock,
                pillar.lifecycle._lock, runner._pool._lock]
        for lock in held:
            lock.acquire()

        child = os.fork()
        if child == 0:
            print("child", threads(), [s.status for s in pillar.results()])
            ran = threading.Semaphore(0)
            events._hooks.clear()
            events.subscribe(CheckRan, lambda event: ran.release())
            gate.clear()
            print("child", codes(pillar))
            gate.set()
            for _ in range(2):
                assert ran.acquire(timeout=20)

            while codes(pillar) != (200, 200, 200):
                time.sleep(0)

            print("child", threads())
            pillar.lifecycle.drain()
            print("child", codes(pillar), pillar.close(10), flush=True)
            os._exit(0)

        for lock in held:
            lock.release()

        assert os.waitpid(child, 0)[1] == 0
        print("parent", codes(pillar))
        """
    )

    ours = "'svcready-check', 'svcready-check-loop', 'svcready-health'"
    assert said.splitlines() == [
        "child ['MainThread'] ['pending', 'pending']",
        "child (200, 503, 503)",
        f"child ['MainThread', {ours}]",
        "child (200, 503, 200) True",
        "parent (200, 200, 200)",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_on_demand() -> None:
    """A child asks for itself, though the parent was in the middle of asking."""
    said = run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        gate, began = threading.Event(), threading.Event()

        @health.check("a", critical=True)
        def a():
            began.set()
            gate.wait(20)

        pillar = start(mode="on_demand", total_timeout_s=20.0, timeout_s=30.0)
        asker = threading.Thread(target=pillar.refresh, args=("readiness",))
        asker.start()
        assert began.wait(20)
        pillar.runner._demands._lock.acquire()
        child = os.fork()
        if child == 0:
            gate = threading.Event()
            gate.set()
            print(codes(pillar), pillar.refresh("readiness"), codes(pillar), flush=True)
            os._exit(0)

        pillar.runner._demands._lock.release()
        assert os.waitpid(child, 0)[1] == 0
        gate.set()
        asker.join()
        print(codes(pillar))
        """
    )

    assert said == "(200, 503, 503) True (200, 200, 200)\n(200, 200, 200)\n"


def test_declaring_imports_little() -> None:
    """A module that declares checks loads neither asyncio nor the runner."""
    script = """
        import sys
        before = set(sys.modules)
        from svcready import health

        @health.check("a", critical=True)
        async def a():
            pass

        heavy = {"asyncio", "inspect", "queue", "dataclasses", "svcready.config"}
        loaded = sys.modules.keys() - before
        print(heavy & loaded, "svcready.health._running._runner" in loaded)
        """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said == "set() False\n"
