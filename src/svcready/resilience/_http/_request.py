"""Which request an error is of, and whether making it twice is making it once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience._http._errors import causes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType, TracebackType

__all__ = ["Sent", "is_idempotent", "request_of"]

_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
_KEY = "idempotency-key"
_LIBRARIES = frozenset(("httpx", "requests", "aiohttp", "urllib3"))


class Sent(NamedTuple):
    """A request, as far as it matters whether it is made again."""

    method: str
    """Its method."""
    headers: object
    """Its headers, whichever kind of mapping or list of pairs holds them."""


def is_idempotent(method: str, headers: object = None) -> bool:
    """
    Tell whether a request made twice does what it does once.

    Args:
        method: Its method.
        headers: Its headers; a mapping, or pairs of name and value.
    """
    return method.upper() in _IDEMPOTENT or _is_keyed(headers)


def request_of(error: BaseException) -> Sent | None:
    """
    Return the request that the application made; None if nothing tells.

    Where redirects were followed it is the first: what the application repeats is that
    one, and a POST that was redirected to a GET was a POST. The answer's history has
    it, or the frames of the client's library that the traceback shows, which are all
    that tells where an error has no request (aiohttp's and urllib3's).
    """
    for each in causes(error):
        found = _in_history(each) or _in_frames(each.__traceback__) or _in_error(each)
        if found is not None:
            return found

    return None


def _in_history(error: BaseException) -> Sent | None:
    """Return the first request of those whose answers led to the error's."""
    response = getattr(error, "response", None)
    history = getattr(response, "history", None) or getattr(error, "history", None)
    if not isinstance(history, list | tuple) or not history:
        return None

    return _asked_by(history[0])


def _in_error(error: BaseException) -> Sent | None:
    """Return the request that the error itself knows."""
    info = getattr(error, "request_info", None)
    if info is not None:
        return _sent(info)

    try:
        request = getattr(error, "request", None)
    except RuntimeError:  # what httpx raises where it has none
        request = None

    return _sent(request) or _asked_by(getattr(error, "response", None))


def _in_frames(trace: TracebackType | None) -> Sent | None:
    """Return the request of the outermost call of a client's library."""
    method: str | None = None
    headers: object = None
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
        if _library(frame) not in _LIBRARIES:
            continue

        # What holds the request that was made, by its names in these libraries.
        known = frame.f_locals
        found = _in_history_of(known) or _sent(known.get("request"))
        if found is not None and method is None:
            return found

        if method is None and isinstance(known.get("method"), str):
            method = known["method"]

        if method is not None:
            if found is not None:
                return found if found.method == method.upper() else Sent(method, None)

            headers = headers or known.get("headers")

    return None if method is None else Sent(method, headers)


def _in_history_of(known: Mapping[str, object]) -> Sent | None:
    """Return the first request where a frame follows redirects."""
    history = known.get("history")
    return _asked_by(history[0]) if isinstance(history, list) and history else None


def _asked_by(response: object) -> Sent | None:
    """Return the request that a response is the answer to."""
    try:
        request = getattr(response, "request_info", None) or getattr(
            response, "request", None
        )
    except RuntimeError:
        return None

    return _sent(request)


def _sent(request: object) -> Sent | None:
    method = getattr(request, "method", None)
    if not isinstance(method, str) or not method:
        return None

    return Sent(method.upper(), getattr(request, "headers", None))


def _library(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name.partition(".")[0] if isinstance(name, str) else ""


def _is_keyed(headers: object) -> bool:
    if headers is None:
        return False

    items = getattr(headers, "items", None)
    pairs = headers if items is None else items()
    if not hasattr(pairs, "__iter__"):
        return False

    for pair in pairs:
        name = pair[0]
        if isinstance(name, bytes):
            name = name.decode("latin-1")

        if isinstance(name, str) and name.lower() == _KEY and pair[1]:
            return True

    return False
