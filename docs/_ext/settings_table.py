"""The directive `settings`: the reference table, generated from the declarations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.util.docutils import SphinxDirective

from svcready.config import reference_markdown

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

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
    """Return the reference, sections as headings and a table beneath each."""
    return reference_markdown()
