"""Client libraries that the setting names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from svcready.metrics.clients._named import instrument_named
from tests.architecture.house import run_clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics._pillar import MetricsPillar


def test_an_unknown_name_is_a_problem(
    make_pillar: Callable[..., MetricsPillar],
) -> None:
    """It is reported with the nearest known one, and nothing is raised."""
    (problem,) = make_pillar(instrument=("sqlalchmy",)).problems

    assert "'sqlalchmy'" in problem
    assert "did you mean sqlalchemy?" in problem


def test_a_missing_library_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is reported, and the others are measured."""
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    problems, undo = instrument_named(("sqlalchemy",))
    undo()

    (problem,) = problems
    assert "the package sqlalchemy is not installed" in problem


def test_importing_metrics_imports_no_client() -> None:
    """The public names are there, and cost nothing until they are used."""
    code = (
        "import sys, svcready.metrics as m; "
        "print({'sqlalchemy', 'botocore', 'wrapt', 'asyncio'} & set(sys.modules)); "
        "print(m.instrument_engine.__name__, 'sqlalchemy' in sys.modules)"
    )

    assert run_clean(code) == "set()\ninstrument_engine False\n"


def test_a_runtime_tells_the_problem() -> None:
    """The operator sees it with all the others."""
    from svcready._runtime._runtime import Runtime
    from svcready.config import load

    runtime = Runtime(
        load(environ={"SVCREADY_METRICS_INSTRUMENT": "nonsense"}),
        write=lambda *_: None,
    )
    runtime.start()
    problems = runtime.problems()
    runtime.close()

    assert any("'nonsense' is not known" in problem for problem in problems)
