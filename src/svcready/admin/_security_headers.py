"""The security headers that responses carry, for an API or for pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready.config._sections.http import HttpSettings

__all__ = ["security_headers"]

_API = (
    # A browser takes the body for what its type says, and for no script.
    ("x-content-type-options", "nosniff"),
    # Should a body be shown as a page all the same, it may load and run nothing, and
    # nobody may frame it; the older header says the latter to older browsers.
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    # No other site may embed an answer, nor keep hold of a window that shows one;
    # what CORS allows is allowed.
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
)
_WEB = (
    ("x-content-type-options", "nosniff"),
    # The site's own pages may frame each other.
    ("x-frame-options", "SAMEORIGIN"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    # Windows that the page itself opens, to log in or to pay, still reach it.
    ("cross-origin-opener-policy", "same-origin-allow-popups"),
)
_SETS = {"off": (), "api": _API, "web": _WEB}


def security_headers(settings: HttpSettings) -> tuple[tuple[str, str], ...]:
    """
    Return what every response carries that has none of its own, names in lower case.

    Follows what OWASP's HTTP Headers and REST Security cheat sheets advise, as far as
    it breaks nothing that works. Strict-Transport-Security goes out with every
    response: browsers heed it over HTTPS only (RFC 6797, section 8.1), and whether a
    proxy in front speaks that is not asked for each request.
    """
    headers = _SETS[settings.security_headers]
    if settings.hsts_s <= 0.0:
        return headers

    return (*headers, ("strict-transport-security", f"max-age={settings.hsts_s:.0f}"))
