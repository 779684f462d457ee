"""A policy around every request of an httpx client, sync or async."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import httpx

from svcready._core.guard import guard
from svcready.resilience._http._errors import is_failure
from svcready.resilience._http._exchange import Exchange
from svcready.resilience._http._guarded import Guarded, within
from svcready.resilience._http._named import named_by
from svcready.resilience.clients._closing import Closing
from svcready.resilience.clients._held import HeldAsyncStream, HeldStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from types import TracebackType
    from typing import Self

    from svcready.resilience._composing._policy import Policy
    from svcready.resilience._http._guarded import Time

__all__ = ["AsyncPolicyTransport", "PolicyTransport"]

_PHASES = ("connect", "read", "write", "pool")
_closing = guard("resilience.clients.httpx", foreign=True)


class PolicyTransport(httpx.BaseTransport):
    """
    A transport of `httpx.Client` that makes every request under a policy.

    ```python
    client = httpx.Client(transport=PolicyTransport("payments"))
    ```

    The application gets the response as always, whatever its status: one that counts
    as failed (500 and above, 408, 429) is an error to the policy's parts only, which
    `svcready.resilience.http` knows. What the policy refuses is raised: `CircuitOpen`
    and the others. Redirects are requests of their own.

    The outcome is told when the response's headers are in; a bulkhead's permit is held
    till the response is closed. A body that can't be sent again (a generator) is sent
    once, and a request that is not idempotent never twice at the same time.

    Each of the client's time-outs is at most what the deadline in force leaves, which
    the server is told in `X-Request-Timeout-Ms` (`SVCREADY_HTTP_DEADLINE_HEADER`).

    Args:
        policy: The policy, or its name.
        transport: What makes the attempts; None: `httpx.HTTPTransport()`, which knows
            no proxies, certificates or limits that the client was given.
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
        transport: httpx.BaseTransport | None = None,
        *,
        per_host: bool = False,
        send_deadline: bool = True,
    ) -> None:
        self._guarded = Guarded(policy, per_host=per_host, send_deadline=send_deadline)
        self._transport = transport or httpx.HTTPTransport()
        self._closing = Closing()

    def __enter__(self) -> Self:
        self._transport.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        try:
            self._closing.finish()
        finally:
            self._transport.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close the transport that makes the attempts, and first what has lost."""
        try:
            self._closing.finish()
        finally:
            self._transport.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """
        Make a request under the policy.

        Raises:
            Rejected: The policy refused.
        """
        exchange = _exchange(self._guarded, request)

        def attempt(request: httpx.Request) -> httpx.Response:
            before = exchange.begin()
            error: Exception | None = None
            time: Time | None = None
            try:
                for passed in before:
                    _close(passed)

                time = _time(self._guarded, exchange, request)
                response = self._transport.handle_request(_prepared(request, time))
                if not exchange.brought(response):
                    self._closing.here(exchange, response)

                return _judged(response, request)
            except Exception as failure:
                error = exchange.judged(failure, time)
                if error is failure:
                    raise

                raise error from failure
            finally:
                exchange.end(error)
                del error  # its traceback holds this frame

        kept: httpx.Response | None = None
        try:
            kept = cast("httpx.Response", exchange.guard(attempt)(request))
        except _Failed as failed:
            kept = exchange.failed(failed, failed.response)
        finally:
            for other in exchange.settle(kept):
                self._closing.in_thread(exchange, other)

            if kept is None:
                exchange.release()

        if exchange.holds and kept.is_closed:
            exchange.release()  # a transport's that has read it all: nobody closes it
        elif exchange.holds:
            inner = cast("httpx.SyncByteStream", kept.stream)
            kept.stream = HeldStream(inner, exchange)

        return kept


class AsyncPolicyTransport(httpx.AsyncBaseTransport):
    """
    A transport of `httpx.AsyncClient` that makes every request under a policy.

    It does as `PolicyTransport` does.

    Args:
        policy: The policy, or its name.
        transport: What makes the attempts; None: `httpx.AsyncHTTPTransport()`.
        per_host: A policy for each host, of the same parts.
        send_deadline: Whether the server is told of the deadline.

    Raises:
        DeclarationError: It is no policy.
    """

    def __init__(
        self,
        policy: Policy | str,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        per_host: bool = False,
        send_deadline: bool = True,
    ) -> None:
        self._guarded = Guarded(policy, per_host=per_host, send_deadline=send_deadline)
        self._transport = transport or httpx.AsyncHTTPTransport()
        self._closing = Closing()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        try:
            await self._closing.finish_async()
        finally:
            await self._transport.__aexit__(kind, error, trace)

    async def aclose(self) -> None:
        """Close the transport that makes the attempts, and first what has lost."""
        try:
            await self._closing.finish_async()
        finally:
            await self._transport.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Make a request under the policy.

        Raises:
            Rejected: The policy refused.
        """
        exchange = _exchange(self._guarded, request)

        async def attempt(request: httpx.Request) -> httpx.Response:
            before = exchange.begin()
            error: Exception | None = None
            time: Time | None = None
            try:
                for passed in before:
                    await _aclose(passed)

                time = _time(self._guarded, exchange, request)
                made = _prepared(request, time)
                async with within(time):
                    response = await self._transport.handle_async_request(made)

                if not exchange.brought(response):
                    await _aclose(response)

                return _judged(response, request)
            except Exception as failure:
                error = exchange.judged(failure, time)
                if error is failure:
                    raise

                raise error from failure
            finally:
                exchange.end(error)
                del error  # its traceback holds this frame

        kept: httpx.Response | None = None
        try:
            made = cast("Awaitable[httpx.Response]", exchange.guard(attempt)(request))
            kept = await made
        except _Failed as failed:
            kept = exchange.failed(failed, failed.response)
        finally:
            others = exchange.settle(kept)
            if kept is None:
                exchange.release()

            await self._part(exchange, others, kept)

        if exchange.holds and kept.is_closed:
            exchange.release()
        elif exchange.holds:
            inner = cast("httpx.AsyncByteStream", kept.stream)
            kept.stream = HeldAsyncStream(inner, exchange)

        return kept

    async def _part(
        self,
        exchange: Exchange[httpx.Response],
        others: Iterable[httpx.Response],
        kept: httpx.Response | None,
    ) -> None:
        """
        Close the answers that are not the application's; losers in tasks.

        Cancelled meanwhile, also what nobody will get then.
        """
        try:
            if exchange.is_race:
                await self._closing.in_tasks(exchange, others)
            else:
                for other in others:
                    await _aclose(other)
                    exchange.closed(other)
        except BaseException:
            exchange.release()
            if kept is not None:
                await _aclose(kept)

            raise


class _Failed(httpx.HTTPStatusError):
    """An answer that counts as failed, as the policy's parts see it."""


def _exchange(guarded: Guarded, request: httpx.Request) -> Exchange[httpx.Response]:
    url = request.url
    return Exchange(
        guarded.plan(url.scheme, url.host, url.port),
        request.method,
        request.headers,
        repeatable=isinstance(request.stream, httpx.ByteStream),
    )


def _time(
    guarded: Guarded, exchange: Exchange[httpx.Response], request: httpx.Request
) -> Time:
    """Return what an attempt has."""
    return guarded.time(exchange.plan, sent=lambda name: name in request.headers)


def _prepared(request: httpx.Request, time: Time) -> httpx.Request:
    """Return the request of one attempt: within its time, and saying so."""
    made = httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions=_extensions(request, time),
    )
    if time.field is not None:
        made.headers[time.field[0]] = time.field[1]

    return made


def _extensions(request: httpx.Request, time: Time) -> dict[str, object]:
    own = cast("dict[str, float | None]", request.extensions.get("timeout") or {})
    if time.bound(None) is None:
        return request.extensions

    timeout = {phase: time.bound(own.get(phase)) for phase in _PHASES}
    return {**request.extensions, "timeout": timeout}


def _judged(response: httpx.Response, request: httpx.Request) -> httpx.Response:
    """Return a response, or raise it if it counts as failed."""
    if not is_failure(response.status_code):
        return response

    response.request = request
    raise named_by(response.status_code, _Failed)(
        f"answered with {response.status_code}", request=request, response=response
    )


def _close(response: httpx.Response) -> None:
    with _closing:
        response.close()


async def _aclose(response: httpx.Response) -> None:
    with _closing:
        await response.aclose()
