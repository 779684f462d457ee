"""How Sphinx builds the documentation."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "svcready"
author = "The svcready developers"
copyright = author  # noqa: A001 - the name that Sphinx reads
version = release = installed_version("svcready")

extensions = [
    "generated",
    "markdown_twins",
    "myst_parser",
    "published_schemas",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
nitpicky = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings: list[str] = []

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_title = f"svcready {release}"
html_copy_source = False  # the .md twins are the source
html_show_sphinx = False
copybutton_prompt_text = r"^\$ "
copybutton_prompt_is_regexp = True
