"""The published JSON Schema of a log line."""

from __future__ import annotations

from pathlib import Path

import orjson

__all__ = ["schema"]


def schema(layout: str = "standard") -> dict[str, object]:
    """
    Return the JSON Schema (draft 2020-12) that every line obeys, version 1.

    Args:
        layout: What `SVCREADY_LOG_LAYOUT` says: `standard`, `ecs`, `otel` or `flat`.
            The schemas of the others are made from that of the standard layout.

    Raises:
        ValueError: No layout is called so.
    """
    text = Path(__file__).with_name("schema_v1.json").read_bytes()
    found: dict[str, object] = orjson.loads(text)
    if layout == "standard":
        return found

    from svcready.logging._lines._layouts import LAYOUTS

    if layout not in LAYOUTS:
        msg = f"no layout {layout!r}: one of standard, {', '.join(LAYOUTS)}"
        raise ValueError(msg)

    return LAYOUTS[layout].schema(found)
