"""OTLP over HTTP: where a signal goes, and one delivery of it."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from svcready._core.optional import installed, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import PreparedRequest, Response, Session

    from svcready._core.clock import Clock
    from svcready.config._sections.otlp import Headers, OtlpSettings

    Sign = Callable[[str, bytes], Mapping[str, str]]

__all__ = [
    "Delivery",
    "OtlpClient",
    "Target",
    "available",
    "metrics_target",
    "rejected_points",
    "rejected_spans",
    "traces_target",
]

T = TypeVar("T")

_EXTRA = "otlp"
_METRICS_RESPONSES = "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2"
_RESPONSES = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
_DEFAULT_BASE = "http://localhost:4318"
_RETRIED = {429, 502, 503, 504}
_LONGEST_WAIT_S = 30.0
_MAX_ATTEMPTS = 6
_HURRIED_ATTEMPTS = 2
_MAX_RESPONSE_BYTES = 65536


class Target(NamedTuple):
    """Where one signal is sent, and how."""

    url: str
    headers: Headers = ()
    compression: str = "none"
    timeout_s: float = 10.0
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""

    def __str__(self) -> str:
        """Show the URL without credentials and query."""
        from urllib.parse import urlsplit

        parts = urlsplit(self.url)
        host = parts.netloc.rsplit("@", 1)[-1]
        return f"{parts.scheme}://{host}{parts.path}"


class Delivery(NamedTuple):
    """How sending one body ended."""

    reason: str = ""
    """Why not, as a fixed word: `rejected`, `unavailable`, `deadline`; empty: sent."""
    detail: str = ""
    """What the collector or the network said."""
    content: bytes = b""
    """The response, at most 64 KiB of it."""
    status: int = 0
    """What HTTP calls the last answer; 0 if there was none."""


class _Reply(NamedTuple):
    status: int
    detail: str
    retry_after_s: float | None = None
    content: bytes = b""

    @property
    def retried(self) -> bool:
        return self.status in _RETRIED or not self.status


def traces_target(settings: OtlpSettings, *, wanted: bool) -> Target | None:
    """
    Return where traces go.

    Args:
        settings: The section; what is said for traces wins over what is general.
        wanted: Export was asked for by name, so without an endpoint the standard
            one on this machine is meant.
    """
    base = settings.endpoint or (_DEFAULT_BASE if wanted else None)
    return _target(settings, "traces", base)


def metrics_target(settings: OtlpSettings) -> Target | None:
    """
    Return where metrics go; None if nobody asked for that.

    A general endpoint alone does not: it is often set for traces, and metrics have a
    page for Prometheus already.

    Args:
        settings: The section; what is said for metrics wins over what is general.
    """
    if settings.metrics is False:
        return None

    base = settings.endpoint or _DEFAULT_BASE if settings.metrics else None
    return _target(settings, "metrics", base)


def _target(settings: OtlpSettings, signal: str, base: str | None) -> Target | None:
    def pick(field: str, general: T) -> T:
        special: T | None = getattr(settings, f"{signal}_{field}")
        return general if special is None else special

    url = pick("endpoint", base and f"{base.rstrip('/')}/v1/{signal}")
    if url is None:
        return None

    return Target(
        url,
        pick("headers", settings.headers),
        pick("compression", settings.compression),
        pick("timeout_s", settings.timeout_s),
        pick("certificate", settings.certificate),
        pick("client_certificate", settings.client_certificate),
        pick("client_key", settings.client_key),
    )


def available() -> bool:
    """Tell whether the packages of the extra `otlp` are there, without loading them."""
    return installed(_RESPONSES) and installed("requests")


def rejected_spans(content: bytes) -> tuple[int, str]:
    """Return how many spans of a request that was accepted were not, and why."""
    if not content:
        return 0, ""

    messages = require(_RESPONSES, extra=_EXTRA, needed_for="OTLP export")
    partial = messages.ExportTraceServiceResponse.FromString(content).partial_success
    return partial.rejected_spans, partial.error_message


def rejected_points(content: bytes) -> tuple[int, str]:
    """Return how many points of a request that was accepted were not, and why."""
    if not content:
        return 0, ""

    messages = require(_METRICS_RESPONSES, extra=_EXTRA, needed_for="OTLP export")
    answer = messages.ExportMetricsServiceResponse.FromString(content)
    return answer.partial_success.rejected_data_points, (
        answer.partial_success.error_message
    )


class _Line:
    """
    A session's connections to one address.

    Proxies, certificates and headers are settled once. Asking for them again at each
    request, as a session does, takes twice as long as the request itself.
    """

    def __init__(self, session: Session, url: str) -> None:
        from requests import Request

        self._session = session
        self._request = session.prepare_request(Request("POST", url))
        address = self._request.url or url
        found = session.merge_environment_settings(address, {}, True, None, None)
        self._proxies, self._cert = found["proxies"], found["cert"]
        self._verify = found["verify"] or True
        self._adapter = session.get_adapter(address)

    def send(self, body: bytes, timeout_s: float, sign: Sign | None) -> Response:
        """Post *body*; a redirection is an answer like others."""
        request = self._request.copy()
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        if sign is not None:
            request.headers.update(sign(request.url or "", body))

        return self._adapter.send(
            request,
            stream=True,
            timeout=timeout_s,
            verify=self._verify,
            cert=self._cert,
            proxies=self._proxies,
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class OtlpClient:
    """
    Sends bodies to one target; what it sends is never traced.

    Nothing is opened before the first body. `deliver` is for one thread at a time.

    Args:
        target: Where to.
        clock: Its monotonic time bounds a delivery.
        uniform: Draws the jitter of waits between two bounds.
        sign: Returns the headers that prove who sends a body to a URL; what it raises
            makes the delivery one to try again later.
    """

    def __init__(
        self,
        target: Target,
        clock: Clock,
        uniform: Callable[[float, float], float] = random.uniform,
        sign: Sign | None = None,
    ) -> None:
        self._target = target
        self._sign = sign
        self._clock = clock
        self._uniform = uniform
        self._line: _Line | None = None

    def deliver(
        self,
        body: bytes,
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> Delivery:
        """
        Send *body*, again after connection faults and 429, 502, 503 and 504.

        Waits grow with full jitter, or are what `Retry-After` asks for.

        Args:
            body: The encoded request.
            deadline_s: When to give up, on the monotonic clock; asked again before
                each try, because a flush brings it nearer.
            wait: Waits so many seconds; True if the process wants to stop, after
                which one more try is made.
        """
        attempt = 0
        allowed = _MAX_ATTEMPTS
        while True:
            left_s = deadline_s() - self._clock.monotonic()
            if left_s <= 0:
                return Delivery("deadline", "no time left")

            reply = self._post(body, min(self._target.timeout_s, left_s))
            if 200 <= reply.status < 300:
                return Delivery(content=reply.content)

            if not reply.retried:
                return Delivery("rejected", reply.detail, status=reply.status)

            attempt += 1
            wait_s = reply.retry_after_s
            if wait_s is None:
                wait_s = self._uniform(0.0, min(_LONGEST_WAIT_S, 2.0**attempt))

            if self._clock.monotonic() + wait_s >= deadline_s() or attempt >= allowed:
                return Delivery("unavailable", reply.detail, status=reply.status)

            if wait(wait_s):
                allowed = min(allowed, max(_HURRIED_ATTEMPTS, attempt + 1))

    def forget(self) -> None:
        """Leave the connections to the process that we were forked from."""
        self._line = None

    def close(self) -> None:
        """Close the connections."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _post(self, body: bytes, timeout_s: float) -> _Reply:
        import requests

        line = self._line or self._connect()
        body = self._compressed(body)
        try:
            with line.send(body, timeout_s, self._sign) as response:
                content = response.raw.read(_MAX_RESPONSE_BYTES, decode_content=True)
                return _Reply(
                    response.status_code,
                    f"{response.status_code} {response.reason}",
                    _retry_after_s(response),
                    content,
                )
        except (requests.RequestException, OSError) as error:
            return _Reply(0, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - urllib3's own, while reading
            return _Reply(0, type(error).__name__)

    def _connect(self) -> _Line:
        import requests

        target = self._target
        session = requests.Session()
        session.headers["User-Agent"] = "svcready"
        session.headers["Content-Type"] = "application/x-protobuf"
        if target.compression != "none":
            session.headers["Content-Encoding"] = target.compression

        session.headers.update(dict(target.headers))
        session.auth = _as_is
        session.verify = target.certificate or True
        if target.client_certificate:
            pair = (target.client_certificate, target.client_key)
            session.cert = pair if target.client_key else target.client_certificate

        self._line = line = _Line(session, target.url)
        return line

    def _compressed(self, body: bytes) -> bytes:
        if self._target.compression == "gzip":
            packer = zlib.compressobj(wbits=31)
            return packer.compress(body) + packer.flush()

        if self._target.compression == "deflate":
            return zlib.compress(body)

        return body


def _as_is(request: PreparedRequest) -> PreparedRequest:
    return request  # or requests would put .netrc's credentials over our header


def _retry_after_s(response: Response) -> float | None:
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:  # absent, or a date, which nobody sends here
        return None

    return seconds if 0 <= seconds < float("inf") else None
