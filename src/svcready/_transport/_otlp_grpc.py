"""OTLP over gRPC: one target's channel, and one call over it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svcready._transport._otlp_reply import MAX_ANSWER_BYTES, Reply, said

if TYPE_CHECKING:
    import grpc

    from svcready._transport._otlp_target import Target

__all__ = ["GrpcLine"]

_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
_OPTIONS = (
    ("grpc.primary_user_agent", "svcready"),
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.enable_retries", 0),
)
"""Retries are ours, within the deadline."""
_STATUS = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 404,
    "UNAVAILABLE": 503,
}
_RETRIED = {
    *("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE"),
    "DATA_LOSS",
}
"""As the specification of OTLP lists them."""
_TOO_LARGE = 413
_DETAILS = "grpc-status-details-bin"
_RETRY_INFO = "google.rpc.retryinfo-bin"


class GrpcLine:
    """
    A channel to one address.

    It is not for two processes: what a fork inherits of it is to be let lie, because
    closing it would tell the receiver that the parent has gone.

    Args:
        target: Where to.
    """

    def __init__(self, target: Target) -> None:
        import grpc

        self._target = target
        self._metadata = tuple(
            (name, value.encode() if name.endswith("-bin") else value)
            for name, value in target.headers
        )
        self._compression = {
            "gzip": grpc.Compression.Gzip,
            "deflate": grpc.Compression.Deflate,
        }.get(target.compression, grpc.Compression.NoCompression)
        self._channel: grpc.Channel | None = None
        self._export: grpc.UnaryUnaryMultiCallable[bytes, bytes] | None = None

    def post(self, body: bytes, timeout_s: float) -> Reply:
        """Send *body*."""
        import grpc

        try:
            export = self._export or self._connect()
            content = export(
                body,
                timeout=timeout_s,
                metadata=self._metadata,
                compression=self._compression,
            )
        except grpc.RpcError as error:
            return self._failed(error)
        except ValueError as error:  # a header that gRPC does not allow
            return Reply(400, said(str(error)))
        except Exception as error:  # noqa: BLE001 - certificates that cannot be read
            return Reply(0, type(error).__name__, again=True)

        return Reply(200, content=content)

    def close(self) -> None:
        """Close the channel; another is made when it is needed."""
        channel, self._channel, self._export = self._channel, None, None
        if channel is not None:
            channel.close()

    def _connect(self) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        import grpc

        scheme, _, address = self._target.url.partition("://")
        if scheme == "http":
            self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            credentials = _credentials(self._target)
            self._channel = grpc.secure_channel(address, credentials, options=_OPTIONS)

        # Our encoder's bytes leave as they are.
        self._export = self._channel.unary_unary(_METHODS[self._target.signal])
        return self._export

    def _failed(self, error: grpc.RpcError) -> Reply:
        code = error.code().name
        details = error.details() or ""
        again, retry_after_s = code in _RETRIED, None
        status = _STATUS.get(code, 500)
        if code == "UNAVAILABLE":
            # A channel puts off its next connection by up to two minutes.
            self.close()

        if again or code == "RESOURCE_EXHAUSTED":
            retry_after_s = _retry_after_s(error)
            again = again or retry_after_s is not None
            if not again and "larger than max" in details:
                status = _TOO_LARGE

        return Reply(
            status,
            said(f"{code}: {details}"),
            again=again,
            retry_after_s=retry_after_s,
        )


def _credentials(target: Target) -> grpc.ChannelCredentials:
    import grpc

    def read(path: str) -> bytes | None:
        return Path(path).read_bytes() if path else None

    chain = read(target.client_certificate)
    key = read(target.client_key or target.client_certificate)
    return grpc.ssl_channel_credentials(read(target.certificate), key, chain)


def _retry_after_s(error: grpc.RpcError) -> float | None:
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    for name, value in error.trailing_metadata() or ():
        info = RetryInfo()
        try:
            if name == _RETRY_INFO:
                info.ParseFromString(value)
            elif name == _DETAILS:
                details = Status.FromString(value).details
                if not any(each.Unpack(info) for each in details):
                    continue
            else:
                continue
        except Exception:  # noqa: BLE001, S112 - a receiver's nonsense
            continue

        # Its own reading raises for what is beyond its range.
        delay = info.retry_delay
        return max(0.0, float(delay.seconds + delay.nanos / 1e9))

    return None
