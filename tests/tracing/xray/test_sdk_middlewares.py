"""The X-Ray SDK's middlewares under svcready: a request has one segment, our span."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

pytest.importorskip("aws_xray_sdk")

from tests.architecture.house import run_clean

START = """
import json, sys, threading
import svcready
from aws_xray_sdk.core import xray_recorder

SETTINGS = {"tracing.sampling": "0", "tracing.view_spans": 100}
ASKED = "Root=1-463ac35c-9f6413ad48485a3953bb6124;Parent=a2fb4a1d1a96d312;Sampled="

def work():
    xray_recorder.current_segment().put_annotation("user", "u-1")
    with xray_recorder.in_subsegment("step"):
        return "done"

def tell(answers):
    print("TOLD" + json.dumps([
        answers,
        [[s.name, s.kind, s.span_id, s.parent_id, s.status, dict(s.attributes),
          [e.name for e in s.events]] for s in runtime.tracing.recent()],
        [t.name for t in threading.enumerate() if "aws_xray_sdk" in repr(t)],
    ]))
"""
FLASK = """
from aws_xray_sdk.ext.flask.middleware import XRayMiddleware
from flask import Flask, render_template_string

app = Flask("shop")
xray_recorder.configure(service="orders")
XRayMiddleware(app, xray_recorder)

@app.get("/orders/<item>")
def order(item):
    work()
    return render_template_string("{{ item }}", item=item)

@app.get("/bad")
def bad():
    raise ValueError("no")

runtime = svcready.init(service="orders", app=app, settings=SETTINGS)

def ask(path, flag):
    with app.test_client() as client:
        answer = client.get(path, headers={"X-Amzn-Trace-Id": ASKED + flag})
        headers = answer.headers.getlist("X-Amzn-Trace-Id")
        answer.close()
        return [answer.status_code, headers]

tell([ask("/orders/1", "1"), ask("/orders/2", "0"), ask("/bad", "1")])
"""
DJANGO = """
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

def order(request, item):
    return HttpResponse(work())

def bad(request):
    raise ValueError("no")

urlpatterns = [path("orders/<item>", order), path("bad", bad)]
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", SECRET_KEY="x",
    INSTALLED_APPS=["svcready.adapters.django", "aws_xray_sdk.ext.django"],
    MIDDLEWARE=["svcready.adapters.django.Middleware",
        "aws_xray_sdk.ext.django.middleware.XRayMiddleware"],
    XRAY_RECORDER={"AWS_XRAY_TRACING_NAME": "orders", "AUTO_INSTRUMENT": False},
)
runtime = svcready.init(service="orders", settings=SETTINGS)
django.setup()
from django.test import Client

def ask(path, flag):
    client = Client(raise_request_exception=False)
    answer = client.get(path, headers={"X-Amzn-Trace-Id": ASKED + flag})
    answer.close()
    return [answer.status_code, [answer.headers.get("X-Amzn-Trace-Id")]]

tell([ask("/orders/1", "1"), ask("/orders/2", "0"), ask("/bad", "1")])
"""


class Seen(NamedTuple):
    """A span that a script made."""

    name: str
    kind: str
    span_id: str
    parent_id: str | None
    status: str
    attributes: dict[str, object]
    events: list[str]


@pytest.mark.parametrize(
    ("framework", "script"), [("flask", FLASK), ("django", DJANGO)]
)
def test_a_request_has_one_segment(framework: str, script: str) -> None:
    """
    The middleware's segment is the server span, which follows the caller's decision.

    The answer names the trace once, an exception is recorded once, and the SDK's own
    sampler is not at work.
    """
    pytest.importorskip(framework)
    printed = run_clean(START + script).splitlines()
    (told,) = (line[4:] for line in printed if line.startswith("TOLD"))
    answers, made, threads = json.loads(told)
    spans = [Seen(*span) for span in made]

    root = "Root=1-463ac35c-9f6413ad48485a3953bb6124"
    assert [answer[0] for answer in answers] == [200, 200, 500]
    assert [answer[1] for answer in answers] == [[root]] * 3
    served = [span for span in spans if span.kind == "server"]
    assert len(served) == 2
    assert {span.parent_id for span in served} == {"a2fb4a1d1a96d312"}
    assert served[0].attributes["user"] == "u-1"
    assert served[0].attributes["aws.xray.annotations"] == ["user"]
    assert [(s.status, s.events) for s in served] == [
        ("unset", []),
        ("error", ["exception"]),
    ]
    inside = [span for span in spans if span.kind != "server"]
    assert "step" in {span.name for span in inside}
    assert {span.parent_id for span in inside} == {served[0].span_id}
    assert threads == []


DATABASE = """
import types
order, traced = json.loads(sys.argv[1])

class Instrumentor:  # stands for the package's, which makes the spans
    _instance = None
    _is_instrumented_by_opentelemetry = True

Instrumentor._instance = Instrumentor()
if traced:
    made = sys.modules["opentelemetry.instrumentation.sqlite3"] = types.ModuleType("x")
    made.Instrumentor = Instrumentor

import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["aws_xray_sdk.ext.django"],
    XRAY_RECORDER={"AWS_XRAY_TRACING_NAME": "orders"},
)
SETTINGS["tracing.sampling"] = "100%"
if order == "init first":
    runtime = svcready.init(service="orders", settings=SETTINGS)

django.setup()
if order == "init last":
    runtime = svcready.init(service="orders", settings=SETTINGS)

from django.db import connection
with xray_recorder.in_segment("job"), connection.cursor() as cursor:
    cursor.execute("SELECT 1")

connection.close()
tell([])
"""


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("order", ["init first", "init last"])
def test_databases_of_django(order: str, traced: bool) -> None:
    """The SDK traces Django's queries only where the driver is not traced itself."""
    pytest.importorskip("django")
    printed = run_clean(START + DATABASE, json.dumps([order, traced])).splitlines()
    (told,) = (line[4:] for line in printed if line.startswith("TOLD"))
    spans = [Seen(*span) for span in json.loads(told)[1]]
    queries = [span for span in spans if "db.system.name" in span.attributes]
    assert len(queries) == (0 if traced else 1)
