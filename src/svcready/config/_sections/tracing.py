"""The section TRACING: traces: sampling, propagation, export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from svcready.config._kinds import (
    FLAG,
    NAMES,
    RATIO,
    Kind,
    PartlyWrongError,
    duration,
    integer,
    number,
    size,
)
from svcready.config._rules_file import RULES_FILE, RulesFile
from svcready.config._rules_text import RULES
from svcready.config._sampling import (
    MAX_PER_SECOND,
    SAMPLER,
    SAMPLER_RATIO,
    SAMPLER_TRUST,
    SAMPLING,
    TRUST,
    SamplingRate,
    parse_sampling,
)
from svcready.config._setting import setting, standard
from svcready.config._slowness import SLOWNESS

if TYPE_CHECKING:
    from svcready.config._slowness import Slowness

if TYPE_CHECKING:
    from svcready.config._sampling_rules import SamplingRule

__all__ = ["SamplingRate", "TracingSettings", "parse_sampling"]


def _parse_disabled(raw: object) -> bool:
    return not FLAG.parse(raw)


def _parse_exporters(raw: object) -> tuple[str, ...]:
    given = tuple(dict.fromkeys(word.lower() for word in NAMES.parse(raw)))
    known = tuple(word for word in given if word in _WAYS_OUT)
    alone = {"auto", "none"} & set(known)
    if not known or (alone and len(known) > 1):
        raise ValueError(raw)

    if known != given:
        raise PartlyWrongError(known, tuple(sorted(set(given) - set(known))))

    return known


def _parse_propagators(raw: object) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)  # noqa: TRY004 - one kind of error means "not allowed"

    words = [str(part).strip().lower() for part in parts if str(part).strip()]
    if not words or not set(words) <= {*_PROPAGATORS, "none"}:
        raise ValueError(raw)

    return () if "none" in words else tuple(dict.fromkeys(words))


def _parse_milliseconds(raw: object) -> float:
    text = str(raw).strip()
    return _EXPORT_WAIT.parse(text if text[-1:].isalpha() else f"{text}ms")


_PROPAGATORS = ("tracecontext", "baggage", "xray", "xray-lambda", "b3", "b3multi")
_EXPORT_WAIT = duration(0.001, 3600.0)
_DISABLED = Kind("flag", _parse_disabled, FLAG.allowed)
_WAYS_OUT = ("auto", "none", "otlp", "xray")
_EXPORTERS = Kind(
    "list", _parse_exporters, "auto, none, or a list of otlp, xray", show=",".join
)
_PROPAGATION = Kind(
    "list",
    _parse_propagators,
    f"a list of {', '.join(_PROPAGATORS)}; or none",
    show=lambda names: ",".join(names) or "none",
)
_MILLISECONDS = Kind(
    "duration", _parse_milliseconds, "milliseconds, or a number with ms or s"
)
_LIMIT = integer(1, math.inf)
_LIMIT_OR_NONE: Kind[int | None] = Kind(
    "integer",
    _LIMIT.parse,
    _LIMIT.allowed,
    show=lambda value: "" if value is None else str(value),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TracingSettings:
    """Traces: sampling, propagation, export."""

    section: ClassVar[str] = "TRACING"

    enabled: bool = setting(
        True,
        FLAG,
        "Switches this part off when false",
        standards=(standard("OTEL_SDK_DISABLED", _DISABLED),),
    )
    sampling: SamplingRate = setting(  # noqa: RUF009 - immutable
        SamplingRate(1.0, 0.05),
        SAMPLING,
        "Requests to sample if no caller decided: so many a second, then a part",
        relaxed=SamplingRate(0.0, 1.0),
        standards=(standard("OTEL_TRACES_SAMPLER", SAMPLER),),
    )
    ratio: float = setting(
        0.05,
        RATIO,
        "The part to sample where OTEL_TRACES_SAMPLER says traceidratio",
        standards=(standard("OTEL_TRACES_SAMPLER_ARG", SAMPLER_RATIO),),
    )
    trust_inbound: str = setting(
        "always",
        TRUST,
        "Whether a caller's trace is continued and its sampled flag honoured",
        standards=(standard("OTEL_TRACES_SAMPLER", SAMPLER_TRUST),),
    )
    rules: tuple[SamplingRule, ...] = setting(
        (),
        RULES,
        "What to sample of which requests: METHOD PATH RATE; ...; others by `sampling`",
    )
    rules_file: RulesFile = setting(  # noqa: RUF009 - immutable
        RulesFile(""),
        RULES_FILE,
        "A JSON or TOML file of sampling rules, as X-Ray or its SDK writes them",
    )
    keep_errors: bool = setting(
        False,
        FLAG,
        "Keeps a trace of each failed request, also of those that are not sampled",
    )
    keep_slower_than: tuple[Slowness, ...] = setting(
        (),
        SLOWNESS,
        "Keeps a trace of slower requests too: 2s; POST /checkout 500ms",
    )
    keep_max_per_s: float = setting(
        5.0,
        number(0, MAX_PER_SECOND),
        "Traces a second that are kept for being failed or slow",
    )
    keep_spans: int = setting(
        0,
        integer(0, 10_000),
        "Inner spans recorded for a trace that may be kept; 0 keeps its root alone",
    )
    inbound_max_per_s: float = setting(
        100.0,
        number(0, MAX_PER_SECOND),
        "Requests a second that a caller's flag can have sampled; then our own rule",
    )
    propagators: tuple[str, ...] = setting(
        ("baggage", "xray", "tracecontext"),
        _PROPAGATION,
        "Headers read and written; of several trace headers the last listed wins",
        standards=(standard("OTEL_PROPAGATORS", _PROPAGATION),),
    )
    send_ids: bool = setting(
        False,
        FLAG,
        "Sends the correlation and request ids with calls that carry a trace",
    )
    instrument: tuple[str, ...] = setting(
        ("auto",),
        NAMES,
        "Clients to trace: auto (what is installed), none, names; -name leaves one out",
    )
    threads: bool = setting(
        False,
        FLAG,
        "Carries context into threads and executors that the application starts",
    )
    exporter: tuple[str, ...] = setting(
        ("auto",),
        _EXPORTERS,
        "Where spans go, one or several ways; auto is what has an address",
        standards=(standard("OTEL_TRACES_EXPORTER", _EXPORTERS),),
    )
    view_spans: int = setting(
        0,
        integer(0, 1_000_000),
        "Finished spans kept in the process for the trace view; 0 keeps none",
        relaxed=2000,
    )
    queue_spans: int = setting(
        2048,
        _LIMIT,
        "Finished spans that wait for export; beyond, the oldest are dropped",
        standards=(standard("OTEL_BSP_MAX_QUEUE_SIZE", _LIMIT),),
    )
    queue_bytes: int = setting(
        16 * 1024**2,
        size(64 * 1024, math.inf),
        "Memory that waiting spans may take; beyond, the oldest are dropped",
    )
    batch_spans: int = setting(
        512,
        _LIMIT,
        "Spans sent in one request at most",
        standards=(standard("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _LIMIT),),
    )
    export_delay_s: float = setting(
        5.0,
        _EXPORT_WAIT,
        "Longest wait of a finished span before it is sent",
        standards=(standard("OTEL_BSP_SCHEDULE_DELAY", _MILLISECONDS),),
    )
    export_timeout_s: float = setting(
        30.0,
        _EXPORT_WAIT,
        "Time for one batch, retries included; then it is dropped",
        standards=(standard("OTEL_BSP_EXPORT_TIMEOUT", _MILLISECONDS),),
    )
    max_attributes: int = setting(
        128,
        _LIMIT,
        "Attributes of a span, event or link at most",
        standards=(standard("OTEL_ATTRIBUTE_COUNT_LIMIT", _LIMIT),),
    )
    max_span_attributes: int | None = setting(
        None,
        _LIMIT_OR_NONE,
        "Attributes of a span at most instead",
        standards=(standard("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", _LIMIT_OR_NONE),),
    )
    max_event_attributes: int | None = setting(
        None,
        _LIMIT_OR_NONE,
        "Attributes of an event at most instead",
        standards=(standard("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", _LIMIT_OR_NONE),),
    )
    max_link_attributes: int | None = setting(
        None,
        _LIMIT_OR_NONE,
        "Attributes of a link at most instead",
        standards=(standard("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", _LIMIT_OR_NONE),),
    )
    max_events: int = setting(
        128,
        _LIMIT,
        "Events of a span at most",
        standards=(standard("OTEL_SPAN_EVENT_COUNT_LIMIT", _LIMIT),),
    )
    max_links: int = setting(
        128,
        _LIMIT,
        "Links of a span at most",
        standards=(standard("OTEL_SPAN_LINK_COUNT_LIMIT", _LIMIT),),
    )
    max_value_chars: int = setting(
        16384,
        _LIMIT,
        "Characters of an attribute's text at most; longer ones are cut",
        standards=(standard("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", _LIMIT),),
    )
    max_span_value_chars: int | None = setting(
        None,
        _LIMIT_OR_NONE,
        "Characters of a span attribute's text at most instead",
        standards=(standard("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", _LIMIT_OR_NONE),),
    )
