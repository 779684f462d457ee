"""Chooses the sink of CloudWatch, and makes what it works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._instruments._register import REGISTER
from svcready.metrics.sinks._cloudwatch._billed import Billed
from svcready.metrics.sinks._cloudwatch._collector import Collector
from svcready.metrics.sinks._cloudwatch._dimensions import Dimensions, read_sets
from svcready.metrics.sinks._cloudwatch._emf._sink import EmfSink
from svcready.metrics.sinks._cloudwatch._emf._ways import Agent, choose_way
from svcready.metrics.sinks._cloudwatch._selection import Selection
from svcready.metrics.sinks._cloudwatch._texts import namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.identity import Identity
    from svcready.config import Settings
    from svcready.config._sections.cloudwatch import CloudwatchSettings
    from svcready.metrics._push import PushSink
    from svcready.metrics.sinks._means import Means

__all__ = ["cloudwatch_problems", "cloudwatch_sinks", "make_dimensions"]

_DEFAULT = "Environment,ApiEndpoint;Environment"


def cloudwatch_sinks(means: Means) -> list[PushSink]:
    """Make the sink of the mode that is set; none if CloudWatch is off."""
    settings = means.settings.cloudwatch
    if settings.mode == "off":
        return []

    selection = Selection(settings)
    billed = Billed(settings.metric_budget, means.clock)
    gauge = means.declare.gauge(
        "svcready_cloudwatch_billed_metrics",
        "Distinct CloudWatch metrics that this process sent within the last hour.",
    )
    gauge.set_function(billed.count)
    means.keep_sketches(lambda spec: selection.reads(spec.name, spec.origin))
    collector = Collector(
        means.snapshot,
        selection,
        make_dimensions(settings, means.identity, means.note),
        identity=means.identity,
        namespace=_namespace(means),
        max_series=means.settings.metrics.max_series,
        billed=billed,
        clock=means.clock,
    )
    if settings.mode == "emf":
        return [_emf(collector, means)]

    # Who sends no such metrics need not load it.
    from svcready.metrics.sinks._cloudwatch._put._choose import put_sinks

    return put_sinks(collector, means)


def _emf(collector: Collector, means: Means) -> EmfSink:
    settings = means.settings.cloudwatch
    way, problem = choose_way(
        settings.emf_destination,
        max_line_bytes=means.settings.log.max_line_bytes,
        write=means.write,
    )
    if problem:
        means.note(_no_way(settings, problem, means.settings))

    on_lambda = means.identity.platform == "aws_lambda"
    asked = {"true": True, "false": False}.get(settings.emf_per_request, on_lambda)
    if asked and isinstance(way, Agent) and not on_lambda:
        given = means.settings.origin("cloudwatch.emf_per_request")
        means.note(
            f"{given}={settings.emf_per_request} would have requests wait for "
            f"{way.name}; EMF goes there by time"
        )
        asked = False

    return EmfSink(
        settings,
        collector,
        way,
        identity=means.identity,
        clock=means.clock,
        per_request=asked,
    )


def make_dimensions(
    settings: CloudwatchSettings, identity: Identity, note: Callable[[str], None]
) -> Dimensions:
    """Make the dimension sets; a wrong setting is reported, and the default used."""
    known = {label for metric in REGISTER.things() for label in metric.spec.labels}
    sets, problem = read_sets(settings.dimensions, known | identity.resource().keys())
    if problem:
        note(_no_sets(settings, problem))
        sets, _ = read_sets(_DEFAULT)

    return Dimensions(sets, join_labels=settings.label_dimensions)


def cloudwatch_problems(everything: Settings) -> list[str]:
    """
    Return what is wrong with the section CLOUDWATCH, as the start line says it.

    It is told without the service, so that a dimension which is spelt like a label
    passes.
    """
    settings = everything.cloudwatch
    if settings.mode == "off":
        return []

    problems: list[str] = []
    _, problem = read_sets(settings.dimensions)
    if problem:
        problems.append(_no_sets(settings, problem))

    fit = namespace_of(settings.namespace) if settings.namespace else ""
    if fit != settings.namespace:
        problems.append(_no_namespace(settings, fit))

    _, problem = choose_way(settings.emf_destination)
    if settings.mode == "emf" and problem:
        problems.append(_no_way(settings, problem, everything))

    return problems


def _namespace(means: Means) -> str:
    given = means.settings.cloudwatch.namespace
    fit = namespace_of(given) if given else ""
    if fit != given:
        means.note(_no_namespace(means.settings.cloudwatch, fit))

    return fit


def _no_sets(settings: CloudwatchSettings, problem: str) -> str:
    return (
        f"SVCREADY_CLOUDWATCH_DIMENSIONS={settings.dimensions} {problem}; "
        f"{_DEFAULT} is used"
    )


def _no_namespace(settings: CloudwatchSettings, fit: str) -> str:
    return (
        f"SVCREADY_CLOUDWATCH_NAMESPACE={settings.namespace} is no namespace of "
        "CloudWatch (1-255 of a-z, A-Z, 0-9, space and ._#:/-, no AWS/ or colon in "
        f"front); {fit} is used"
    )


def _no_way(settings: CloudwatchSettings, problem: str, everything: Settings) -> str:
    # It may have been said by the variable of AWS' own libraries.
    given = everything.origin("cloudwatch.emf_destination")
    return f"{given}={settings.emf_destination} {problem}; EMF goes to stdout"
