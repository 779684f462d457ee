"""A service under uvicorn, whose traces reach X-Ray's daemon."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, cast

import pytest

from tests.servers.harness import Service
from tests.tracing.xray.daemon import FakeDaemon
from tests.tracing.xray.support import part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tracing.xray.daemon import Document

UVICORN = ["uvicorn", "tests.servers.apps.xray_app:app", "--port", "{port}"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[FakeDaemon]:
    """Give a daemon that listens."""
    made = FakeDaemon()
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(
    daemon: FakeDaemon, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Give a service that knows the daemon's address and samples all."""
    environ = {
        "AWS_XRAY_DAEMON_ADDRESS": "{}:{}".format(*daemon.address),
        "SVCREADY_TRACING_SAMPLING": "100%",
        "SVCREADY_TRACING_EXPORT_DELAY_S": "0.05",
        "SVCREADY_XRAY_ANNOTATIONS": "http.route,otel.resource.service.version",
        "SVCREADY_XRAY_LOG_GROUPS": "/shop/orders",
        "SVCREADY_XRAY_IN_PROGRESS_AFTER_S": "0.3",
    }
    directory: Path = tmp_path_factory.mktemp("xray")
    with Service(UVICORN, directory, environ=environ) as made:
        yield made


def ask(service: Service, path: str, *, parent: str = "53995c3f42cd8ad8") -> str:
    """Ask as a caller that is traced by X-Ray, and return the trace id."""
    digits = uuid.uuid4().hex
    root = f"1-{digits[:8]}-{digits[8:]}"
    header = f"Root={root};Parent={parent};Sampled=1"
    service.get(path, {"X-Amzn-Trace-Id": header})
    return root


def named(documents: list[Document]) -> dict[str, Document]:
    """Return documents by their names."""
    return {str(document["name"]): document for document in documents}


def test_a_request_is_a_segment_with_its_work_inside(
    service: Service, daemon: FakeDaemon
) -> None:
    """Three documents of one trace, which name each other."""
    root = ask(service, "/orders/42")
    documents = named(daemon.receive(3))
    segment, inner = documents["orders"], documents["look up"]
    query = documents["shop@db.local"]

    assert {document["trace_id"] for document in documents.values()} == {root}
    assert segment["parent_id"] == "53995c3f42cd8ad8"
    assert inner["parent_id"] == segment["id"]
    assert query["parent_id"] == inner["id"]
    assert (
        part(segment, "http", "request").items()
        >= {
            "method": "GET",
            "url": f"{service.url}/orders/42",
            "client_ip": "127.0.0.1",
        }.items()
    )
    assert part(segment, "http", "response") == {"status": 200}
    assert segment["annotations"] == {
        "http_route": "/orders/{order_id}",
        "otel_resource_service_version": "1.4.2",
    }
    assert segment["service"] == {"version": "1.4.2"}
    assert part(segment, "aws")["cloudwatch_logs"] == [{"log_group": "/shop/orders"}]
    assert inner["annotations"] == {"order_id": 42}
    assert inner["metadata"] == {"shop": {"basket": {"items": 3}}}
    assert query["namespace"] == "remote"
    assert query["sql"] == {
        "url": "SELECT orders",
        "connection_string": "db.local/shop",
        "database_type": "postgresql",
        "sanitized_query": "SELECT * FROM orders WHERE id = $1",
    }


def test_a_failed_request_has_its_exceptions(
    service: Service, daemon: FakeDaemon
) -> None:
    """A fault, with the exception, the one that it came from, and their frames."""
    ask(service, "/fails")
    (segment,) = daemon.receive(1)
    first, second = cast("list[Document]", part(segment, "cause")["exceptions"])

    assert segment["fault"] is True
    assert part(segment, "http", "response") == {"status": 500}
    assert (first["type"], first["message"]) == ("RuntimeError", "cannot be sent")
    assert (second["type"], second["message"]) == ("LookupError", "no stock")
    assert first["cause"] == second["id"]
    newest = cast("list[Document]", first["stack"])[0]
    assert newest["label"] == "fail"
    assert str(newest["path"]).endswith("xray_app.py")


def test_a_long_request_is_in_progress_and_then_whole(
    service: Service, daemon: FakeDaemon
) -> None:
    """Two documents of the same segment, the second in place of the first."""
    asking = threading.Thread(target=ask, args=(service, "/slow"))
    asking.start()
    (before,) = daemon.receive(1)
    service.get("/go-on")
    asking.join()
    after = next(d for d in daemon.receive(2) if d["id"] == before["id"])

    assert before["in_progress"] is True
    assert "in_progress" not in after
    assert part(after, "http", "response") == {"status": 200}


def test_the_start_line_says_where_traces_go(
    service: Service, daemon: FakeDaemon
) -> None:
    """With the daemon's address."""
    (line,) = service.started_lines
    tracing = part(line, "context", "tracing")
    place = "udp {}:{}".format(*daemon.address)

    assert tracing["export"] == f"xray: {place}"
    assert tracing["xray_daemon"] == f"sends to {place}"


def test_what_is_queued_is_sent_at_the_end(daemon: FakeDaemon, tmp_path: Path) -> None:
    """SIGTERM right after a request loses nothing."""
    environ = {
        "AWS_XRAY_DAEMON_ADDRESS": "{}:{}".format(*daemon.address),
        "SVCREADY_TRACING_SAMPLING": "100%",
        "SVCREADY_TRACING_EXPORT_DELAY_S": "60",
        "AWS_XRAY_TRACING_NAME": "shop",
    }
    with Service(UVICORN, tmp_path, environ=environ) as service:
        root = ask(service, "/fails")
        service.terminate()

    (segment,) = daemon.receive(1)
    assert segment["trace_id"] == root
    assert segment["name"] == "shop"
