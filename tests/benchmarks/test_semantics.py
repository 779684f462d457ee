"""The comparison of resilience libraries says of svcready what svcready does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.architecture.house import ROOT

PAGE = ROOT / "docs" / "resilience-compared.md"
SCRIPT = ROOT / "benchmarks" / "semantics" / "run.py"


@pytest.mark.soak
@pytest.mark.parametrize("of", ["breaker", "retry"])
def test_every_scenario_ends_right(of: str) -> None:
    """What the page shows with a tick comes out when the script runs again."""
    ran = subprocess.run(
        [sys.executable, SCRIPT, "--library", of, "svcready"],
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    found = json.loads(ran.stdout.splitlines()[-1])["found"]
    assert found
    assert [title for title, (right, _) in found.items() if not right] == []


def test_the_page_has_what_the_script_wrote() -> None:
    """Both tables are there, with a column of ours and no wrong answer in it."""
    tables = PAGE.read_text().partition("<!-- begin semantics -->")[2]
    rows = [line.split(" | ") for line in tables.splitlines() if line.startswith("| ")]
    heads = [row for row in rows if row[0] == "| What happens"]
    assert [row[2] for row in heads] == ["svcready", "svcready"]
    ours = [row[2] for row in rows if row not in heads]
    assert len(ours) >= 18
    assert all(cell.startswith("✓ ") for cell in ours)
