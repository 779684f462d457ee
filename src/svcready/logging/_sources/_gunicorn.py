"""Gunicorn's logger, in the schema from the first line of its parent process on."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from gunicorn.glogging import Logger

from svcready.logging._formatter import JsonFormatter

if TYPE_CHECKING:
    from datetime import timedelta

    from gunicorn._types import _EnvironType as Environ
    from gunicorn.config import Config
    from gunicorn.http import Request
    from gunicorn.http.wsgi import Response

__all__ = ["GunicornLogger"]


class GunicornLogger(Logger):
    """
    Writes what gunicorn says as lines of schema v1, to standard output.

    For `gunicorn --logger-class svcready.logging.GunicornLogger`, or the same in
    `GUNICORN_CMD_ARGS`. The parent process never imports the application: who the
    service is stands in the environment there. In a worker `init()` takes over, and
    gunicorn's access log is off as soon as svcready writes its own.

    Files and syslog stay where gunicorn's options send them; files get JSON too.
    """

    def setup(self, cfg: Config) -> None:
        """Make gunicorn's handlers, then have those that it made itself write JSON."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                if getattr(handler, "_gunicorn", False) and isinstance(
                    handler, logging.StreamHandler
                ):
                    handler.setFormatter(JsonFormatter())
                    if not isinstance(handler, logging.FileHandler):
                        handler.setStream(sys.stdout)

    @property
    def access_log_enabled(self) -> bool:
        """Whether anybody would see an access line, so that none is made in vain."""
        theirs: object = getattr(super(), "access_log_enabled", True)  # gunicorn 24
        return bool(theirs) and not self.access_log.disabled

    def access(
        self, resp: Response, req: Request, environ: Environ, request_time: timedelta
    ) -> None:
        """Write gunicorn's access line, unless svcready writes its own."""
        if self.access_log_enabled:
            super().access(resp, req, environ, request_time)
