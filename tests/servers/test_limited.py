"""Limits under real servers: callers, routes and tenants, each with its share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import http_sf
import pytest

from tests.servers.apps.limited import ENVIRON
from tests.servers.harness import Answer, Service

GTHREAD = ["gunicorn", "--bind", "127.0.0.1:{port}", "-k", "gthread", "--threads", "4"]
GTHREAD += ["--no-control-socket"]
UVICORN = ["uvicorn", "--port", "{port}", "--log-level", "warning"]
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.servers.apps.limited_settings"}


class Served(NamedTuple):
    """An application under a server."""

    name: str
    command: list[str]
    route: str
    environ: dict[str, str]


STACKS = [
    Served(
        "fastapi-uvicorn",
        [*UVICORN, "tests.servers.apps.limited_fastapi:app"],
        "/shared/{number}",
        {},
    ),
    Served(
        "flask-gunicorn",
        [*GTHREAD, "tests.servers.apps.limited_flask:app"],
        "/shared/<int:number>",
        {},
    ),
    Served(
        "django-gunicorn",
        [*GTHREAD, "tests.servers.apps.limited_django:application"],
        "/shared/<int:number>",
        SETTINGS,
    ),
    Served(
        "django-uvicorn",
        [*UVICORN, "tests.servers.apps.limited_django:application"],
        "/shared/<int:number>",
        {**SETTINGS, "DJANGO_ON_ASGI": "1"},
    ),
]


def shown(answer: Answer) -> dict[str, Any]:
    """Return the RateLimit field, as a parser of structured fields reads it."""
    items: Any = http_sf.parse(answer.headers["ratelimit"].encode(), tltype="list")
    return dict(items)


@pytest.mark.parametrize("served", STACKS, ids=lambda served: served.name)
def test_callers_are_limited(served: Served, tmp_path: Path) -> None:
    """
    Tenants, addresses behind one proxy and a decorated view have their shares; what
    is refused is a problem, an access line and a count; probes always pass.
    """
    environ = {**ENVIRON, **served.environ}
    with Service(served.command, tmp_path, environ=environ) as service:

        def ask(path: str, tenant: str, caller: str = "203.0.113.1") -> Answer:
            forged = f"{tenant}.example, {caller}"  # the client wrote the first one
            headers = {"X-Tenant": tenant, "X-Forwarded-For": forged}
            return service.get(path, headers)

        answers = [ask(f"/shared/{number}", "a") for number in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert {name: told["r"] for name, told in shown(answers[0]).items()} == {
            "tenants": 2,
            "shared": 19,
        }
        refused = answers[3]
        assert shown(refused)["tenants"]["r"] == 0
        assert shown(refused)["shared"]["r"] == 17  # it cost nothing
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1190
        assert b'"violated-policies":["tenants"]' in refused.body
        line = service.access_line(refused.headers["x-request-id"])
        http = line["http"]
        assert isinstance(http, dict)
        assert (http["status"], http["route"]) == (429, served.route)

        # Seventeen are left to this address, whatever tenants it makes up.
        statuses = [ask("/shared/1", f"t{n}").status for n in range(19)]
        assert statuses == [200] * 17 + [429] * 2
        assert ask("/shared/1", "t99", "203.0.113.2").status == 200

        statuses = [ask("/decorated", f"d{n}", "203.0.113.3").status for n in range(3)]
        assert statuses == [200, 200, 429]
        if "django" in served.name:  # the others are asked in tests/adapters
            shed = ask("/shed", "s", "203.0.113.4")
            assert (shed.status, shed.headers["retry-after"]) == (503, "7")
            refused = ask("/refused", "s", "203.0.113.4")
            assert (refused.status, refused.headers["retry-after"]) == (503, "7")
            line = service.access_line(refused.headers["x-request-id"])
            assert line["http"]["status"] == 503  # type: ignore[index]
            assert line["context"] == {
                "error_type": "svcready.errors.CircuitOpen",
                "refused_by": "payments",
            }
            late = ask("/late", "s", "203.0.113.4")
            assert (late.status, b"Gateway Timeout" in late.body) == (504, True)
            moved = ask("/v2/shared/1", "m", "203.0.113.5")  # middleware sends it on
            assert {name: told["r"] for name, told in shown(moved).items()} == {
                "tenants": 2,
                "shared": 19,
            }

        assert service.get("/health/liveness").status == 200
        page = service.client.get("/metrics").text
        for name, rejected in (("tenants", 1), ("shared", 2), ("decorated", 1)):
            assert (
                f'svcready_resilience_calls_total{{component="limit",name="{name}",'
                f'outcome="rejected"}} {rejected}.0'
            ) in page

        assert "203.0.113" not in page
        assert service.logged("limit shared refuses requests")


@pytest.mark.parametrize("served", STACKS, ids=lambda served: served.name)
def test_who_guesses_is_limited_by_address(served: Served, tmp_path: Path) -> None:
    """
    Wrong tokens, which middleware answers before a tenant is known, are charged to
    the address, as are paths of nobody; others go on.
    """
    environ = {**ENVIRON, **served.environ}
    with Service(served.command, tmp_path, environ=environ) as service:

        def ask(path: str, caller: str, **headers: str) -> Answer:
            return service.get(path, {"X-Forwarded-For": caller, **headers})

        guesses = [
            ask("/shared/1", "203.0.113.1", **{"X-Token": f"guess{n}"})
            for n in range(5)
        ]
        assert [answer.status for answer in guesses] == [401, 401, 401, 429, 429]
        assert b'"violated-policies":["tenants"]' in guesses[3].body
        assert int(guesses[3].headers["retry-after"]) >= 1190
        assert ask("/shared/1", "203.0.113.2").status == 200
        nowhere = [ask("/nowhere", "203.0.113.3").status for _ in range(4)]
        assert nowhere[2:] in ([404, 429], [429, 429])  # one tenant, or one address


@pytest.mark.parametrize("served", STACKS[2:], ids=lambda served: served.name)
def test_a_route_below_its_language_is_limited(served: Served, tmp_path: Path) -> None:
    """Django's URLs with a language are known before its own middleware sets that."""
    rules = "/de/local/* 1/h by address as german; /local/* 2/h by address as english"
    environ = {**ENVIRON, **served.environ, "SVCREADY_HTTP_RATE_LIMITS": rules}
    with Service(served.command, tmp_path, environ=environ) as service:

        def ask(path: str) -> int:
            return service.get(path, {"Accept-Language": "de"}).status

        paths = ["/de/local/1", "/local/1", "/de/local/2", "/local/2", "/local/3"]
        assert [ask(path) for path in paths] == [200, 200, 429, 200, 429]
        assert ask("/fr/local/1") == 404


@pytest.mark.parametrize(
    "served", [STACKS[0], *STACKS[2:]], ids=lambda served: served.name
)
def test_a_plain_view_waits_for_a_resolver(served: Served, tmp_path: Path) -> None:
    """What a coroutine function tells is known to a limit on a plain function."""
    environ = {**ENVIRON, **served.environ}
    with Service(served.command, tmp_path, environ=environ) as service:
        statuses = [
            service.get("/awaited", {"X-Tenant": name}).status for name in "abcab"
        ]
        assert statuses == [200, 200, 200, 429, 429]


@pytest.mark.parametrize("served", STACKS, ids=lambda served: served.name)
def test_a_rule_for_no_route_is_told_at_the_start(
    served: Served, tmp_path: Path
) -> None:
    """The line that says what is on says so of it, and of no other."""
    rules = "/share/* 5/h by address as typo; /shared/* 5/h by address as right"
    environ = {**ENVIRON, **served.environ, "SVCREADY_HTTP_RATE_LIMITS": rules}
    with Service(served.command, tmp_path, environ=environ) as service:
        assert service.get("/shared/1").status == 200
        (line,) = service.logged("svcready is on, with problems")
        (told,) = line["context"]["problems"]  # type: ignore[index]
        assert told.startswith(
            "limit typo is for * /share/*, and there is no such route"
        )
        assert told.endswith(f"; the nearest is {served.route}")
