"""The section OTLP: export over the OpenTelemetry protocol."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, TypeVar
from urllib.parse import unquote

from svcready.config._addresses import ENDPOINT, REGION
from svcready.config._kinds import FLAG, TEXT, Kind, choice, duration
from svcready.config._setting import setting, standard

__all__ = ["Headers", "OtlpSettings"]

T = TypeVar("T")

Headers = tuple[tuple[str, str], ...]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PRINTABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LONGEST_SECONDS = 300.0


def _parse_headers(raw: object) -> Headers:
    if isinstance(raw, dict):
        pairs = [(str(name), str(value)) for name, value in raw.items()]
    else:
        members = [part for part in TEXT.parse(raw).split(",") if part.strip()]
        pairs = []
        for member in members:
            name, mark, value = member.partition("=")
            if not mark:
                raise ValueError(raw)

            pairs.append((name.strip(), unquote(value.strip())))

    for name, value in pairs:
        if not _TOKEN.fullmatch(name) or not _PRINTABLE.fullmatch(value):
            raise ValueError(raw)

    return tuple((name.lower(), value) for name, value in pairs)


def _parse_timeout(raw: object) -> float:
    # The specification means milliseconds, the OpenTelemetry SDK for Python reads
    # seconds. Nobody waits five minutes, nobody gives up after 300 ms.
    text = str(raw).strip()
    if text[-1:].isalpha():
        return _TIMEOUT.parse(text)

    value = float(text)
    return _TIMEOUT.parse(value if value <= _LONGEST_SECONDS else value / 1000.0)


def _parse_milliseconds(raw: object) -> float:
    text = str(raw).strip()
    return _INTERVAL.parse(text if text[-1:].isalpha() else f"{text}ms")


def _parse_exporters(raw: object) -> bool:
    words = {word.strip().lower() for word in str(raw).split(",") if word.strip()}
    if not words or not words <= {"otlp", "prometheus", "none"}:
        raise ValueError(raw)

    return "otlp" in words


def _show_headers(headers: Headers) -> str:
    return ",".join(f"{name}={value}" for name, value in headers)


def _or_none(kind: Kind[T]) -> Kind[T | None]:
    return Kind(
        kind.name,
        kind.parse,
        kind.allowed,
        unit=kind.unit,
        show=lambda value: "" if value is None else kind.show(value),
    )


_TIMEOUT = duration(0.001, 3600.0)
_STANDARD_TIMEOUT = Kind(
    "duration",
    _parse_timeout,
    "seconds up to 300, milliseconds beyond, or a number with ms or s",
)
_HEADERS = Kind("headers", _parse_headers, "name=value,name=value", show=_show_headers)
_COMPRESSION = choice("none", "gzip", "deflate")
_PROTOCOL = choice("http/protobuf", "grpc")
_INTERVAL = duration(0.1, 3600.0)
_MILLISECONDS = Kind(
    "duration", _parse_milliseconds, "milliseconds from 100, or a number with ms or s"
)
_EXPORTERS = Kind("flag", _parse_exporters, "otlp | prometheus | none", show=FLAG.show)
_TEMPORALITY = choice("cumulative", "delta", "lowmemory")
_PREFIX = "OTEL_EXPORTER_OTLP_"
_TRACES = "OTEL_EXPORTER_OTLP_TRACES_"
_METRICS = "OTEL_EXPORTER_OTLP_METRICS_"


@dataclass(frozen=True, kw_only=True, slots=True)
class OtlpSettings:
    """
    Export over the OpenTelemetry protocol.

    `traces_...` wins for traces and `metrics_...` for metrics.
    """

    section: ClassVar[str] = "OTLP"

    endpoint: str | None = setting(
        None,
        _or_none(ENDPOINT),
        "The collector's base URL; /v1/traces and the like are appended",
        standards=(standard(f"{_PREFIX}ENDPOINT", _or_none(ENDPOINT)),),
    )
    traces_endpoint: str | None = setting(
        None,
        _or_none(ENDPOINT),
        "The URL for traces, taken as it is",
        standards=(standard(f"{_TRACES}ENDPOINT", _or_none(ENDPOINT)),),
    )
    traces_sigv4: bool | None = setting(
        None,
        _or_none(FLAG),
        "Signs traces for AWS; unless it is said, if the URL is X-Ray's",
    )
    traces_region: str = setting(
        "", REGION, "The region to sign for; empty takes the URL's, then boto3's"
    )
    headers: Headers = setting(  # noqa: RUF009 - immutable
        (),
        _HEADERS,
        "Headers sent with every export",
        standards=(standard(f"{_PREFIX}HEADERS", _HEADERS),),
        secret=True,
    )
    traces_headers: Headers | None = setting(  # noqa: RUF009 - immutable
        None,
        _or_none(_HEADERS),
        "Headers sent with traces instead",
        standards=(standard(f"{_TRACES}HEADERS", _or_none(_HEADERS)),),
        secret=True,
    )
    compression: str = setting(
        "none",
        _COMPRESSION,
        "How bodies are compressed",
        standards=(standard(f"{_PREFIX}COMPRESSION", _COMPRESSION),),
    )
    traces_compression: str | None = setting(
        None,
        _or_none(_COMPRESSION),
        "How traces are compressed instead",
        standards=(standard(f"{_TRACES}COMPRESSION", _or_none(_COMPRESSION)),),
    )
    timeout_s: float = setting(
        10.0,
        _TIMEOUT,
        "Time for one request",
        standards=(standard(f"{_PREFIX}TIMEOUT", _STANDARD_TIMEOUT),),
    )
    traces_timeout_s: float | None = setting(
        None,
        _or_none(_TIMEOUT),
        "Time for one request with traces instead",
        standards=(standard(f"{_TRACES}TIMEOUT", _or_none(_STANDARD_TIMEOUT)),),
    )
    protocol: str = setting(
        "http/protobuf",
        _PROTOCOL,
        "The transport",
        standards=(standard(f"{_PREFIX}PROTOCOL", _PROTOCOL),),
    )
    traces_protocol: str | None = setting(
        None,
        _or_none(_PROTOCOL),
        "The transport of traces instead",
        standards=(standard(f"{_TRACES}PROTOCOL", _or_none(_PROTOCOL)),),
    )
    insecure: bool = setting(
        False,
        FLAG,
        "Has grpc speak without TLS to an endpoint without http:// or https://",
        standards=(standard(f"{_PREFIX}INSECURE", FLAG),),
    )
    traces_insecure: bool | None = setting(
        None,
        _or_none(FLAG),
        "The same as insecure, for traces instead",
        standards=(standard(f"{_TRACES}INSECURE", _or_none(FLAG)),),
    )
    certificate: str = setting(
        "",
        TEXT,
        "A file of certificates to trust",
        standards=(standard(f"{_PREFIX}CERTIFICATE", TEXT),),
    )
    traces_certificate: str | None = setting(
        None,
        _or_none(TEXT),
        "A file of certificates to trust for traces instead",
        standards=(standard(f"{_TRACES}CERTIFICATE", _or_none(TEXT)),),
    )
    client_certificate: str = setting(
        "",
        TEXT,
        "The file of our own certificate",
        standards=(standard(f"{_PREFIX}CLIENT_CERTIFICATE", TEXT),),
    )
    traces_client_certificate: str | None = setting(
        None,
        _or_none(TEXT),
        "The file of our own certificate for traces instead",
        standards=(standard(f"{_TRACES}CLIENT_CERTIFICATE", _or_none(TEXT)),),
    )
    client_key: str = setting(
        "",
        TEXT,
        "The file of our own certificate's key",
        standards=(standard(f"{_PREFIX}CLIENT_KEY", TEXT),),
    )
    traces_client_key: str | None = setting(
        None,
        _or_none(TEXT),
        "The file of our own certificate's key for traces instead",
        standards=(standard(f"{_TRACES}CLIENT_KEY", _or_none(TEXT)),),
    )
    metrics: bool | None = setting(
        None,
        _or_none(FLAG),
        "Sends metrics; unless it is said, only if there is a URL for metrics alone",
        standards=(standard("OTEL_METRICS_EXPORTER", _or_none(_EXPORTERS)),),
    )
    metrics_interval_s: float = setting(
        60.0,
        _INTERVAL,
        "How often metrics are sent",
        standards=(standard("OTEL_METRIC_EXPORT_INTERVAL", _MILLISECONDS),),
    )
    metrics_export_timeout_s: float = setting(
        30.0,
        _INTERVAL,
        "Time for all requests of one sending of metrics",
        standards=(standard("OTEL_METRIC_EXPORT_TIMEOUT", _MILLISECONDS),),
    )
    metrics_temporality: str = setting(
        "cumulative",
        _TEMPORALITY,
        "Whether counts are sent as totals or as what was added since the last time",
        standards=(standard(f"{_METRICS}TEMPORALITY_PREFERENCE", _TEMPORALITY),),
    )
    metrics_sigv4: bool | None = setting(
        None,
        _or_none(FLAG),
        "Signs metrics for AWS; unless it is said, if the URL is CloudWatch's",
    )
    metrics_region: str = setting(
        "", REGION, "The region to sign for; empty takes the URL's, then boto3's"
    )
    metrics_endpoint: str | None = setting(
        None,
        _or_none(ENDPOINT),
        "The URL for metrics, taken as it is",
        standards=(standard(f"{_METRICS}ENDPOINT", _or_none(ENDPOINT)),),
    )
    metrics_headers: Headers | None = setting(  # noqa: RUF009 - immutable
        None,
        _or_none(_HEADERS),
        "Headers sent with metrics instead",
        standards=(standard(f"{_METRICS}HEADERS", _or_none(_HEADERS)),),
        secret=True,
    )
    metrics_compression: str | None = setting(
        None,
        _or_none(_COMPRESSION),
        "How metrics are compressed instead",
        standards=(standard(f"{_METRICS}COMPRESSION", _or_none(_COMPRESSION)),),
    )
    metrics_timeout_s: float | None = setting(
        None,
        _or_none(_TIMEOUT),
        "Time for one request with metrics instead",
        standards=(standard(f"{_METRICS}TIMEOUT", _or_none(_STANDARD_TIMEOUT)),),
    )
    metrics_protocol: str | None = setting(
        None,
        _or_none(_PROTOCOL),
        "The transport of metrics instead",
        standards=(standard(f"{_METRICS}PROTOCOL", _or_none(_PROTOCOL)),),
    )
    metrics_insecure: bool | None = setting(
        None,
        _or_none(FLAG),
        "The same as insecure, for metrics instead",
        standards=(standard(f"{_METRICS}INSECURE", _or_none(FLAG)),),
    )
    metrics_certificate: str | None = setting(
        None,
        _or_none(TEXT),
        "A file of certificates to trust for metrics instead",
        standards=(standard(f"{_METRICS}CERTIFICATE", _or_none(TEXT)),),
    )
    metrics_client_certificate: str | None = setting(
        None,
        _or_none(TEXT),
        "The file of our own certificate for metrics instead",
        standards=(standard(f"{_METRICS}CLIENT_CERTIFICATE", _or_none(TEXT)),),
    )
    metrics_client_key: str | None = setting(
        None,
        _or_none(TEXT),
        "The file of our own certificate's key for metrics instead",
        standards=(standard(f"{_METRICS}CLIENT_KEY", _or_none(TEXT)),),
    )
