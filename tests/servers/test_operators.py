from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from svcready.logging import audit
from tests.servers.harness import Service, eventually
from tests.servers.matrix import SERVERS, Stack, start

THREE = pytest.mark.parametrize(
    "stack",
    [
        stack
        for stack in SERVERS
        if stack.name in {"fastapi-uvicorn", "flask-gunicorn", "django-uvicorn"}
    ],
    ids=str,
)


@pytest.mark.parametrize("probe", ["liveness", "readiness", "startup"])
def test_probes_answer_without_a_trace(service: Service, probe: str) -> None:
    """Probes are answered with a minimal body, and give no access line and no ids."""
    before = len([line for line in service.lines if "http" in line])

    answer = service.get(f"/health/{probe}")

    assert answer.status == 200
    assert json.loads(answer.body) == {"status": "pass"}
    assert answer.headers["content-type"] == "application/health+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "x-request-id" not in answer.headers
    service.access_line(service.get("/plain").headers["x-request-id"])
    assert len([line for line in service.lines if "http" in line]) == before + 1


def test_the_page_speaks_both_formats(service: Service) -> None:
    """`/metrics` gives Prometheus's text, and OpenMetrics to who prefers it."""
    plain = service.get("/metrics")
    preferred = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    openmetrics = service.get("/metrics", {"Accept": preferred})

    assert plain.headers["content-type"].startswith("text/plain")
    assert openmetrics.headers["content-type"].startswith(
        "application/openmetrics-text"
    )
    assert openmetrics.body.endswith(b"# EOF\n")


def test_the_page_tells_how_the_process_runs(service: Service, stack: Stack) -> None:
    """Pauses everywhere, and the lag of the event loop where one serves."""
    assert service.total("process_threads") >= service.workers
    assert service.total("python_gc_duration_seconds_count") > 0
    assert service.total("process_context_switches_total") > 0
    lag = "svcready_event_loop_lag_seconds_count"
    if stack.is_asgi:
        eventually(lambda: service.total(lag) >= service.workers, "a lag is measured")
    else:
        assert service.total(lag) == 0


@pytest.mark.parametrize(
    ("offered", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Basic the-right-token", 401),
        ("Bearer the-right-token", 200),
        ("bearer the-right-token", 200),
    ],
)
def test_the_deep_report_is_behind_a_token(
    service: Service, offered: str | None, status: int
) -> None:
    """`/admin/health` asks for a token and tells all to who has it."""
    headers = {} if offered is None else {"Authorization": offered}

    answer = service.get("/admin/health", headers)

    assert answer.status == status
    if status == 200:
        report = json.loads(answer.body)
        assert report["status"] == "pass"
        assert report["serviceId"] == "orders"
    else:
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert b"orders" not in answer.body


def test_decisions_about_the_admin_are_audited(service: Service) -> None:
    """Each request that was let in has an entry, and what was refused too."""
    before = len(service.audit_entries)
    service.get("/admin/health", {"Authorization": "Bearer the-right-token"})
    service.get("/admin/health", {"Authorization": f"Basic {uuid.uuid4()}"})

    def decided() -> set[object]:
        return {entry["outcome"] for entry in service.audit_entries[before:]}

    eventually(lambda: "success" in decided(), "an entry of the audit log")
    assert eventually(
        lambda: [e for e in service.audit_entries if e["outcome"] == "denied"],
        "an entry of a refusal",
    )
    assert "the-right-token" not in service.output
    validator = Draft202012Validator(audit.schema())
    for entry in service.audit_entries:
        validator.validate(entry)


@THREE
def test_without_tokens_there_is_no_admin(stack: Stack, tmp_path: Path) -> None:
    """In production without tokens `/admin` does not exist, from this machine too."""
    with start(stack, tmp_path) as service:
        assert service.get("/admin/health").status == 404
        bearer = {"Authorization": "Bearer x"}
        assert service.get("/admin/health", bearer).status == 404


@THREE
def test_development_opens_it_to_this_machine_only(
    stack: Stack, tmp_path: Path
) -> None:
    """
    In development a loopback peer with a loopback Host and no forwarding header is
    admitted; a page elsewhere (by its Host) or a proxy's client is not.
    """
    with start(stack, tmp_path, SVCREADY_SERVICE_ENVIRONMENT="development") as service:
        assert service.get("/admin/health").status == 200
        for headers in (
            {"Host": "evil.example"},
            {"Host": "localhost.evil.example"},
            {"X-Forwarded-For": "127.0.0.1"},
            {"Forwarded": "for=127.0.0.1"},
            {"X-Forwarded-Host": "localhost"},
        ):
            assert service.get("/admin/health", headers).status == 404, headers
