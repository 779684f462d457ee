"""What is left in a run directory is found without looking at all of it."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

from svcready._transport.leftovers import AT_ONCE, stale

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO_S = 1_000_000.0


def leave(run_dir: Path, *names: str) -> None:
    """Make files that nobody has touched for long."""
    for name in names:
        (run_dir / name).touch()
        os.utime(run_dir / name, (LONG_AGO_S, LONG_AGO_S))


def test_only_old_files_of_the_name_are_found(tmp_path: Path) -> None:
    """New ones, those of others and a directory that is missing are none."""
    leave(tmp_path, "a-1", "a-2", "b-1")
    (tmp_path / "a-3").touch()

    found = stale(tmp_path, "a-", time.time() - 60)

    assert sorted(path.name for path in found) == ["a-1", "a-2"]
    assert stale(tmp_path / "missing", "a-", time.time()) == []


def test_a_full_directory_is_cleared_by_degrees(tmp_path: Path) -> None:
    """One process looks at few, many see all; the global generator is left alone."""
    leave(tmp_path, *(f"a-{n}" for n in range(3 * AT_ONCE)))
    state = random.getstate()

    turns = 0
    while found := stale(tmp_path, "a-", time.time() - 60):
        assert len(found) <= AT_ONCE
        turns += 1
        for path in found:
            path.unlink()

    assert turns == 3
    assert random.getstate() == state
