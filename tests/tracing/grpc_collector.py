"""An OTLP collector over gRPC that parses what it gets, and misbehaves when told to."""

from __future__ import annotations

import threading
from concurrent import futures
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
from google.protobuf.any_pb2 import Any as Packed  # type: ignore[import-untyped]
from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan


@dataclass
class Refusal:
    """One answer that is none."""

    code: grpc.StatusCode
    details: str = ""
    retry_s: float | None = None
    """Sent along as RetryInfo, as the specification of OTLP has it."""


@dataclass
class GrpcCollector:
    """An OTLP collector over gRPC; certificate and key make it speak TLS."""

    certificate: bytes = b""
    key: bytes = b""
    refusals: list[Refusal] = field(default_factory=list)
    """Answers still to give; then everything is taken."""
    rejected: int = 0
    """Spans that it claims to have rejected in each request."""
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    pushes: list[ExportMetricsServiceRequest] = field(default_factory=list)
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    hang: threading.Event | None = None
    """If set, requests are answered only once this is."""
    arrived: threading.Event = field(default_factory=threading.Event)
    calls: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        collector = self

        class Traces(TraceServiceServicer):
            def Export(  # noqa: N802 - the protocol's word
                self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
            ) -> ExportTraceServiceResponse:
                collector.answer(context)
                collector.requests.append(request)
                response = ExportTraceServiceResponse()
                response.partial_success.rejected_spans = collector.rejected
                return response

        class Metrics(MetricsServiceServicer):
            def Export(  # noqa: N802 - the protocol's word
                self,
                request: ExportMetricsServiceRequest,
                context: grpc.ServicerContext,
            ) -> ExportMetricsServiceResponse:
                collector.answer(context)
                collector.pushes.append(request)
                return ExportMetricsServiceResponse()

        # One port for one server: a second on it would take half of the requests.
        self._server = grpc.server(
            futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)]
        )
        add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
            Traces(), self._server
        )
        add_MetricsServiceServicer_to_server(  # type: ignore[no-untyped-call]
            Metrics(), self._server
        )
        where = f"localhost:{self.port}"
        if self.certificate:
            credentials = grpc.ssl_server_credentials([(self.key, self.certificate)])
            self.port = self._server.add_secure_port(where, credentials)
        else:
            self.port = self._server.add_insecure_port(where)

        self._server.start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"localhost:{self.port}"

    @property
    def spans(self) -> list[ProtoSpan]:
        """All spans received, in order."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def answer(self, context: grpc.ServicerContext) -> None:
        """Note a call, and refuse it if that was asked for."""
        self.calls += 1
        self.arrived.set()
        if self.hang is not None:
            self.hang.wait(30)

        if self.refusals:
            self.refuse(context, self.refusals.pop(0))

        self.metadata.append(dict(context.invocation_metadata()))

    def refuse(self, context: grpc.ServicerContext, refusal: Refusal) -> None:
        """End a call with a status, and say when to come again."""
        if refusal.retry_s is not None:
            whole = int(refusal.retry_s)
            delay = Duration(
                seconds=whole, nanos=round((refusal.retry_s - whole) * 1e9)
            )
            packed = Packed()
            packed.Pack(RetryInfo(retry_delay=delay))
            status = Status(code=refusal.code.value[0], details=[packed])
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )

        context.abort(refusal.code, refusal.details)

    def close(self) -> None:
        """Stop it; requests that hang are let go."""
        if self.hang is not None:
            self.hang.set()

        self._server.stop(None).wait()
