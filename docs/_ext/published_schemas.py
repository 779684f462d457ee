"""Puts the JSON Schemas of what a service says beside the pages, for validators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from svcready.health import schema as schema_of_health
from svcready.logging import audit, schema

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LAYOUTS = ("standard", "ecs", "otel", "flat")


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.connect("build-finished", write_schemas)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_schemas(app: Sphinx, failure: Exception | None) -> None:
    """Write the schemas; of logs a file a layout, `log-v1.json` the standard."""
    if failure or app.builder.format != "html":
        return

    for layout in LAYOUTS:
        suffix = "" if layout == "standard" else f"-{layout}"
        file = Path(app.outdir, "schema", f"log-v1{suffix}.json")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(schema(layout), indent=2) + "\n")

    for name, found in (("audit", audit.schema()), ("health", schema_of_health())):
        file = Path(app.outdir, "schema", f"{name}-v1.json")
        file.write_text(json.dumps(found, indent=2) + "\n")
