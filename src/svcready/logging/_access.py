"""The access log: one line per request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.logging._claims import claim
from svcready.logging._logger import is_alone
from svcready.logging._records import ACCESS_LOGGER, FIELDS

if TYPE_CHECKING:
    from svcready.logging._handler import LineHandler
    from svcready.logging._lines._request import Request

__all__ = ["AccessLog"]

_SERVER_ERROR = 500


class AccessLog:
    """
    Writes one line per request, on the logger `svcready.access`.

    The level is INFO, WARN if the status says that the server failed, ERROR if there
    is an exception whose line has not been written yet: then this line carries it.

    Args:
        handler: Writes the lines.
    """

    __slots__ = ("_enabled", "_handler", "_std")

    def __init__(self, handler: LineHandler) -> None:
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
        """
        try:
            if error is not None and not claim(error):
                error = None

            level = 30 if status >= _SERVER_ERROR else 20
            if error is not None:
                level = 40

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
