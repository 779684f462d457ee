"""One response over WSGI: what the wrapper learns of it, and the body that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.adapters._lifecycle import CLIENT_CLOSED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from svcready.adapters._lifecycle import Request
    from svcready.adapters._plan import RequestPlan

__all__ = ["REQUEST", "Body", "InFlight"]

REQUEST = "svcready.request"
"""The environ key of the request in flight, set for adapters that learn more."""

_FAILED = 500


class InFlight:
    """What the wrapper learns of one response while it passes by."""

    __slots__ = (
        "_client",
        "_length",
        "_plan",
        "error",
        "request",
        "route",
        "sent",
        "status",
    )

    def __init__(
        self,
        plan: RequestPlan,
        request: Request,
        client: str | None,
        length: int | None,
    ) -> None:
        self._plan = plan
        self.request = request
        self.status = 0
        self.sent = 0
        self.route: str | None = None
        self.error: BaseException | None = None
        self._client = client
        self._length = length

    def note_error(self, error: BaseException) -> None:
        """Log what the framework is about to answer with a 500."""
        self.error = error
        self._plan.log_error(error)

    def complete(self) -> None:
        """Record the response as it is known now."""
        self.request.complete(
            self.route,
            self.status or _FAILED,
            self.error,
            request_bytes=self._length,
            response_bytes=self.sent,
            client=self._client,
        )

    def end(self, error: BaseException | None) -> None:
        """Record the response and unbind the context, whatever happened."""
        if error is not None:
            self.error = error
            if not isinstance(error, Exception):  # the server gave the request up
                self.status = self.status or CLIENT_CLOSED

        self.complete()
        self.request.close()


class Body:
    """The response's body; the request ends when the server closes it."""

    __slots__ = ("_chunks", "_flight", "_next", "_open")

    def __init__(self, chunks: Iterable[bytes], flight: InFlight) -> None:
        self._chunks = chunks
        self._next = iter(chunks).__next__
        self._flight = flight
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._next()
        except StopIteration:
            raise
        except BaseException as error:
            self._flight.error = error
            raise

        self._flight.sent += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the application's iterable, then end the request."""
        if not self._open:
            return

        self._open = False
        error: BaseException | None = self._flight.error
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._flight.end(error)
