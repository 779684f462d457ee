"""The access log: one line per request."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.logging._claims import claim
from svcready.logging._logger import is_alone
from svcready.logging._records import ACCESS_LOGGER, FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.logging._handler import LineHandler
    from svcready.logging._lines._request import Request

__all__ = ["AccessLog"]

_SERVER_ERROR = 500
_SPARINGLY_S = 10.0
_MOST_KEPT = 1024


class AccessLog:
    """
    Writes one line per request, on the logger `svcready.access`.

    The level is INFO, WARN if the status says that the server failed, ERROR if there
    is an exception whose line has not been written yet: then this line carries it.
    Of requests that a limit or load shedding refused one every 10 s, by route and
    status, has its line so and the others have theirs at DEBUG: an overload is no
    time to write more, and their numbers are in the metrics and on a line of their own.

    Args:
        handler: Writes the lines.
        now: A monotonic clock, in seconds.
    """

    __slots__ = ("_enabled", "_handler", "_next_s", "_now", "_std")

    def __init__(
        self, handler: LineHandler, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._next_s: dict[tuple[str, int], float] = {}
        self._handler = handler
        self._std = std = logging.getLogger(ACCESS_LOGGER)
        # The very dict in which stdlib remembers its answers; see `Logger`.
        self._enabled: dict[int, bool] = getattr(std, "_cache", {})

    def write(
        self,
        method: str,
        route: str,
        status: int,
        duration_s: float,
        request_bytes: int | None = None,
        response_bytes: int | None = None,
        client: str | None = None,
        error: BaseException | None = None,
        *,
        refused: bool = False,
    ) -> None:
        """
        Write the line of a request that has ended.

        Args:
            method: The request's method.
            route: The route's template, never the path.
            status: The response's status.
            duration_s: From the request's arrival to the last byte of the response.
            request_bytes: Size of the request's body, if known.
            response_bytes: Size of the response's body, if known.
            client: The peer's address, if known.
            error: What the application raised, if it did.
            refused: Whether a policy refused the request.
        """
        try:
            if error is not None and not claim(error):
                error = None

            level = 30 if status >= _SERVER_ERROR else 20
            if error is not None:
                level = 40
            elif refused and not self._is_due(route, status):
                level = 10

            handler = self._handler
            std = self._std
            enabled = self._enabled.get(level)
            if enabled is None:
                enabled = std.isEnabledFor(level)

            if level < handler.level or not enabled:
                return

            request = (
                method,
                route,
                status,
                duration_s,
                request_bytes,
                response_bytes,
                client,
                error,
            )
            if is_alone(std, handler):
                handler.write(
                    handler.lines.request_line(level, request, handler.time_ns()),
                    level,
                )
            else:
                self._record(level, request)
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", fault)

    def _is_due(self, route: str, status: int) -> bool:
        """Tell whether a refusal has a line; threads at once may write one too many."""
        now_s, subject = self._now(), (route, status)
        if now_s < self._next_s.get(subject, -math.inf):
            return False

        if len(self._next_s) >= _MOST_KEPT:
            self._next_s.clear()

        self._next_s[subject] = now_s + _SPARINGLY_S
        return True

    def _record(self, level: int, request: Request) -> None:
        method, route, status, *_, error = request
        record = self._std.makeRecord(
            ACCESS_LOGGER,
            level,
            "",
            0,
            f"{method} {route} {status}",
            (),
            None if error is None else (type(error), error, error.__traceback__),
        )
        record.__dict__[FIELDS] = request
        self._std.handle(record)
