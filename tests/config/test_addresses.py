"""The settings that say where metrics go are judged before anything is sent."""

from __future__ import annotations

import pytest

from svcready.config import load


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SVCREADY_CLOUDWATCH_REGION", "Ireland"),
        ("SVCREADY_CLOUDWATCH_REGION", "eu-west-1; eu-west-2"),
        ("SVCREADY_CLOUDWATCH_REGION", "eu-" + "x" * 100),
        ("SVCREADY_CLOUDWATCH_ENDPOINT", "monitoring.eu-west-1.amazonaws.com"),
        ("SVCREADY_CLOUDWATCH_ENDPOINT", "http://[::1"),
        ("SVCREADY_OTLP_METRICS_REGION", "-5"),
    ],
)
def test_what_is_no_address_is_reported(variable: str, text: str) -> None:
    """And the default is used, which asks where everybody looks."""
    settings = load(environ={variable: text})

    (problem,) = settings.problems
    assert problem.name == variable
    assert settings.cloudwatch == load(environ={}).cloudwatch
    assert settings.otlp == load(environ={}).otlp


@pytest.mark.parametrize("region", ["", "eu-west-1", "us-gov-west-1", "cn-north-1"])
def test_regions_are_taken(region: str) -> None:
    """Whatever the partition; empty is the default."""
    settings = load(environ={}, arguments={"cloudwatch.region": region})

    assert settings.problems == ()
    assert settings.cloudwatch.region == region


@pytest.mark.parametrize("url", ["", "http://localhost:4566", "https://vpce-1.x.y/"])
def test_urls_are_taken(url: str) -> None:
    """Of private endpoints and of tests; empty is the default."""
    settings = load(environ={}, arguments={"cloudwatch.endpoint": url})

    assert settings.problems == ()
    assert settings.cloudwatch.endpoint == url
