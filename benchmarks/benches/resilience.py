"""What a guarded call that succeeds costs."""

from __future__ import annotations

from benchmarks.model import Bench, Group, Subject

BREAKER = Bench(
    "breaker",
    Group.RESILIENCE,
    (
        Subject("svcready", "resilience:ours_breaker", "defaults", ours=True),
        Subject("circuitbreaker", "resilience:circuitbreaker", "defaults"),
        Subject("purgatory", "resilience:purgatory", "defaults"),
        Subject("pybreaker", "resilience:pybreaker", "defaults"),
        Subject("floor", "resilience:floor", "a closure"),
    ),
)

BREAKER_ASYNC = Bench(
    "breaker async",
    Group.RESILIENCE,
    (
        Subject("svcready", "resilience:ours_breaker_async", "defaults", ours=True),
        Subject("circuitbreaker", "resilience:circuitbreaker_async", "defaults"),
        Subject("purgatory", "resilience:purgatory_async", "defaults"),
        Subject("floor", "resilience:floor_async", "a closure"),
    ),
)

RETRY = Bench(
    "retry",
    Group.RESILIENCE,
    (
        Subject("svcready", "resilience:ours_retry", "defaults", ours=True),
        Subject("stamina", "resilience:stamina", "defaults"),
        Subject("tenacity", "resilience:tenacity", "3 attempts, full jitter"),
        Subject("backoff", "resilience:backoff", "3 attempts"),
        Subject("floor", "resilience:floor", "a closure"),
    ),
)

RETRY_ASYNC = Bench(
    "retry async",
    Group.RESILIENCE,
    (
        Subject("svcready", "resilience:ours_retry_async", "defaults", ours=True),
        Subject("stamina", "resilience:stamina_async", "defaults"),
        Subject("tenacity", "resilience:tenacity_async", "3 attempts, full jitter"),
        Subject("backoff", "resilience:backoff_async", "3 attempts"),
        Subject("floor", "resilience:floor_async", "a closure"),
    ),
)

POLICY = Bench(
    "policy",
    Group.RESILIENCE,
    (
        Subject("svcready", "policies:ours", "all five parts", ours=True),
        Subject(
            "stamina over circuitbreaker", "policies:stamina_circuitbreaker", "defaults"
        ),
        Subject(
            "tenacity over pybreaker", "policies:tenacity_pybreaker", "full jitter"
        ),
        Subject("floor", "resilience:floor", "a closure"),
    ),
)

POLICY_ASYNC = Bench(
    "policy async",
    Group.RESILIENCE,
    (
        Subject("svcready", "policies:ours_async", "all five parts", ours=True),
        Subject(
            "stamina over circuitbreaker",
            "policies:stamina_circuitbreaker_async",
            "defaults",
        ),
        Subject("floor", "resilience:floor_async", "a closure"),
    ),
)

BENCHES = (
    BREAKER,
    BREAKER_ASYNC,
    RETRY,
    RETRY_ASYNC,
    POLICY,
    POLICY_ASYNC,
)
