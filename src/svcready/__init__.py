"""
One call makes a Python microservice production-ready.

```python
import svcready
from fastapi import FastAPI

app = FastAPI()
svcready.init(service="orders", app=app)
```

Importing this package imports nothing else: each name loads its own part when it is
first used.
"""

from __future__ import annotations

# `typing` would be most of what importing this costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from svcready import (
        adapters,
        errors,
        health,
        logging,
        metrics,
        resilience,
        testing,
        tracing,
    )
    from svcready._core.context import bind, bound, degraded
    from svcready._runtime import Runtime, drain, init, resume, shutdown
    from svcready.adapters import wrap
    from svcready.logging import audit, get_logger
    from svcready.metrics import (
        counted,
        counter,
        gauge,
        histogram,
        timer,
        up_down_counter,
    )
    from svcready.resilience import (
        bulkhead,
        circuit_breaker,
        deadline,
        fallback,
        limit,
        on_pressure,
        policy,
        pressure,
        rate_limit,
        remaining,
        retry,
        shielded,
        stale,
        throttle,
        timeout,
    )
    from svcready.tracing import annotate, carry_context, link, metadata, span

__all__ = [
    "Runtime",
    "adapters",
    "annotate",
    "audit",
    "bind",
    "bound",
    "bulkhead",
    "carry_context",
    "circuit_breaker",
    "counted",
    "counter",
    "deadline",
    "degraded",
    "drain",
    "errors",
    "fallback",
    "gauge",
    "get_logger",
    "health",
    "histogram",
    "init",
    "limit",
    "link",
    "logging",
    "metadata",
    "metrics",
    "on_pressure",
    "policy",
    "pressure",
    "rate_limit",
    "remaining",
    "resilience",
    "resume",
    "retry",
    "shielded",
    "shutdown",
    "span",
    "stale",
    "testing",
    "throttle",
    "timeout",
    "timer",
    "tracing",
    "up_down_counter",
    "wrap",
]

_MODULES = {
    "Runtime": "svcready._runtime",
    "annotate": "svcready.tracing",
    "bind": "svcready._core.context",
    "bound": "svcready._core.context",
    "bulkhead": "svcready.resilience",
    "carry_context": "svcready.tracing",
    "circuit_breaker": "svcready.resilience",
    "counted": "svcready.metrics",
    "counter": "svcready.metrics",
    "deadline": "svcready.resilience",
    "degraded": "svcready._core.context",
    "drain": "svcready._runtime",
    "fallback": "svcready.resilience",
    "gauge": "svcready.metrics",
    "get_logger": "svcready.logging",
    "histogram": "svcready.metrics",
    "init": "svcready._runtime",
    "limit": "svcready.resilience",
    "link": "svcready.tracing",
    "metadata": "svcready.tracing",
    "on_pressure": "svcready.resilience",
    "policy": "svcready.resilience",
    "pressure": "svcready.resilience",
    "rate_limit": "svcready.resilience",
    "remaining": "svcready.resilience",
    "resume": "svcready._runtime",
    "retry": "svcready.resilience",
    "shielded": "svcready.resilience",
    "shutdown": "svcready._runtime",
    "span": "svcready.tracing",
    "stale": "svcready.resilience",
    "throttle": "svcready.resilience",
    "timeout": "svcready.resilience",
    "timer": "svcready.metrics",
    "up_down_counter": "svcready.metrics",
    "wrap": "svcready.adapters",
}
_PLACES = {"audit": "svcready.logging.audit"}
"""Modules that the face has under another name."""
_PACKAGES = frozenset(__all__) - _MODULES.keys()


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        value: object = getattr(import_module(_MODULES[name]), name)
    elif name in _PACKAGES:
        value = import_module(_PLACES.get(name, f"svcready.{name}"))
    elif name == "__version__":
        from importlib.metadata import version

        value = version("svcready")
    else:
        msg = f"module 'svcready' has no attribute {name!r}"
        raise AttributeError(msg)

    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
