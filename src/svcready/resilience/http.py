"""
What HTTP's answers and errors mean to policies, for any client and by themselves.

```python
import svcready
from svcready.resilience import http


@svcready.retry("payments", on=http.transient, retry_after=http.retry_after)
@svcready.circuit_breaker("payments", outcome=http.outcome)
def charge(order): ...  # calls by httpx, requests, aiohttp or urllib3
```

None of the libraries is imported: an error of theirs is known by its class's name.
"""

from __future__ import annotations

from svcready.resilience._http._errors import Kind, said_by
from svcready.resilience._http._hints import hint_s
from svcready.resilience._http._request import is_idempotent, request_of

__all__ = ["idempotent", "outcome", "overloaded", "retry_after", "transient"]

_RETRIED = frozenset((408, 429, 502, 503, 504))
_OVERLOADED = frozenset((429, 503))
_FAILED = 500


def transient(error: Exception) -> bool:
    """
    Return whether the request behind *error* may be made again, and another can help.

    Answers 408, 429, 502, 503 and 504, connections that broke and time-outs: if the
    request is idempotent or has an `Idempotency-Key` (see `idempotent`). Whatever it
    is: errors that surely came before it was sent, such as a refused connection, an
    unknown host, a time-out of connecting or of waiting for a free connection. Never:
    other answers, certificates, requests that are wrong themselves.

    The request that counts is the one that the application made, before redirects.
    Where nothing tells which it was, it counts as one that must not be repeated.

    Args:
        error: What a call by httpx, requests, aiohttp or urllib3 raised, the error of
            a `raise_for_status()` included.
    """
    said = said_by(error)
    if said.kind in {Kind.UNSENT, Kind.FULL}:
        return True

    if said.kind is Kind.ANSWER:
        if said.final or said.status not in _RETRIED:
            return False
    elif said.kind is not Kind.BROKEN:
        return False

    request = request_of(error)
    return request is not None and is_idempotent(request.method, request.headers)


def retry_after(error: Exception) -> float | None:
    """
    Return how many seconds the server asks to wait, up to a day; None if it doesn't.

    Read are `Retry-After` as seconds and as a date, which is related to the answer's
    own `Date` (RFC 9110, section 10.2.3), Azure's `x-ms-retry-after-ms`, and the
    `RateLimit` field of a quota that is used up.

    Args:
        error: What a call raised.
    """
    said = said_by(error)
    return hint_s(said.headers) if said.kind is Kind.ANSWER else None


def outcome(error: Exception) -> str:
    """
    Return what *error* is to a circuit breaker.

    Args:
        error: What a call raised.

    Returns:
        `success` for every answer below 500 except 408 and 429: the dependency works,
        if only to say no. `inconclusive` for what never left the process: no free
        connection in the client's pool, a request that is wrong itself. `failure` for
        everything else.
    """
    said = said_by(error)
    if said.kind is Kind.ANSWER:
        return "failure" if failed(said.status) else "success"

    local = said.kind in {Kind.FULL, Kind.LOCAL}
    return "inconclusive" if local else "failure"


def overloaded(error: Exception) -> bool:
    """
    Return whether the dependency says that it is asked too much: 429 or 503.

    Args:
        error: What a call raised.
    """
    said = said_by(error)
    return said.kind is Kind.ANSWER and said.status in _OVERLOADED


def idempotent(method: str, headers: object = None) -> bool:
    """
    Return whether a request may be made again although the server may have had it.

    GET, HEAD, OPTIONS, PUT, DELETE and TRACE (RFC 9110, section 9.2.2), and any with
    an `Idempotency-Key`.

    Args:
        method: The request's method.
        headers: Its headers: a mapping, or pairs of name and value.
    """
    return is_idempotent(method, headers)


def failed(status: int) -> bool:
    """Return whether an answer counts as a failure of the dependency."""
    return status >= _FAILED or status in {408, 429}
