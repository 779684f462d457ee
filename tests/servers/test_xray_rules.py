from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("botocore")

from tests.servers.harness import eventually
from tests.servers.matrix import SERVERS, Stack, start
from tests.tracing.sampling.central.driving import make_clock
from tests.tracing.sampling.central.fake_xray import FakeXray, require_model, rule
from tests.tracing.sampling.central.loopback import serve

require_model()

NAMES = ("fastapi-uvicorn", "fastapi-gunicorn-asgi-preload", "flask-gunicorn-preload")


@pytest.mark.parametrize(
    "stack", [stack for stack in SERVERS if stack.name in NAMES], ids=str
)
def test_each_worker_samples_by_the_rules_of_x_ray(
    stack: Stack, tmp_path: Path
) -> None:
    """
    Whatever forked it and when, each worker asks for the rules itself, from its first
    request on, and samples by them: all of one path, none of another.
    """
    xray = FakeXray(make_clock())
    xray.change(
        rule("orders", URLPath="/orders/*", FixedRate=1.0),
        rule("rest", FixedRate=0.0, ReservoirSize=0, Priority=200),
    )
    with serve(xray) as url:
        service = start(
            stack,
            tmp_path,
            SVCREADY_XRAY_SAMPLING="true",
            SVCREADY_XRAY_SAMPLING_ENDPOINT=url,
        )
        with service:
            for pid in service.worker_pids():

                def sampled(path: str, pid: int = pid) -> list[bool]:
                    headers = [service.on_worker(pid, path).headers for _ in range(12)]
                    return [it["traceresponse"][-1] in "13" for it in headers]

                eventually(lambda: all(sampled("/orders/1")), "the rules are there")
                assert not any(sampled("/who"))

    assert len(xray.asked("/GetSamplingRules")) == stack.workers
