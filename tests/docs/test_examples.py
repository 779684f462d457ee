"""Every Python example of the documentation runs, and prints what the page shows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePath
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
GOES_ON = "# goes on from above\n"
"""The first line of an example that needs the one above it."""

ALONE = ("resilience*", "rate-limits", "load-shedding", "shared-state", "testing")
"""The pages of which each example can be copied, unless it says that it goes on."""

EXEMPT = re.compile(r"<!-- not run: (?P<reason>\S.*?) -->\s*\Z", re.DOTALL)

SHOWN = re.compile(
    r"<!-- output -->\n^```(?P<kind>json|text)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
"""
What the example above it prints: as text without log lines, as JSON only log lines, not
all. `…` stands for what is left out.
"""
DIFFERS = re.compile(
    r"\b(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-"
    r"[0-9a-f]{12}|1-[0-9a-f]{8}-[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-f]{16})\b"
)
"""Times and ids, which are others at each run."""

SESSION = """
import json, os, sys
page, blocks = json.loads(sys.argv[1])
names = {"__name__": "__main__"}

def flush():
    # A line may still be on its way, and belongs above the next example's.
    ours = sys.modules.get("svcready._runtime")
    if ours and (runtime := ours.current()) and runtime.logging:
        runtime.logging.flush(5)

for line, code in blocks:
    os.write(1, b"\\0%d\\n" % line)
    exec(compile("\\n" * line + code, page, "exec"), names)
    sys.stdout.flush()
    flush()
os.write(1, b"\\0-1\\n")
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


def sessions(text: str, *, alone: bool) -> list[list[Block]]:
    """Return a page's examples, together with those that they go on from."""
    found: list[list[Block]] = []
    for block in examples(text):
        if found and (not alone or block.code.startswith(GOES_ON)):
            found[-1].append(block)
        else:
            found.append([block])

    return found


def run(name: str, text: str, *, alone: bool = False) -> dict[int, str]:
    """
    Run a page's examples; return what each printed, by its line.

    Args:
        name: The page's path.
        text: What it says.
        alone: Each in a session of its own, unless it says that it goes on.
    """
    printed: dict[int, str] = {}
    for session in sessions(text, alone=alone):
        blocks = [(block.line, block.code) for block in session]
        parts = run_clean(SESSION, json.dumps([name, blocks])).split("\0")[1:]
        for line, _, said in (part.partition("\n") for part in parts):
            printed[int(line)] = said

    return printed


def check(name: str, text: str, *, alone: bool = False) -> None:
    """Run a page's examples and compare what they print with what the page shows."""
    printed = run(name, text, alone=alone)
    for shown in SHOWN.finditer(text):
        above = text.count("\n", 0, shown.start())
        line = max(line for line in printed if line < above)
        if shown["kind"] == "json":
            compare_lines(printed[line], shown["text"])
        else:
            lines = printed[line].splitlines(keepends=True)
            said = "".join(line for line in lines if not line.startswith('{"schema"'))
            assert matches(shown["text"].strip(), said.strip()), said


def matches(shown: object, real: object) -> bool:
    """Tell whether *real* is what a page shows, save for times, ids and `…`."""
    if isinstance(shown, dict) and isinstance(real, dict):
        wanted = shown.keys() - {"…"}
        same = wanted <= real.keys() if "…" in shown else wanted == real.keys()
        wanted -= {"line"}  # where the example stands on the page
        return same and all(matches(shown[name], real[name]) for name in wanted)

    if isinstance(shown, list) and isinstance(real, list):
        return len(shown) == len(real) and all(map(matches, shown, real))

    if shown == "…":
        return True

    if isinstance(shown, str) and isinstance(real, str):
        parts = DIFFERS.sub("id", shown).split("…")
        pattern = ".*?".join(map(re.escape, parts))
        return re.fullmatch(pattern, DIFFERS.sub("id", real), re.DOTALL) is not None

    return shown == real


def compare_lines(printed: str, shown: str) -> None:
    """Assert that the lines on a page were printed, in order, maybe with others."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    decoder = json.JSONDecoder()
    rest = shown.strip()
    while rest:
        wanted, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        found = [at for at, line in enumerate(lines) if matches(wanted, line)]
        assert found, f"{wanted} is not among {lines}"
        lines = lines[found[0] + 1 :]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_pages_examples_run(page: Path) -> None:
    """The examples of a page run, as one copies them, and print what it shows."""
    alone = any(map(PurePath(page.stem).match, ALONE))
    check(str(page), page.read_text(), alone=alone)


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

    assert "".join(run("page.md", page).values()) == "21\n"


def test_an_example_stands_alone_or_says_that_it_goes_on() -> None:
    """Where pages are read from the middle, a name from above is an error."""
    page = "```python\nx = 20\n```\n```python\n{}print(x)\n```\n"

    assert "20\n" in run("page.md", page.format(GOES_ON), alone=True).values()
    with pytest.raises(AssertionError, match="'x' is not defined"):
        run("page.md", page.format(""), alone=True)


def test_a_failing_example_names_its_line() -> None:
    """The traceback of a broken example points at the page's line."""
    with pytest.raises(AssertionError, match=r'File "page.md", line 3'):
        run("page.md", "# Title\n```python\nraise LookupError\n```\n")


@pytest.mark.parametrize("marker", ["<!-- not run: -->", "<!-- not run -->"])
def test_an_exemption_needs_a_reason(marker: str) -> None:
    """An example is left out only where the page says why."""
    assert list(examples(f"{marker}\n```python\n1/0\n```\n"))


PAGE = """
```python
print(1)
print('{"n": 1, "id": "7f3a"}')
```

<!-- output -->
```%s
%s
```
"""


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("text", "1\n…"),
        ("text", '1\n{"n": 1, "id": "…a"}'),
        ("json", '{"n": "…", "id": "7f3a"}'),
        ("json", '{"n": 1, "id": "7f3a"}'),
        ("json", '{\n  "id": "7…",\n  "n": 1\n}'),
        ("json", '{"n": 1, "…": "…"}'),
    ],
)
def test_output_that_is_shown_is_what_comes(kind: str, shown: str) -> None:
    """Output on a page may leave out and break lines, marked by an ellipsis."""
    check("page.md", PAGE % (kind, shown))


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("text", "1"),
        ("text", "2\n…"),
        ("json", '{"n": 1}'),
        ("json", '{"n": 2, "…": "…"}'),
        ("json", '{"n": 1, "name": "…", "…": "…"}'),
        ("json", '{"n": 1, "id": "7f3a"}\n{"n": 1, "id": "7f3a"}'),
    ],
)
def test_output_that_is_not_what_comes_fails(kind: str, shown: str) -> None:
    """A page can't show other values, fields or lines than an example prints."""
    with pytest.raises(AssertionError):
        check("page.md", PAGE % (kind, shown))


def test_times_and_ids_need_not_be_those_of_this_run() -> None:
    """Output on a page has ids and times as they look, which never come twice."""
    shown = {"timestamp": "2026-11-22T03:42:11.986Z", "span_id": "782a8653bbaee192"}
    real = {"timestamp": "2027-01-02T00:00:00.000Z", "span_id": "0" * 16}

    assert matches(shown, real)
    assert not matches(shown, {**real, "span_id": "none"})
