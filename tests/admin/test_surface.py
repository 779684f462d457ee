"""The operator's surface: what each path answers, without any framework."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

import svcready
from svcready.admin import OpsRequest, OpsResponse, build_surface
from svcready.admin._port._port import OpsPort
from svcready.testing import running
from tests.servers.harness import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.admin import OpsSurface
    from svcready.testing import Harness


@pytest.fixture
def harness() -> Iterator[Harness]:
    """Run a service in production whose operators have a token."""
    with running(environ={"SVCREADY_ADMIN_TOKENS": "s3cret"}) as harness:
        yield harness


def ask(surface: OpsSurface, path: str, **options: str) -> OpsResponse:
    """Ask as a client far away; options: method, token, query."""
    token = options.get("token")
    known = {"authorization": f"Bearer {token}"} if token else {}
    return surface.answer(
        OpsRequest(
            options.get("method", "GET"),
            path,
            options.get("query", ""),
            lambda name: known.get(name.lower()),
            "203.0.113.9",
        )
    )


def test_liveness_passes_before_the_service_is_ready(harness: Harness) -> None:
    """Liveness says that the process lives; readiness waits for the service."""
    surface = build_surface(harness.runtime)

    assert ask(surface, "/health/liveness").status == 200
    assert ask(surface, "/health/readiness").status == 503

    harness.runtime.ready()

    assert ask(surface, "/health/readiness").status == 200


def test_probes_say_the_status_and_no_more(harness: Harness) -> None:
    """In production a probe's body is the bare status, never stored."""
    harness.runtime.ready()

    answer = ask(build_surface(harness.runtime), "/health/readiness")

    assert json.loads(answer.body) == {"status": "pass"}
    assert ("cache-control", "no-store") in answer.headers
    assert ("content-type", "application/health+json") in answer.headers


def test_a_group_of_checks_has_a_path_of_its_own() -> None:
    """A group besides the three probes is asked at /health/<group>, by anybody."""
    with running(environ={"SVCREADY_GROUP__SHIPPING__CHECKS": "printer"}) as harness:
        harness.runtime.ready()
        surface = build_surface(harness.runtime)

        assert ask(surface, "/health/shipping").status == 200
        assert "/health/shipping" in surface.public


@pytest.mark.parametrize(("token", "status"), [("", 401), ("no", 401), ("s3cret", 200)])
def test_the_deep_report_needs_a_token(
    harness: Harness, token: str, status: int
) -> None:
    """/admin/health shows details to bearers of a token only."""
    harness.runtime.ready()

    answer = ask(build_surface(harness.runtime), "/admin/health", token=token)

    assert answer.status == status
    assert (b"serviceId" in answer.body) == (status == 200)


def test_without_tokens_admin_is_not_there() -> None:
    """In production without credentials /admin answers 404."""
    with running() as harness:
        assert ask(build_surface(harness.runtime), "/admin/health").status == 404


def test_only_reading_is_allowed(harness: Harness) -> None:
    """Another method than GET and HEAD gets 405 and is told which are allowed."""
    answer = ask(build_surface(harness.runtime), "/metrics", method="POST")

    assert answer.status == 405
    assert ("allow", "GET, HEAD") in answer.headers


def test_the_scrape_can_be_narrowed(harness: Harness) -> None:
    """`?name[]=` keeps the named families only, as prometheus_client does."""
    surface = build_surface(harness.runtime)

    answer = ask(surface, "/metrics", query="name[]=svcready_config_errors")

    families = list(text_string_to_metric_families(answer.body.decode()))
    assert [family.name for family in families] == ["svcready_config_errors"]


def test_a_prefix_moves_every_path() -> None:
    """SVCREADY_HTTP_PATH_PREFIX moves health, metrics and admin together."""
    with running(environ={"SVCREADY_HTTP_PATH_PREFIX": "/ops"}) as harness:
        routes = build_surface(harness.runtime).routes

    assert {path.split("/")[1] for path in routes} == {"ops"}
    assert "/ops/health/liveness" in routes


def test_a_port_of_its_own_takes_metrics_and_admin() -> None:
    """With SVCREADY_ADMIN_PORT the application serves probes only, the port all."""
    port = free_port()
    environ = {
        "SVCREADY_ADMIN_PORT": str(port),
        "SVCREADY_ADMIN_HOST": "127.0.0.1",
    }
    with running(environ=environ) as harness:
        harness.runtime.wake()
        public = build_surface(harness.runtime).routes
        address = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{address}/metrics", timeout=5) as answer:
            scrape = answer.read().decode()

        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{address}/orders", timeout=5)

    probes = {f"/health/{p}" for p in ("liveness", "readiness", "startup")}
    assert set(public) == probes | {"/livez", "/readyz", "/startupz"}
    assert "svcready_config_errors" in scrape


def test_a_body_does_not_count_as_a_further_request(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request with a body is answered once: a proxy's requests are not mixed up."""

    def ask_name_servers(_: str = "") -> str:
        raise AssertionError("the port asked name servers")

    monkeypatch.setattr(socket, "getfqdn", ask_name_servers)
    hidden = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"GET /health/liveness HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    port = OpsPort(build_surface(harness.runtime, own_port=True), "127.0.0.1", 0)
    try:
        with socket.create_connection(("127.0.0.1", port.port), 5) as client:
            client.sendall(head % len(hidden) + hidden)
            client.shutdown(socket.SHUT_WR)
            answers = b"".join(iter(lambda: client.recv(65536), b""))
    finally:
        port.close()

    assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_the_port_listens_on_ipv6(harness: Harness) -> None:
    """An IPv6 address is one to listen on as well."""
    port = OpsPort(build_surface(harness.runtime, own_port=True), "::1", 0)
    try:
        address = f"http://[::1]:{port.port}/health/liveness"
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert answer.status == 200
    finally:
        port.close()


def test_a_port_that_cannot_be_had_is_reported_not_raised() -> None:
    """A port on a foreign address goes into the report, and the service goes on."""
    environ = {"SVCREADY_ADMIN_PORT": "9", "SVCREADY_ADMIN_HOST": "203.0.113.1"}
    with running(environ=environ) as harness:
        harness.runtime.wake()

        assert any("cannot be had" in line for line in harness.runtime.problems())


def test_an_answer_that_fails_is_a_500_and_reported(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, faults: object
) -> None:
    """A fault of ours gives a probe an answer, and is counted."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    health = harness.runtime.health
    assert health is not None
    monkeypatch.setattr(health, "report", fail)

    answer = ask(build_surface(harness.runtime), "/admin/health", token="s3cret")

    assert answer.status == 500
    assert b"broken" not in answer.body
    assert isinstance(faults.claim("admin"), RuntimeError)  # type: ignore[attr-defined]


def test_the_port_of_the_face(harness: Harness) -> None:
    """What the runtime says is public is what the application serves to anybody."""
    assert build_surface(harness.runtime).public == {
        "/health/liveness",
        "/health/readiness",
        "/health/startup",
        "/metrics",
    }
    assert svcready.Runtime is type(harness.runtime)
