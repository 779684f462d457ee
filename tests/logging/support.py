"""What the tests of the log need: lines that are checked as they are read."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonschema

from svcready._core.redaction import Redactor
from svcready.config._sections.log import LogSettings
from svcready.logging import LogPillar, schema
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
XRAY = "1-4bf92f35-77b34da6a3ce929d0e0e4736"

_VALIDATOR = jsonschema.Draft202012Validator(schema())

Line = dict[str, Any]


def read(data: bytes) -> list[Line]:
    """Read lines, each of which must be one JSON object that obeys the schema."""
    assert data == b"" or data.endswith(b"\n")
    lines = [json.loads(line, parse_constant=_refuse) for line in data.splitlines()]
    for line in lines:
        _VALIDATOR.validate(line)

    return lines


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


@dataclass
class Identity:
    """Who the service is, in these tests."""

    service: str = "orders"
    version: str = "1.4.2"
    environment: str = "production"
    instance: str = "host-1"


class Log:
    """A running pillar and what it wrote."""

    def __init__(self, pillar: LogPillar, written: list[bytes]) -> None:
        self.pillar = pillar
        self.written = written

    @property
    def lines(self) -> list[Line]:
        """Everything written so far."""
        return read(b"".join(self.written))

    @property
    def last(self) -> Line:
        """The newest line."""
        return self.lines[-1]

    @property
    def text(self) -> str:
        """Everything written so far, for the console form."""
        return b"".join(self.written).decode()


MADE: list[LogPillar] = []
"""The pillars that a test has made, for its fixture to close; again does no harm."""


def make_log(
    settings: LogSettings | None = None,
    *,
    development: bool = False,
    terminal: bool = False,
    clock: FakeClock | None = None,
    span_ids: Callable[[], tuple[str, str] | None] = lambda: None,
    redactor: Redactor | None = None,
) -> Log:
    """Make a pillar that writes into a list."""
    written: list[bytes] = []
    pillar = LogPillar(
        settings or LogSettings(),
        identity=Identity(),
        development=development,
        clock=clock or FakeClock(),
        redactor=redactor or Redactor(),
        span_ids=span_ids,
        stdout_is_terminal=terminal,
        write=lambda line, _: written.append(line),
    )
    MADE.append(pillar)
    return Log(pillar, written)


class Listener(logging.Handler):
    """Somebody else's handler: keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record."""
        self.records.append(record)


START = """
import sys
from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.redaction import Redactor
from svcready.config._sections.log import LogSettings
from svcready.logging import LogPillar, get_logger

class Identity:
    service, version, environment, instance = "orders", "1.4.2", "production", "host-1"

def start(**settings):
    fork.install()
    pillar = LogPillar(
        LogSettings(**settings), identity=Identity, development=False,
        clock=SYSTEM_CLOCK, redactor=Redactor(), span_ids=lambda: None,
        stdout_is_terminal=False,
    )
    pillar.start()
    return pillar
"""
"""The start of a script that logs to its real standard output."""


def run_script(code: str, arguments: Iterable[str] = ()) -> tuple[list[Line], str]:
    """Run a script that calls `start()`; return its lines and its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", START + code, *arguments],
        check=False,
        capture_output=True,
        timeout=50,
    )
    return read(done.stdout), done.stderr.decode()
