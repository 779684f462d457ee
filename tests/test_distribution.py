"""How a run's tests are handed to its processes when one of them is lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.distribution import Distribution

TESTS = [f"tests/test_{file}.py::test_{number}" for file in "abcd" for number in "123"]


class Node:
    """A process of a run, as the scheduler sees it."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.handed: list[list[int]] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        """Take tests."""
        self.handed.append(indices)

    def shutdown(self) -> None:
        """Take no more."""
        self.shutting_down = True


def test_whoever_is_handed_something_has_tests_to_run() -> None:
    """
    A process that waits for the next one after nothing would wait for ever. The test
    that another was lost in is nobody's: it has failed.
    """
    option = SimpleNamespace(loadscopereorder=False)
    config: Any = SimpleNamespace(option=option, getvalue=lambda _: ["2*popen"])
    distribution = Distribution(config)
    lost, kept, clone = nodes = (Node("gw0"), Node("gw1"), Node("gw2"))
    for node in nodes[:2]:
        distribution.add_node(node)
        distribution.add_node_collection(node, TESTS)

    distribution.schedule()
    for index in lost.handed[0]:  # it has done its first file
        distribution.mark_test_complete(lost, index)

    lost_in = lost.handed[1][0]
    assert distribution.remove_node(lost) == TESTS[lost_in]
    distribution.add_node(clone)
    distribution.add_node_collection(clone, TESTS)
    distribution.schedule()
    done = {*lost.handed[0], lost_in}
    while distribution.has_pending:
        for node in (kept, clone):
            for index in {i for part in node.handed for i in part} - done:
                done.add(index)
                distribution.mark_test_complete(node, index)

    assert done == set(range(len(TESTS)))
    handed = kept.handed + clone.handed
    assert all(handed)
    assert lost_in not in {index for part in handed for index in part}
