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
    from svcready._core.context import bind, bound
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
        circuit_breaker,
        limit,
        on_pressure,
        policy,
        pressure,
        priority,
        retry,
    )
    from svcready.tracing import annotate, carry_context, link, metadata, span

__all__ = [
    "Runtime",
    "adapters",
    "annotate",
    "audit",
    "bind",
    "bound",
    "carry_context",
    "circuit_breaker",
    "counted",
    "counter",
    "drain",
    "errors",
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
    "priority",
    "resilience",
    "resume",
    "retry",
    "shutdown",
    "span",
    "testing",
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
    "carry_context": "svcready.tracing",
    "circuit_breaker": "svcready.resilience",
    "counted": "svcready.metrics",
    "counter": "svcready.metrics",
    "drain": "svcready._runtime",
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
    "priority": "svcready.resilience",
    "resume": "svcready._runtime",
    "retry": "svcready.resilience",
    "shutdown": "svcready._runtime",
    "span": "svcready.tracing",
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
