"""A configuration of `logging` for processes that never call `init()`."""

from __future__ import annotations

from pathlib import Path

import orjson

__all__ = ["log_config"]


def log_config() -> dict[str, object]:
    """
    Return what `dictConfig` and servers take, so that their own lines are JSON too.

    For `uvicorn.run(..., log_config=svcready.logging.log_config())`; the command
    `svcready log-config` prints the same for servers' command lines.
    """
    text = Path(__file__).with_name("log_config.json").read_bytes()
    found: dict[str, object] = orjson.loads(text)
    return found
