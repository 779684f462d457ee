"""A policy around every request of a requests session."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import rewind_body
from urllib3.util import Timeout, parse_url

from svcready._core.guard import guard
from svcready.resilience._http._errors import is_failure
from svcready.resilience._http._exchange import Exchange
from svcready.resilience._http._guarded import Guarded
from svcready.resilience._http._named import named_by
from svcready.resilience.clients._closing import Closing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready.resilience._composing._policy import Policy
    from svcready.resilience._http._guarded import Time

    Timeouts = float | tuple[float | None, float | None] | Timeout | None

__all__ = ["PolicyAdapter"]

_closing = guard("resilience.clients.requests", foreign=True)


class PolicyAdapter(BaseAdapter):
    """
    An adapter of `requests.Session` that makes every request under a policy.

    ```python
    session.mount("https://", PolicyAdapter("payments"))
    ```

    The application gets the response as always, whatever its status: one that counts
    as failed (500 and above, 408, 429) is an error to the policy's parts only, which
    `svcready.resilience.http` knows. What the policy refuses is raised: `CircuitOpen`
    and the others. Redirects are requests of their own.

    A response that is not streamed is read under the policy; of one with `stream=True`
    the outcome is told, and a bulkhead left, when its headers are in. A body that can't
    be sent again (a generator) is sent once, and a request that is not idempotent never
    twice at the same time.

    Time-outs are at most what the deadline in force leaves, which the server is told in
    `X-Request-Timeout-Ms` (`SVCREADY_HTTP_DEADLINE_HEADER`).

    Args:
        policy: The policy, or its name.
        adapter: What makes the attempts; None: `requests.adapters.HTTPAdapter()`, which
            doesn't retry.
        per_host: A policy for each host, of the same parts but with a state of its
            own, called `payments.api-example-com`; the hosts beyond 32 share the
            policy itself.
        send_deadline: Whether the server is told of the deadline.

    Raises:
        DeclarationError: It is no policy.
    """

    def __init__(
        self,
        policy: Policy | str,
        adapter: BaseAdapter | None = None,
        *,
        per_host: bool = False,
        send_deadline: bool = True,
    ) -> None:
        super().__init__()
        self._guarded = Guarded(policy, per_host=per_host, send_deadline=send_deadline)
        self._adapter = adapter or HTTPAdapter()
        self._closing = Closing()

    def close(self) -> None:
        """Close the adapter that makes the attempts, and first what has lost."""
        try:
            self._closing.finish()
        finally:
            self._adapter.close()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - requests' own signature
        timeout: Timeouts = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """
        Make a request under the policy.

        Raises:
            Rejected: The policy refused.
        """
        exchange = _exchange(self._guarded, request)
        attempts = 0

        def attempt(request: requests.PreparedRequest) -> requests.Response:
            nonlocal attempts
            before = exchange.begin()
            error: Exception | None = None
            time: Time | None = None
            try:
                for passed in before:
                    _close(passed)

                time = _time(self._guarded, exchange, request)
                made = _prepared(request, time, again=attempts > 0)
                attempts += 1
                bound = cast("float | None", _bounded(timeout, time))  # or two of them
                response = self._adapter.send(
                    made, stream, bound, verify, cert, proxies
                )
                response.request = request
                if not exchange.brought(response):
                    self._closing.here(exchange, response)
                elif not stream:
                    response.content  # noqa: B018 - a body that breaks off is a failure

                return _judged(response, request)
            except Exception as failure:
                error = exchange.judged(failure, time)
                if error is failure:
                    raise

                raise error from failure
            finally:
                exchange.end(error)
                del error  # its traceback holds this frame

        kept: requests.Response | None = None
        try:
            kept = cast("requests.Response", exchange.guard(attempt)(request))
        except _Failed as failed:
            kept = exchange.failed(failed, failed.response)
        finally:
            for other in exchange.settle(kept):
                self._closing.in_thread(exchange, other)

            exchange.release()

        return kept


class _Failed(requests.HTTPError):
    """An answer that counts as failed, as the policy's parts see it."""


def _exchange(
    guarded: Guarded, request: requests.PreparedRequest
) -> Exchange[requests.Response]:
    url = parse_url(request.url or "")
    return Exchange(
        guarded.plan(url.scheme or "http", url.host or "", url.port),
        request.method or "GET",
        request.headers,
        repeatable=_is_whole(request.body) or isinstance(_start(request), int),
    )


def _is_whole(body: object) -> bool:
    """Tell whether a body is there as often as it is sent."""
    return body is None or isinstance(body, bytes | str)


def _start(request: requests.PreparedRequest) -> object:
    """Return where a file that is sent began; no number if nobody knows."""
    return getattr(request, "_body_position", None)


def _time(
    guarded: Guarded,
    exchange: Exchange[requests.Response],
    request: requests.PreparedRequest,
) -> Time:
    """Return what an attempt has."""
    return guarded.time(exchange.plan, sent=lambda name: name in request.headers)


def _prepared(
    request: requests.PreparedRequest, time: Time, *, again: bool
) -> requests.PreparedRequest:
    """Return the request of one attempt: whole, and saying how long it may take."""
    if again and isinstance(_start(request), int):
        rewind_body(request)

    if time.field is None:
        return request

    made = request.copy()
    made.headers[time.field[0]] = time.field[1]
    return made


def _bounded(timeout: Timeouts, time: Time) -> Timeouts:
    """Return a session's time-outs, none longer than what is left."""
    if time.bound(None) is None:
        return timeout

    if isinstance(timeout, Timeout):
        connect, read = timeout.connect_timeout, timeout.read_timeout
        own = (_number(connect), _number(read))
    else:
        own = timeout if isinstance(timeout, tuple) else (timeout, timeout)

    return time.bound(own[0]), time.bound(own[1])


def _number(value: object) -> float | None:
    """Return a time-out of urllib3's; None if it is one of its marks for "none"."""
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _judged(
    response: requests.Response, request: requests.PreparedRequest
) -> requests.Response:
    """Return a response, or raise it if it counts as failed."""
    if not is_failure(response.status_code):
        return response

    text = f"answered with {response.status_code}"
    raise named_by(response.status_code, _Failed)(
        text, request=request, response=response
    )


def _close(response: requests.Response) -> None:
    with _closing:
        response.close()
