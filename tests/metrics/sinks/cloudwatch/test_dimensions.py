"""Dimension sets are read strictly, and a metric has those parts that it can fill."""

from __future__ import annotations

import pytest

from svcready.metrics.sinks._cloudwatch._dimensions import Dimensions, read_sets
from tests.metrics.conftest import IDENTITY


def dims_of(text: str, labels: tuple[str, ...], values: tuple[str, ...]) -> list[str]:
    """Spell the sets of one series."""
    sets, problem = read_sets(text)
    assert problem == ""
    dimensions = Dimensions(sets, join_labels=False)
    dimensions.identify(IDENTITY)
    return [
        ",".join(f"{name}={value}" for name, value in dims)
        for dims in dimensions.mapper(labels)(values)
    ]


HTTP = ("http_request_method", "http_route")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Environment,ApiEndpoint;Environment", [0, 1]),
        ("ApiEndpoint, Environment ; Environment", [0, 1]),
        ("ApiEndpoint", [2]),
        ("Environment,ApiEndpoint,ServiceInstance", [3]),
        ("Service,Version", [4]),
        ("service.version", [5]),
    ],
)
def test_sets_of_an_endpoint(text: str, expected: list[int]) -> None:
    """The endpoint is method and route; the rest is the service's."""
    spelt = [
        "ApiEndpoint=POST /orders,Environment=test",
        "Environment=test",
        "ApiEndpoint=POST /orders",
        "ApiEndpoint=POST /orders,Environment=test,ServiceInstance=task-1",
        "Service=orders,Version=1.4.2",
        "service.version=1.4.2",
    ]

    assert dims_of(text, HTTP, ("POST", "/orders")) == [spelt[n] for n in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Environment,ApiEndpoint;Environment", ["Environment=test"]),
        ("ApiEndpoint;Environment", ["Environment=test"]),
        ("ApiEndpoint", [""]),
        ("shop,Environment", ["Environment=test"]),
        ("kind,Environment", ["Environment=test,kind=retail"]),
    ],
)
def test_a_set_keeps_what_the_metric_has(text: str, expected: list[str]) -> None:
    """What it lacks is left out, doubles collapse, and one set always remains."""
    assert dims_of(text, ("kind",), ("retail",)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Enviroment", "did you mean Environment?"),
        ("environment,ApiEndpoint", "did you mean Environment?"),
        ("Environment,,ApiEndpoint", "empty name"),
        ("Environment;", "empty name"),
        ("", "empty name"),
        ("Kind", "unknown name 'Kind'"),
        ("a b", "unknown name 'a b'"),
        (",".join(f"n{n}" for n in range(31)), "31 names"),
    ],
)
def test_bad_sets_are_told_of(text: str, said: str) -> None:
    """Nothing of a wrong text is used."""
    sets, problem = read_sets(text)

    assert sets == ()
    assert said in problem


def test_a_label_that_is_declared_may_be_spelt_anyhow() -> None:
    """What looks like a misspelling is none if the application declares it."""
    assert read_sets("Kind,Environment", {"Kind"}) == ((("Kind", "Environment"),), "")
