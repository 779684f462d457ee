"""The directives whose content is generated from the code, for HTML and Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from api_reference import api_markdown
from sphinx.util.docutils import SphinxDirective
from tables import (
    audit_fields_markdown,
    log_fields_markdown,
    log_layouts_markdown,
    metrics_markdown,
    redaction_figures_markdown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from docutils import nodes
    from sphinx.application import Sphinx

MAKERS: dict[str, Callable[[str], str]] = {
    "api": api_markdown,
    "audit-fields": lambda _: audit_fields_markdown(),
    "log-fields": lambda _: log_fields_markdown(),
    "log-layouts": lambda _: log_layouts_markdown(),
    "metric-names": lambda _: metrics_markdown(),
    "redaction-figures": lambda _: redaction_figures_markdown(),
}
"""What each directive stands for, given the words behind its name."""

FENCE = re.compile(
    r"^```\{(" + "|".join(MAKERS) + r")\}[ ]*([^\n]*)\n(.*?)```$",
    re.MULTILINE | re.DOTALL,
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    for name in MAKERS:
        app.add_directive(name, type(name, (Generated,), {"__doc__": name}))

    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Generated(SphinxDirective):
    """Stands for Markdown that the code gives."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Parse the generated Markdown in the page's place."""
        self.env.note_reread()  # the declarations are no file that Sphinx watches
        words = " ".join([*self.arguments, *self.content])
        return self.parse_text_to_nodes(
            MAKERS[self.name](words), allow_section_headings=True
        )


def expand(text: str) -> str:
    """Put what directives stand for in their place, for pages read as Markdown."""
    return FENCE.sub(lambda m: MAKERS[m[1]](f"{m[2]} {m[3]}".strip()), text)
