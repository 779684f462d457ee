"""Where OTLP sends a signal, and what stands against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from svcready._core.optional import installed
from svcready._transport.aws_sigv4 import SigV4Signer, region_of

if TYPE_CHECKING:
    from svcready.config._sections.otlp import Headers, OtlpSettings

__all__ = ["GRPC", "Target", "metrics_target", "target_problem", "traces_target"]

T = TypeVar("T")

GRPC = "grpc"
_LOCAL = {GRPC: "http://localhost:4317", "http/protobuf": "http://localhost:4318"}
_GRPC_PORT = 4317
_NEEDED = {
    GRPC: ("grpc", "opentelemetry.proto.collector.trace.v1", "google.rpc"),
    "http/protobuf": ("requests", "opentelemetry.proto.collector.trace.v1"),
}
_EXTRAS = {GRPC: "otlp-grpc", "http/protobuf": "otlp"}
_SERVICES = {"traces": "xray", "metrics": "monitoring"}


class Target(NamedTuple):
    """Where one signal is sent, and how."""

    url: str
    headers: Headers = ()
    compression: str = "none"
    timeout_s: float = 10.0
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""
    signal: str = "traces"
    """`traces` or `metrics`."""
    protocol: str = "http/protobuf"
    signed: bool = False
    """Requests are signed for AWS."""
    region: str = ""
    """The region to sign for; empty takes what boto3 finds."""

    def __str__(self) -> str:
        """Show the URL without credentials and query."""
        from urllib.parse import urlsplit

        parts = urlsplit(self.url)
        host = parts.netloc.rsplit("@", 1)[-1]
        if self.protocol == GRPC:
            return f"{'grpcs' if parts.scheme == 'https' else GRPC}://{host}"

        return f"{parts.scheme}://{host}{parts.path}" if host else self.url

    def signer(self) -> SigV4Signer | None:
        """Return what signs requests; None if nothing does."""
        service = _SERVICES[self.signal]
        return SigV4Signer(service, self.region) if self.signed else None


def traces_target(settings: OtlpSettings, *, wanted: bool) -> Target | None:
    """
    Return where traces go.

    Args:
        settings: The section; what is said for traces wins over what is general.
        wanted: Export was asked for by name, so without an endpoint the standard
            one on this machine is meant.
    """
    return _target(settings, "traces", settings.endpoint, wanted=wanted)


def metrics_target(settings: OtlpSettings) -> Target | None:
    """
    Return where metrics go; None if nobody asked for that.

    A general endpoint alone does not: it is often set for traces, and metrics have a
    page for Prometheus already.

    Args:
        settings: The section; what is said for metrics wins over what is general.
    """
    if settings.metrics is False:
        return None

    wanted = bool(settings.metrics)
    base = settings.endpoint if wanted else None
    return _target(settings, "metrics", base, wanted=wanted)


def target_problem(target: Target) -> str:
    """Return what stands against sending to *target*; empty if nothing does."""
    aws = region_of(target.url, _SERVICES[target.signal])
    if target.protocol == GRPC and (aws or target.signed):
        return (
            f"{target.signal} are to go to AWS over grpc, which takes OTLP over HTTP "
            f"only: set SVCREADY_OTLP_{target.signal.upper()}_PROTOCOL=http/protobuf"
        )

    if "://" not in target.url:
        return (
            f"{target.signal} are to go to {target.url}, which has no http:// or "
            "https:// in front, as OTLP over HTTP needs it"
        )

    extra = _EXTRAS[target.protocol]
    if all(installed(package) for package in _NEEDED[target.protocol]):
        if not target.signed or installed("botocore"):
            return ""

        extra = "aws"

    return (
        f"{target.signal} are to go to {target}, but the packages for it are not "
        f'installed: pip install "svcready[{extra}]"'
    )


def _target(
    settings: OtlpSettings, signal: str, base: str | None, *, wanted: bool
) -> Target | None:
    def pick(field: str, general: T) -> T:
        special: T | None = getattr(settings, f"{signal}_{field}")
        return general if special is None else special

    protocol = pick("protocol", settings.protocol)
    base = base or (_LOCAL[protocol] if wanted else None)
    special: str | None = getattr(settings, f"{signal}_endpoint")
    url = special or base
    if url is None:
        return None

    if protocol == GRPC:
        url = _grpc_url(url, insecure=pick("insecure", settings.insecure))
    elif special is None:
        url = f"{url.rstrip('/')}/v1/{signal}"

    headers = pick("headers", settings.headers)
    found = region_of(url, _SERVICES[signal])
    signed: bool | None = getattr(settings, f"{signal}_sigv4")
    if signed is None:
        signed = bool(found) and all(name != "authorization" for name, _ in headers)

    region: str = getattr(settings, f"{signal}_region")
    return Target(
        url,
        headers,
        pick("compression", settings.compression),
        pick("timeout_s", settings.timeout_s),
        pick("certificate", settings.certificate),
        pick("client_certificate", settings.client_certificate),
        pick("client_key", settings.client_key),
        signal,
        protocol,
        signed,
        region or found,
    )


def _grpc_url(url: str, *, insecure: bool) -> str:
    """Give *url* the scheme and the port that it lacks; its path says nothing here."""
    from urllib.parse import urlsplit

    if "://" not in url:
        return f"{'http' if insecure else 'https'}://{url}"

    parts = urlsplit(url)
    host = parts.netloc.rsplit("@", 1)[-1]
    if parts.port is None and parts.scheme == "http":
        host = f"{host}:{_GRPC_PORT}"

    return f"{parts.scheme}://{host}"
