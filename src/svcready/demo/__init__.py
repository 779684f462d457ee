"""`svcready demo`: a service with everything on, its traffic, and a report."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING

from svcready._core.optional import installed, require

if TYPE_CHECKING:
    from svcready._core.styled import Line
    from svcready.demo._run import Demo

__all__ = ["main"]

_NEEDED = ("fastapi", "httpx", "uvicorn", "opentelemetry.exporter.otlp.proto.http")
_SECONDS = 20.0
_LEAST_SECONDS = 6.0


def main(argv: list[str]) -> int:
    """
    Run the demo.

    Args:
        argv: The words after `svcready demo`.

    Returns:
        0 if every part of svcready showed up, else 1.

    Raises:
        MissingExtraError: What the demo needs is not installed; the message is the
            pip command.
        DemoError: A service did not start or did not live.
    """
    options = _parse(argv)
    for module in _NEEDED:
        if not installed(module):
            require(module, extra="cli", needed_for="svcready demo")

    from svcready.demo._paint import painter_for
    from svcready.demo._report import report
    from svcready.demo._run import Demo

    painter = painter_for(sys.stderr if options.json else sys.stdout, os.environ)
    with Demo(options.seconds, painter) as demo:
        findings = demo.run()
        if options.json:
            print(json.dumps(findings, indent=2))
        else:
            painter.show(report(findings))

        if options.keep:
            painter.show(_addresses(demo))
            _stay(demo)
        elif not options.json:
            painter.show(_farewell())

    missing = [part["name"] for part in findings["parts"] if not part["shown"]]
    if missing:
        print(f"svcready demo: did not show up: {', '.join(missing)}", file=sys.stderr)

    return 1 if missing else 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="svcready demo",
        description="Run a service with everything on, send it traffic through an "
        "outage, and report what was seen.",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--keep", action="store_true", help="leave the services running until Ctrl-C"
    )
    how.add_argument(
        "--json", action="store_true", help="print what was found as one JSON document"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=_SECONDS,
        metavar="N",
        help=f"how long the traffic lasts ({_SECONDS:.0f}; at least "
        f"{_LEAST_SECONDS:.0f})",
    )
    options = parser.parse_args(argv)
    if not _LEAST_SECONDS <= options.seconds < float("inf"):
        parser.error(f"--seconds must be at least {_LEAST_SECONDS:.0f}")

    return options


def _stay(demo: Demo) -> None:
    try:
        while True:
            time.sleep(0.5)
            demo.check()
    except KeyboardInterrupt:
        print()


def _addresses(demo: Demo) -> list[Line]:
    orders, payments = demo.urls["orders"], demo.urls["payments"]
    rows = (
        ("orders", f"{orders}/docs"),
        ("health", f"{orders}/health/readiness"),
        ("metrics", f"{orders}/metrics"),
        ("details", f'curl -H "Authorization: Bearer {demo.token}" \\'),
        ("", f"     {orders}/admin/health"),
        ("break it", f"curl -X PUT {payments}/mode/broken"),
        ("mend it", f"curl -X PUT {payments}/mode/ok"),
    )
    return [
        (),
        (("Still running", "title"), (" | Ctrl-C ends it", "")),
        *(((f"  {label:<10}", "faint"), (text, "")) for label, text in rows),
    ]


def _farewell() -> list[Line]:
    from importlib.util import find_spec

    service = find_spec("svcready.demo.service")
    source = "" if service is None else service.origin or ""
    return [
        (),
        (("  play with it   ", "faint"), ("svcready demo --keep", "")),
        (("  its source     ", "faint"), (source, "")),
    ]
