"""Django in a process of its own: what is refused there, and routes of a request's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.architecture.house import run_clean

PROGRAM = """
import os, sys
from types import ModuleType
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from svcready.errors import CircuitOpen

class Tenants:
    def __init__(self, get_response):
        self.get_response = get_response
    def __call__(self, request):
        request.urlconf = "tenants"
        return self.get_response(request)

def pay(request):
    raise CircuitOpen("payments", "open", 3.0)

def pay_many(request):
    raise ExceptionGroup("tasks", [CircuitOpen("payments", "open", 3.0)])

root, tenants, here = ModuleType("root"), ModuleType("tenants"), ModuleType("here")
root.urlpatterns = [path("plain", lambda request: HttpResponse("ok"))]
tenants.urlpatterns = [
    path("orders", lambda request: HttpResponse("ok")),
    path("pay", pay),
    path("pay-many", pay_many),
]
here.Tenants = Tenants
sys.modules |= {"root": root, "tenants": tenants, "here": here}
settings.configure(
    ROOT_URLCONF="root",
    SECRET_KEY="x",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["svcready.adapters.django"],
    MIDDLEWARE=["svcready.adapters.django.Middleware", "here.Tenants"],
)
import svcready
svcready.init(service="orders")
if "FAILING" in os.environ:
    @svcready.health.check("stock", critical=True)
    def reach_stock():
        raise ConnectionError
django.setup()
from django.test import Client
client = Client(raise_request_exception=False)
for asked in sys.argv[1:]:
    print("STATUS", client.get(asked).status_code)
"""


def ask(*paths: str, **variables: str) -> tuple[list[int], list[dict[str, Any]]]:
    """Return the statuses that the paths are answered with, and all lines."""
    said = run_clean(PROGRAM, *paths, env=variables).splitlines()
    statuses = [int(line.split()[1]) for line in said if line.startswith("STATUS")]
    return statuses, [json.loads(line) for line in said if line.startswith("{")]


@pytest.mark.parametrize("path", ["/pay", "/pay-many"])
def test_what_a_policy_refuses_is_answered_without_an_error_line(path: str) -> None:
    """Nor does Django write one, to which every 503 is an error."""
    statuses, lines = ask(path)
    assert statuses == [503]
    assert [line for line in lines if line["level"] == "ERROR"] == []


def test_a_probe_that_says_no_is_no_error() -> None:
    """Load balancers ask every few seconds, and each would be one."""
    statuses, lines = ask("/orders", "/health/readiness", FAILING="yes")
    assert statuses == [200, 503]
    assert [x for x in lines if x["source"]["logger"] == "django.request"] == []


@pytest.mark.parametrize(
    "rule",
    [
        {"SVCREADY_HTTP_RATE_LIMITS": "/orders 9/s"},
        {"SVCREADY_HTTP_PRIORITIES": "GET /orders critical"},
    ],
)
def test_strict_mode_starts_with_a_rule_for_a_route_of_a_requests_own(
    rule: dict[str, str],
) -> None:
    """Middleware may give a request another `urlconf`: what has it is not known."""
    strict = {"SVCREADY_CORE_STRICT": "true"}
    statuses, lines = ask("/orders", "/health/readiness", **strict, **rule)
    assert statuses == [200, 200]
    assert "ROOT_URLCONF" in json.dumps(lines)
