"""The published JSON Schema of a log line."""

from __future__ import annotations

from pathlib import Path

import orjson

__all__ = ["schema"]


def schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) that every line obeys, version 1."""
    text = Path(__file__).with_name("schema_v1.json").read_bytes()
    found: dict[str, object] = orjson.loads(text)
    return found
