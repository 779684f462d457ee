"""The paths of metrics: the scrape, and what CloudWatch is billed for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._exchange import OpsResponse, answer_json
from svcready.admin._openapi._operation import Operation, Response
from svcready.admin._surface import Route

if TYPE_CHECKING:
    from svcready._runtime import Runtime
    from svcready.admin._exchange import OpsRequest
    from svcready.metrics._pillar import MetricsPillar

__all__ = ["cost_route", "scrape_route"]


def scrape_route(metrics: MetricsPillar) -> Route:
    """Make the path of the scrape."""

    def scrape(request: OpsRequest) -> OpsResponse:
        from urllib.parse import parse_qs

        names = tuple(parse_qs(request.query).get("name[]", ()))
        kind, encoding, body = metrics.prometheus.render(
            request.header("Accept"), request.header("Accept-Encoding"), names
        )
        headers = [("content-type", kind), ("vary", "Accept, Accept-Encoding")]
        if encoding is not None:
            headers.append(("content-encoding", encoding))

        return OpsResponse(200, tuple(headers), body)

    kinds = ("text/plain", "application/openmetrics-text")
    operation = Operation(
        "The metrics, for Prometheus",
        {200: Response("The page", {kind: {"type": "string"} for kind in kinds})},
        query={"name[]": "Only this family of metrics; may be there several times"},
    )
    return Route("/metrics", scrape, slow=True, operations={"GET": operation})


def cost_route(runtime: Runtime, metrics: MetricsPillar) -> Route:
    """Make the path that says what CloudWatch is billed for, for operators."""

    def cost(_: OpsRequest) -> OpsResponse:
        from svcready.metrics.sinks._cloudwatch._usage import usage

        used = usage(metrics.snapshot, runtime.settings.cloudwatch, runtime.identity)
        return answer_json(200, used)

    media = {"application/json": {"type": "object"}}
    operation = Operation(
        "What the metrics cost on CloudWatch", {200: Response("Sums", media)}
    )
    path = "/admin/metrics/cost"
    return Route(path, cost, guarded=True, slow=True, operations={"GET": operation})
