"""Measure svcready beside its peers: `python benchmarks/run.py [--only GROUP]`."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from typing import TYPE_CHECKING

from benchmarks import report
from benchmarks.benches import BENCHES
from benchmarks.environments import prepare
from benchmarks.figures import Verdict
from benchmarks.harness import Collector, Harness, SubjectFailedError, tell
from benchmarks.model import Group
from benchmarks.rows import ROWS
from benchmarks.verdicts import decide, find_shirked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.model import Bench, Results

ROUNDS = 15
"""The least that a verdict may rest on."""


def main() -> int:
    """Run what the command line asks for; with --check return 1 on a miss."""
    options = _parse()
    pythons = functools.cache(lambda distro: prepare(distro=distro))
    collector = Collector(pythons(False))
    try:
        harness = Harness(pythons, collector, options.rounds, tell)
        benches = [b for b in BENCHES if options.only in (None, b.group)]
        results = _measure(harness, benches)
    finally:
        collector.close()

    shirked = {
        b.key: find_shirked(b, results[b.key]) for b in BENCHES if b.key in results
    }
    decisions = [
        decide(row, results[row.bench], shirked[row.bench])
        for row in ROWS
        if row.bench in results
    ]
    sys.stdout.write(f"{report.machine()}, {options.rounds} rounds\n")
    sys.stdout.write(f"{report.as_text(decisions)}\n")
    if options.json is not None:
        text = json.dumps(report.as_json(results, decisions), indent=1)
        options.json.write_text(f"{text}\n")

    if options.markdown is not None:
        page = report.rewrite(options.markdown.read_text(), decisions)
        options.markdown.write_text(page)

    missed = any(decision.verdict is Verdict.MISSED for decision in decisions)
    return int(options.check and missed)


def _measure(harness: Harness, benches: Sequence[Bench]) -> Results:
    results: Results = {}
    for bench in benches:
        try:
            results[bench.key] = harness.run(bench)
        except SubjectFailedError as error:
            tell(f"{bench.key} is left out: {error}")

    return results


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=Group, choices=list(Group), help="one group")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--markdown", type=Path, help="rewrite the table in this page")
    parser.add_argument("--check", action="store_true", help="fail on a miss")
    options = parser.parse_args()
    if options.rounds < ROUNDS:
        tell(f"fewer than {ROUNDS} rounds: good for a look, not for a verdict")

    return options


if __name__ == "__main__":
    raise SystemExit(main())
