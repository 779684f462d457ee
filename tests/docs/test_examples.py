"""Every Python example of the documentation runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.architecture.house import ROOT, run_clean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

FENCE = re.compile(
    r"^(?P<indent> *)```(?:python|\{code-block\} python)[^\n]*\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
EXEMPT = re.compile(r"<!-- not run: (?P<reason>\S.*?) -->\s*\Z", re.DOTALL)

SESSION = """
import json, sys
page, blocks = json.loads(sys.argv[1])
names = {"__name__": "__main__"}
for line, code in blocks:
    exec(compile("\\n" * line + code, page, "exec"), names)
"""


@dataclass(frozen=True)
class Block:
    """A fenced example and where it stands."""

    line: int
    code: str


def examples(text: str) -> Iterator[Block]:
    """Find the examples that are to run, in order."""
    for match in FENCE.finditer(text):
        if EXEMPT.search(text[: match.start()]):
            continue

        indent = match["indent"]
        lines = [line.removeprefix(indent) for line in match["code"].splitlines()]
        yield Block(text.count("\n", 0, match.start("code")), "\n".join(lines))


def run(name: str, text: str) -> str:
    """Run a page's examples as one session and return what they printed."""
    blocks = [(block.line, block.code) for block in examples(text)]
    return run_clean(SESSION, json.dumps([name, blocks]))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_pages_examples_run(page: Path) -> None:
    """The examples of a page run one after the other, in one session."""
    run(str(page), page.read_text())


def test_examples_share_a_session() -> None:
    """What one example of a page defines, the next one has; exempt ones don't run."""
    page = """
```python
x = 20
```

<!-- not run: shows a mistake -->
```python
raise SystemExit(1)
```

1. In a list:
   ```python
   if x:
       print(x + 1)
   ```
"""

    assert run("page.md", page) == "21\n"


def test_a_failing_example_names_its_line() -> None:
    """The traceback of a broken example points at the page's line."""
    with pytest.raises(AssertionError, match=r'File "page.md", line 3'):
        run("page.md", "# Title\n```python\nraise LookupError\n```\n")


@pytest.mark.parametrize("marker", ["<!-- not run: -->", "<!-- not run -->"])
def test_an_exemption_needs_a_reason(marker: str) -> None:
    """An example is left out only where the page says why."""
    assert list(examples(f"{marker}\n```python\n1/0\n```\n"))
