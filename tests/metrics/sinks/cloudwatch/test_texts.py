"""Units and texts are what CloudWatch takes."""

from __future__ import annotations

import botocore.loaders
import pytest

from svcready.metrics.sinks._cloudwatch._texts import (
    UNITS,
    dimension_value,
    metric_name,
    namespace_of,
    unit_of,
)


def test_the_units_are_amazons() -> None:
    """All 27, spelt as the API's own model spells them."""
    model = botocore.loaders.Loader().load_service_model("cloudwatch", "service-2")

    assert set(model["shapes"]["StandardUnit"]["enum"]) == UNITS


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        ("s", "histogram", "Seconds"),
        ("ms", "gauge", "Milliseconds"),
        ("us", "gauge", "Microseconds"),
        ("By", "counter", "Bytes"),
        ("kBy", "gauge", "Kilobytes"),
        ("TBy", "gauge", "Terabytes"),
        ("KiBy", "gauge", "None"),
        ("%", "gauge", "Percent"),
        ("", "counter", "Count"),
        ("1", "counter", "Count"),
        ("{request}", "counter", "Count"),
        ("{request}", "gauge", "Count"),
        ("1", "gauge", "None"),
        ("", "gauge", "None"),
        ("", "histogram", "None"),
        ("By/s", "gauge", "Bytes/Second"),
        ("{request}/s", "gauge", "Count/Second"),
        ("1/s", "gauge", "Count/Second"),
        ("By/min", "gauge", "None"),
        ("s/s", "gauge", "None"),
        ("ns", "histogram", "None"),
        ("min", "gauge", "None"),
        ("seconds", "gauge", "Seconds"),
        ("Gigabits/Second", "gauge", "Gigabits/Second"),
    ],
)
def test_units(code: str, kind: str, expected: str) -> None:
    """UCUM becomes CloudWatch's word where there is one of the same size."""
    assert unit_of(code, kind) == expected


def test_names_and_values_are_made_to_fit() -> None:
    """Cut, never blank, without what the API refuses."""
    assert metric_name("n" * 300) == "n" * 255
    assert metric_name(":größe") == "gr??e"
    assert dimension_value("v" * 2000) == "v" * 1024
    assert dimension_value("") == "-"
    assert dimension_value("\x7f\t") == "??"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("orders", "orders"),
        ("Shop/Orders", "Shop/Orders"),
        ("AWS/Lambda", "App/Lambda"),
        (":x", "x"),
        ("größe", "gr__e"),
        ("", "-"),
        ("n" * 300, "n" * 255),
    ],
)
def test_namespaces(given: str, expected: str) -> None:
    """Amazon's own are not taken, and one is always left."""
    assert namespace_of(given) == expected
