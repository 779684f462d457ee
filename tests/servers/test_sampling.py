"""Sampling under real servers: workers share what a second may bring."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.servers.harness import Service, eventually

if TYPE_CHECKING:
    from pathlib import Path

_WORKERS = 4
_WINDOW_S = 8.0
_GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}", "--no-control-socket")
_THREADS = ("-k", "gthread", "--threads", "4", "--keep-alive", "75")
_SAMPLED = "03"
"""The flags of `traceresponse` where the request was sampled."""


@pytest.mark.parametrize("more", [(), ("--preload",)], ids=["each-imports", "preload"])
def test_four_workers_share_one_a_second(more: tuple[str, ...], tmp_path: Path) -> None:
    """
    Together they sample about one request a second, and each of them its part.

    Alone each would sample one a second: 32 in the eight seconds that are looked at.
    """
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    app = "tests.servers.apps.sampled:app"
    with Service(
        [*_GUNICORN, "--workers", str(_WORKERS), *_THREADS, *more, app],
        tmp_path,
        workers=_WORKERS,
        environ={
            "SVCREADY_CORE_RUN_DIR": str(run_dir),
            "SVCREADY_TRACING_RULES": "* /sampling 0; * /who 0; GET /hit 1/s",
            "SVCREADY_TRACING_SAMPLING": "0",
        },
    ) as service:
        pids = service.worker_pids()

        def shared() -> bool:
            said = [service.on_worker(pid, "/sampling").body for pid in pids]
            return all(
                json.loads(body)["sampling"].endswith(f"by {_WORKERS} processes")
                for body in said
            )

        eventually(shared, "the workers know of each other")
        _hit(service, pids, 1.0)  # what each had left from when it was alone
        sampled = _hit(service, pids, _WINDOW_S)

    assert set(sampled) <= set(pids)
    assert all(1 <= sampled[pid] <= 4 for pid in pids), sampled
    assert 4 <= sum(sampled.values()) <= 14, sampled


def _hit(service: Service, pids: list[int], for_s: float) -> Counter[int]:
    """Ask all workers again and again; count what each sampled."""
    sampled: Counter[int] = Counter()
    ends_s = time.monotonic() + for_s
    while time.monotonic() < ends_s:
        for pid in pids:
            answer = service.on_worker(pid, "/hit")
            flags = answer.headers["traceresponse"].rpartition("-")[2]
            sampled[json.loads(answer.body)["pid"]] += flags == _SAMPLED

        threading.Event().wait(0.02)

    return sampled
