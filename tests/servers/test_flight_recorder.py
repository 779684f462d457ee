from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.matrix import SERVERS, Stack, start
from tests.servers.test_output import schema

NAMES = ("fastapi-uvicorn", "flask-gunicorn", "django-gunicorn", "django-uvicorn")


@pytest.mark.parametrize(
    "stack", [stack for stack in SERVERS if stack.name in NAMES], ids=str
)
def test_a_failed_request_has_its_debug_lines(stack: Stack, tmp_path: Path) -> None:
    """
    Under a real server a request that fails has the lines that led to it, before its
    error's and its access line, each once and of the schema; one that is well has none.
    """
    service = start(stack, tmp_path, SVCREADY_LOG_FLIGHT_RECORDER="50")
    with service:
        well = service.get("/orders/1").headers["x-request-id"]
        service.access_line(well)
        failed = service.get("/boom/north")
        assert failed.status == 500
        service.access_line(failed.headers["x-request-id"])
        lines = service.lines_of(failed.headers["x-request-id"])
        assert not [line for line in service.lines_of(well) if "recorded" in line]

    shown = [
        (line["level"], "recorded" in line, str(line["message"])) for line in lines
    ]
    assert shown[0] == ("DEBUG", True, "about to fail with north")
    assert [level for level, _, _ in shown] == ["DEBUG", "ERROR", "WARN"]
    assert "http" in lines[-1]
    assert len({line["span_id"] for line in lines}) == 1
    for line in lines:
        assert not [error.message for error in schema().iter_errors(line)], line
