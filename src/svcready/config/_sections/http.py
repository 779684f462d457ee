"""The section HTTP: inbound requests, responses' headers, access lines, shedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from svcready.config._access_kinds import NETWORKS
from svcready.config._kinds import (
    FLAG,
    choice,
    duration,
    integer,
    matching,
    number,
    words,
)
from svcready.config._priorities_text import PRIORITIES
from svcready.config._rate_limits import RATE_RULES
from svcready.config._sections.admin import NOBODY
from svcready.config._setting import setting

if TYPE_CHECKING:
    from svcready.config._priorities_text import PriorityRule
    from svcready.config._rate_limits import RateRule

__all__ = ["HttpSettings"]

_HEADER = matching(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", "a header's name")
_LIMIT = integer(1, 100_000)
_PREFIX = matching(
    r"(?:/[A-Za-z0-9._~-]+)*", "a path such as /ops, without a slash at its end"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpSettings:
    """Inbound requests, their responses' headers, access lines."""

    section: ClassVar[str] = "HTTP"

    enabled: bool = setting(True, FLAG, "Wraps web applications at all")
    path_prefix: str = setting(
        "", _PREFIX, "Stands before /health, /metrics and /admin, to move them"
    )
    request_id_header: str = setting(
        "X-Request-ID", _HEADER, "Carries the id of this hop's request"
    )
    correlation_id_header: str = setting(
        "X-Correlation-ID", _HEADER, "Carries the id that a chain of calls shares"
    )
    deadline_header: str = setting(
        "X-Request-Timeout-Ms",
        _HEADER,
        "Carries how many milliseconds are left, to and from other services",
    )
    deadline_trusted: tuple[str, ...] = setting(
        (),
        NETWORKS,
        "Networks of the peers whose deadlines are believed, as 10.0.0.0/8",
        closed=NOBODY,
        follows="nobody's deadline is believed",
    )
    deadline_max_s: float = setting(
        60.0, duration(0.001, 86_400.0), "The longest that a peer's deadline leaves"
    )
    deadline_default_s: float = setting(
        0.0,
        duration(0.0, 86_400.0),
        "What a request may take where no peer says; 0 doesn't bound it",
    )
    access_log: bool = setting(
        True, FLAG, "Writes one log line per request", reloadable=True
    )
    response_headers: bool = setting(
        True, FLAG, "Sends the request's and the trace's ids back to the caller"
    )
    answer_refusals: bool = setting(
        True,
        FLAG,
        "Answers requests in which a policy's refusal or time-out came up unhandled "
        "with 503 or 504; otherwise they are errors, 500",
        reloadable=True,
    )
    trusted_hops: int = setting(
        0,
        integer(0, 32),
        "How many proxies in front are ours, to find the caller's address",
    )
    trusted_header: str = setting(
        "x-forwarded-for",
        choice("x-forwarded-for", "forwarded"),
        "Which header these proxies write; the other one is a caller's invention",
    )
    rate_limits: tuple[RateRule, ...] = setting(
        (),
        RATE_RULES,
        "Limits what callers may ask, by rules separated by semicolons",
        reloadable=True,
    )
    rate_limit_headers: tuple[str, ...] = setting(
        ("ratelimit",),
        words("ratelimit", "legacy", "partition-key"),
        "What responses say of limits: the RateLimit fields, X-RateLimit-* besides, "
        "and a hash of whose share it is",
    )
    security_headers: str = setting(
        "off",
        choice("off", "api", "web"),
        "Adds the usual security headers to responses that lack them: those of an API, "
        "or of pages for browsers",
    )
    hsts_s: float = setting(
        0.0,
        duration(),
        "For how long browsers must use HTTPS from now on, by "
        "Strict-Transport-Security; 0 doesn't say so",
    )
    openapi: bool = setting(
        False, FLAG, "Adds svcready's own paths to FastAPI's OpenAPI document"
    )
    shedding: str = setting(
        "off",
        choice("off", "observe", "enforce"),
        "Answers requests with 503 when more are in flight than latency allows; "
        "observe: tells which, and serves them",
        reloadable=True,
    )
    shedding_initial_limit: int = setting(
        20,
        _LIMIT,
        "How many requests may be in flight before latency is known",
        reloadable=True,
    )
    shedding_min_limit: int = setting(
        5, _LIMIT, "The limit never falls below this", reloadable=True
    )
    shedding_max_limit: int = setting(
        200, _LIMIT, "The limit never rises above this", reloadable=True
    )
    shedding_tolerance: float = setting(
        1.5,
        number(1.0, 10.0),
        "How many times the usual latency lowers the limit",
        reloadable=True,
    )
    shedding_smoothing: float = setting(
        0.2,
        number(0.01, 1.0),
        "How much of the way to its new value the limit goes in a window",
        reloadable=True,
    )
    shedding_window_s: float = setting(
        1.0,
        duration(0.1, 60.0),
        "How long latency is measured before the limit moves",
        reloadable=True,
    )
    priorities: tuple[PriorityRule, ...] = setting(
        (),
        PRIORITIES,
        "Which routes are shed last and which first: "
        "`POST /orders critical; GET /search sheddable`",
        reloadable=True,
    )
    rate_limit_store: str = setting(
        "memory",
        choice("memory", "redis"),
        "Where rate limits count: each process for itself, or all of the service "
        "together in SVCREADY_RESILIENCE_REDIS_URL",
    )
    rate_limit_on_store_failure: str = setting(
        "local",
        choice("local", "open", "closed"),
        "What holds while that Redis does not answer: local: each process counts for "
        "itself; open: everything is let through; closed: nothing is",
    )
