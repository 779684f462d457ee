"""The command `svcready drain`: has a service that runs here drain, and waits."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from svcready._transport import marks
from svcready._transport.workers import find_run_dir, is_alive
from svcready.config._kinds import duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from svcready._transport.marks import Mark

__all__ = ["main"]

_DELAY = duration(0.0, 3600.0)
_LOOK_S = 0.1
_HEARD_WITHIN_S = 5.0
_DONE, _FAILED, _NOT_FOUND = 0, 1, 3


def main(arguments: Sequence[str]) -> int:
    """Tell the service and wait; return 0, 1 if it is deaf, 3 if it is not there."""
    options = _parser().parse_args(arguments)
    run_dir = find_run_dir(os.environ.get("SVCREADY_CORE_RUN_DIR", ""), os.environ)
    found = [] if run_dir is None else _chosen(marks.marks(run_dir), options.pid)
    services = sorted({str(mark.said.get("service", "")) for mark in found})
    if options.service:
        found = [mark for mark in found if mark.said.get("service") == options.service]
    elif len(services) > 1:
        names = ", ".join(services)
        print(f"svcready: several services run here: {names}", file=sys.stderr)
        print("say which with --service NAME or --pid N", file=sys.stderr)
        return _FAILED

    if run_dir is None or not found:
        where = run_dir or "no directory that only this user can write to"
        print(
            f"svcready: no such service runs here (looked in {where})", file=sys.stderr
        )
        return _NOT_FOUND

    try:
        delay_s = None if options.delay is None else _DELAY.parse(options.delay)
    except (TypeError, ValueError):
        print(f"svcready: --delay is {_DELAY.allowed}", file=sys.stderr)
        return _FAILED

    for mark in found:
        what = {"drain": not options.undo, "delay_s": delay_s}
        marks.order(run_dir, (mark.pid, mark.start), what)

    return _wait(run_dir, found, undo=options.undo, waits=not options.no_wait)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="svcready drain",
        description=(
            "Have the service that runs here drain: readiness fails, requests are "
            "still answered. Returns when load balancers have had their time, so that "
            "it can be a platform's preStop hook."
        ),
    )
    parser.add_argument("--service", metavar="NAME", help="which, if several run here")
    parser.add_argument(
        "--pid", type=int, help="which, by a process of it or by its server's master"
    )
    parser.add_argument(
        "--delay",
        metavar="TIME",
        help="how long they have, such as 5s; SVCREADY_LIFECYCLE_DRAIN_DELAY_S if not",
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="return when the service has heard it"
    )
    parser.add_argument(
        "--undo", action="store_true", help="have it take requests again"
    )
    return parser


def _chosen(found: list[Mark], pid: int | None) -> list[Mark]:
    if pid is None:
        return found

    return [mark for mark in found if pid in {mark.pid, mark.said.get("parent")}]


def _wait(run_dir: Path, told: list[Mark], *, undo: bool, waits: bool) -> int:
    """Wait until all have heard it, and for the delay; who has ended is done."""
    ends_s = time.monotonic() + _HEARD_WITHIN_S
    while True:
        now = {(mark.pid, mark.start): mark for mark in marks.marks(run_dir)}
        living = [now[key] for key in ((m.pid, m.start) for m in told) if key in now]
        deaf = [mark for mark in living if bool(mark.said.get("draining")) == undo]
        if not deaf:
            break

        if time.monotonic() >= ends_s:
            print(
                f"svcready: {len(deaf)} of {len(told)} did not listen", file=sys.stderr
            )
            return _FAILED

        time.sleep(_LOOK_S)

    if undo:
        print(f"takes requests again: {_names(living)}")
        return _DONE

    left_s = max((_left_s(mark) for mark in living), default=0.0)
    print(f"draining: {_names(living)}; the delay takes {left_s:.1f} s", flush=True)
    ends_s = time.monotonic() + (left_s if waits else 0.0)
    while time.monotonic() < ends_s and any(is_alive(m.pid, m.start) for m in living):
        time.sleep(_LOOK_S)

    return _DONE


def _left_s(mark: Mark) -> float:
    """Return how much of the delay a process has left, by what it said and when."""
    left_s, at_ns = mark.said.get("left_s"), mark.said.get("at_ns")
    if not isinstance(left_s, int | float) or not isinstance(at_ns, int):
        return 0.0

    return max(0.0, left_s - (time.time_ns() - at_ns) / 1e9)


def _names(found: list[Mark]) -> str:
    service = ", ".join(sorted({str(mark.said.get("service", "")) for mark in found}))
    pids = ", ".join(str(mark.pid) for mark in found)
    return f"{service} (process {pids})" if found else "nothing any more"
