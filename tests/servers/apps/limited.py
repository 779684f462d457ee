"""What the services that limit their callers share."""

from __future__ import annotations

from typing import Any

import svcready

RULES = "GET /shared/* 20/h by address as shared; * 3/h by tenant as tenants"
ENVIRON = {"SVCREADY_HTTP_RATE_LIMITS": RULES, "SVCREADY_HTTP_TRUSTED_HOPS": "1"}


@svcready.resilience.resolver("tenant")
def tenant(request: Any) -> str:
    return str(request.headers.get("x-tenant") or "nobody")


@svcready.resilience.resolver("later")
async def later(request: Any) -> str:
    return tenant(request)


def is_wrong(token: str | None) -> bool:
    """Tell whether middleware is to answer 401."""
    return (token or "").startswith("guess")
