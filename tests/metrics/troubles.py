"""What goes wrong where metrics are sent to, before anything was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple

from hypothesis import strategies as st

from svcready.metrics.sinks._cloudwatch._emf._ways import Way, Went
from tests.metrics.otlp_collector import MetricsCollector
from tests.metrics.sinks.cloudwatch.put.metrics_server import Refused, Troubles, _cut


class Trouble(NamedTuple):
    """What becomes of the next requests, none of which is taken and seems not to be."""

    puts: tuple[str | Refused, ...] = ()
    """Of PutMetricData; an empty one is taken."""
    statuses: tuple[int, ...] = ()
    """Of OTLP."""
    cuts: int = 0
    """Connections of OTLP that are cut before that."""
    room: tuple[int, ...] = ()
    """How many lines of EMF are taken at once."""


NO_TROUBLE = Trouble()
_PUTS = (Refused("Throttling"), Refused("InternalFailure", 500), Troubles.RESET)
TROUBLES = st.just(NO_TROUBLE) | st.builds(
    Trouble,
    st.lists(st.sampled_from([*_PUTS, ""]), min_size=1, max_size=4).map(tuple),
    st.lists(st.sampled_from([503, 429, 500, 200]), min_size=1, max_size=5).map(tuple),
    st.integers(0, 2),
    st.lists(st.integers(0, 3), min_size=1, max_size=2).map(tuple),
)


@dataclass
class CutCollector(MetricsCollector):
    """An OTLP collector that can also cut connections before it takes a request."""

    cuts: int = 0

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Take one request, or cut the connection."""
        if self.cuts:
            self.cuts -= 1
            handler.rfile.read(int(handler.headers["Content-Length"]))
            _cut(handler)
            return

        super().answer(handler)


class NarrowWay:
    """A way of EMF that at times takes a part of the lines."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.name, self.max_bytes, self.hints = way.name, way.max_bytes, way.hints
        self.room: list[int] = []

    def send(self, lines: Sequence[bytes], ends_s: float) -> Went:
        """Send what there is room for."""
        room = self.room.pop(0) if self.room else len(lines)
        went = self._way.send(lines[:room], ends_s)
        blocked = "blocked" if room < len(lines) else ""
        return Went(went.taken, went.fault or blocked)

    def forget(self) -> None:
        """Leave what is open to the parent."""
        self._way.forget()

    def close(self) -> None:
        """Close what is open."""
        self._way.close()
