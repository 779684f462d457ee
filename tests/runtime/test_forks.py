"""Fork: whatever lock another thread holds at that moment, the child works."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import svcready

SOURCE = Path(svcready.__file__).parent
SCRIPT = Path(__file__).with_name("exercise_forks.py")
RESETS = (
    "after_fork",
    "_handle_fork",
    "_reset_lock",
    "_reset_in_child",
    "_reset",
    "Outbox.reset",
    "ObservedStream.reset",
    "EmfSink._forget",
    "Permits.orphan",
    "RuleTable.begin_anew",
)
MADE_BY_RESETS = {
    # Of the same names, but called where the object is made, too.
    "svcready._transport.sinks._sink:Sink._reset",
    "svcready._transport._output._writer:Writer._reset",
    "svcready.logging._audit._repeats:Repeats._reset",
}
MAKERS = {"Condition", "Event", "Lock", "RLock"}

ELSEWHERE = {
    # Taken only where there is no GIL; tests/metrics/test_fork.py holds each of them.
    "svcready.metrics._instruments._children",
    "svcready.metrics._instruments._histogram_child",
    # Applications of the library, which fork nothing while they serve.
    "svcready.demo._cost",
    "svcready.demo._witness",
    # Made for one call and given to nobody else.
    "svcready.tracing.export._queue:SpanQueue.begin_flush",
    "svcready.resilience._admitting._waiters:ThreadWaiter.__init__",
    "svcready.admin._routes._tasks:_loop",
    "svcready.health._running._demand:Demand.__init__",
    "svcready.health.checks._sql._cutting:Cutter.__init__",
    # Belongs to a thread that the child lacks, and is let go of there.
    "svcready.admin._access._keys:Keys._take_off",
}


def lock_sites() -> set[str]:
    """Return module and function of every place that makes a lock."""
    sites = set()
    for path in SOURCE.rglob("*.py"):
        module = ".".join(("svcready", *path.relative_to(SOURCE).with_suffix("").parts))
        for scope, node in walk(ast.parse(path.read_text()), "<module>"):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in MAKERS:
                sites.add(f"{module}:{scope}")

    return sites


def walk(node: ast.AST, scope: str) -> list[tuple[str, ast.AST]]:
    """Return every node below *node* with the qualified name of its scope."""
    found = []
    for child in ast.iter_child_nodes(node):
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = child.name if scope == "<module>" else f"{scope}.{child.name}"

        found.append((inner, child))
        found += walk(child, inner)

    return found


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Fork once per lock, in a process of its own."""
    written = tmp_path_factory.mktemp("forks") / "results.json"
    run = subprocess.run(
        [sys.executable, str(SCRIPT), str(written)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    print(run.stderr)  # where the threads of a child were that hung
    outcomes: dict[str, str] = json.loads(written.read_text())
    return outcomes


def test_a_child_works_whatever_lock_was_held(outcomes: dict[str, str]) -> None:
    """With each lock held by a thread that the child lacks, everything works in it."""
    assert {site: told for site, told in outcomes.items() if told != "ok"} == {}


def test_no_lock_is_forgotten(outcomes: dict[str, str]) -> None:
    """Every place in the code that makes a lock was held once."""
    missing = {
        site
        for site in lock_sites() - outcomes.keys()
        if site not in ELSEWHERE and site.split(":")[0] not in ELSEWHERE
    }
    # What a child calls to get new locks runs in no parent.
    assert {site for site in missing if not site.endswith(RESETS)} == set()
    assert outcomes.keys() >= MADE_BY_RESETS
