"""The kinds of values that say where something is: URLs and regions of AWS."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from svcready.config._kinds import TEXT, Kind

__all__ = ["ENDPOINT", "REGION", "URL", "URL_OR_NOTHING"]

_FORM = re.compile(r"[a-z]+(-[a-z0-9]+)+")
_LONGEST = 63
_HOST_PORT = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_MAX_PORT = 65535


def _parse_url(raw: object) -> str:
    text = TEXT.parse(raw)
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(raw)

    if parts.port == 0 or any(mark in text for mark in " \t\r\n"):
        raise ValueError(raw)

    return text


def _parse_url_or_nothing(raw: object) -> str:
    return TEXT.parse(raw) and _parse_url(raw)


def _parse_endpoint(raw: object) -> str:
    text = TEXT.parse(raw)
    found = _HOST_PORT.fullmatch(text)
    if found and 0 < int(found[1]) <= _MAX_PORT:
        return text

    return _parse_url(raw)


def _parse_region(raw: object) -> str:
    text = TEXT.parse(raw)
    if text and (len(text) > _LONGEST or not _FORM.fullmatch(text)):
        raise ValueError(raw)

    return text


URL = Kind("url", _parse_url, "a URL that begins with http:// or https://")
ENDPOINT = Kind(
    "url",
    _parse_endpoint,
    f"{URL.allowed}; for grpc host:port will do",
)
URL_OR_NOTHING = Kind("url", _parse_url_or_nothing, URL.allowed)
REGION = Kind("region", _parse_region, "a region of AWS such as eu-west-1")
