"""The section TRACING: traces: sampling, propagation, export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from svcready.config._kinds import (
    FLAG,
    RATIO,
    Kind,
    choice,
    duration,
    integer,
    number,
)
from svcready.config._setting import setting, standard

__all__ = ["SamplingRate", "TracingSettings", "parse_sampling"]

_XRAY_RATE = (1.0, 0.05)
_MAX_PER_SECOND = 1e6


class SamplingRate(NamedTuple):
    """How many of the requests that nobody decided about are sampled."""

    per_second: float
    """So many each second are sampled first (the reservoir); 0 for none."""
    ratio: float | None
    """The part of the others that is sampled; None: what the setting `ratio` says."""


def parse_sampling(raw: object) -> SamplingRate:
    """
    Read `100%`, `0.05`, `5%`, `2/s` or `1/s+5%`.

    Raises:
        ValueError: It is none of these; nothing is guessed, least of all 100 %.
    """
    if isinstance(raw, SamplingRate):
        return raw

    if not isinstance(raw, str):
        return SamplingRate(0.0, RATIO.parse(raw))

    reservoirs: list[float] = []
    ratios: list[float] = []
    for part in raw.split("+"):
        text = part.strip()
        if text.endswith("/s"):
            reservoirs.append(_RESERVOIR.parse(text[:-2].strip()))
        else:
            ratios.append(RATIO.parse(text))

    if len(reservoirs) > 1 or len(ratios) > 1:
        raise ValueError(raw)

    return SamplingRate(sum(reservoirs), sum(ratios))


def _show_sampling(rate: SamplingRate) -> str:
    parts = [f"{rate.per_second:g}/s"] if rate.per_second else []
    if rate.ratio or not parts:
        parts.append("ratio" if rate.ratio is None else f"{rate.ratio * 100:g}%")

    return "+".join(parts)


def _parse_sampler(raw: object) -> SamplingRate:
    word = str(raw).strip().lower().removeprefix("parentbased_")
    if word == "always_on":
        return SamplingRate(0.0, 1.0)

    if word == "always_off":
        return SamplingRate(0.0, 0.0)

    if word == "traceidratio":
        return SamplingRate(0.0, None)

    if word == "xray":  # its rule for those that no other rule matches
        return SamplingRate(*_XRAY_RATE)

    raise ValueError(raw)


def _parse_sampler_ratio(raw: object) -> float:
    if str(raw).strip().startswith(("endpoint=", "polling_interval=")):
        return _XRAY_RATE[1]  # the argument of another sampler, `xray`

    return RATIO.parse(raw)


def _parse_sampler_trust(raw: object) -> str:
    # A sampler that is not parent-based decides whatever the caller says. Words that
    # are no sampler are reported once, by the setting `sampling`.
    word = str(raw).strip().lower()
    return "sampled-flag-ignored" if word in _PARENTLESS else "always"


def _parse_disabled(raw: object) -> bool:
    return not FLAG.parse(raw)


def _parse_exporter(raw: object) -> str:
    words = {word.strip().lower() for word in str(raw).split(",") if word.strip()}
    if words == {"otlp"}:
        return "otlp"

    if words == {"none"}:
        return "none"

    raise ValueError(raw)


def _parse_propagators(raw: object) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)  # noqa: TRY004 - one kind of error means "not allowed"

    words = [str(part).strip().lower() for part in parts if str(part).strip()]
    words = ["xray" if word == "xray-lambda" else word for word in words]
    if not words or not set(words) <= {*_PROPAGATORS, "none"}:
        raise ValueError(raw)

    return () if "none" in words else tuple(dict.fromkeys(words))


def _parse_milliseconds(raw: object) -> float:
    text = str(raw).strip()
    return _EXPORT_WAIT.parse(text if text[-1:].isalpha() else f"{text}ms")


_RESERVOIR = number(0, _MAX_PER_SECOND)
_PARENTLESS = {"always_on", "always_off", "traceidratio"}
_PROPAGATORS = ("tracecontext", "baggage", "xray")
_EXPORT_WAIT = duration(0.001, 3600.0)
_SAMPLING = Kind(
    "sampling",
    parse_sampling,
    "100%, 0.05, 5%, 2/s or 1/s+5%",
    show=_show_sampling,
)
_SAMPLER = Kind(
    "sampler",
    _parse_sampler,
    "[parentbased_]always_on | always_off | traceidratio, or xray",
    show=_show_sampling,
)
_SAMPLER_RATIO = Kind("ratio", _parse_sampler_ratio, RATIO.allowed, show=RATIO.show)
_TRUST = choice("always", "never", "sampled-flag-ignored")
_SAMPLER_TRUST = Kind("sampler", _parse_sampler_trust, _SAMPLER.allowed)
_DISABLED = Kind("flag", _parse_disabled, FLAG.allowed)
_EXPORTER = Kind("choice", _parse_exporter, "otlp | none")
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
        _SAMPLING,
        "Requests to sample if no caller decided: so many a second, then a part",
        relaxed=SamplingRate(0.0, 1.0),
        standards=(standard("OTEL_TRACES_SAMPLER", _SAMPLER),),
    )
    ratio: float = setting(
        0.05,
        RATIO,
        "The part to sample where OTEL_TRACES_SAMPLER says traceidratio",
        standards=(standard("OTEL_TRACES_SAMPLER_ARG", _SAMPLER_RATIO),),
    )
    trust_inbound: str = setting(
        "always",
        _TRUST,
        "Whether a caller's trace is continued and its sampled flag honoured",
        standards=(standard("OTEL_TRACES_SAMPLER", _SAMPLER_TRUST),),
    )
    inbound_max_per_s: float = setting(
        100.0,
        number(0, _MAX_PER_SECOND),
        "Requests a second that a caller's flag can have sampled; then our own rule",
    )
    propagators: tuple[str, ...] = setting(
        ("baggage", "xray", "tracecontext"),
        _PROPAGATION,
        "Headers read and written; of several trace headers the last listed wins",
        standards=(standard("OTEL_PROPAGATORS", _PROPAGATION),),
    )
    exporter: str = setting(
        "auto",
        choice("auto", "otlp", "none"),
        "Where spans go; auto is otlp if an endpoint is set",
        standards=(standard("OTEL_TRACES_EXPORTER", _EXPORTER),),
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
