"""Which tests stay together when a run has several processes, and which begin it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

from tests.servers.matrix import SERVERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest
    from xdist.workermanage import WorkerController

__all__ = ["Distribution", "begins", "processes"]

PROCESSES_PER_CORE = 2
"""Half of their time tests wait for servers and clocks."""

LONG = ("tests/servers/", "tests/demo/", "tests/runtime/", "tests/transport/")
"""Where tests run whole services: begun last, they would keep one process alone."""

_STACKS = "|".join(sorted((stack.name for stack in SERVERS), reverse=True))
_OF_STACK = re.compile(rf"tests/servers/.*\[({_STACKS})(-.*)?\]$")


class Distribution(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """
    Hands a process the tests of one file at a time, in the order of the collection.

    So what a module shares is made once. What the whole session shares, the services
    of `tests/servers`, each go with their tests, of whichever file.
    """

    def remove_node(self, node: WorkerController) -> str | None:
        """
        Give what a lost process had not done to others, and return what it was at.

        The files that it had done are not among that: whoever is handed nothing
        waits for the next for ever, and so does the run. Nor is the test that it was
        lost in, which has failed: another process would be lost in it, or pass it.
        """
        left = _undone(self.assigned_work.pop(node))
        if not left:
            return None

        scope, tests = next(iter(left.items()))
        lost = next(test for test, done in tests.items() if not done)
        left[scope] = {**tests, lost: True}
        self.workqueue.update(_undone(left))
        for other in self.assigned_work:
            self._reschedule(other)

        return lost

    def _split_scope(self, nodeid: str) -> str:
        of_stack = _OF_STACK.match(nodeid)
        return of_stack[1] if of_stack else nodeid.partition("::")[0]


def _undone(work: Mapping[str, dict[str, bool]]) -> dict[str, dict[str, bool]]:
    return {scope: tests for scope, tests in work.items() if not all(tests.values())}


def begins(item: pytest.Item) -> bool:
    """Tell whether a test is among those with which a run begins."""
    return item.nodeid.startswith(LONG)


def processes() -> int:
    """Return what `-n auto` means, by the cores that this process may use."""
    if wanted := os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return int(wanted)

    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has none
        cores = os.cpu_count() or 1

    return PROCESSES_PER_CORE * min(cores, 4)
