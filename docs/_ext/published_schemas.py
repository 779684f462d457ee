"""Puts the JSON Schemas of a log line beside the pages, for validators to fetch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from svcready.logging import schema

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LAYOUTS = ("standard", "ecs", "otel", "flat")


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.connect("build-finished", write_schemas)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_schemas(app: Sphinx, failure: Exception | None) -> None:
    """Write one file a layout, `schema/log-v1.json` for the standard one."""
    if failure or app.builder.format != "html":
        return

    for layout in LAYOUTS:
        suffix = "" if layout == "standard" else f"-{layout}"
        file = Path(app.outdir, "schema", f"log-v1{suffix}.json")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(schema(layout), indent=2) + "\n")
