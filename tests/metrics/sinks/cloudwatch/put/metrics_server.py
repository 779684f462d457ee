"""CloudWatch as a local server, as strict about PutMetricData as its reference."""

from __future__ import annotations

import gzip
import json
import math
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

DAY_S = 86_400
_SIZES = [
    prefix + word
    for word in ("bytes", "bits")
    for prefix in ("", "kilo", "mega", "giga", "tera")
]
UNITS = {"Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "None"}
UNITS |= {size.capitalize() for size in _SIZES}
UNITS |= {f"{size.capitalize()}/Second" for size in (*_SIZES, "count")}
MEMBERS = {"MetricName", "Dimensions", "Timestamp", "Value", "Values", "Counts"}
MEMBERS |= {"StatisticValues", "Unit", "StorageResolution"}

Body = dict[str, Any]
Series = tuple[str, tuple[tuple[str, str], ...]]


def _speaks_json() -> bool:
    import botocore.session

    model = botocore.session.get_session().get_service_model("cloudwatch")
    spoken = getattr(model, "resolved_protocol", None) or model.metadata["protocol"]
    return bool(spoken == "json")


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class Troubles:
    """What goes wrong, in the order in which calls meet it."""

    HANG = "hang"
    """No answer, and the request is not taken."""
    RESET = "reset"
    """The connection is cut before the request is taken."""
    LOST = "lost"
    """The request is taken, and the connection cut before the answer."""


class MetricsServer:
    """
    The service: every limit of one request and one datum, and what it has stored.

    It speaks AWS JSON, as newer botocores do; with an older one the test is skipped,
    and those with moto's server tell what arrives.

    Args:
        now_s: The service's wall clock.
    """

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        if not _speaks_json():
            pytest.skip("this botocore speaks CloudWatch's query protocol")

        self.now_s = now_s
        self.counts: Counter[Series] = Counter()
        """Samples by series."""
        self.sums: dict[Series, float] = {}
        self.latest: dict[Series, float] = {}
        """What the last datum's `Value` was."""
        self.stamps: dict[Series, list[int]] = {}
        self.units: dict[Series, str] = {}
        self.requests: list[tuple[str, list[Body]]] = []
        """Namespace and datums of each accepted request."""
        self.bodies: list[int] = []
        """Bytes of each accepted body, before compression."""
        self.encodings: list[str] = []
        self.calls = 0
        """Calls that were made, whatever became of them."""
        self.troubles: list[str | Refused] = []
        """What becomes of the next calls."""
        self.weather: Callable[[], str | Refused | None] = lambda: None
        """Asked for each call what becomes of it."""
        self.bad: Callable[[Body], bool] = lambda _datum: False
        """Datums that the service refuses though no rule that we know says so."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                server._serve(self)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(
            target=self._http.serve_forever, args=(0.01,), daemon=True
        ).start()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._stopped.set()
        self._http.shutdown()
        self._http.server_close()

    def total(self, name: str) -> float:
        """Return the sum of a metric over all of its series."""
        return sum(value for key, value in self.sums.items() if key[0] == name)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self._lock:
            self.calls += 1
            trouble = self.troubles.pop(0) if self.troubles else self.weather()

        if trouble == Troubles.HANG:
            self._stopped.wait(30)
            _cut(handler)
            return

        if trouble == Troubles.RESET:
            _cut(handler)
            return

        try:
            if isinstance(trouble, Refused):
                raise trouble

            body = _read(handler, raw)
            with self._lock:
                self._put(body[0])
                self.bodies.append(body[1])
                self.encodings.append(handler.headers.get("Content-Encoding", ""))
        except Refused as refused:
            answer = {"__type": refused.code, "message": refused.code}
            _answer(handler, refused.status, answer)
            return

        if trouble == Troubles.LOST:
            _cut(handler)
            return

        _answer(handler, 200, {})

    def _put(self, body: Body) -> None:
        namespace, datums = body["Namespace"], body["MetricData"]
        good = isinstance(namespace, str) and 1 <= len(namespace) <= 255
        if not good or namespace.startswith((":", "AWS/")):
            raise Refused("InvalidParameterValue")

        if not 1 <= len(datums) <= 1000:
            raise Refused("InvalidParameterValue")

        for datum in datums:
            check_datum(datum, self.now_s())
            if self.bad(datum):
                raise Refused("InvalidParameterValue")

        for datum in datums:
            self._store(datum)

        self.requests.append((namespace, datums))

    def _store(self, datum: Body) -> None:
        dimensions = datum.get("Dimensions", [])
        names = tuple(sorted((it["Name"], it["Value"]) for it in dimensions))
        key = (datum["MetricName"], names)
        if "Value" in datum:
            samples, total = 1, datum["Value"]
            self.latest[key] = total
        elif "StatisticValues" in datum:
            values = datum["StatisticValues"]
            samples, total = values["SampleCount"], values["Sum"]
        else:
            counts = datum.get("Counts", [1] * len(datum["Values"]))
            samples = sum(counts)
            pairs = zip(datum["Values"], counts, strict=True)
            total = math.fsum(value * count for value, count in pairs)

        self.counts[key] += samples
        self.sums[key] = self.sums.get(key, 0.0) + total
        self.stamps.setdefault(key, []).append(datum["Timestamp"])
        self.units[key] = datum.get("Unit", "None")


def check_datum(datum: Body, now_s: float) -> None:
    """
    Hold a datum to every rule of the reference.

    Raises:
        Refused: One is broken, and so the whole request is refused.
    """
    if "MetricName" not in datum:
        raise Refused("MissingParameter")

    forms = ("Value" in datum) + ("Values" in datum) + ("StatisticValues" in datum)
    if forms != 1 or ("Counts" in datum and "Values" not in datum):
        raise Refused("InvalidParameterCombination")

    stamp_s = datum.get("Timestamp", now_s)
    good = (
        set(datum) <= MEMBERS
        and _is_text(datum["MetricName"], 255)
        and now_s - 14 * DAY_S <= stamp_s <= now_s + 2 * 3600
        and datum.get("Unit", "None") in UNITS
        and datum.get("StorageResolution", 60) in {1, 60}
        and _are_dimensions(datum.get("Dimensions", []))
        and _are_numbers(datum)
    )
    if not good:
        raise Refused("InvalidParameterValue")


def _are_dimensions(dimensions: list[Body]) -> bool:
    names = [it["Name"] for it in dimensions]
    return (
        len(names) <= 30
        and len(set(names)) == len(names)
        and all(_is_text(name, 255) and name[0] != ":" for name in names)
        and all(_is_text(it["Value"], 1024) for it in dimensions)
    )


def _are_numbers(datum: Body) -> bool:
    if "Values" in datum:
        values = datum["Values"]
        counts = datum.get("Counts", [1] * len(values))
        return (
            1 <= len(values) <= 150
            and len(set(values)) == len(values) == len(counts)
            and all(_is_number(value) for value in values)
            and all(_is_number(count) and count > 0 for count in counts)
        )

    if "StatisticValues" in datum:
        statistics = datum["StatisticValues"]
        names = {"SampleCount", "Sum", "Minimum", "Maximum"}
        return (
            set(statistics) == names
            and all(_is_number(value) for value in statistics.values())
            and statistics["SampleCount"] > 0
            and statistics["Minimum"] <= statistics["Maximum"]
        )

    return _is_number(datum["Value"])


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) <= 2.0**360
    )


def _is_text(text: object, longest: int) -> bool:
    return (
        isinstance(text, str)
        and 1 <= len(text) <= longest
        and bool(text.strip())
        and all(" " <= character <= "~" for character in text)
    )


def _read(handler: BaseHTTPRequestHandler, raw: bytes) -> tuple[Body, int]:
    headers = handler.headers
    assert headers["X-Amz-Target"] == "GraniteServiceVersion20100801.PutMetricData"
    assert headers["Content-Type"] == "application/x-amz-json-1.0"
    assert "/monitoring/aws4_request" in headers["Authorization"]
    plain = raw
    if "Content-Encoding" in headers:
        assert headers["Content-Encoding"] == "gzip"
        plain = gzip.decompress(raw)

    if len(plain) >= 1_048_576:
        raise Refused("RequestEntityTooLarge", 413)

    return json.loads(plain), len(plain)


def _answer(handler: BaseHTTPRequestHandler, status: int, answer: Body) -> None:
    data = json.dumps(answer).encode()
    try:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/x-amz-json-1.0")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
    except OSError:  # nobody waits any more
        handler.close_connection = True


def _cut(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    linger = struct.pack("ii", 1, 0)  # a reset rather than an end
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.rfile.close()
    handler.connection.close()
