"""The directive `settings`: the reference table, generated from the declarations."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

SOURCE = "svcready.config.reference"
"""Has `markdown() -> str`, sections as headings and a table beneath each."""

MARKER = "```{settings}\n```"


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.add_directive("settings", Settings)
    app.connect("builder-inited", keep_for_twins)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Settings(SphinxDirective):
    """Every setting: variable, type, default, unit, what it does."""

    def run(self) -> list[nodes.Node]:
        """Parse the generated Markdown in the page's place."""
        self.env.note_reread()  # the declarations are no file that Sphinx watches
        return self.parse_text_to_nodes(
            settings_as_markdown(), allow_section_headings=True
        )


def keep_for_twins(app: Sphinx) -> None:
    """Let the Markdown twin of a page have the table where the page has it."""
    app.env.settings_tables = {MARKER: settings_as_markdown()}  # type: ignore[attr-defined]


def settings_as_markdown() -> str:
    """Ask the package for its reference, which an older one may not have."""
    try:
        reference = importlib.import_module(SOURCE)
    except ModuleNotFoundError as error:
        if error.name != SOURCE:
            raise

        return "This version of svcready has no generated reference."

    text: str = reference.markdown()
    return text
