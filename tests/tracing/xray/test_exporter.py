"""Export to X-Ray's daemon: what arrives, what is waited for, what is given up."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from svcready._core.events import ItemsDropped, subscribe
from svcready.testing import FakeClock
from svcready.tracing.export._exporter import Lost
from svcready.tracing.xray._daemon import Daemon
from svcready.tracing.xray._document import Documents
from svcready.tracing.xray._exporter import HEADER, XRayExporter
from tests.tracing.xray.daemon import FakeDaemon, read
from tests.tracing.xray.support import REMOTE, make_span, part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Faults


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    """Give a daemon that listens."""
    made = FakeDaemon()
    yield made
    made.close()


@pytest.fixture
def drops() -> Iterator[dict[str, int]]:
    """Count what was said to be dropped, by reason."""
    counts: dict[str, int] = {}

    def count(event: ItemsDropped) -> None:
        assert event.component == "tracing.xray"
        counts[event.reason] = counts.get(event.reason, 0) + event.items

    undo = subscribe(ItemsDropped, count)
    yield counts
    undo()


class Exporting:
    """An exporter on a fake clock, whose waiting lets time pass and runs a hook."""

    def __init__(self, way: Daemon | object, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.exporter = XRayExporter(cast("Daemon", way), Documents(), self.clock)
        self.waits: list[float] = []
        self.while_waiting: Callable[[], None] = lambda: None
        self.hurried = False

    def __call__(self, *spans: ReadableSpan, within_s: float = 30.0) -> Lost | None:
        """Export *spans* within so many seconds."""
        ends = self.clock.monotonic() + within_s
        return self.exporter.export(list(spans), lambda: ends, self._wait)

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        if not self.hurried:
            self.clock.advance(seconds)

        self.while_waiting()
        return self.hurried


def ids(documents: list[dict[str, object]]) -> list[int]:
    """Return the ids of documents as numbers."""
    return [int(str(document["id"]), 16) for document in documents]


def spans(count: int) -> list[ReadableSpan]:
    """Return spans whose ids are 1, 2, ..."""
    return [make_span(span_id=number + 1) for number in range(count)]


def test_each_document_is_a_datagram_behind_a_header(daemon: FakeDaemon) -> None:
    """A real socket takes what the daemon's protocol says, in order."""
    export = Exporting(Daemon(daemon.address, FakeClock()))

    assert export(*spans(5)) is None
    assert ids(daemon.receive(5)) == [1, 2, 3, 4, 5]
    assert HEADER == b'{"format":"json","version":1}\n'
    export.exporter.close()


def test_a_span_of_two_documents_sends_both(daemon: FakeDaemon) -> None:
    """The service's segment comes before the call that is in it."""
    export = Exporting(Daemon(daemon.address, FakeClock()))

    assert export(make_span(SpanKind.CLIENT, parent=None)) is None
    service, call = daemon.receive(2)
    assert call["parent_id"] == service["id"]
    export.exporter.close()


def test_ipv6(daemon: FakeDaemon) -> None:
    """A daemon may listen on ::1."""
    try:
        other = FakeDaemon("::1")
    except OSError:
        pytest.skip("this host has no IPv6")

    export = Exporting(Daemon(other.address, FakeClock()))
    assert export(make_span()) is None
    assert len(other.receive(1)) == 1
    export.exporter.close()
    other.close()


@pytest.mark.parametrize("characters", [10, 1_000, 10_000, 60_000])
def test_a_burst_does_not_overflow_the_daemons_buffer(
    daemon: FakeDaemon, characters: int
) -> None:
    """Between two pauses goes no more than a usual socket holds unread."""
    clock = FakeClock()
    received: list[dict[str, object]] = []

    def read_in_the_pause(seconds: float) -> None:
        clock.advance(seconds)
        received.extend(daemon.waiting())

    clock.sleep = read_in_the_pause  # type: ignore[method-assign]
    export = Exporting(Daemon(daemon.address, clock), clock)
    burst = [
        make_span(span_id=number + 1, attributes={"k": "x" * characters})
        for number in range(300)
    ]
    lost = export(*burst)
    received += daemon.waiting()

    assert lost is None
    assert ids(received) == list(range(1, 301))
    export.exporter.close()


def test_a_burst_is_spread() -> None:
    """After 32 documents, or fewer large ones, the daemon gets a moment to read."""
    way = Scripted([])
    small = Exporting(way)
    small(*spans(96))
    large = Exporting(Scripted([]))
    large(*[make_span(attributes={"k": "x" * 20_000}) for _ in range(4)])

    assert small.clock.sleeps == [0.001, 0.001]
    assert large.clock.sleeps == [0.001]
    assert len(way.sent) == 96


def test_a_daemon_that_is_not_there_yet_is_waited_for(daemon: FakeDaemon) -> None:
    """What it refused is sent again when it listens; nothing is lost."""
    address = daemon.address
    daemon.close()
    export = Exporting(Daemon(address, FakeClock()))
    started: list[FakeDaemon] = []

    def start() -> None:
        if len(export.waits) == 3:
            started.append(FakeDaemon(*address))

    export.while_waiting = start

    assert export(*spans(4)) is None
    assert export.waits == [0.05, 0.1, 0.2]
    assert ids(started[0].receive(4)) == [1, 2, 3, 4]
    export.exporter.close()
    started[0].close()


def test_a_daemon_that_goes_and_comes_again(daemon: FakeDaemon) -> None:
    """A refusal is noticed at once, not by the next datagram."""
    address = daemon.address
    export = Exporting(Daemon(address, FakeClock()))
    assert export(make_span(span_id=1)) is None
    daemon.receive(1)
    daemon.close()
    again: list[FakeDaemon] = []
    export.while_waiting = lambda: again.append(FakeDaemon(*address))

    assert export(make_span(span_id=2)) is None
    assert ids(again[0].receive(1)) == [2]
    export.exporter.close()
    again[0].close()


def test_after_its_time_a_batch_is_given_up(
    daemon: FakeDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest counts as refused, which is said once a minute."""
    daemon.close()
    export = Exporting(Daemon(daemon.address, FakeClock()))

    assert export(*spans(7), within_s=3.0) == Lost("refused", 7)
    assert sum(export.waits) == pytest.approx(3.0)
    assert "refused" in export.exporter.last_error
    export(*spans(2), within_s=0.0)
    assert len(caplog.records) == 1
    assert "7 spans did not reach the X-Ray daemon" in caplog.text

    export.clock.advance(60.0)
    export(make_span(), within_s=0.0)
    assert "3 spans did not reach" in caplog.text
    export.exporter.close()


def test_a_flush_makes_two_attempts_at_most(daemon: FakeDaemon) -> None:
    """At shutdown a daemon that is not there costs no time."""
    daemon.close()
    export = Exporting(Daemon(daemon.address, FakeClock()))
    export.hurried = True

    assert export(*spans(100)) == Lost("refused", 100)
    assert len(export.waits) == 1
    assert export.clock.sleeps == []
    export.exporter.close()


def test_success_clears_what_was_said(daemon: FakeDaemon) -> None:
    """`last_error` is about now."""
    export = Exporting(Scripted(["refused"]))
    export(make_span(), within_s=0.0)
    before = export.exporter.last_error
    export(make_span())

    assert before == "refused: scripted"
    assert export.exporter.last_error == ""


class Scripted:
    """A way out whose first answers are given."""

    detail = "scripted"

    def __init__(self, answers: list[str]) -> None:
        self.answers = answers
        self.sent: list[bytes] = []
        self.largest = 65_507

    def send(self, datagram: bytes) -> str:
        """Answer as told, then take all that is small enough."""
        if self.answers:
            return self.answers.pop(0)

        if len(datagram) > self.largest:
            return "too_large"

        self.sent.append(datagram)
        return ""

    def close(self) -> None:
        """Nothing is open."""


def test_a_full_send_buffer_is_waited_for_shortly() -> None:
    """The kernel has room again in a moment, whether or not a flush is under way."""
    way = Scripted(["busy"] * 5)
    export = Exporting(way)
    export.hurried = True

    assert export(make_span()) is None
    assert export.clock.sleeps == [0.001] * 5
    assert export.waits == []
    assert len(way.sent) == 1


def test_a_buffer_that_stays_full_ends_with_the_batchs_time() -> None:
    """Time is bounded there as well."""
    export = Exporting(Scripted(["busy"] * 10_000))

    assert export(*spans(3), within_s=0.5) == Lost("busy", 3)


def test_large_documents_are_cut_to_what_the_system_sends(
    drops: dict[str, int],
) -> None:
    """Where datagrams have to be small, documents get small, and it is counted."""
    way = Scripted([])
    way.largest = 9216
    export = Exporting(way)
    span = make_span(attributes={"a": "x" * 15_000, "b": "y" * 15_000, "c": 1})

    assert export(span, make_span(span_id=2)) is None
    first, second = (read(datagram) for datagram in way.sent)
    kept = part(first, "metadata", "default")
    assert kept["c"] == 1
    assert str(kept["a"]).startswith("xxx")
    assert second["id"] == "0000000000000002"
    assert drops == {"cut_metadata": 2} == export.exporter.cuts


def test_a_document_that_no_cut_makes_small_enough_is_one_lost_span() -> None:
    """The others are sent."""
    way = Scripted([])
    export = Exporting(way)
    way.answers = ["too_large"] * 2  # whole, and cut to the least that is tried

    assert export(*spans(3)) == Lost("too_large", 1)
    assert len(way.sent) == 2
    assert export.exporter.last_error.startswith("too_large: ")


def test_a_documents_own_fault_is_one_lost_span(faults: Faults) -> None:
    """What cannot be mapped is reported; the others are sent."""
    way = Scripted([])
    export = Exporting(way)
    broken = make_span(span_id=2)
    broken._context = None

    assert export(make_span(), broken, make_span()) == Lost("error", 1)
    assert len(way.sent) == 2
    assert isinstance(faults.claim("tracing.xray"), AttributeError)


def answering(*addresses: tuple[str, int]) -> Callable[..., list[tuple[object, ...]]]:
    """Return a resolver that knows one name, and counts how often it is asked."""

    def resolve(host: str, port: int, **kind: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", address)
            for address in addresses
        ]

    asked: list[str] = []
    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


def test_a_name_is_looked_up_when_it_is_needed(daemon: FakeDaemon) -> None:
    """Once for many datagrams, and not when the exporter is made."""
    resolve = answering(daemon.address)
    way = Daemon(("xray", 2000), FakeClock(), resolve)
    asked: list[str] = resolve.asked  # type: ignore[attr-defined]
    assert asked == []

    export = Exporting(way)
    export(*spans(10))
    assert asked == ["xray"]
    assert len(daemon.receive(10)) == 10
    way.close()


def test_a_name_is_looked_up_again_after_a_minute(daemon: FakeDaemon) -> None:
    """A container that was replaced has another address, and nobody refuses."""
    clock = FakeClock()
    resolve = answering(daemon.address)
    way = Daemon(("xray", 2000), clock, resolve)
    export = Exporting(way, clock)
    export(make_span())
    clock.advance(59.0)
    export(make_span())
    assert resolve.asked == ["xray"]  # type: ignore[attr-defined]

    clock.advance(1.0)
    export(make_span())
    assert resolve.asked == ["xray", "xray"]  # type: ignore[attr-defined]
    assert len(daemon.receive(3)) == 3
    way.close()


def test_an_address_needs_no_second_look(daemon: FakeDaemon) -> None:
    """Only names change."""
    clock = FakeClock()
    resolve = answering(daemon.address)
    way = Daemon(daemon.address, clock, resolve)
    way.send(HEADER)
    clock.advance(3600.0)
    way.send(HEADER)

    assert len(resolve.asked) == 1  # type: ignore[attr-defined]
    way.close()


def test_a_name_is_looked_up_again_after_a_refusal(daemon: FakeDaemon) -> None:
    """Each of its addresses is tried, then it is asked for again."""
    other = FakeDaemon()
    other.close()
    resolve = answering(other.address, daemon.address)
    export = Exporting(Daemon(("localhost", 2000), FakeClock(), resolve))

    assert export(make_span()) is None
    assert len(daemon.receive(1)) == 1
    assert export.waits == [0.05]
    daemon.close()
    assert export(make_span(), within_s=0.2) == Lost("refused", 1)
    assert resolve.asked == ["localhost"] * 3  # type: ignore[attr-defined]
    export.exporter.close()


def test_a_name_that_nobody_knows() -> None:
    """It may be known later; until then spans wait, and are given up in time."""

    def resolve(host: str, port: int, **kind: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    export = Exporting(Daemon(("nowhere", 2000), FakeClock(), resolve))

    assert export(make_span(), within_s=1.0) == Lost("unresolved", 1)
    assert "not known" in export.exporter.last_error


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.ENETUNREACH, "unreachable"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.ECONNREFUSED, "refused"),
        (errno.EMSGSIZE, "too_large"),
        (errno.ENOBUFS, "busy"),
        (errno.EAGAIN, "busy"),
        (errno.EPERM, "unreachable"),
    ],
)
def test_what_the_system_says_becomes_a_reason(
    daemon: FakeDaemon, number: int, outcome: str
) -> None:
    """Each error of a socket is one of five reasons, with its text."""

    class Failing:
        def send(self, datagram: bytes) -> int:
            raise OSError(number, os.strerror(number))

        def close(self) -> None:
            pass

    way = Daemon(daemon.address, FakeClock())
    way._socket = cast("socket.socket", Failing())

    assert way.send(HEADER) == outcome
    assert way.detail == os.strerror(number)
    way.close()


def test_an_address_that_no_socket_takes(daemon: FakeDaemon) -> None:
    """A family that this host has not is a reason too, and leaves nothing open."""
    resolve = answering(("256.256.256.256", 1))
    way = Daemon(("x", 1), FakeClock(), resolve)

    assert way.send(HEADER) in {"unreachable", "unresolved"}
    assert way._socket is None


def test_a_real_oversize_is_told(daemon: FakeDaemon) -> None:
    """The kernel refuses what no datagram carries."""
    way = Daemon(daemon.address, FakeClock())

    assert way.send(b"x" * 70_000) == "too_large"
    assert way.send(b"x" * 65_507) == ""
    way.close()


def test_a_child_opens_a_socket_of_its_own(daemon: FakeDaemon) -> None:
    """`forget` closes the parent's in the child; both go on."""
    export = Exporting(Daemon(daemon.address, FakeClock()))
    export(make_span(span_id=1))
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            export.exporter.forget()
            status = 0 if export(make_span(span_id=2)) is None else 2
        finally:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    export(make_span(span_id=3))
    assert ids(daemon.receive(3)) == [1, 2, 3]
    export.exporter.close()


def test_a_request_in_progress_is_not_sent_after_its_end(daemon: FakeDaemon) -> None:
    """Its whole document follows, or was sent already."""
    from svcready.tracing.xray._watch import OpenSpan

    way = Scripted([])
    export = Exporting(way)
    running = make_span(SpanKind.SERVER, parent=REMOTE, end_ns=None)
    ended = make_span(SpanKind.SERVER, parent=REMOTE)

    assert export(OpenSpan(running, running), OpenSpan(running, ended)) is None
    (document,) = (read(datagram) for datagram in way.sent)
    assert document["in_progress"] is True
    assert "end_time" not in document
