"""Client libraries that are measured because they are traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.testing import running
from tests.architecture.house import run_clean
from tests.tracing.instrumentation.support import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.testing import Harness

pytest.importorskip("opentelemetry.instrumentation.instrumentor")
sqlalchemy = pytest.importorskip("sqlalchemy")
httpx = pytest.importorskip("httpx")
requests = pytest.importorskip("requests")

QUERIES = "db_client_operation_duration_seconds_count"
CALLS = "http_client_request_duration_seconds_count"
OLD_CALLS = "http_client_duration_milliseconds_count"


@pytest.fixture
def harness() -> Iterator[Harness]:
    """Run a service."""
    with running() as harness:
        yield harness


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve HTTP on loopback."""
    made = Site()
    yield made
    made.close()


def query() -> None:
    """Have SQLAlchemy do something."""
    with sqlalchemy.create_engine("sqlite://").begin() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))


def counted(harness: Harness) -> float:
    """Return how many queries were measured since the process began."""
    return harness.sample(QUERIES, db_operation_name="SELECT") or 0.0


def names(harness: Harness) -> set[str]:
    """Return the names of everything that has a value."""
    metrics = harness.runtime.metrics
    assert metrics is not None
    return {family.name for family in metrics.snapshot().families if family.points}


@pytest.mark.parametrize(
    ("settings", "measured"),
    [
        ({}, 1),
        ({"metrics.instrument": "none"}, 0),
        ({"metrics.instrument": "pika"}, 0),
        ({"metrics.instrument": "auto,sqlalchemy"}, 1),
        ({"metrics.instrument": "sqlalchemy", "tracing.instrument": "none"}, 1),
        ({"tracing.instrument": "none"}, 0),
        ({"tracing.instrument": "auto,-sqlalchemy"}, 0),
        ({"tracing.enabled": False}, 0),
    ],
)
def test_what_is_traced_is_measured(settings: dict[str, object], measured: int) -> None:
    """By default; each of the two settings takes it away, and it is counted once."""
    with running(settings=settings) as harness:
        before = counted(harness)
        query()

        assert counted(harness) - before == measured
        assert harness.runtime.problems() == ()

    query()  # nobody measures
    assert counted(harness) - before == measured


def test_queries_have_svcreadys_metrics_only(harness: Harness) -> None:
    """The package's meters for SQLAlchemy are silent: they would say it twice."""
    query()

    assert "db.client.operation.duration" in names(harness)
    assert not {name for name in names(harness) if "connections.usage" in name}


@pytest.mark.parametrize("client", [httpx, requests])
def test_calls_have_the_packages_metrics_by_their_stable_names(
    harness: Harness, site: Site, client: object
) -> None:
    """In seconds, with stable labels; under urllib3 a call of requests counts once."""
    labels = {"http_request_method": "GET", "http_response_status_code": "404"}
    before, old = harness.sample(CALLS, **labels) or 0.0, harness.sample(OLD_CALLS)
    client.get(f"{site.url}/missing", timeout=5)  # type: ignore[attr-defined]

    assert harness.sample(CALLS, **labels, error_type="404") == before + 1
    assert harness.sample(OLD_CALLS) == old


def test_a_library_that_comes_later_is_measured_from_then_on() -> None:
    """With its pool, which is a package of its own; nothing is loaded before."""
    code = f"""
import sys
from svcready.testing import running

with running() as harness:
    print({{"sqlalchemy", "psycopg_pool"}} & set(sys.modules))
    import psycopg
    print("psycopg_pool" in sys.modules)
    import psycopg_pool, sqlalchemy
    with sqlalchemy.create_engine("sqlite://").begin() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))

    print(harness.sample({QUERIES!r}), harness.runtime.problems())
    print(hasattr(psycopg_pool.ConnectionPool.__init__, "__wrapped__"))
"""
    pytest.importorskip("psycopg_pool")
    assert run_clean(code).splitlines() == ["set()", "False", "1.0 ()", "True"]
