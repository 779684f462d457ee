"""The published JSON Schema of a health report."""

from __future__ import annotations

from pathlib import Path

import orjson

__all__ = ["schema"]


def schema() -> dict[str, object]:
    """
    Return the JSON Schema (draft 2020-12) that every report obeys, version 1.

    It follows draft-inadarei-api-health-check-06. A probe's answer without details has
    its `status` only.
    """
    text = Path(__file__).with_name("schema_v1.json").read_bytes()
    found: dict[str, object] = orjson.loads(text)
    return found
