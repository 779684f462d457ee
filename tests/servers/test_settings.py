from __future__ import annotations

import re
from pathlib import Path

import pytest

from svcready.config import reference
from tests.servers.harness import Service, eventually, sample_of
from tests.servers.matrix import SERVERS, Stack, start

NONSENSE = "?!nonsense"
STANDARDS = {
    "AWS_XRAY_DAEMON_ADDRESS": NONSENSE,
    "LOG_LEVEL": NONSENSE,
    "OTEL_BSP_EXPORT_TIMEOUT": NONSENSE,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": NONSENSE,
    "OTEL_BSP_MAX_QUEUE_SIZE": NONSENSE,
    "OTEL_BSP_SCHEDULE_DELAY": "-5",
    "OTEL_EXPORTER_OTLP_COMPRESSION": NONSENSE,
    "OTEL_EXPORTER_OTLP_ENDPOINT": NONSENSE,
    "OTEL_EXPORTER_OTLP_HEADERS": NONSENSE,
    "OTEL_EXPORTER_OTLP_PROTOCOL": NONSENSE,
    "OTEL_EXPORTER_OTLP_TIMEOUT": NONSENSE,
    "OTEL_PROPAGATORS": NONSENSE,
    "OTEL_SDK_DISABLED": NONSENSE,
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": NONSENSE,
    "OTEL_TRACES_EXPORTER": NONSENSE,
    "OTEL_TRACES_SAMPLER": NONSENSE,
    "OTEL_TRACES_SAMPLER_ARG": NONSENSE,
}
HARMLESS = {
    # They switch the thing off whose report is read here, or any text is right.
    "SVCREADY_CORE_STRICT",
    "SVCREADY_SERVICE_NAME",
    "SVCREADY_SERVICE_VERSION",
    "SVCREADY_SERVICE_ENVIRONMENT",
    "SVCREADY_SERVICE_NAMESPACE",
    "SVCREADY_SERVICE_INSTANCE",
    "SVCREADY_LOG_REDACT_KEYS",
    "SVCREADY_LOG_REDACT_SAFE_KEYS",
    "SVCREADY_ADMIN_PORT",  # nonsense there closes the page with the gauge
    "SVCREADY_ADMIN_TOKENS",
    "SVCREADY_ADMIN_READ_TOKENS",
    "SVCREADY_ADMIN_OIDC_READ_ROLES",
    "SVCREADY_ADMIN_OIDC_WRITE_ROLES",
    "SVCREADY_GROUP__SOMETHING__CHECKS",
    "SVCREADY_XRAY_ANNOTATIONS",  # attributes have any name
    "SVCREADY_OTLP_HEADERS",  # would make the standard one nobody's concern
}


def every_variable() -> dict[str, str]:
    """Return each variable of the reference that can be wrong, set to nonsense."""
    own = {
        row.variable.replace("<NAME>", "SOMETHING"): NONSENSE
        for row in reference()
        if row.type not in {"text", "path"}
    }
    return {name: text for name, text in own.items() if name not in HARMLESS}


def problems_of(service: Service) -> list[str]:
    """Return the problems that the start line names, and those that follow it."""
    lines = eventually(lambda: service.started_lines, "the start line")
    assert len(lines) == 1
    further = [it for it in service.lines if it.get("event") == "svcready.problems"]
    problems: list[str] = []
    for line in (*lines, *further):
        context = line["context"]
        assert isinstance(context, dict)
        problems += context["problems"]

    return problems


def stack_of(name: str) -> Stack:
    """Return the stack called *name*."""
    return next(stack for stack in SERVERS if stack.name == name)


BOTH = pytest.mark.parametrize(
    "stack",
    [
        stack_of("fastapi-uvicorn"),
        stack_of("flask-gunicorn"),
        stack_of("django-uvicorn"),
    ],
    ids=str,
)


@BOTH
def test_nonsense_everywhere_is_reported_and_served(
    stack: Stack, tmp_path: Path
) -> None:
    """
    With every variable set to nonsense, the standard ones included, the service
    starts; one report names each of them, and the gauge counts them.
    """
    environ = {**every_variable(), **STANDARDS}
    if stack.framework == "fastapi":
        # FastAPI imports OpenTelemetry's propagators, which raise over a wrong name,
        # before any line of the service can run.
        del environ["OTEL_PROPAGATORS"]

    with start(stack, tmp_path, **environ) as service:
        problems = problems_of(service)
        answer = service.get("/orders/1")
        page = service.get("/metrics").body

        assert answer.status == 200
        assert len(answer.headers["x-request-id"]) == 32
        named = {
            match[0]
            for problem in problems
            for match in re.finditer(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+", problem)
        }
        assert set(environ) - named == set()
        assert sample_of(page, "svcready_config_errors") == len(problems)
        assert "Traceback" not in service.errors


@BOTH
def test_unknown_variables_are_reported_with_the_nearest(
    stack: Stack, tmp_path: Path
) -> None:
    """A misspelt variable is reported with the one that was probably meant."""
    with start(
        stack,
        tmp_path,
        SVCREADY_LOG_LEVLE="DEBUG",
        OTEL_TRACES_SAMPLR="always_on",
        SVCREADY_CHECK__DATABSE__TIMEOUT_S="1",
    ) as service:
        text = "\n".join(problems_of(service))

        assert "SVCREADY_LOG_LEVEL" in text
        assert "OTEL_TRACES_SAMPLER" in text
        assert "SVCREADY_CHECK__DATABSE" in text


@BOTH
def test_strict_mode_makes_one_error_of_it(stack: Stack, tmp_path: Path) -> None:
    """With `SVCREADY_CORE_STRICT=true` the service does not start: one error, no 0."""
    service = start(
        stack,
        tmp_path,
        SVCREADY_CORE_STRICT="true",
        SVCREADY_LOG_LEVEL=NONSENSE,
        SVCREADY_TRACING_SAMPLING=NONSENSE,
    )
    try:
        service.launch()
        code = service.wait(20)
    finally:
        service.kill()

    assert code != 0
    told = service.errors + service.output
    assert "SVCREADY_LOG_LEVEL" in told
    assert "SVCREADY_TRACING_SAMPLING" in told
    assert "2 problems in the configuration" in told


@pytest.mark.parametrize("tokens", ["", ",", "  ,  ", "a b", "\x01\x02"])
def test_malformed_tokens_admit_nobody(tmp_path: Path, tokens: str) -> None:
    """Malformed admin tokens close /admin, whatever is offered; nothing is opened."""
    with start(
        stack_of("fastapi-uvicorn"), tmp_path, SVCREADY_ADMIN_TOKENS=tokens
    ) as service:
        for offered in ("", tokens.strip(), "Bearer ", f"Bearer {tokens}"):
            headers = {"Authorization": offered} if offered.isprintable() else {}
            assert service.get("/admin/health", headers).status in {401, 404}


@BOTH
def test_switched_off_it_is_not_there(stack: Stack, tmp_path: Path) -> None:
    """`SVCREADY_CORE_ENABLED=false` leaves the service as it is without us."""
    service = start(stack, tmp_path, SVCREADY_CORE_ENABLED="false")
    with service:
        answer = service.get("/orders/1")

        assert answer.status == 200
        assert "x-request-id" not in answer.headers
        assert "traceresponse" not in answer.headers
        assert service.get("/metrics").status == 404
        assert "svcready" not in service.output
