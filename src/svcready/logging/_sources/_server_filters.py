"""What servers and frameworks say of a request beside our access line."""

from __future__ import annotations

import logging
import re

__all__ = ["FILTERS", "Uncolored"]

_COLORS = re.compile(r"\x1b\[[0-9;]*m")


class Uncolored(logging.Filter):
    """Takes a terminal's colours out of messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change *record*, and keep it."""
        if isinstance(record.msg, str) and "\x1b[" in record.msg:
            record.msg = _COLORS.sub("", record.msg)

        return True


class _WerkzeugRequests(logging.Filter):
    """Drops the request lines of werkzeug's development server."""

    def filter(self, record: logging.LogRecord) -> bool:
        return " - - [" not in str(record.msg)


class _DjangoServer(logging.Filter):
    """Drops the request lines of `manage.py runserver`."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not hasattr(record, "server_time")


class _DjangoRefusals(logging.Filter):
    """Drops Django's lines about 4xx answers, which say what the access line says."""

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", 500)
        return bool(record.exc_info) or not 400 <= status < 500


FILTERS: dict[str, type[logging.Filter]] = {
    "werkzeug": _WerkzeugRequests,
    "django.server": _DjangoServer,
    "django.request": _DjangoRefusals,
}
"""By the logger that each is put on while our access lines are written."""
