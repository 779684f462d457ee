"""The rows of the budgets about traces, and what decides each."""

from __future__ import annotations

from benchmarks.budgets import Budget, Item
from benchmarks.limits import absolute, against
from benchmarks.model import Limit, Row

TRACING_ROWS = (
    Row(
        Budget.SPAN_UNSAMPLED,
        "`with svcready.span(...)`, unsampled",
        "span unsampled",
        against("svcready", "OTel SDK", 1 / 5, 1 / 15),
        Item.SPAN,
        ("svcready", "OTel SDK", "X-Ray SDK", "ADOT", "logfire"),
    ),
    Row(
        Budget.SPAN_SAMPLED,
        "`with svcready.span(...)`, sampled, 5 attributes, encoding included",
        "span sampled",
        against("svcready", "OTel SDK", 1.0, 1 / 4),
        Item.SPAN,
        ("svcready", "OTel SDK", "X-Ray SDK", "ADOT", "logfire"),
    ),
    Row(
        Budget.SPAN_SAMPLED,
        "Sending a finished span over OTLP, 5 attributes, of a thousand",
        "export",
        against("svcready", "OTel SDK", 1.0, 1 / 5),
        Item.SPAN,
        ("svcready", "OTel SDK"),
    ),
    Row(
        Budget.SPAN_SAMPLED,
        "Sending a finished span to X-Ray's daemon, of a thousand",
        "export to X-Ray",
        against("svcready", "X-Ray SDK", 1.0),
        Item.SPAN,
        ("svcready", "X-Ray SDK"),
    ),
    Row(
        Budget.W3C,
        "W3C extract",
        "extract",
        against("svcready", "OTel", 1 / 4, 1 / 6),
        Item.SPAN,
        ("svcready", "OTel", "all formats"),
    ),
    Row(
        Budget.W3C,
        "W3C inject",
        "inject",
        against("svcready", "OTel", 1 / 4, 1 / 6),
        Item.SPAN,
        ("svcready", "OTel", "all formats"),
    ),
    Row(
        Budget.SAMPLING,
        "Sampling decision, 50 rules",
        "sampling decision",
        (
            *absolute("svcready", 3.0, 1.0),
            Limit("svcready", 1 / 4, "ADOT"),
        ),
        Item.SPAN,
        ("svcready", "ADOT"),
    ),
)
