"""What requests cost, on three frameworks."""

from __future__ import annotations

from benchmarks.model import Bench, Group, Subject

REQUESTS = 300
"""Per round: few enough that no batch queue overflows, even with three spans each."""

STACK = (
    "OTel instrumentation, BatchSpanProcessor, OTLP over HTTP; correlation ids; one "
    "JSON access line by python-json-logger (orjson)"
)


def _share(sampled: float) -> str:
    return f"{sampled:.0%}"


def _ours(module: str, sampled: float, *, label: str = "svcready") -> Subject:
    return Subject(
        f"{label} {_share(sampled)}",
        f"{module}:ours",
        "svcready.init(service=..., app=app)",
        {"sampled": sampled},
        ours=True,
        logs=True,
        spans=sampled / 2,
    )


def _peer(
    module: str,
    sampled: float,
    setup: str,
    *,
    factory: str = "peer_stack",
    label: str = "peer stack",
) -> Subject:
    return Subject(
        f"{label} {_share(sampled)}",
        f"{module}:{factory}",
        f"{STACK}; {setup}",
        {"sampled": sampled},
        logs=True,
        spans=sampled / 2,
    )


def _logfire(module: str, sampled: float) -> Subject:
    return Subject(
        f"logfire {_share(sampled)}",
        f"{module}:logfire",
        "logfire.configure + instrument_fastapi, OTLP over HTTP, no log line",
        {"sampled": sampled},
        distro=True,
        spans=sampled / 2,
    )


_FASTAPI = "request_fastapi"
_INSTRUMENTATOR = "prometheus-fastapi-instrumentator, asgi-correlation-id"

FASTAPI = Bench(
    "fastapi",
    Group.REQUEST,
    (
        Subject("bare", f"{_FASTAPI}:bare", "FastAPI alone"),
        _ours(_FASTAPI, 0.05),
        _ours(_FASTAPI, 1.0),
        _peer(_FASTAPI, 0.05, _INSTRUMENTATOR),
        _peer(_FASTAPI, 1.0, _INSTRUMENTATOR),
        _peer(
            _FASTAPI,
            0.05,
            "no send/receive spans, one histogram, unchecked ids",
            factory="peer_stack_tuned",
            label="tuned stack",
        ),
        _peer(
            _FASTAPI,
            1.0,
            "no send/receive spans, one histogram, unchecked ids",
            factory="peer_stack_tuned",
            label="tuned stack",
        ),
        _peer(
            _FASTAPI,
            0.05,
            'access line by @app.middleware("http")',
            factory="peer_stack_usual",
            label="usual stack",
        ),
        _logfire(_FASTAPI, 0.05),
        _logfire(_FASTAPI, 1.0),
    ),
    count=REQUESTS,
)

FLASK = Bench(
    "flask",
    Group.REQUEST,
    (
        Subject("bare", "request_flask:bare", "Flask alone"),
        _ours("request_flask", 0.05),
        _ours("request_flask", 1.0),
        _peer("request_flask", 0.05, "prometheus-flask-exporter"),
        _peer("request_flask", 1.0, "prometheus-flask-exporter"),
    ),
    count=REQUESTS,
)

DJANGO = Bench(
    "django",
    Group.REQUEST,
    (
        Subject("bare", "request_django:bare", "Django alone, no middleware"),
        _ours("request_django", 0.05),
        _ours("request_django", 1.0),
        _peer("request_django", 0.05, "django-prometheus, django-guid"),
        _peer("request_django", 1.0, "django-prometheus, django-guid"),
    ),
    count=REQUESTS,
)

BUSY = Bench(
    "busy",
    Group.REQUEST,
    (
        Subject("bare", "request_busy:bare", "the same handler, nothing observed"),
        _ours("request_busy", 0.05),
        _peer("request_busy", 0.05, "stamina over circuitbreaker"),
        _logfire("request_busy", 0.05),
    ),
    count=REQUESTS,
)

PROBE = Bench(
    "probe",
    Group.REQUEST,
    (
        Subject("svcready", f"{_FASTAPI}:our_probe", "/health/liveness", ours=True),
        Subject("route", f"{_FASTAPI}:route_probe", "an async FastAPI route"),
    ),
)

BENCHES = (FASTAPI, FLASK, DJANGO, BUSY, PROBE)
