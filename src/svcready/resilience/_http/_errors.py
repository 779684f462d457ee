"""What an error of an HTTP client says: an answer, or how the connection failed."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience._lineage import args_of, library_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Kind",
    "Said",
    "causes",
    "is_failure",
    "is_unsent",
    "said_by",
]


class Kind(Enum):
    """What happened to a request."""

    ANSWER = "answer"
    """It was answered; the status says what with."""
    UNSENT = "unsent"
    """No connection came about, so no byte of it left."""
    FULL = "full"
    """It left the client's own pool of connections never."""
    BROKEN = "broken"
    """The connection or its time ended, perhaps after the server had the request."""
    REFUSED = "refused"
    """The peer can't be used as it is: a certificate, an answer that can't be read."""
    LOCAL = "local"
    """It is wrong itself, and was not sent."""
    UNKNOWN = "unknown"
    """The error is none of HTTP's."""


class Said(NamedTuple):
    """What an error says."""

    kind: Kind
    """What happened."""
    status: int = 0
    """The answer's status; 0 without an answer."""
    headers: Mapping[str, str] | None = None
    """The answer's headers."""
    final: bool = False
    """Whether the answer is one that no repetition changes: too many redirects."""


_CLASSES: Mapping[str, Kind] = {
    "httpx.PoolTimeout": Kind.FULL,
    "httpx.ConnectTimeout": Kind.UNSENT,
    "httpx.ConnectError": Kind.UNSENT,
    "httpx.ProxyError": Kind.UNSENT,
    "httpx.UnsupportedProtocol": Kind.LOCAL,
    "httpx.LocalProtocolError": Kind.LOCAL,
    "httpx.TransportError": Kind.BROKEN,
    "httpx.DecodingError": Kind.REFUSED,
    "httpx.InvalidURL": Kind.LOCAL,
    "httpx.CookieConflict": Kind.LOCAL,
    "httpx.StreamError": Kind.LOCAL,
    "requests.ConnectTimeout": Kind.UNSENT,
    "requests.ConnectionError": Kind.BROKEN,
    "requests.Timeout": Kind.BROKEN,
    "requests.ChunkedEncodingError": Kind.BROKEN,
    "requests.ContentDecodingError": Kind.REFUSED,
    "requests.JSONDecodeError": Kind.UNKNOWN,
    "requests.InvalidJSONError": Kind.LOCAL,
    "requests.URLRequired": Kind.LOCAL,
    "requests.MissingSchema": Kind.LOCAL,
    "requests.InvalidSchema": Kind.LOCAL,
    "requests.InvalidURL": Kind.LOCAL,
    "requests.InvalidHeader": Kind.LOCAL,
    "requests.StreamConsumedError": Kind.LOCAL,
    "requests.UnrewindableBodyError": Kind.LOCAL,
    "urllib3.NewConnectionError": Kind.UNSENT,
    "urllib3.ConnectTimeoutError": Kind.UNSENT,
    "urllib3.ProxyError": Kind.UNSENT,
    "urllib3.EmptyPoolError": Kind.FULL,
    "urllib3.ClosedPoolError": Kind.LOCAL,
    "urllib3.TimeoutError": Kind.BROKEN,
    "urllib3.ProtocolError": Kind.BROKEN,
    "urllib3.IncompleteRead": Kind.BROKEN,
    "urllib3.InvalidChunkLength": Kind.BROKEN,
    "urllib3.SSLError": Kind.BROKEN,
    "urllib3.DecodeError": Kind.REFUSED,
    "urllib3.LocationValueError": Kind.LOCAL,
    "urllib3.UnrewindableBodyError": Kind.LOCAL,
    "aiohttp.ClientConnectorCertificateError": Kind.REFUSED,
    "aiohttp.ServerFingerprintMismatch": Kind.REFUSED,
    "aiohttp.ConnectionTimeoutError": Kind.UNSENT,
    "aiohttp.ClientConnectorError": Kind.UNSENT,
    "aiohttp.ClientHttpProxyError": Kind.UNSENT,
    "aiohttp.ClientConnectionError": Kind.BROKEN,
    "aiohttp.ClientPayloadError": Kind.BROKEN,
    "aiohttp.InvalidURL": Kind.LOCAL,
    "svcready.DeadlineExceeded": Kind.UNKNOWN,
    "svcready.Rejected": Kind.UNKNOWN,
    "builtins.ConnectionRefusedError": Kind.UNSENT,
    "socket.gaierror": Kind.UNSENT,
    "builtins.ConnectionError": Kind.BROKEN,
    "builtins.TimeoutError": Kind.BROKEN,
}
"""By library and class; of an error's classes the first that is here tells."""

_CARRIERS = frozenset(
    {
        "requests.ConnectionError",
        "requests.ProxyError",
        "requests.RetryError",
        "requests.SSLError",
        "urllib3.MaxRetryError",
    }
)
"""Errors that another one is in, which says more."""

_PROXIES = frozenset(
    {"aiohttp.ClientHttpProxyError", "httpx.ProxyError", "urllib3.ProxyError"}
)
_TOO_MANY = "TooManyRedirects"
_MOST_CAUSES = 16
_TUNNEL = re.compile(r"(?:Tunnel connection failed: |^)([1-5]\d\d)\b")
_REPEATED = re.compile(r"too many (\d{3}) error responses")
_TRANSIENT_PROXY = frozenset((408, 429, 502, 503, 504))
_FAILED = 500


def said_by(error: BaseException) -> Said:
    """Return what *error* says, judged by the innermost error that it carries."""
    answer = _answer_of(error)
    if answer is not None:
        return answer

    name = _name(type(error))
    carried = _carried(error) if name in _CARRIERS else None
    if carried is not None:
        said = said_by(carried)
        if said.kind is not Kind.UNKNOWN:
            return said

    kind = next((_CLASSES[each] for each in _names(error) if each in _CLASSES), None)
    if kind is None:
        return _repeated(error)

    if kind in {Kind.UNSENT, Kind.BROKEN} and _is_untrusted(error):
        return Said(Kind.REFUSED)

    if name in _PROXIES and not _may_pass(error):
        return Said(Kind.REFUSED)

    return Said(kind)


def is_failure(status: int) -> bool:
    """Tell whether an answer counts as a failure of who gave it."""
    return status >= _FAILED or status in {408, 429}


def is_unsent(error: BaseException) -> bool:
    """Tell whether no byte of the request left, so that its body is still there."""
    return said_by(error).kind in {Kind.UNSENT, Kind.FULL}


def causes(error: BaseException) -> Iterator[BaseException]:
    """Go through *error* and what it came from, a limited way."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting and len(seen) < _MOST_CAUSES:
        each = waiting.pop(0)
        if each is None or any(each is other for other in seen):
            continue

        seen.append(each)
        yield each
        context = None if each.__suppress_context__ else each.__context__
        waiting += [each.__cause__, context, _carried(each)]


def _names(error: BaseException) -> Iterator[str]:
    return map(_name, type(error).__mro__)


def _name(kind: type) -> str:
    return f"{library_of(kind)}.{kind.__name__}"


def _carried(error: BaseException) -> BaseException | None:
    """Return the error that another was made of: its reason, or its first argument."""
    inner: object = getattr(error, "reason", None)
    if not isinstance(inner, BaseException):
        inner = next(iter(args_of(error)), None)

    return inner if isinstance(inner, BaseException) else None


def _answer_of(error: BaseException) -> Said | None:
    """Return the answer that an error was made of, by whichever library."""
    final = type(error).__name__ == _TOO_MANY
    source = getattr(error, "response", None)
    status: object = getattr(source, "status_code", None)
    if "aiohttp.ClientResponseError" in _names(error):
        if _name(type(error)) in _PROXIES:
            return None

        source, status = error, getattr(error, "status", None)
        if not final and _is_garbled(error):
            return Said(Kind.BROKEN)

    if not isinstance(status, int) or not status:
        return Said(Kind.ANSWER, 399, None, final=True) if final else None

    return Said(Kind.ANSWER, status, getattr(source, "headers", None), final=final)


def _is_garbled(error: BaseException) -> bool:
    """Tell whether aiohttp could not read the answer, which it calls a 400."""
    return any(
        type(each).__module__ == "aiohttp.http_exceptions"
        for each in (error.__cause__, error.__context__)
    )


def _repeated(error: BaseException) -> Said:
    """Read the status that urllib3's own retries gave up on."""
    if _name(type(error)) == "urllib3.ResponseError":
        found = _REPEATED.search(str(error))
        if found is not None:
            return Said(Kind.ANSWER, int(found[1]))

        return Said(Kind.ANSWER, 399, None, final=True)

    return Said(Kind.UNKNOWN)


def _is_untrusted(error: BaseException) -> bool:
    """Tell whether it was a certificate that ended the connection."""
    return any(
        type(each).__name__ == "SSLCertVerificationError" for each in causes(error)
    )


def _may_pass(error: BaseException) -> bool:
    """Tell whether a proxy that opened no tunnel may do so later."""
    status = getattr(error, "status", None)
    if not isinstance(status, int):
        told = [str(each) for each in (error, _carried(error)) if each is not None]
        told.append(str(getattr(error, "original_error", "")))
        found = next((match for text in told if (match := _TUNNEL.search(text))), None)
        if found is None:
            return True

        status = int(found[1])

    return status in _TRANSIENT_PROXY
