"""PutMetricData as one call sets it up, from the first count to the last line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.errors import MissingExtraError
from svcready.testing import running

pytest.importorskip("boto3")

from tests.metrics.sinks.cloudwatch.put.metrics_server import MetricsServer, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetricsServer]:
    """Run the strict server, in an account."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = MetricsServer()
    yield made
    made.stop()


def variables(server: MetricsServer) -> dict[str, str]:
    """Return what an operator would set."""
    return {
        "SVCREADY_CLOUDWATCH_MODE": "api",
        "SVCREADY_CLOUDWATCH_NAMESPACE": "Shop",
        "SVCREADY_CLOUDWATCH_ENDPOINT": server.url,
    }


def test_what_was_counted_is_at_cloudwatch_in_the_end(server: MetricsServer) -> None:
    """In the first dimension set and the others, with percentiles of distributions."""
    orders = svcready.counter("put_orders", "Orders", labels=("kind",))
    sizes = svcready.histogram("put_sizes", "Sizes", unit="By")
    with running(environ=variables(server)) as harness:
        assert harness.runtime.metrics is not None
        assert "cloudwatch" in harness.runtime.metrics.describe()["sinks"]  # type: ignore[operator]
        orders.labels("retail").inc(3)
        sizes.observe(100)
        assert harness.runtime.flush(10)
        orders.labels("retail").inc(4)

    sums = {
        dims: total
        for (name, dims), total in server.sums.items()
        if name == "put_orders"
    }
    environment = ("Environment", harness.runtime.identity.environment)
    assert sums == {(environment,): 7, (environment, ("kind", "retail")): 7}
    assert server.counts["put_sizes", (environment,)] == 1
    assert server.units["put_sizes", (environment,)] == "Bytes"
    assert {namespace for namespace, _ in server.requests} == {"Shop"}
    assert not [line for line in harness.lines if "lost" in str(line)]


def test_what_was_not_sent_is_in_the_last_line(server: MetricsServer) -> None:
    """And in the count of what was thrown away; the outage was told once."""
    orders = svcready.counter("put_lost_orders", "Orders")
    server.weather = lambda: Refused("AccessDenied", 403)
    with running(environ=variables(server)) as harness:
        harness.runtime.ready()
        orders.inc()
        assert not harness.runtime.flush(10)

    events = [line.get("event") for line in harness.lines]
    assert events.count("svcready.destination.failed") == 1
    (line,) = [x for x in harness.lines if x.get("event") == "svcready.stopped"]
    lost = line["context"]["lost"]["metrics"]  # type: ignore[index]
    assert lost["deadline"] >= 1
    (failed,) = [
        x for x in harness.lines if x.get("event") == "svcready.destination.failed"
    ]
    assert str(failed["message"]).startswith(
        "metrics cannot be delivered to CloudWatch: AWS answers AccessDenied"
    )


def test_without_its_library_code_is_told_and_operators_read_it(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks in code gets the pip command; a variable stops no service."""
    from svcready.metrics.sinks._cloudwatch._put import _choose as _put_choose

    monkeypatch.setattr(_put_choose, "installed", lambda _module: False)
    with running(environ=variables(server)) as harness:
        (problem,) = [p for p in harness.runtime.problems() if "boto3" in p]
        assert 'pip install "svcready[aws]"' in problem

    def missing(module: str, **_more: str) -> None:
        raise MissingExtraError(f"{module} is missing", name=module)

    monkeypatch.setattr(_put_choose, "require", missing)
    with (
        pytest.raises(MissingExtraError),
        running(settings={"cloudwatch.mode": "api"}),
    ):
        pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # threads at fork: the point
def test_totals_from_before_a_fork_count_once(
    server: MetricsServer, tmp_path: Path
) -> None:
    """The parent sends what it counted, each child what it counted itself."""
    orders = svcready.counter("put_forked_orders", "Orders")
    # The child makes a group of the two, which must not be the next test's.
    environ = {**variables(server), "SVCREADY_CORE_RUN_DIR": str(tmp_path)}
    with running(environ=environ) as harness:
        orders.inc(100)
        pid = os.fork()
        if pid == 0:
            orders.inc(1)
            harness.runtime.wake()
            os._exit(0 if harness.runtime.flush(10) else 1)

        assert os.waitpid(pid, 0)[1] == 0
        assert server.total("put_forked_orders") == 1
        orders.inc(10)

    assert server.total("put_forked_orders") == 111
