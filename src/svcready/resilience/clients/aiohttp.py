"""A policy around every request of an aiohttp session."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, cast

import aiohttp
from aiohttp.payload import BytesPayload

from svcready.resilience._http._errors import is_failure
from svcready.resilience._http._exchange import Exchange
from svcready.resilience._http._guarded import Guarded, within
from svcready.resilience._http._named import named_by
from svcready.resilience._layering._layers import HEDGE, RETRY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

    from svcready.resilience._composing._policy import Policy
    from svcready.resilience._http._guarded import Time

__all__ = ["PolicyMiddleware"]


class PolicyMiddleware:
    """
    A middleware of `aiohttp.ClientSession` that makes every request under a policy.

    ```python
    session = aiohttp.ClientSession(middlewares=[PolicyMiddleware("payments")])
    ```

    It needs aiohttp 3.12. The application gets the response as always, whatever its
    status: one that counts as failed (500 and above, 408, 429) is an error to the
    policy's parts only, which `svcready.resilience.http` knows. What the policy refuses
    is raised: `CircuitOpen` and the others. Redirects are requests of their own.

    The outcome is told when the response's headers are in; a bulkhead's permit is held
    till the connection is given back. A body that is not there as bytes is sent once,
    and no two attempts run at the same time. aiohttp's own second try after a broken
    connection is left out where the policy retries.

    A request ends when the deadline in force has passed, which the server is told in
    `X-Request-Timeout-Ms` (`SVCREADY_HTTP_DEADLINE_HEADER`).

    Args:
        policy: The policy, or its name.
        per_host: A policy for each host, of the same parts but with a state of its
            own, called `payments.api-example-com`; the hosts beyond 32 share the
            policy itself.
        send_deadline: Whether the server is told of the deadline.

    Raises:
        DeclarationError: It is no policy.
    """

    __slots__ = ("_guarded",)

    def __init__(
        self,
        policy: Policy | str,
        *,
        per_host: bool = False,
        send_deadline: bool = True,
    ) -> None:
        self._guarded = Guarded(policy, per_host=per_host, send_deadline=send_deadline)

    async def __call__(
        self, request: ClientRequest, handler: ClientHandlerType
    ) -> ClientResponse:
        """
        Make a request under the policy.

        Raises:
            Rejected: The policy refused.
        """
        _stop_second_try(request)
        exchange = _exchange(self._guarded, request)

        async def attempt(request: ClientRequest) -> ClientResponse:
            before = exchange.begin()
            error: Exception | None = None
            time: Time | None = None
            field: str | None = None
            try:
                for passed in before:
                    passed.close()
                    await request.close()

                time = self._guarded.time(
                    exchange.plan, sent=lambda name: name in request.headers
                )
                if time.field is not None:
                    field, request.headers[time.field[0]] = time.field

                async with within(time):
                    response = await handler(request)

                exchange.brought(response)
                return _judged(response)
            except Exception as failure:
                error = exchange.judged(failure, time)
                if error is failure:
                    raise

                raise error from failure
            finally:
                if field is not None:
                    request.headers.popall(field, None)

                exchange.end(error)
                del error  # its traceback holds this frame

        kept: ClientResponse | None = None
        try:
            kept = await cast(
                "Awaitable[ClientResponse]", exchange.guard(attempt)(request)
            )
        except _Failed as failed:
            kept = exchange.failed(failed, failed.response)
        except Exception as error:
            _note_failure(exchange, request, error)
            raise
        finally:
            _settle(exchange, kept)

        return kept


class _Failed(aiohttp.ClientResponseError):
    """An answer that counts as failed, as the policy's parts see it."""

    def __init__(self, response: ClientResponse) -> None:
        super().__init__(
            response.request_info,
            response.history,
            status=response.status,
            message=response.reason or "",
            headers=response.headers,
        )
        self.response = response


def _settle(exchange: Exchange[ClientResponse], kept: ClientResponse | None) -> None:
    """Close what the application doesn't get, and hold what it does."""
    for other in exchange.settle(kept):
        other.close()
        exchange.closed(other)

    if kept is None or kept.connection is None:
        exchange.release()
    elif exchange.holds:
        kept.connection.add_callback(exchange.release)


class _Failure(NamedTuple):
    """The last failure that aiohttp may answer with a second try of its own."""

    timer: object
    """What all tries of one request have in common."""
    error: Exception


_LAST: ContextVar[_Failure | None] = ContextVar("svcready.aiohttp", default=None)


def _note_failure(
    exchange: Exchange[ClientResponse], request: ClientRequest, error: Exception
) -> None:
    """Keep what aiohttp may take as a reason to begin again, past the policy."""
    retries = not exchange.plan.layers.keys().isdisjoint((RETRY, HEDGE))
    if retries and isinstance(
        error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError
    ):
        _LAST.set(_Failure(_timer(request), error))


def _stop_second_try(request: ClientRequest) -> None:
    """Raise again what the policy gave up on, if this is aiohttp's own second try."""
    last = _LAST.get()
    if last is not None:
        _LAST.set(None)
        if last.timer is not None and last.timer is _timer(request):
            raise last.error


def _timer(request: ClientRequest) -> object:
    return getattr(request, "_timer", None) or getattr(request, "timer", None)


def _exchange(guarded: Guarded, request: ClientRequest) -> Exchange[ClientResponse]:
    url, body = request.url, request.body
    return Exchange(
        guarded.plan(url.scheme, url.host or "", url.port),
        request.method,
        request.headers,
        repeatable=isinstance(body, bytes | BytesPayload),
        parallel=False,
    )


def _judged(response: ClientResponse) -> ClientResponse:
    """Return a response, or raise it if it counts as failed."""
    if not is_failure(response.status):
        return response

    raise named_by(response.status, _Failed)(response)
