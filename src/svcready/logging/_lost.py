"""The line that says how many lines were lost, once output goes on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from svcready.logging._levels import level_name
from svcready.logging._records import make_event

if TYPE_CHECKING:
    from svcready._transport.stdout import Recovered

__all__ = ["write_recovered"]


def write_recovered(handler: logging.Handler, recovered: Recovered) -> None:
    """
    Write the summary of lost lines by *handler* alone.

    It is called by the thread that writes to standard output, which somebody else's
    handler on the root logger might hold up.
    """
    lost: dict[str, dict[str, int]] = {}
    for (reason, level), lines in sorted(recovered.lost.items()):
        of_level = lost.setdefault(reason, {})
        name = level_name(level)
        of_level[name] = of_level.get(name, 0) + lines

    lines, blocked_s = recovered.lines, round(recovered.blocked_s, 3)
    record = make_event(
        logging.WARNING,
        f"{lines} {'line' if lines == 1 else 'lines'} dropped while standard output"
        f" was blocked for {blocked_s:.1f} s",
        {
            "event": "svcready.logging.dropped",
            "lines": lines,
            "blocked_s": blocked_s,
            "lost": lost,
        },
    )
    if record is not None:
        handler.handle(record)
