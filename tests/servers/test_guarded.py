"""Guards in plain dependencies, which a real server runs in threads."""

from __future__ import annotations

import json
from pathlib import Path

from tests.servers.harness import Service, eventually

UVICORN = ["uvicorn", "--port", "{port}", "--log-level", "warning"]
UVICORN += ["tests.servers.apps.guarded:app"]


def told(service: Service) -> list[str]:
    """Return what was said of guards."""
    return [
        str(line["message"])
        for line in service.lines
        if "resilience.guard" in str(line.get("message"))
    ]


def test_dependencies_are_guarded(tmp_path: Path) -> None:
    """
    Either spelling holds a permit for the request and gives it back; the bad one is
    told once, with the good one, and that is never told.
    """
    with Service(UVICORN, tmp_path) as service:

        def read(path: str) -> object:
            return json.loads(service.get(path).body)

        for _ in range(4):
            assert read("/well") == [1, 1]
            eventually(lambda: read("/level") == [0, "closed"], "the permit is back")

        assert told(service) == []
        for _ in range(4):
            assert read("/badly") == [1, 1]
            eventually(lambda: read("/level") == [0, "closed"], "the permit is back")

        for _ in range(2):
            assert service.get("/fails").status == 500

        eventually(lambda: read("/level") == [0, "open"], "it heard of both failures")

    lines = told(service)
    assert len(lines) == 1, lines
    assert "with x.guard():" in lines[0]
