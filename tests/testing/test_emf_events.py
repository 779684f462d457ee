"""The validator refuses everything that CloudWatch would, and says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from svcready.testing import assert_emf_event

if TYPE_CHECKING:
    from collections.abc import Callable

    Members = dict[str, object]


def event(**members: object) -> Members:
    """Make a good event, with other members in place of its own."""
    return {
        "_aws": {
            "Timestamp": 1,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Shop",
                    "Dimensions": [["Environment"]],
                    "Metrics": [{"Name": "orders", "Unit": "Count"}],
                }
            ],
        },
        "Environment": "test",
        "orders": 1,
    } | members


def directive(**members: object) -> Members:
    """Make a good event whose directive has other members."""
    good = {
        "Namespace": "Shop",
        "Dimensions": [["Environment"]],
        "Metrics": [{"Name": "orders"}],
    } | members
    return event(_aws={"Timestamp": 1, "CloudWatchMetrics": [good]})


STATISTICS = {"Count": 3, "Sum": 6.0, "Min": 1.0, "Max": 3.0}
VALUES = {"Values": [1.0, 2.0, 3.0], "Counts": [1, 1, 1]} | STATISTICS


@pytest.mark.parametrize(
    "good",
    [
        event(),
        event(orders=[1, 2, 3]),
        event(orders=STATISTICS),
        event(orders=VALUES),
        directive(Dimensions=[[]]),
        directive(Dimensions=[["Environment"], []]),
    ],
)
def test_what_cloudwatch_takes(good: Members) -> None:
    """It comes back parsed."""
    assert assert_emf_event(json.dumps(good)) == good


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({}, "no object _aws"),
        (event(_aws={"Timestamp": 1}), "CloudWatchMetrics is no array"),
        (event(_aws={"Timestamp": 1.5, "CloudWatchMetrics": []}), "milliseconds"),
        (
            event(_aws={"Timestamp": 1, "CloudWatchMetrics": [], "Extra": 1}),
            "_aws.Extra",
        ),
        (directive(Namespace=""), "Namespace ''"),
        (directive(Namespace="AWS/Lambda"), "Namespace 'AWS/Lambda'"),
        (directive(Dimensions=[]), "at least one set"),
        (directive(Dimensions=[["Environment"], ["Environment"]]), "there twice"),
        (directive(Dimensions=[["Nowhere"]]), "Nowhere has the value None"),
        (directive(Dimensions=[[f"d{n}" for n in range(31)]]), "at most 30"),
        (directive(Metrics=[]), "1 to 100"),
        (directive(Metrics=[{"Name": f"m{n}"} for n in range(101)]), "1 to 100"),
        (directive(Metrics=[{"Name": "orders"}] * 2), "'orders' is there twice"),
        (directive(Metrics=[{"Name": "x" * 256}]), "Name of 1 to 255"),
        (directive(Metrics=[{"Name": "orders", "Unit": "ms"}]), "unknown unit 'ms'"),
        (
            directive(Metrics=[{"Name": "orders", "StorageResolution": 5}]),
            "resolution 5",
        ),
        (directive(Metrics=[{"Name": "orders", "Extra": 5}]), "Extra of metric"),
        (event(Environment=1), "which is no text"),
        (event(Environment=" "), "printable ASCII"),
        (event(Environment="größe"), "printable ASCII"),
        (event(Environment="x" * 1025), "1 to 1024"),
        (event(orders="1"), "orders has the value '1'"),
        (event(orders=True), "orders has the value True"),
        (event(orders=2.0**361), "orders has the value"),
        (event(orders=[]), "0 values"),
        (event(orders=list(range(101))), "101 values"),
        (event(orders=["1"]), "no number"),
        (event(orders={"Count": 1}), "the members ['Count']"),
        (event(orders=STATISTICS | {"Sum": 600.0}), "don't allow"),
        (event(orders=STATISTICS | {"Count": 0}), "no numbers"),
        (event(orders=VALUES | {"Counts": [1, 1]}), "3 Values and 2 Counts"),
        (event(orders=VALUES | {"Counts": [1, 1, 2]}), "not Count"),
        (event(orders=VALUES | {"Values": [0.5, 2.0, 3.0]}), "beyond Min"),
    ],
)
def test_what_cloudwatch_refuses(bad: Members, said: str) -> None:
    """Each rule by itself."""
    with pytest.raises(AssertionError, match="no EMF event") as failed:
        assert_emf_event(json.dumps(bad))

    assert said in str(failed.value)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda line: line[:-1], "not JSON"),
        (lambda line: line + "\n" + line, "more than one line"),
        (lambda line: line.replace('"orders": 1', '"orders": NaN'), "not JSON"),
        (lambda line: line[:-1] + ', "orders": 2}', "there twice"),
    ],
)
def test_what_is_no_line(spoil: Callable[[str], str], said: str) -> None:
    """An event is one JSON object on one line, its members distinct."""
    with pytest.raises(AssertionError) as failed:
        assert_emf_event(spoil(json.dumps(event())))

    assert said in str(failed.value)


def test_limits_and_forms_can_be_narrower() -> None:
    """For a pipe's lines, and for the published specification alone."""
    with pytest.raises(AssertionError, match="more than 10"):
        assert_emf_event(json.dumps(event()), max_bytes=10)

    with pytest.raises(AssertionError, match="orders has the value"):
        assert_emf_event(json.dumps(event(orders=VALUES)), published=True)
