"""The command `svcready metrics`: what a service's metrics cost."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from argparse import ArgumentParser, ArgumentTypeError
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from svcready.cli._style import style_for
from svcready.errors import SvcreadyError
from svcready.metrics.sinks._cloudwatch._cost import estimate, price_list

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from urllib.parse import SplitResult

    from svcready.cli._style import Style
    from svcready.metrics.sinks._cloudwatch._cost import Estimate

__all__ = ["main"]

_PATH = "/admin/metrics/cost"
_TIMEOUT_S = 10.0
_MOST_BYTES = 256 * 1024**2
_TOKEN = "SVCREADY_ADMIN_TOKEN"  # noqa: S105 - the variable's name
_TOKENS = "SVCREADY_ADMIN_TOKENS"
_WIDEST = 48


def main(arguments: Sequence[str]) -> int:
    """Estimate a month of CloudWatch metrics; return 0, or 1 if nothing can be read."""
    options = _parser().parse_args(arguments)
    usage = _from_file(options.snapshot) if options.snapshot else _from_url(options)
    prices = price_list()
    found = estimate(usage, prices, mode=options.mode, processes=options.processes)
    if options.json:
        print(json.dumps(_as_json(found, prices), indent=2))
    else:
        print(_as_text(found, prices, usage, style_for(sys.stdout, os.environ)))

    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="svcready metrics", description="Work with metrics.")
    cost = parser.add_subparsers(required=True, metavar="cost").add_parser(
        "cost",
        help="estimate what a month on CloudWatch costs",
        description="Estimate what a service's metrics cost on CloudWatch in a month, "
        "by metric and dimension set, at list prices and without the free tier. "
        "CloudWatch need not be on.",
    )
    add = cost.add_argument
    where = cost.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="the running service: http://localhost:8000")
    where.add_argument(
        "--snapshot",
        help=f"a file with what a service answered to {_PATH}; - for stdin",
    )
    add(
        "--token",
        default="",
        help=f"one of the service's {_TOKENS}; {_TOKEN} by default",
    )
    add(
        "--mode",
        choices=["emf", "api"],
        default="",
        help="as if SVCREADY_CLOUDWATCH_MODE were so; by default it is the service's",
    )
    add(
        "--processes",
        type=_count,
        default=1,
        help="how many processes the service has, all workers of all instances",
    )
    add("--json", action="store_true", help="print JSON")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r} is no number from 1"
        raise ArgumentTypeError(msg)

    return int(text)


def _from_file(name: str) -> dict[str, object]:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise SvcreadyError(str(error)) from error

    return _parsed(raw, name)


def _from_url(options: Namespace) -> dict[str, object]:
    parts = _split(options.url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{options.url} is no address of a service: write http://host:port"
        raise SvcreadyError(msg)

    base = parts.path.removesuffix("/").removesuffix(_PATH).removesuffix("/metrics")
    url = urlunsplit((parts.scheme, parts.netloc, base + _PATH, "", ""))
    request = urllib.request.Request(url)  # noqa: S310 - the scheme was checked
    token = options.token or os.environ.get(_TOKEN, "")
    if token:
        # Not where the service sends us on to: that may be another host.
        request.add_unredirected_header("Authorization", f"Bearer {token}")

    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return _parsed(answer.read(_MOST_BYTES), url)
    except urllib.error.HTTPError as error:
        error.close()
        msg = f"{url} answers {error.code}{_hint(error.code, token)}"
        raise SvcreadyError(msg) from error
    except (OSError, HTTPException) as error:
        msg = f"{url} cannot be reached: {getattr(error, 'reason', error)}"
        raise SvcreadyError(msg) from error


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # [::1 without its other bracket
        return None


def _hint(status: int, token: str) -> str:
    """Return what to do about an answer that is a refusal."""
    if status == HTTPStatus.UNAUTHORIZED:
        if token:
            return f"; the token is none of the service's {_TOKENS}"

        return f"; give one of the service's {_TOKENS} by --token or {_TOKEN}"

    if status == HTTPStatus.NOT_FOUND:
        return (
            f"; has the service {_TOKENS}? With SVCREADY_ADMIN_PORT ask that port, and "
            "put SVCREADY_HTTP_PATH_PREFIX before the path"
        )

    return ""


def _parsed(raw: bytes, name: str) -> dict[str, object]:
    try:
        usage = json.loads(raw)
    except ValueError as error:
        msg = f"{name} is not JSON: {error}"
        raise SvcreadyError(msg) from error

    return usage if isinstance(usage, dict) else {}


def _as_json(found: Estimate, prices: dict[str, object]) -> dict[str, object]:
    return {
        "mode": found.mode,
        "metrics": found.metrics,
        "shares": [share._asdict() for share in found.shares],
        "metrics_usd": round(found.metrics_usd, 4),
        "transport": found.transport,
        "transport_usd": round(found.transport_usd, 4),
        "usd_per_month": round(found.usd, 2),
        "prices": prices,
    }


def _as_text(
    found: Estimate, prices: dict[str, object], usage: dict[str, object], style: Style
) -> str:
    head = ("metric", "dimensions", "metrics", "USD a month")
    rows = [
        (
            share.name[:_WIDEST],
            ", ".join(share.dimensions) or "(none)",
            f"{share.metrics:,}",
            f"{share.usd:,.2f}",
        )
        for share in found.shares
    ]
    rows.append(("all metrics", "", f"{found.metrics:,}", f"{found.metrics_usd:,.2f}"))
    rows.append((found.transport, "", "", f"{found.transport_usd:,.2f}"))
    rows.append(("total", "", "", f"{found.usd:,.2f}"))
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    lines = [_row(head, widths)] + [_row(row, widths) for row in rows]
    lines[0] = style(lines[0], "dim")
    lines[-1] = style(lines[-1], "bold")
    off = " (CloudWatch is off; this is what it would cost)"
    mode = f"{found.mode}{off if usage.get('mode') == 'off' else ''}"
    table = "\n".join(lines)
    return f"""\
{usage.get("service")} in {usage.get("environment")}, mode {mode}

{table}

List prices of {prices["region"]}, noted on {prices["noted"]}, without free tier; check:
{prices["source"]}
Each metric is taken to be sent in every hour. Storage of EMF's log data, alarms and
dashboards come on top."""


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    name, dimensions, metrics, usd = cells
    return (
        f"{name:<{widths[0]}}  {dimensions:<{widths[1]}}  {metrics:>{widths[2]}}  "
        f"{usd:>{widths[3]}}"
    ).rstrip()
