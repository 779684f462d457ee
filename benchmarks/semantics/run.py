"""
Print what each library does: `python benchmarks/semantics/run.py`.

With `--markdown FILE` the table between the file's markers is written anew.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.environments import clean_environment, prepare  # noqa: E402
from benchmarks.semantics.breaker_scenarios import BREAKER_SCENARIOS  # noqa: E402
from benchmarks.semantics.breakers import BREAKERS  # noqa: E402
from benchmarks.semantics.retries import RETRIES  # noqa: E402
from benchmarks.semantics.retry_scenarios import RETRY_SCENARIOS  # noqa: E402
from benchmarks.semantics.scenarios import Finding, HangsError  # noqa: E402

BEGIN, END = "<!-- begin semantics -->", "<!-- end semantics -->"
MARKS = {True: "✓", False: "✗", None: "–"}  # noqa: RUF001
SUBJECTS = {"breaker": BREAKERS, "retry": RETRIES}
SCENARIOS = {"breaker": BREAKER_SCENARIOS, "retry": RETRY_SCENARIOS}
TITLES = {"breaker": "Circuit breakers", "retry": "Retries"}


def main() -> int:
    """Run every scenario with every library, or one library for the parent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path, help="the page to write it into")
    parser.add_argument("--library", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.library:
        sys.stdout.write("\n" + json.dumps(_findings(*options.library)))
        sys.stdout.flush()
        os._exit(0)  # threads that hang are a finding, not a reason to wait

    python = prepare(distro=False)
    text = "\n".join(_tables(python))
    sys.stdout.write(text)
    if options.markdown:
        page = options.markdown.read_text()
        before, _, rest = page.partition(BEGIN)
        _, _, after = rest.partition(END)
        options.markdown.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")

    return 0


def _findings(of: str, library: str) -> dict[str, object]:
    """Try everything with one library, in this process."""
    (subject,) = (each for each in SUBJECTS[of] if each.library == library)
    found = {}
    for scenario in SCENARIOS[of]:
        try:
            found[scenario.title] = scenario.run(subject)
        except HangsError as error:
            found[scenario.title] = Finding(False, str(error))
        except Exception as error:  # noqa: BLE001 - a finding like any other
            found[scenario.title] = Finding(False, type(error).__name__)

    return {"version": version(library), "found": found}


def _last(ran: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a child said last; a peer may have said something before."""
    told: dict[str, Any] = json.loads(ran.communicate()[0].splitlines()[-1])
    return told


def _tables(python: Path) -> list[str]:
    lines = []
    for of, subjects in SUBJECTS.items():
        running = {
            each.library: subprocess.Popen(
                [python, __file__, "--library", of, each.library],
                stdout=subprocess.PIPE,
                env=clean_environment(),
                text=True,
            )
            for each in subjects
        }
        told = {name: _last(ran) for name, ran in running.items()}
        heads = [
            name if name == "svcready" else f"{name} {told[name]['version']}"
            for name in told
        ]
        lines += [f"## {TITLES[of]}", ""]
        lines += [f"| What happens | What is right | {' | '.join(heads)} |"]
        lines += ["|---|---|" + "---|" * len(heads)]
        for scenario in SCENARIOS[of]:
            cells = [told[name]["found"][scenario.title] for name in told]
            row = " | ".join(f"{MARKS[right]} {text}" for right, text in cells)
            lines.append(f"| {scenario.title} | {scenario.wanted} | {row} |")

        lines.append("")

    return lines


if __name__ == "__main__":
    sys.exit(main())
