"""What is said of X-Ray's sampling: where it is asked for, and what an anomaly is."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcready.config import load

ARG = "OTEL_TRACES_SAMPLER_ARG"
ADAPTIVE = "AWS_XRAY_ADAPTIVE_SAMPLING_CONFIG"


def test_the_standard_argument_yields_to_our_own() -> None:
    """`endpoint` and `polling_interval` are read beneath our variables."""
    xray = load(environ={ARG: "endpoint=http://h:2000,polling_interval=300"}).xray
    assert xray.sampling_endpoint == "http://h:2000"
    assert xray.sampling_interval_s == 300.0

    environ = {
        ARG: "polling_interval=20,endpoint=http://h:2000",
        "SVCREADY_XRAY_SAMPLING_ENDPOINT": "aws",
        "SVCREADY_XRAY_SAMPLING_INTERVAL_S": "2m",
    }
    read = load(environ=environ)
    assert not read.problems
    assert read.xray.sampling_endpoint == "aws"
    assert read.xray.sampling_interval_s == 120.0


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("endpoint=http://h:2000,polling_interval=5", "5"),
        ("endpoint=h:2000", "h:2000"),
        ("endpoint=http://h:2000,poling_interval=30", "poling_interval"),
    ],
)
def test_a_bad_argument_is_reported(argument: str, named: str) -> None:
    """An interval below 10 s is not silently another, nor is a misspelt key nothing."""
    read = load(environ={"OTEL_TRACES_SAMPLER": "xray", ARG: argument})

    assert len(read.problems) == 1
    assert named in str(read.problems[0])
    assert read.xray.sampling_interval_s in {30.0, 300.0}


@pytest.mark.parametrize("value", ["daemon:2000", "ftp://h", "http://", "aws2"])
def test_a_bad_endpoint_is_reported(value: str) -> None:
    """It is a URL, or the word aws."""
    read = load(environ={"SVCREADY_XRAY_SAMPLING_ENDPOINT": value})

    assert "aws, or a URL" in str(read.problems[0])
    assert read.xray.sampling_endpoint == ""


WHOLE = """
version: 1.0
anomalyConditions:
  - errorCodeRegex: "^5..$"
    operations: ["GET /a"]
    highLatencyMs: 500
    usage: sampling-boost
anomalyCaptureLimit:
  anomalyTracesPerSecond: 1
"""
AS_JSON = (
    '{"version": 1.0, "anomalyConditions": [{"errorCodeRegex": "^5..$", "operations":'
    ' ["GET /a"], "highLatencyMs": 500, "usage": "sampling-boost"}],'
    ' "anomalyCaptureLimit": {"anomalyTracesPerSecond": 1}}'
)


def test_conditions_are_read_from_json_yaml_and_files(tmp_path: Path) -> None:
    """All three say the same, and none of them is a dependency."""
    pytest.importorskip("yaml")
    file = tmp_path / "conditions.yaml"
    file.write_text(WHOLE)
    texts = (AS_JSON, WHOLE, str(file))
    read = [load(environ={ADAPTIVE: text}) for text in texts]

    assert [it.problems for it in read] == [()] * 3
    for each in read:
        found = each.xray.adaptive_sampling
        assert found is not None
        assert found.capture_per_s == 1
        (condition,) = found.conditions
        assert condition.status is not None
        assert condition.status.pattern == "^5..$"
        assert condition.operations == frozenset({"GET /a"})
        assert condition.slower_than_s == 0.5
        assert condition.usage == "sampling-boost"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"version": 2.0}',
        '{"version": "1.0"}',
        '{"version": true}',
        '{"version": 1.0, "anomalyCondition": []}',
        '{"version": 1.0, "anomalyConditions": {}}',
        '{"version": 1.0, "anomalyConditions": [{}]}',
        '{"version": 1.0, "anomalyConditions": [{"errorCodeRegex": "("}]}',
        '{"version": 1.0, "anomalyConditions": [{"highLatencyMs": -1}]}',
        '{"version": 1.0, "anomalyConditions": [{"highLatencyMs": 1, "usage": "x"}]}',
        '{"version": 1.0, "anomalyConditions": [{"operations": 7}]}',
        '{"version": 1.0, "anomalyConditions": [{"errorCodeRegex": 5}]}',
        '{"version": 1.0, "anomalyCaptureLimit": {"anomalyTracesPerSecond": "1"}}',
        "conditions: [",
        "/no/such/file.yaml",
        "[]",
        "7",
    ],
)
def test_bad_conditions_are_reported(text: str) -> None:
    """What is wrong is not guessed at: a failed request stays the anomaly."""
    read = load(environ={ADAPTIVE: text})

    assert len(read.problems) == 1
    assert "anomalyConditions" in str(read.problems[0])
    assert read.xray.adaptive_sampling is None
