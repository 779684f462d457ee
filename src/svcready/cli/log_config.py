"""`svcready log-config`: the configuration of `logging` for servers' command lines."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from svcready.logging import log_config

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Print the configuration as JSON."""
    argparse.ArgumentParser(
        prog="svcready log-config",
        description="Prints the logging configuration that makes JSON of the lines "
        "that a server writes where the application is not loaded. For uvicorn: "
        "`svcready log-config > log.json`, then `--log-config log.json`.",
    ).parse_args(argv)
    print(json.dumps(log_config(), indent=2))
    return 0
