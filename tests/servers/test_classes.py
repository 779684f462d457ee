"""Django under real servers: each class is refused in its turn, probes never."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest

from tests.servers.harness import Service, eventually, sample_of

GTHREAD = ["gunicorn", "--bind", "127.0.0.1:{port}", "-k", "gthread", "--threads", "12"]
GTHREAD += ["--no-control-socket", "tests.servers.apps.classes_django:application"]
UVICORN = ["uvicorn", "--port", "{port}", "--log-level", "warning"]
UVICORN += ["tests.servers.apps.classes_django:application"]
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tests.servers.apps.classes_settings",
    "SVCREADY_HTTP_SHEDDING": "enforce",
    "SVCREADY_HTTP_SHEDDING_MIN_LIMIT": "5",
    "SVCREADY_HTTP_SHEDDING_MAX_LIMIT": "5",
}


@pytest.mark.parametrize(
    ("command", "more"),
    [(GTHREAD, {}), (UVICORN, {"DJANGO_ON_ASGI": "1"})],
    ids=["gthread", "uvicorn"],
)
def test_classes_are_refused_in_their_turn(
    tmp_path: Path, command: list[str], more: dict[str, str]
) -> None:
    """With three in flight sheddable is refused, with four default, with five all."""
    gate = tmp_path / "gate"
    environ = {**SETTINGS, **more, "GATE": str(gate)}
    with Service(command, tmp_path, environ=environ) as service:

        def in_flight() -> float:
            page = service.get("/metrics").body
            labels = {"component": "load_shedding", "name": "http"}
            return sample_of(page, "svcready_resilience_in_use", **labels)

        def are(wanted: int) -> bool:
            return in_flight() == wanted

        statuses = []
        threads = []
        for held in range(6):
            paths = ("/search", "/plain", "/orders/7")
            statuses.append([service.get(path).status for path in paths])
            assert service.get("/health/readiness").status == 200
            if held < 5:
                threads.append(threading.Thread(target=service.get, args=("/held",)))
                threads[-1].start()
                eventually(partial(are, held + 1), "one more is in flight")

        gate.touch()
        for thread in threads:
            thread.join()

        assert eventually(partial(are, 0), "all have left")

    assert statuses == [
        [200, 200, 200],
        [200, 200, 200],
        [200, 200, 200],
        [503, 200, 200],
        [503, 503, 200],
        [503, 503, 503],
    ]
