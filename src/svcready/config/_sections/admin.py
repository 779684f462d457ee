"""The section ADMIN: the operator's surface and who may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG, NAMES, Kind, integer, matching
from svcready.config._setting import setting

__all__ = ["NOBODY", "AdminSettings"]

NOBODY = ("\0",)
"""Tokens that no request can present: a header holds no NUL."""

_TOKEN = matching(r"[\x21-\x7e]{1,512}", "visible ASCII")
_HOST = matching(r"[A-Za-z0-9.:_-]{1,253}", "an address or a host's name")


def _parse_tokens(raw: object) -> tuple[str, ...]:
    tokens = tuple(_TOKEN.parse(token) for token in NAMES.parse(raw))
    if not tokens:  # a list was meant: commas alone must not mean "none needed"
        raise ValueError

    return tokens


_TOKENS = Kind(
    "list",
    _parse_tokens,
    "tokens of 1 to 512 visible ASCII characters separated by commas",
    show=",".join,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdminSettings:
    """The operator's surface and who may use it."""

    section: ClassVar[str] = "ADMIN"

    enabled: bool = setting(True, FLAG, "Serves /admin/*", closed=False)
    tokens: tuple[str, ...] = setting(
        (),
        _TOKENS,
        "Who may use it, by `Authorization: Bearer`; none set closes it",
        secret=True,
        closed=NOBODY,
    )
    port: int = setting(
        0,
        integer(0, 65535),
        "A port of its own for /admin and /metrics; 0 serves them with the application",
    )
    host: str = setting(
        "0.0.0.0",  # noqa: S104 - probes and scrapers come from outside the container
        _HOST,
        "The address that this port listens on",
        relaxed="127.0.0.1",
        closed="127.0.0.1",
    )
