from __future__ import annotations

import os
import subprocess
import sys

import pytest

PRELUDE = """
import os, sys, threading
from svcready._core import fork
from svcready.metrics import counter, gauge, histogram, timer

def in_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print("child:", repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

def value(metric):
    return metric.read().points[0].value

orders = counter("orders", "help")
kept = counter("by_kind", "help", labels=("kind",)).labels("a")
level = gauge("level", "help")
asked = gauge("asked", "help")
asked.set_function(lambda: 7)
sizes = histogram("sizes", "help")
checkout = timer("checkout", "help")
inc = orders.inc
orders.inc(3); kept.inc(); level.set(5); sizes.observe(1.0); checkout.observe(1.0)
"""


def run(script: str) -> None:
    """Run *script* after the prelude, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PRELUDE + script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_what_the_parent_recorded_counts_once() -> None:
    """A child begins at zero, callbacks apart, and kept children stay connected."""
    run("""
fork.install()

def work():
    assert value(orders) == 0 and value(level) == 0
    assert kept.read() == 0
    assert sizes.read().points[0].observations == 0
    assert checkout.read().points[0].sum == 0
    assert value(asked) == 7
    inc(); kept.inc(2); sizes.observe(4.0)
    assert value(orders) == 1 and kept.read() == 2
    assert sizes.read().points[0].sum == 4.0

in_child(work)
assert value(orders) == 3 and kept.read() == 1 and value(level) == 5
""")


def test_a_parent_without_a_runtime_is_noticed_at_the_start() -> None:
    """Nobody hooked the fork, so the child's own start finds it out."""
    run("""
from svcready._core.identity import Identity
from svcready._core.clock import SYSTEM_CLOCK
from svcready.config._sections.metrics import MetricsSettings
from svcready.config._sections.prometheus import PrometheusSettings
from svcready.metrics._pillar import MetricsPillar

def start():
    MetricsPillar(
        MetricsSettings(), PrometheusSettings(),
        identity=Identity(service="a", instance="", host_instance=""),
        clock=SYSTEM_CLOCK, buckets_for=lambda _: None, config_errors=lambda: 0,
    ).start()

def work():
    start()
    assert value(orders) == 0
    inc()
    start()
    assert value(orders) == 1

in_child(work)
start()
assert value(orders) == 3
""")


def test_a_fork_while_recording_leaves_a_working_child() -> None:
    """Locks that a thread of the parent holds are new in the child."""
    run("""
from svcready.metrics._instruments import _children
from svcready.metrics._instruments._children import *
_children.adds_are_atomic = lambda: False
import svcready.metrics._instruments._instrument as i
import svcready.metrics._instruments._histograms as h
import svcready.metrics._instruments._levels as levels
i.adds_are_atomic = h.adds_are_atomic = levels.adds_are_atomic = lambda: False
fork.install()
locked = [counter("c", "help"), gauge("g", "help"), histogram("h", "help")]
children = [metric.children()[()] for metric in locked]
assert [type(child).__name__ for child in children] == [
    "LockedCounterChild", "LockedGaugeChild", "LockedHistogramChild"]
held, go = threading.Event(), threading.Event()

def hold():
    for child in children:
        child._lock.acquire()
    for metric in locked:
        metric._cap_told.acquire()
    held.set()
    go.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()

def work():
    locked[0].inc()
    locked[1].inc()
    locked[2].observe(1.0)
    assert value(locked[0]) == 1 and value(locked[1]) == 1
    assert locked[2].read().points[0].observations == 1
    counter("new", "help", labels=("a",)).labels("b").inc()

in_child(work)
go.set()
""")


def test_the_room_that_is_taken_is_known_to_a_child() -> None:
    """Series are the parent's, so is what is left; and no lock of it is held."""
    run("""
from svcready.metrics._instruments import _cardinality as cardinality
cardinality.adds_are_atomic = lambda: False
fork.install()
room = cardinality.Room(7, lambda: [])
for metric in (orders, counter("more", "help", labels=("a",))):
    metric.limit(10, 10, str, room)
more = metric
for value_of_a in "abcde":
    more.labels(value_of_a).inc()
assert not room.full
held, go = threading.Event(), threading.Event()

def hold():
    room._taken._lock.acquire()
    held.set()
    go.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()

def work():
    more.labels("f").inc()
    assert room.full
    more.labels("g").inc()
    assert more.children()["__other__",].read() == 1

in_child(work)
go.set()
""")
