"""The section CLOUDWATCH: metrics on CloudWatch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from svcready.config._addresses import REGION, URL_OR_NOTHING
from svcready.config._kinds import (
    FLAG,
    NAMES,
    TEXT,
    Kind,
    PartlyWrongError,
    choice,
    duration,
    integer,
)
from svcready.config._setting import setting, standard

__all__ = ["CloudwatchSettings"]

_pattern = re.compile(r"!?[A-Za-z0-9_.:*?\[\]-]+").fullmatch


def _parse_patterns(raw: object) -> tuple[str, ...]:
    patterns = NAMES.parse(raw)
    wrong = tuple([pattern for pattern in patterns if not _pattern(pattern)])
    if wrong:
        raise PartlyWrongError(tuple([p for p in patterns if p not in wrong]), wrong)

    return patterns


_PATTERNS = Kind(
    "list",
    _parse_patterns,
    "names of metrics separated by commas, with * and ? for what may vary",
    show=",".join,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudwatchSettings:
    """Metrics on CloudWatch."""

    section: ClassVar[str] = "CLOUDWATCH"

    mode: str = setting(
        "off",
        choice("off", "emf", "api"),
        "How metrics go to CloudWatch: as log lines (emf) or by PutMetricData (api)",
    )
    namespace: str = setting(
        "", TEXT, "The metrics' namespace; empty takes the service's name"
    )
    dimensions: str = setting(
        "Environment,ApiEndpoint;Environment",
        TEXT,
        "Dimension sets, divided by semicolons; each of them is a billed metric",
    )
    label_dimensions: bool = setting(
        True,
        FLAG,
        "Adds an instrument's own labels to the first dimension set",
    )
    metrics: tuple[str, ...] = setting(
        (),
        _PATTERNS,
        "Patterns of further metrics to send, beside the standard set and the "
        "application's own; a leading ! leaves out",
    )
    flush_interval_s: float = setting(
        60.0, duration(1.0, 3600.0), "How often metrics are sent"
    )
    high_resolution: tuple[str, ...] = setting(
        (), _PATTERNS, "Patterns of metrics that are stored by the second"
    )
    high_resolution_interval_s: float = setting(
        5.0, duration(1.0, 60.0), "How often metrics stored by the second are sent"
    )
    statistic_sets: tuple[str, ...] = setting(
        (),
        _PATTERNS,
        "Patterns of metrics sent as count, sum, min and max alone: no percentiles",
    )
    split_values: bool = setting(
        False,
        FLAG,
        "Sends a distribution of many values in several pieces rather than merging",
    )
    emf_destination: str = setting(
        "stdout",
        TEXT,
        "Where EMF goes: stdout, tcp://host:25888, udp://host:25888 or a file's path",
        standards=(standard("AWS_EMF_AGENT_ENDPOINT", TEXT),),
    )
    emf_per_request: str = setting(
        "auto",
        choice("auto", "true", "false"),
        "Writes EMF when a request ends instead of by time; auto does so on Lambda",
    )
    log_group: str = setting(
        "",
        TEXT,
        "The log group that the CloudWatch agent puts EMF into",
        standards=(standard("AWS_EMF_LOG_GROUP_NAME", TEXT),),
    )
    log_stream: str = setting(
        "",
        TEXT,
        "The log stream that the CloudWatch agent puts EMF into",
        standards=(standard("AWS_EMF_LOG_STREAM_NAME", TEXT),),
    )
    region: str = setting(
        "", REGION, "The region of PutMetricData; empty asks where boto3 looks"
    )
    endpoint: str = setting(
        "", URL_OR_NOTHING, "The URL of PutMetricData, for private endpoints and tests"
    )
    timeout_s: float = setting(5.0, duration(0.1, 60.0), "Time for one PutMetricData")
    metric_budget: int = setting(
        500,
        integer(1, 1_000_000, unit="metrics"),
        "Distinct billed metrics of this process beyond which a warning is logged",
    )
