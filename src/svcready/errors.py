"""
Every error that svcready raises, in one tree.

```
SvcreadyError
├── ConfigurationError      settings are wrong and strict mode is on
├── DeclarationError        wrong code: a name, argument or duplicate (ValueError)
├── MissingExtraError       an optional package is not installed (ImportError)
├── AuditError              an audit record could not be written (strict audit only)
├── Rejected                a policy refused to make the call; nothing was called
│   ├── CircuitOpen
│   ├── BulkheadFull
│   ├── RateLimited
│   ├── LoadShed
│   ├── Throttled
│   └── DeadlineSpent
├── AttemptTimeout          one attempt ran out of time (TimeoutError)
└── DeadlineExceeded        the whole call ran out of time (TimeoutError)
```

The application's own errors are never wrapped: a retry that gives up re-raises the
last error unchanged.
"""

from __future__ import annotations

__all__ = [
    "AttemptTimeout",
    "AuditError",
    "BulkheadFull",
    "CircuitOpen",
    "ConfigurationError",
    "DeadlineExceeded",
    "DeadlineSpent",
    "DeclarationError",
    "LoadShed",
    "MissingExtraError",
    "RateLimited",
    "Rejected",
    "SvcreadyError",
    "Throttled",
]


class SvcreadyError(Exception):
    """The root of every error that svcready raises."""


class ConfigurationError(SvcreadyError):
    """
    Settings are wrong, and strict mode asks for an error instead of a report.

    Args:
        problems: One line per problem: variable, masked value, what is allowed.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        many = f"{len(problems)} problems" if len(problems) != 1 else "1 problem"
        super().__init__(
            f"svcready: {many} in the configuration\n"
            + "\n".join(f"  - {problem}" for problem in problems)
        )

    def __reduce__(self) -> tuple[type[ConfigurationError], tuple[tuple[str, ...]]]:
        """Have copies and other processes make it of its problems, not of its text."""
        return type(self), (self.problems,)


class DeclarationError(SvcreadyError, ValueError):
    """Code declares something wrong: a bad name, argument, or a second meaning."""


class MissingExtraError(SvcreadyError, ImportError):
    """A feature was asked for whose optional package is not installed."""


class AuditError(SvcreadyError):
    """An audit record could not be written and `SVCREADY_AUDIT_STRICT` is on."""


def _rounded(number: object) -> str:
    """Return a number as people read it: three digits that count, no exponent."""
    if not isinstance(number, int | float):
        return repr(number)

    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


class Rejected(SvcreadyError):
    """
    A policy refused to make the call, so nothing was called.

    Args:
        name: The policy's or breaker's name.
        reason: Why, as a fixed word (`open`, `full`, `rate`, `spent`, ...).
        retry_after: Seconds after which a new try can succeed; None if unknown.
    """

    def __init__(
        self, name: str, reason: str, retry_after: float | None = None
    ) -> None:
        self.name = name
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(name, reason, retry_after)

    def __str__(self) -> str:
        wait = self.retry_after
        hint = "" if wait is None else f"; retry after {_rounded(wait)} s"
        return f"{self.name}: {self.reason}{hint}"

    def __repr__(self) -> str:
        wait = self.retry_after
        hint = "" if wait is None else f", retry_after={_rounded(wait)}"
        return f"{type(self).__name__}({self.name!r}, {self.reason!r}{hint})"


class CircuitOpen(Rejected):
    """The circuit breaker is open, or half-open with its probe already running."""


class BulkheadFull(Rejected):
    """As many calls as the bulkhead admits are already running and waiting."""


class RateLimited(Rejected):
    """The rate limit has no room for this call now."""


class LoadShed(Rejected):
    """
    The service has too much to do, and sheds this piece of work.

    For the application to raise while it serves a request, before the response begins:
    the request is answered 503 with problem details (`temporary-reduced-capacity`) and
    `Retry-After`, as those are that load shedding refuses.

    Args:
        name: What is overloaded: a queue, a report.
        reason: Why, as a fixed word (`full`, `pressure`, ...).
        retry_after: Seconds after which a new try can succeed; None: 1, 2 or 3 by
            chance.
    """


class Throttled(Rejected):
    """Client-side throttling holds this call back from an overloaded dependency."""


class DeadlineSpent(Rejected):
    """No time was left before the call could start."""


class AttemptTimeout(SvcreadyError, TimeoutError):
    """
    One attempt took longer than its policy's `timeout`.

    Args:
        said: What happened.
        name: The policy's name; empty: not known.
    """

    def __init__(self, *said: object, name: str = "") -> None:
        self.name = name
        super().__init__(*said)


class DeadlineExceeded(SvcreadyError, TimeoutError):
    """
    The whole call, retries included, took longer than its `deadline`.

    Args:
        said: What happened.
        name: The policy's name; empty: not known.
    """

    def __init__(self, *said: object, name: str = "") -> None:
        self.name = name
        super().__init__(*said)
