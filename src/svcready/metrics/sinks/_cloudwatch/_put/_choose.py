"""Makes the sink of PutMetricData where its library is there, and says where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.optional import installed, require
from svcready.metrics.sinks._cloudwatch._put._sink import PutMetricDataSink

if TYPE_CHECKING:
    from svcready.metrics._push import PushSink
    from svcready.metrics.sinks._cloudwatch._data import Collects
    from svcready.metrics.sinks._means import Means

__all__ = ["put_sinks"]


def put_sinks(collector: Collects, means: Means) -> list[PushSink]:
    """
    Make the sink of PutMetricData; none without boto3, and that is reported.

    Raises:
        MissingExtraError: boto3 is not installed, and the code asks for the sink; for
            an operator who does it is a report.
    """
    settings = means.settings
    if not installed("boto3"):
        if settings.origin("cloudwatch.mode").kind == "argument":
            needed_for = 'settings={"cloudwatch.mode": "api"}'
            require("boto3", extra="aws", needed_for=needed_for)

        means.note(
            "SVCREADY_CLOUDWATCH_MODE=api needs the package 'boto3', which is not "
            'installed: pip install "svcready[aws]"; no metrics go to CloudWatch'
        )
        return []

    return [
        PutMetricDataSink(
            settings.cloudwatch,
            collector,
            identity=means.identity,
            clock=means.clock,
            quiet=means.quiet,
        )
    ]
