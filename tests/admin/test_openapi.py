"""The OpenAPI document of the operator's paths: valid, and true."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

import svcready
from svcready.admin import OpsRequest, OpsResponse, build_surface, describe_surface
from svcready.cli._openapi import describe_operators
from svcready.testing import running
from tests.adapters.support import ask_asgi, http_scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.admin import OpsSurface

TOKENS = {
    "SVCREADY_ADMIN_TOKENS": "a-token-that-may-change",
    "SVCREADY_ADMIN_READ_TOKENS": "a-token-that-may-look",
    "SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "0",
}
WRITER = "Bearer a-token-that-may-change"
READER = "Bearer a-token-that-may-look"


def document_of(app: FastAPI) -> Any:
    """Return the document that an application serves."""
    reply = asyncio.run(ask_asgi(app, http_scope("/openapi.json")))
    return json.loads(reply.body)


def ask(
    surface: OpsSurface, method: str, path: str, token: str | None, peer: str
) -> OpsResponse:
    """Ask as a client at *peer*."""
    known = {"authorization": token, "content-type": "application/json"}
    return surface.answer(
        OpsRequest(
            method, path, "", lambda name: known.get(name.lower()), peer, b"null"
        )
    )


@pytest.mark.parametrize(
    "environ",
    [
        {},
        TOKENS,
        {"SVCREADY_SERVICE_ENVIRONMENT": "development"},
        {**TOKENS, "SVCREADY_ADMIN_PORT": "9090", "SVCREADY_GROUP__A-B__CHECKS": "x"},
        {"SVCREADY_HEALTH_DETAILS": "never", "SVCREADY_HEALTH_ALIASES": "false"},
        {"SVCREADY_CORE_ENABLED": "false"},
    ],
    ids=str,
)
def test_the_document_is_valid(environ: dict[str, str]) -> None:
    """However the service is configured, OpenAPI's own schema takes the document."""
    validate(describe_operators(environ))


def test_every_path_is_there() -> None:
    """The document names what the surface answers, neither more nor less."""
    with running(environ=TOKENS) as harness:
        surface = build_surface(harness.runtime)
        document: Any = describe_surface(surface, title="x", version="1")

    assert document["paths"].keys() == surface.routes.keys()
    for path, item in document["paths"].items():
        assert {m.upper() for m in item} == {*surface.routes[path].methods}


def test_what_nobody_may_ask_is_left_out() -> None:
    """Without credentials in production there is no /admin, nor in the document."""
    document: Any = describe_operators({})

    assert "/livez" in document["paths"]
    assert not [path for path in document["paths"] if path.startswith("/admin")]
    assert "securitySchemes" not in document["components"]


def test_whose_it_is() -> None:
    """The service's, or nobody's where only the code knows its name."""
    document: Any = describe_operators({"SVCREADY_SERVICE_NAME": "orders"})
    nobodys: Any = describe_operators({})

    assert document["info"]["title"] == "orders: paths for operators"
    assert nobodys["info"]["title"] == "Paths for operators"


def test_where_paths_are() -> None:
    """With a port of its own, each path says where it is served."""
    document: Any = describe_operators({"SVCREADY_ADMIN_PORT": "9090"})

    def ports(path: str) -> list[str]:
        return [server["url"] for server in document["paths"][path]["servers"]]

    assert ports("/livez") == ["/", "http://{host}:9090"]
    assert ports("/metrics") == ["http://{host}:9090"]


SENT: dict[str, list[object]] = {
    "/admin/breakers": [
        {"name": "payments", "state": "open"},
        {"name": "nobody", "state": "open"},
        {"name": "payments"},
    ],
    "/admin/drain": [{}, {"delay": -1}],
    "/admin/loggers": [
        {"logger": "shop", "level": "ERROR"},
        {"logger": "shop", "level": "DEBUG"},
        {"logger": 1},
    ],
}
"""What changes something, what is refused, and what is wrong."""
QUERIES = {"/admin/loggers": ("", "name=shop")}


def changes(surface: OpsSurface, method: str, path: str) -> Iterator[int]:
    """Send every kind of change that a path takes; yield the statuses."""
    bodies = [json.dumps(each).encode() for each in SENT[path]]
    for query, body, kind in (
        *((query, b"{}", "application/json") for query in QUERIES.get(path, ("",))),
        *(("", body, "application/json") for body in (*bodies, None)),
        ("", b"{}", "text/plain"),
    ):
        known = {"authorization": WRITER, "content-type": kind}
        yield surface.answer(
            OpsRequest(
                method,
                path,
                query,
                lambda name, known=known: known.get(name.lower()),  # type: ignore[misc]
                "::1",
                body,
            )
        ).status


def test_each_documented_response_occurs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every status that the document names is provoked on every path, and no other."""
    seen: dict[tuple[str, str], set[int]] = {}
    with running(environ={**TOKENS, "SVCREADY_ADMIN_MAX_FAILURES": "1"}) as harness:
        svcready.circuit_breaker("payments")(lambda: None)
        surface = build_surface(harness.runtime)
        document: Any = describe_surface(surface, title="x", version="1")
        for ready in (False, True):
            if ready:
                harness.runtime.ready()

            for number, (path, route) in enumerate(surface.routes.items()):
                for method in route.methods:
                    peer = f"203.0.{number}.{len(seen) % 250}"
                    got = seen.setdefault((path, method), set())
                    for token in (None, None, READER, WRITER):
                        got.add(ask(surface, method, path, token, peer).status)

        changed = [key for key in seen if key[1] in {"POST", "DELETE"}]
        for path, method in changed:
            seen[path, method] |= {*changes(surface, method, path)}

        with monkeypatch.context() as broken:
            broken.setattr(harness.runtime.group, "update", _fail)
            for path, method in changed:
                seen[path, method] |= {*changes(surface, method, path)}

        harness.runtime.stopping()
        assert harness.runtime.health is not None
        harness.runtime.health.close(1.0)
        for (path, method), got in seen.items():
            got.add(ask(surface, method, path, WRITER, "::1").status)

    for path, item in document["paths"].items():
        for method, operation in item.items():
            documented = {int(status) for status in operation["responses"]}
            assert seen[path, method.upper()] == documented, (path, method)


def _fail(*_: object) -> None:
    raise OSError


@pytest.mark.parametrize("token", [None, WRITER])
def test_bodies_are_as_documented(token: str | None) -> None:
    """Type and JSON of each answer are those that the document promises."""
    with running(environ=TOKENS) as harness:
        harness.runtime.ready()
        surface = build_surface(harness.runtime)
        document: Any = describe_surface(surface, title="x", version="1")
        for path in surface.routes:
            answer = ask(surface, "GET", path, token, "203.0.113.9")
            responses = document["paths"][path]["get"]["responses"]
            content = responses[str(answer.status)]["content"]
            kind = dict(answer.headers)["content-type"].partition(";")[0]

            assert kind in content, path
            if kind.endswith("json"):
                shape = {**content[kind].get("schema", {}), **document}
                Draft202012Validator(shape).validate(json.loads(answer.body))


class TestFastapi:
    """The document of a FastAPI application."""

    @staticmethod
    def app() -> FastAPI:
        """Return an application with a path of ours and one of its own."""
        app = FastAPI(title="orders")
        app.get("/orders")(lambda: "")
        app.get("/readyz")(lambda: "mine")
        svcready.wrap(app)
        return app

    def test_on_request(self) -> None:
        """SVCREADY_HTTP_OPENAPI=true adds our paths; those of the application stay."""
        with running(environ={"SVCREADY_HTTP_OPENAPI": "true"}):
            app = self.app()
            document = document_of(app)

        validate(document)
        assert list(document["paths"])[:2] == ["/orders", "/readyz"]
        assert {"/livez", "/health/readiness", "/metrics"} <= document["paths"].keys()
        assert document["info"]["title"] == "orders"
        assert "svcready" not in str(document["paths"]["/readyz"])
        assert app.openapi_schema is not None
        assert "/livez" not in app.openapi_schema["paths"]

    def test_not_by_itself(self) -> None:
        """Nobody publishes our paths unless asked to."""
        with running():
            document = document_of(self.app())

        assert document["paths"].keys() == {"/orders", "/readyz"}

    def test_a_document_of_an_older_version(self) -> None:
        """An application that says OpenAPI 3.0 gets paths that 3.0 allows."""
        with running(environ={**TOKENS, "SVCREADY_HTTP_OPENAPI": "true"}):
            app = self.app()
            app.openapi_version = "3.0.3"
            validate(document_of(app))
