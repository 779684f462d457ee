"""Spans and sampling rules: what is matched of a root span, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

import svcready
from svcready.config._rules_file import RulesFile
from svcready.config._sampling_rules import SamplingRule
from svcready.config._sections.tracing import TracingSettings
from tests.tracing.support import NONE, make_pillar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from svcready.tracing._pillar import TracePillar

RULE = "aws.xray.sampling_rule"
RULES = (
    SamplingRule("checkouts", 1, rate=1.0, method="POST", path="/checkout"),
    SamplingRule("shop", 2, rate=1.0, host="shop.example", path="/a/*"),
    SamplingRule("jobs", 3, rate=1.0, path="/", attributes=(("job", "night*"),)),
)


@pytest.fixture
def pillar() -> Iterator[TracePillar]:
    """Give a pillar with the rules of a file, and one of a variable."""
    variable = (SamplingRule("", 1, rate=1.0, method="PUT"),)
    made = make_pillar(
        TracingSettings(
            sampling=NONE,
            rules=variable,
            rules_file=RulesFile("rules.json", RULES),
            view_spans=100,
        )
    )
    made.start()
    yield made
    made.close(1.0)


def ask(pillar: TracePillar, method: str, path: str, **attributes: object) -> None:
    """Begin a request and end it."""
    given = {name.replace("_", "."): value for name, value in attributes.items()}
    begun = pillar.server.begin(method, path, None, None, None, None, lambda: given)
    begun.activate()
    begun.end(path, 200, None)
    begun.deactivate()


def seen(pillar: TracePillar) -> list[object]:
    """Return the rule on each span, None where there is none."""
    return [record.attributes.get(RULE) for record in pillar.recent()]


def test_a_request_s_span_names_the_rule_that_sampled_it(pillar: TracePillar) -> None:
    """For X-Ray, which shows it with the segment; its inner spans don't."""
    begun = pillar.server.begin("POST", "/checkout", None, None, None, None, dict)
    begun.activate()
    with svcready.span("inner"):
        pass

    begun.end("/checkout", 200, None)
    begun.deactivate()

    assert seen(pillar) == [None, "checkouts"]


def test_rules_match_the_host_of_a_request(pillar: TracePillar) -> None:
    """It is read only for rules that ask for it."""
    ask(pillar, "GET", "/a/1", server_address="SHOP.example")
    ask(pillar, "GET", "/a/1", server_address="else.example")
    ask(pillar, "GET", "/b", server_address="shop.example")

    assert seen(pillar) == ["shop"]


def test_what_x_ray_does_not_know_is_not_named(pillar: TracePillar) -> None:
    """A rule of a variable samples without a name."""
    ask(pillar, "PUT", "/anything")

    assert seen(pillar) == [None]


def test_the_setting_is_not_named() -> None:
    """Nor is what a caller's flag decided."""
    made = make_pillar(TracingSettings(view_spans=9))
    made.start()
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    made.server.begin("GET", "/", parent, None, None, None, dict).end("/", 200, None)
    made.server.begin("GET", "/", None, None, None, None, dict).end("/", 200, None)

    assert seen(made) == [None, None]
    made.close(1.0)


def test_a_declared_root_is_matched_by_its_attributes(pillar: TracePillar) -> None:
    """It has no method, and the path `/`."""
    with svcready.span("job", job="nightly"), svcready.span("inner"):
        pass

    with svcready.span("job", job="daily"):
        pass

    assert seen(pillar) == [None, "jobs"]


@pytest.mark.parametrize(
    ("kind", "attributes", "rule"),
    [
        (SpanKind.SERVER, {"http.method": "POST", "http.target": "/checkout?a=1"}, 0),
        (SpanKind.SERVER, {"http.request.method": "POST", "url.path": "/checkout"}, 0),
        (
            SpanKind.SERVER,
            {"http.method": "POST", "http.url": "https://x.example/checkout?b=2"},
            0,
        ),
        (SpanKind.SERVER, {"http.host": "shop.example:80", "url.path": "/a/b"}, 1),
        (SpanKind.SERVER, {"http.url": "https://[x/checkout", "job": "nightly"}, 2),
        (SpanKind.CLIENT, {"http.method": "POST", "url.path": "/checkout"}, None),
        (SpanKind.INTERNAL, {"job": "nightly"}, 2),
        (SpanKind.CONSUMER, {}, None),
    ],
)
def test_roots_of_opentelemetrys_api_are_matched(
    pillar: TracePillar,
    kind: SpanKind,
    attributes: Mapping[str, str],
    rule: int | None,
) -> None:
    """A server's by method, path and host of both conventions; others by attributes."""
    span = trace.get_tracer("t").start_span("x", kind=kind, attributes=attributes)
    span.end()

    expected = [] if rule is None else [RULES[rule].name]
    assert seen(pillar) == expected


def test_a_pillar_says_with_whom_it_shares(pillar: TracePillar) -> None:
    """Once it has met the service's other processes."""
    said = str(pillar.describe()["sampling"])
    assert said.startswith("1 rule of SVCREADY_TRACING_RULES, then 3 rules of ")
    assert said.endswith("in each process")
    pillar.meet(3)
    assert str(pillar.describe()["sampling"]).endswith("shared by 3 processes")
