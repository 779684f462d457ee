"""What every test has: no settings, no fault unnoticed, nothing of those before it."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

import hypothesis
import pytest

from svcready._core.guard import set_reporter
from tests.distribution import Distribution, begins, processes
from tests.left_behind import SETTINGS, look_around
from tests.resilience.peers import forget_declared

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from xdist.remote import Producer

for _name in list(os.environ):
    if _name.startswith(SETTINGS):
        del os.environ[_name]  # and so for every process that a test starts


# How long examples take says something of the machine, not of the code.
# Who judges a change takes the same examples each time, who develops new ones.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
    derandomize=bool(os.environ.get("TEST_SAME_EXAMPLES")),
)
hypothesis.settings.load_profile("house")


def pytest_xdist_auto_num_workers() -> int:
    """Say how many processes `-n auto` means."""
    return processes()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Distribution:
    """Say which tests stay together; the order is ours, not that of their number."""
    config.option.loadscopereorder = False
    return Distribution(config, log)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Begin with what takes long, if several processes are to end together."""
    if hasattr(config, "workerinput"):
        items.sort(key=begins, reverse=True)


def pytest_collection_finish() -> None:
    """Let no garbage collection of a test look through what all of them share."""
    gc.collect()
    gc.freeze()


CHILDREN_LAST_S = 300
"""No process that a test forks lives longer, whatever it hangs at."""

OUT_OF_A_TEST = 70
"""The exit status of a forked child that left the test it was to end in."""

_RUNNER = os.getpid()


def _bound_child() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(CHILDREN_LAST_S)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_bound_child)

_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[object]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Take note of a test that fails, and let no forked child go on to the next one.

    It would tell whoever runs the tests of its own, and keep the pipe to them open.
    """
    if os.getpid() != _RUNNER:
        with suppress(OSError):  # what the parent may have closed
            os.write(2, f"a child left {item.nodeid}: {call.excinfo}\n".encode())

        os._exit(OUT_OF_A_TEST)

    report = yield
    if report.failed:
        item.stash[_failed] = True

    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """
    Collect what a failed test did not get to close, and say nothing of it.

    Its traceback kept that; a collection in a later test would have that one fail.
    """
    done = yield
    if item.stash.get(_failed, False):
        for name in ("last_exc", "last_type", "last_value", "last_traceback"):
            vars(sys).pop(name, None)

        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            with warnings.catch_warnings(action="ignore"):
                gc.collect()
        finally:
            sys.unraisablehook = hook

    return done


class Faults:
    """The faults of ours that the guard swallowed, by component."""

    def __init__(self) -> None:
        self._left: list[tuple[str, Exception]] = []

    def __call__(self, component: str, error: Exception, /) -> None:
        """Take note of a fault, on whichever thread it happened."""
        self._left.append((component, error))

    def claim(self, component: str) -> Exception:
        """Return the oldest unclaimed fault of *component*, which the test expected."""
        for item in self._left:
            if item[0] == component:
                self._left.remove(item)
                return item[1]

        pytest.fail(f"no fault of {component}; there are: {self._left}")

    def check(self) -> None:
        """Fail with every fault that nobody claimed."""
        if self._left:
            raise ExceptionGroup(
                f"svcready swallowed faults of {[name for name, _ in self._left]}",
                [error for _, error in self._left],
            )


@pytest.fixture(autouse=True)
def faults() -> Iterator[Faults]:
    """
    Fail a test in which svcready swallowed a fault of its own.

    A test that provokes one asks for this fixture and claims it.
    """
    noted = Faults()
    before = set_reporter(noted)
    yield noted
    set_reporter(before)
    noted.check()


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers, whatever modules have declared."""
    forget_declared()
    yield
    forget_declared()


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a change to what others find, instead of those others."""
    before = look_around()
    yield
    after = look_around()
    left = [
        f"{name}: {before[name]!r} is {after[name]!r} now"
        for name in before
        if before[name] != after[name]
    ]
    assert not left, "\n".join(left)
