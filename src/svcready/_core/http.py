"""HTTP's words that several parts must spell alike."""

from __future__ import annotations

__all__ = ["METHODS", "OTHER_VALUE", "UNMATCHED"]

METHODS = frozenset(
    {
        *("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"),
        *("QUERY", "TRACE"),
    }
)
"""The methods that OpenTelemetry's conventions tell apart (RFC 9110, RFC 5789)."""

OTHER_VALUE = "_OTHER"
"""What every other method (or scheme) is called: clients cannot make up series."""

UNMATCHED = "__unmatched__"
"""The route of every request that no route matched: one value, one series."""
