"""Makes spans real in a process: by a provider of ours, or by the application's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from opentelemetry import propagate

from svcready.tracing._backend import bind
from svcready.tracing._server import ServerTracer
from svcready.tracing.propagation._propagator import Propagator, is_default
from svcready.tracing.sampling._decider import Decider
from svcready.tracing.sampling._rate import Rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import Tracer, TracerProvider

    from svcready._core.clock import Clock
    from svcready.config._sections.tracing import TracingSettings
    from svcready.config._sections.xray import XraySettings
    from svcready.tracing._attributes import Attributes
    from svcready.tracing._sdk import SpanSink
    from svcready.tracing._tracer import Provider, RecordingTracer
    from svcready.tracing.keeping._keeper import Keeper
    from svcready.tracing.sampling._central._central_rules import CentralRules

__all__ = [
    "Live",
    "set_propagator",
    "start_attached",
    "start_own",
    "start_passive",
    "watch",
]

_SCOPE = "svcready"


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """What makes spans of a started pillar."""

    server: ServerTracer
    """Begins the traces of requests."""
    state: str
    """Whose provider it is, or `off: ` and why."""
    provider: Provider | None = None
    """Ours, if it is ours."""
    tracer: Tracer | None = None
    """Begins spans of ours, whoever's provider it is; None if tracing is off."""
    takes_spans: bool = True
    """Whether finished spans reach us."""
    release: Callable[[], None]
    """Lets go of what is OpenTelemetry's."""

    def released(self) -> Live:
        """Let go, and return what is left: requests in flight still end."""
        self.release()
        return replace(self, provider=None, release=_nothing)


def set_propagator(settings: TracingSettings, id_headers: tuple[str, str]) -> str:
    """
    Make our propagator OpenTelemetry's, unless the application has chosen one.

    Args:
        settings: Name the formats, and whether our own ids are sent.
        id_headers: What carries the request id and the correlation id.

    Returns:
        What is in force, for people.
    """
    there = propagate.get_global_textmap()
    if isinstance(there, Propagator) or is_default(there):
        ids = id_headers if settings.send_ids else None
        propagate.set_global_textmap(Propagator(settings.propagators, ids))
        return ",".join((*settings.propagators, *(ids or ()))) or "none"

    return f"the application's {type(there).__qualname__}"


def start_passive(
    settings: TracingSettings, attributes: Attributes, clock: Clock
) -> Live:
    """Give requests ids, and pass a caller's trace through: tracing is off."""
    nothing = Decider(Rate(0.0, 0.0, clock), "never", 0.0, clock)
    server = ServerTracer(None, nothing, attributes, settings.propagators, passive=True)
    return Live(server=server, state="off: switched off", release=_nothing)


def start_own(
    settings: TracingSettings,
    attributes: Attributes,
    decider: Decider,
    resource: Resource,
    sink: SpanSink,
    keeper: Keeper | None,
) -> Live:
    """Have the process's delegating provider follow one of ours."""
    from svcready.tracing._limits import limits_of
    from svcready.tracing._live import LiveSpans
    from svcready.tracing._provider import DELEGATE
    from svcready.tracing._tracer import Provider

    provider = Provider(decider, resource, limits_of(settings), sink)
    DELEGATE.follow(provider)

    def release() -> None:
        if DELEGATE.current is provider:
            DELEGATE.current = None
            bind(None)

    own = provider.get_tracer(_SCOPE)
    bind(LiveSpans(own, attributes, own, decider.decide))
    server = _serve(settings, attributes, own, own, decider, keeper)
    return Live(
        server=server, state="ours", provider=provider, tracer=own, release=release
    )


def watch(
    live: Live, central: CentralRules | None, xray: XraySettings, clock: Clock
) -> Live:
    """
    Have X-Ray's rules told how the traces of requests end.

    Args:
        live: What makes spans.
        central: The rules, if X-Ray's are asked for.
        xray: Says what is an anomaly.
        clock: Measures requests.
    """
    if central is None:
        return live

    from svcready.tracing._server_watched import WatchedServerTracer

    server = WatchedServerTracer(
        live.server, central, xray.adaptive_sampling, clock.monotonic
    )
    return replace(live, server=server)


def start_attached(
    settings: TracingSettings,
    attributes: Attributes,
    foreign: TracerProvider,
    sink: SpanSink,
) -> Live:
    """Make spans by the provider that the application has set."""
    from svcready.tracing._attached import attach
    from svcready.tracing._live import LiveSpans

    relayed = attach(foreign, sink)

    def release() -> None:
        bind(None)
        if relayed is not None and relayed.sink is sink:
            relayed.sink = None

    tracer = foreign.get_tracer(_SCOPE)
    bind(LiveSpans(tracer, attributes))
    kind = f"{type(foreign).__module__}.{type(foreign).__qualname__}"
    return Live(
        server=_serve(settings, attributes, tracer),
        state=f"attached to the application's {kind}",
        takes_spans=relayed is not None,
        tracer=tracer,
        release=release,
    )


def _serve(
    settings: TracingSettings,
    attributes: Attributes,
    tracer: Tracer,
    own: RecordingTracer | None = None,
    decider: Decider | None = None,
    keeper: Keeper | None = None,
) -> ServerTracer:
    return ServerTracer(
        tracer,
        decider,
        attributes,
        settings.propagators,
        own=own,
        keeper=keeper,
        trust=settings.trust_inbound,
    )


def _nothing() -> None:
    pass
