"""Puts each page's Markdown beside its HTML, and `llms.txt` that lists them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from generated import expand

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TAB = re.compile(r"^:+\{tab-item\} (.+)$", re.MULTILINE)
DIRECTIVE = re.compile(
    r"^```\{(?!code-block)[^}]+\}.*?^```\n?|^:::.*?$\n?"
    r"|^<!-- (?:not run:.*?|output) -->\n|^\(\S+\)=\n",
    re.MULTILINE | re.DOTALL,
)
"""What only Sphinx or the tests understand."""
GAP = re.compile(r"(^```.*?^```$)|\n{3,}", re.MULTILINE | re.DOTALL)
"""What a directive left behind, but no blank lines inside an example."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.connect("build-finished", write_twins)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_twins(app: Sphinx, failure: Exception | None) -> None:
    """Write `page.md` for every page and one index of them."""
    if failure or app.builder.format != "html":
        return

    lines = [
        f"# {app.config.project}",
        "",
        f"> {first_sentence(page_text(app, 'index'))}",
        "",
        "## Pages",
        "",
    ]
    for name in ordered(app):
        text = page_text(app, name)
        twin = Path(app.outdir, f"{name}.md")
        twin.parent.mkdir(parents=True, exist_ok=True)
        twin.write_text(text)
        title = app.env.titles[name].astext()
        lines.append(f"- [{title}]({name}.md): {first_sentence(text)}")

    Path(app.outdir, "llms.txt").write_text("\n".join(lines) + "\n")


def ordered(app: Sphinx) -> list[str]:
    """List the pages as the table of contents does, the first page first."""
    return ["index", *app.env.toctree_includes.get("index", [])]


def page_text(app: Sphinx, name: str) -> str:
    """Read a page's source, without what is not Markdown."""
    source = expand(Path(app.env.doc2path(name)).read_text())
    source = TAB.sub(r"**\1**\n", source)
    text = DIRECTIVE.sub("", source)
    return GAP.sub(lambda m: m[1] or "\n\n", text).strip() + "\n"


def first_sentence(text: str) -> str:
    """Find the sentence that says what a page gives."""
    for block in text.split("\n\n"):
        if not block.startswith(("#", "`", "|", "-")):
            return " ".join(block.split()).split(". ")[0].rstrip(".") + "."

    return ""
