"""Deadlines of requests under real servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.servers.matrix import SERVERS, Stack, start

if TYPE_CHECKING:
    from pathlib import Path

SOME = {"fastapi-uvicorn", "flask-gunicorn", "django-uvicorn", "django-gunicorn"}


@pytest.mark.parametrize("stack", [s for s in SERVERS if s.name in SOME], ids=str)
def test_a_spent_one_is_a_504(stack: Stack, tmp_path: Path) -> None:
    """The application isn't called, and the request has its line."""
    spent = {"X-Request-Timeout-Ms": "0", "X-Request-ID": "spent-one"}
    timely = {"X-Request-Timeout-Ms": "60000", "X-Request-ID": "timely-one"}
    with start(stack, tmp_path, SVCREADY_HTTP_DEADLINE_TRUSTED="127.0.0.1") as service:
        refused = service.get("/orders/7", spent)
        served = service.get("/orders/7", timely)
        line = service.access_line("spent-one")["http"]
        said = {entry["message"] for entry in service.lines_of("spent-one")}
        probe = service.get("/health/liveness", spent)

    assert (refused.status, served.status, probe.status) == (504, 200, 200)
    headers = {name.lower(): value for name, value in refused.headers.items()}
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == "spent-one"
    assert json.loads(refused.body)["status"] == 504
    assert isinstance(line, dict)
    assert line["status"] == 504
    assert "order read" not in said
