"""The probes' paths: where they are, what they say to whom, without any framework."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready.admin import OpsRequest, OpsResponse, build_surface, open_port
from svcready.health._check import CHECKS
from svcready.testing import running
from tests.servers.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.admin import OpsSurface
    from svcready.testing import Harness
    from tests.conftest import Faults

TOKEN = {"SVCREADY_ADMIN_TOKENS": "s3cret"}
PROBES = ("/health/liveness", "/health/readiness", "/health/startup")


@pytest.fixture(autouse=True)
def _no_checks() -> Iterator[None]:
    """Forget the checks that a test declares."""
    yield
    CHECKS.bind(None)
    CHECKS.clear()


def ask(
    surface: OpsSurface, path: str, method: str = "GET", query: str = "", **known: str
) -> OpsResponse:
    """Ask as a client far away; further arguments are headers."""
    request = OpsRequest(
        method, path, query, lambda name: known.get(name.lower()), "203.0.113.9"
    )
    return surface.answer(request)


def declare_two(harness: Harness) -> OpsSurface:
    """Declare a critical check, and one of a group of its own; run both once."""

    @health.check("database", critical=True)
    def _() -> None:
        """Pass."""

    @health.check("printer", groups=("shipping",))
    def _() -> object:
        return health.warn("out of paper")

    pillar = harness.runtime.health
    assert pillar is not None
    pillar.wake()
    eventually(
        lambda: all(result.status != "pending" for result in pillar.results()),
        "both checks have run",
    )
    harness.runtime.ready()
    return build_surface(harness.runtime)


class TestPaths:
    """Where probes are."""

    @pytest.mark.parametrize(
        ("alias", "path"),
        [*zip(("/livez", "/readyz", "/startupz"), PROBES, strict=True)],
    )
    def test_names_of_kubernetes(self, alias: str, path: str) -> None:
        """/livez and its like answer as the paths that they stand for."""
        with running() as harness:
            surface = build_surface(harness.runtime)
            before = ask(surface, alias) == ask(surface, path)
            harness.runtime.ready()

            assert before
            assert ask(surface, alias) == ask(surface, path)
            assert ask(surface, alias).status == 200

    def test_without_the_names_of_kubernetes(self) -> None:
        """SVCREADY_HEALTH_ALIASES=false leaves their paths to the application."""
        with running(environ={"SVCREADY_HEALTH_ALIASES": "false"}) as harness:
            routes = build_surface(harness.runtime).routes

        assert not routes.keys() & {"/livez", "/readyz", "/startupz"}

    def test_chosen_paths(self) -> None:
        """A path of one's own replaces the usual one; the prefix stands before it."""
        environ = {
            "SVCREADY_HEALTH_LIVENESS_PATH": "/ht/",
            "SVCREADY_HTTP_PATH_PREFIX": "/ops",
        }
        with running(environ=environ) as harness:
            surface = build_surface(harness.runtime)

            assert ask(surface, "/ops/ht/").status == 200
            assert "/ops/health/liveness" not in surface.routes
            assert {"/ops/health/readiness", "/ops/livez"} <= surface.routes.keys()

    def test_an_alias_can_be_the_chosen_path(self) -> None:
        """A probe may be put where its own alias is; it is then named as public."""
        with running(environ={"SVCREADY_HEALTH_READINESS_PATH": "/readyz"}) as harness:
            surface = build_surface(harness.runtime)

        assert harness.runtime.problems() == ()
        assert "/readyz" in surface.public

    def test_public_names_no_alias(self) -> None:
        """The start line names each probe once."""
        with running() as harness:
            public = build_surface(harness.runtime).public

        assert public == {*PROBES, "/metrics"}

    def test_a_probe_where_a_group_would_be(self) -> None:
        """Of a group and a probe that was put in its place, the probe answers."""
        environ = {
            "SVCREADY_GROUP__SHIPPING__CHECKS": "printer",
            "SVCREADY_HEALTH_LIVENESS_PATH": "/health/shipping",
        }
        with running(environ=environ) as harness:  # not ready: readiness fails
            assert ask(build_surface(harness.runtime), "/health/shipping").status == 200

    @pytest.mark.parametrize(
        "path", ["/health/liveness/", "/health//liveness", "/LIVEZ"]
    )
    def test_paths_match_exactly(self, path: str) -> None:
        """As in Actuator and Kubernetes, a slash too many is another path."""
        with running() as harness:
            assert path not in build_surface(harness.runtime).routes


def test_a_late_group_on_the_operators_port() -> None:
    """The operator's own port serves the path of a group that is declared late."""
    with running(environ={"SVCREADY_ADMIN_HOST": "127.0.0.1"}) as harness:
        port = open_port(harness.runtime)
        try:
            address = f"http://127.0.0.1:{port.port}/health/shipping"
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address, timeout=5)

            health.check("printer", groups=("shipping",))(lambda: None)
            with urllib.request.urlopen(address, timeout=5) as answer:
                assert answer.status == 200
        finally:
            port.close()


class TestAnswers:
    """What a probe says to anybody."""

    @pytest.mark.parametrize("path", [*PROBES, "/health/shipping", "/livez"])
    def test_two_answers(self, path: str) -> None:
        """A probe says 200 or 503 with the bare status, to GET and HEAD alike."""
        with running() as harness:
            surface = declare_two(harness)
            word = "warn" if path == "/health/shipping" else "pass"
            for method in ("GET", "HEAD"):
                up = ask(surface, path, method)
                assert (up.status, json.loads(up.body)) == (200, {"status": word})

            assert harness.runtime.health is not None
            harness.runtime.health.close(1.0)
            down = ask(surface, path)

        expected = (200, "warn") if path == "/health/shipping" else (503, "fail")
        assert (down.status, json.loads(down.body)["status"]) == expected
        assert ("cache-control", "no-store") in down.headers

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
    def test_other_methods(self, method: str) -> None:
        """Anything but GET and HEAD is told which methods there are."""
        with running() as harness:
            answer = ask(build_surface(harness.runtime), "/livez", method)

        assert answer.status == 405
        assert ("allow", "GET, HEAD") in answer.headers

    def test_what_is_ignored(self) -> None:
        """Query and Accept change nothing: probes are no place to negotiate."""
        with running() as harness:
            surface = build_surface(harness.runtime)
            plain = ask(surface, "/livez")

            assert ask(surface, "/livez", query="full=1&x") == plain
            assert ask(surface, "/livez", accept="text/plain") == plain

    def test_a_probe_that_breaks_fails(
        self, monkeypatch: pytest.MonkeyPatch, faults: Faults
    ) -> None:
        """A fault of ours is reported and no pass, and nothing of it is shown."""

        def broken(_: str) -> None:
            raise RuntimeError("s3cret")

        with running() as harness:
            assert harness.runtime.health is not None
            monkeypatch.setattr(harness.runtime.health, "probe", broken)
            answer = ask(build_surface(harness.runtime), "/livez")

        assert answer.status == 503
        assert json.loads(answer.body) == {"status": "fail"}
        assert str(faults.claim("admin.probe")) == "s3cret"


class TestDetails:
    """Who is told more."""

    def test_who_shows_a_token(self) -> None:
        """An operator sees the checks of that probe, and of no other, on its path."""
        with running(environ=TOKEN) as harness:
            surface = declare_two(harness)
            ready = json.loads(
                ask(surface, "/health/readiness", authorization="Bearer s3cret").body
            )
            group = json.loads(
                ask(surface, "/health/shipping", authorization="Bearer s3cret").body
            )

        assert ready["status"] == "pass"
        assert ready["checks"].keys() == {"database:responseTime"}
        assert ready["lifecycle"]["state"] == "ready"
        assert group["status"] == "warn"
        assert group["checks"].keys() == {"printer:responseTime"}
        assert group["checks"]["printer:responseTime"][0]["output"] == "out of paper"

    @pytest.mark.parametrize("offered", ["Bearer wrong", "Basic s3cret", "Bearer"])
    def test_who_shows_a_wrong_one(self, offered: str) -> None:
        """Wrong credentials get what anybody gets, never 401; the audit has them."""
        with running(environ=TOKEN) as harness:
            surface = declare_two(harness)
            answer = ask(surface, "/health/readiness", authorization=offered)

            assert answer == ask(surface, "/health/readiness")
            denied = [e["outcome"] for e in harness.audit_entries]

        assert denied == ["denied"]

    def test_who_shows_none(self) -> None:
        """A probe without credentials gives the audit log nothing to write."""
        with running(environ=TOKEN) as harness:
            ask(declare_two(harness), "/health/readiness")

            assert harness.audit_entries == []

    def test_always(self) -> None:
        """SVCREADY_HEALTH_DETAILS=always tells everybody."""
        with running(environ={"SVCREADY_HEALTH_DETAILS": "always"}) as harness:
            answer = ask(declare_two(harness), "/readyz")

        assert b"database" in answer.body
        assert b"printer" not in answer.body

    def test_never(self) -> None:
        """SVCREADY_HEALTH_DETAILS=never tells nobody, not even below /admin."""
        environ = {**TOKEN, "SVCREADY_HEALTH_DETAILS": "never"}
        with running(environ=environ) as harness:
            surface = declare_two(harness)
            answer = ask(surface, "/readyz", authorization="Bearer s3cret")

        assert json.loads(answer.body) == {"status": "pass"}
        assert "/admin/health" not in surface.routes

    def test_details_have_the_status_of_the_bare_answer(self) -> None:
        """Whoever asks, a probe that fails is 503 and `fail`."""
        with running(environ=TOKEN) as harness:  # not ready yet
            surface = build_surface(harness.runtime)
            answer = ask(surface, "/readyz", authorization="Bearer s3cret")

        assert (answer.status, json.loads(answer.body)["status"]) == (503, "fail")

    def test_without_tokens_nobody_asks_for_credentials(self) -> None:
        """Where nobody could be admitted the header is not even looked for."""
        with running() as harness:
            assert build_surface(harness.runtime).routes["/livez"].detailed is None
