"""OTLP over HTTP: one target's connections, and one request over them."""

from __future__ import annotations

import zlib
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from svcready._transport._otlp_reply import MAX_ANSWER_BYTES, Reply, said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import PreparedRequest, Response, Session

    from svcready._core.clock import Clock
    from svcready._transport._otlp_target import Target

    Sign = Callable[[str, bytes], Mapping[str, str]]

__all__ = ["HttpLine"]

_RETRIED = {429, 502, 503, 504}
_PIECE_BYTES = 4096


class HttpLine:
    """
    A session's connections to one address.

    Proxies, certificates and headers are settled once. Asking for them again at each
    request, as a session does, takes twice as long as the request itself.

    Args:
        target: Where to.
        clock: Bounds an answer that comes in drops; dates in answers are read by it.
        sign: Returns the headers that prove who sends a body to a URL; what it raises
            makes the request one to try again later.
    """

    def __init__(self, target: Target, clock: Clock, sign: Sign | None) -> None:
        from requests import Request

        self._target = target
        self._clock = clock
        self._sign = sign
        self._session = session = _session(target)
        self._request = session.prepare_request(Request("POST", target.url))
        address = self._request.url or target.url
        found = session.merge_environment_settings(address, {}, True, None, None)
        self._proxies, self._cert = found["proxies"], found["cert"]
        self._verify = found["verify"] or True
        self._adapter = session.get_adapter(address)

    def post(self, body: bytes, timeout_s: float) -> Reply:
        """Send *body*; a redirection is an answer like others."""
        ends_s = self._clock.monotonic() + timeout_s
        try:
            with self._send(_compressed(body, self._target), timeout_s) as response:
                content = self._read(response, ends_s)
                status = response.status_code
                return Reply(
                    status,
                    _detail(response, content),
                    content,
                    again=status in _RETRIED,
                    retry_after_s=self._retry_after_s(response),
                )
        except Exception as error:  # noqa: BLE001 - of requests, urllib3, the network
            return Reply(0, said(_fault(error)), again=True)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _send(self, body: bytes, timeout_s: float) -> Response:
        request = self._request.copy()
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        if self._sign is not None:
            request.headers.update(self._sign(request.url or "", body))

        return self._adapter.send(
            request,
            stream=True,
            timeout=timeout_s,
            verify=self._verify,
            cert=self._cert,
            proxies=self._proxies,
        )

    def _read(self, response: Response, ends_s: float) -> bytes:
        # The timeout is for each packet: a receiver could keep us with single bytes.
        content = b""
        while len(content) < MAX_ANSWER_BYTES:
            piece = response.raw.read1(_PIECE_BYTES, decode_content=True)
            content += piece
            if not piece:
                break

            if self._clock.monotonic() >= ends_s:
                raise TimeoutError

        return content[:MAX_ANSWER_BYTES]

    def _retry_after_s(self, response: Response) -> float | None:
        value = response.headers.get("Retry-After", "")
        try:
            seconds = float(value)
        except ValueError:
            try:
                at_s = parsedate_to_datetime(value).timestamp()
            except (ValueError, OverflowError):  # absent, or nonsense
                return None

            seconds = at_s - self._clock.time_ns() / 1e9
            if seconds <= 0:  # which asks for nothing, and clocks differ
                return None

        return seconds if 0 <= seconds < float("inf") else None


def _fault(error: BaseException) -> str:
    """Say what kind of error it is, and what the system said, or what began it."""
    name = cause = type(error).__name__
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return f"{name}: {below.strerror}"

        cause = type(below).__name__
        below = below.__cause__ or below.__context__

    return name if cause == name else f"{name}: {cause}"


def _session(target: Target) -> Session:
    import requests

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

    return session


def _compressed(body: bytes, target: Target) -> bytes:
    if target.compression == "gzip":
        packer = zlib.compressobj(wbits=31)
        return packer.compress(body) + packer.flush()

    return zlib.compress(body) if target.compression == "deflate" else body


def _detail(response: Response, content: bytes) -> str:
    """Say what the answer is, with its text, which for AWS is all there is to know."""
    line = f"{response.status_code} {response.reason}"
    if response.ok or not content:
        return line

    kind = response.headers.get("Content-Type", "")
    if "html" in kind:  # a proxy's page for people
        return line

    text = _message(content) if "protobuf" in kind else content.decode(errors="replace")
    return said(f"{line}: {text}") if text else line


def _message(content: bytes) -> str:
    try:
        from google.rpc.status_pb2 import Status

        return str(Status.FromString(content).message)
    except Exception:  # noqa: BLE001 - it says it is protobuf, and is not
        return ""


def _as_is(request: PreparedRequest) -> PreparedRequest:
    return request  # or requests would put .netrc's credentials over our header
