"""`svcready healthcheck`: asks a probe and exits by what it says, 0 or 1."""

# Runs every few seconds in every container, so it imports next to nothing: no socket,
# no argparse, no http.client, not even typing.

from __future__ import annotations

import os
import sys
import time

from svcready.cli._healthcheck_request import ask
from svcready.cli._healthcheck_target import from_environ, from_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from svcready.cli._healthcheck_target import Target

__all__ = ["main"]

_USAGE = """\
usage: svcready healthcheck [URL] [options]

Asks the service in this container how it is: exit code 0 if the probe passes, 1 if not,
with one line that says why. Where it listens is read from the service's own variables.

  URL                 ask this instead: http://127.0.0.1:8000/health/liveness
  --port PORT         ask this port of 127.0.0.1
  --socket PATH       ask this Unix socket
  --probe NAME        liveness (the default), readiness, startup, or a group of checks
  --timeout SECONDS   how long an answer may take as a whole (3)
  --wait SECONDS      ask again until it passes, for so long (0)
  --insecure          with https:// take any certificate"""

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0
_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0))
_VALUES = frozenset({"--port", "--socket", "--probe", "--timeout", "--wait"})


def main(words: list[str]) -> int:
    """
    Ask once, or until it passes.

    Args:
        words: The words after the command's name.

    Returns:
        0 if the probe passes, else 1: Docker reserves 2, and a wrong command line is
        no sign of health.
    """
    if "-h" in words or "--help" in words:
        print(_USAGE)
        return 0

    try:
        options, url = _read(words)
        timeout_s = _seconds("--timeout", options.get("--timeout", "3"), 0.001)
        wait_s = _seconds("--wait", options.get("--wait", "0"), 0.0)
        target = _target(options, url)
    except ValueError as error:
        print(f"svcready healthcheck: {error}; see --help", file=sys.stderr)
        return 1

    try:
        reason = _ask_until(target, timeout_s, wait_s)
    except KeyboardInterrupt:
        return 1

    if reason:
        print(f"svcready healthcheck: {target.shown} {reason}", file=sys.stderr)

    return 1 if reason else 0


def _ask_until(target: Target, timeout_s: float, wait_s: float) -> str:
    """Return why it does not pass; empty if it does."""
    began_s = time.monotonic()
    end_s = began_s + max(timeout_s, wait_s)
    pause_s = _FIRST_PAUSE_S
    while True:
        reason = ask(target, min(timeout_s, end_s - time.monotonic()))
        left_s = began_s + wait_s - time.monotonic()
        if not reason or left_s <= pause_s:
            return reason

        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _read(words: list[str]) -> tuple[dict[str, str], str]:
    """Return the options by their names and the URL, if there is one."""
    options: dict[str, str] = {}
    url = ""
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _VALUES:
            options[name] = value if equals else next(rest, "")
            if not options[name]:
                msg = f"{name} needs a value"
                raise ValueError(msg)
        elif word == "--insecure":
            options[word] = word
        elif word.startswith("-") or url:
            msg = f"{word!r} is not known"
            raise ValueError(msg)
        else:
            url = word

    return options, url


def _target(options: dict[str, str], url: str) -> Target:
    places = [place for place in ("--port", "--socket") if place in options]
    if len(places) > 1 or (url and (places or "--probe" in options)):
        msg = "give one of URL, --port and --socket, and --probe without a URL"
        raise ValueError(msg)

    if url:
        return from_url(url, insecure="--insecure" in options)

    return from_environ(
        os.environ,
        options.get("--probe", "liveness"),
        port=options.get("--port", ""),
        socket=options.get("--socket", ""),
    )


def _seconds(name: str, said: str, least: float) -> float:
    number, factor = said, 1.0
    for unit, seconds in _UNITS:
        if said.endswith(unit):
            number, factor = said.removesuffix(unit), seconds
            break

    try:
        value = float(number) * factor
    except ValueError:
        value = -1.0

    if least <= value <= 3600:
        return value

    msg = f"{name}={said} is not allowed: use seconds, up to 3600"
    raise ValueError(msg)
