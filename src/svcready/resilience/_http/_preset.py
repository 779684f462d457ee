"""The preset `http`: what guards a dependency that is called over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience import http
from svcready.resilience._admitting._bulkhead import bulkhead
from svcready.resilience._breaking._circuit import circuit_breaker
from svcready.resilience._retrying._retry import retry
from svcready.resilience._timing._deadline_part import deadline
from svcready.resilience._timing._timeout import timeout

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["preset"]


def preset() -> Mapping[str, object]:
    """
    Return the parts: all that bounds a call, and what repeats and refuses it.

    The bulkhead is as wide as httpx's own pool of connections, and waits as long. No
    throttle: where calls are few, one answer of 503 makes it hold the next ones back.
    """
    return {
        "deadline": deadline(within=30.0),
        "retry": retry(on=http.transient, retry_after=http.retry_after),
        "bulkhead": bulkhead(max_concurrent=100, max_queue=100, max_wait=5.0),
        "breaker": circuit_breaker(
            success=http.answered, inconclusive=http.local, probe_lease=20.0
        ),
        "timeout": timeout(after=10.0),
    }
