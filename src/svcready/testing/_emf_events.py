"""Checks an EMF event against every rule of CloudWatch, also those in no schema."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, cast

from svcready.metrics.sinks._cloudwatch._texts import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["assert_emf_event"]

_LARGEST_EVENT = 1024 * 1024 - 26
_MOST_SHOWN = 160
_MOST_METRICS = 100
_MOST_VALUES = 100
_MOST_DIMENSIONS = 30
_LONGEST_NAME = 255
_LONGEST_DIMENSION = 250
_LONGEST_VALUE = 1024
_LARGEST = 2.0**360
_RESOLUTIONS = {1, 60}
_HINTS = {"LogGroupName", "LogStreamName"}
_STATISTICS = {"Count", "Sum", "Min", "Max"}
_DISTRIBUTION = _STATISTICS | {"Values", "Counts"}
_ROUNDING = 1e-9


def assert_emf_event(
    line: str | bytes, /, *, max_bytes: int = _LARGEST_EVENT, published: bool = False
) -> dict[str, object]:
    """
    Assert that *line* is an event in CloudWatch's embedded metric format.

    Beside the published JSON schema it holds the limits that are only in prose: 100
    metrics, 100 values, dimension values that are text, resolutions, sizes.

    Args:
        line: The event as it was written, with its newline or without.
        max_bytes: How long it may be.
        published: Refuses the forms that AWS' exporters write and the specification
            does not name: objects of `Values` and `Counts`, and statistic sets.

    Returns:
        The event's members.

    Raises:
        AssertionError: It is not; the text says where and why.
    """
    raw = line.encode() if isinstance(line, str) else line
    wrong: list[str] = []
    event: object = None
    if b"\n" in raw.removesuffix(b"\n"):
        wrong.append("it is more than one line")
    elif len(raw) > max_bytes:
        wrong.append(f"it has {len(raw)} bytes, more than {max_bytes}")

    try:
        event = json.loads(raw, object_pairs_hook=_unique, parse_constant=_refused)
    except ValueError as error:
        wrong.append(f"it is not JSON: {error}")
    else:
        wrong += _violations(event, published=published)

    if wrong:
        shown = raw.decode("utf-8", "replace")
        shown = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"
        raise AssertionError("no EMF event:\n  " + "\n  ".join(wrong) + f"\n{shown}")

    return cast("dict[str, object]", event)


def _violations(event: object, *, published: bool) -> Iterator[str]:
    if not isinstance(event, dict) or not isinstance(event.get("_aws"), dict):
        yield "it has no object _aws"
        return

    head = cast("dict[str, object]", event["_aws"])
    yield from (
        f"_aws.{name} is not in the format"
        for name in head.keys() - {"Timestamp", "CloudWatchMetrics"} - _HINTS
    )
    stamp = head.get("Timestamp")
    if not isinstance(stamp, int) or isinstance(stamp, bool) or stamp < 0:
        yield f"_aws.Timestamp {stamp!r} is no number of milliseconds"

    directives = head.get("CloudWatchMetrics")
    if not isinstance(directives, list) or not directives:
        yield "_aws.CloudWatchMetrics is no array of directives"
        return

    names: set[str] = set()
    for directive in directives:
        if not isinstance(directive, dict):
            yield f"the directive {directive!r} is no object"
            continue

        yield from _of_directive(directive, event, names, published=published)


def _of_directive(
    directive: Mapping[str, object],
    event: Mapping[str, object],
    names: set[str],
    *,
    published: bool,
) -> Iterator[str]:
    namespace = directive.get("Namespace")
    if not _is_text(namespace, _LONGEST_NAME) or str(namespace).startswith(
        (":", "AWS/")
    ):
        yield f"Namespace {namespace!r} is none"

    sets = directive.get("Dimensions")
    if not isinstance(sets, list) or not sets:
        yield "Dimensions is no array of at least one set"
        sets = []

    if len({tuple(sorted(map(str, each))) for each in sets}) < len(sets):
        yield "a dimension set is there twice"

    for each in sets:
        yield from _of_set(each, event)

    metrics = directive.get("Metrics")
    if not isinstance(metrics, list) or not 0 < len(metrics) <= _MOST_METRICS:
        yield f"Metrics is no array of 1 to {_MOST_METRICS}"
        return

    for metric in metrics:
        name = metric.get("Name") if isinstance(metric, dict) else None
        if not _is_text(name, _LONGEST_NAME):
            yield f"{metric!r} has no Name of 1 to {_LONGEST_NAME} characters"
            continue

        if name in names:
            yield f"metric {name!r} is there twice"

        names.add(str(name))
        yield from _of_definition(metric)
        yield from _of_target(str(name), event, published=published)


def _of_set(names: object, event: Mapping[str, object]) -> Iterator[str]:
    if not isinstance(names, list) or len(names) > _MOST_DIMENSIONS:
        yield f"{names!r} is no set of at most {_MOST_DIMENSIONS} dimensions"
        return

    if len(set(map(str, names))) < len(names):
        yield f"a dimension of {names!r} is there twice"

    for name in names:
        value = event.get(name) if isinstance(name, str) else None
        if not _is_text(name, _LONGEST_DIMENSION) or str(name).startswith(":"):
            yield f"{name!r} is no dimension's name"
        elif not isinstance(value, str):
            yield f"dimension {name} has the value {value!r}, which is no text"
        elif not _is_text(value, _LONGEST_VALUE):
            yield (
                f"dimension {name} has the value {value!r}; 1 to {_LONGEST_VALUE} "
                "printable ASCII characters, not all blank, are allowed"
            )


def _of_definition(metric: Mapping[str, object]) -> Iterator[str]:
    name = metric["Name"]
    for key in metric.keys() - {"Name", "Unit", "StorageResolution"}:
        yield f"{key} of metric {name} is not in the format"

    if metric.get("Unit", "None") not in UNITS:
        yield f"metric {name} has the unknown unit {metric['Unit']!r}"

    resolution = metric.get("StorageResolution", 60)
    if resolution not in _RESOLUTIONS or isinstance(resolution, bool):
        yield f"metric {name} has the resolution {resolution!r}, not 1 or 60"


def _of_target(
    name: str, event: Mapping[str, object], *, published: bool
) -> Iterator[str]:
    target = event.get(name)
    if isinstance(target, list):
        if not 0 < len(target) <= _MOST_VALUES:
            yield f"metric {name} has {len(target)} values, not 1 to {_MOST_VALUES}"

        if not all(map(_is_number, target)):
            yield f"metric {name} has a value that is no number CloudWatch takes"
    elif isinstance(target, dict) and not published:
        yield from _of_object(name, target)
    elif not _is_number(target):
        yield f"metric {name} has the value {target!r}"


def _of_object(name: str, target: Mapping[str, object]) -> Iterator[str]:
    if target.keys() not in (_STATISTICS, _DISTRIBUTION):
        yield f"metric {name} has the members {sorted(target)}"
        return

    count, total, least, most = (target[key] for key in ("Count", "Sum", "Min", "Max"))
    if not (_is_count(count) and all(map(_is_number, (total, least, most)))):
        yield f"metric {name} has statistics that are no numbers"
        return

    numbers = cast("list[float]", [count, total, least, most])
    slack = _ROUNDING * max(abs(number) for number in numbers) * numbers[0]
    low, high = numbers[2] * numbers[0] - slack, numbers[3] * numbers[0] + slack
    if not low <= numbers[1] <= high:
        yield f"metric {name} has a Sum that its Min, Max and Count don't allow"

    if "Values" not in target:
        return

    values, counts = target["Values"], target["Counts"]
    if not (isinstance(values, list) and isinstance(counts, list)):
        yield f"metric {name} has Values or Counts that are no arrays"
    elif not 0 < len(values) == len(counts) <= _MOST_VALUES:
        yield f"metric {name} has {len(values)} Values and {len(counts)} Counts"
    elif not (all(map(_is_number, values)) and all(map(_is_count, counts))):
        yield f"metric {name} has Values or Counts that are no numbers"
    elif sum(counts) != count or len(set(values)) < len(values):
        yield f"metric {name} has Counts that are not Count, or a value twice"
    elif not (numbers[2] <= min(values) and max(values) <= numbers[3]):
        yield f"metric {name} has Values beyond Min and Max"


def _is_text(text: object, longest: int) -> bool:
    return (
        isinstance(text, str)
        and 0 < len(text) <= longest
        and text.isascii()
        and text.isprintable()
        and not text.isspace()
    )


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) <= _LARGEST
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        msg = "a member is there twice"
        raise ValueError(msg)

    return members


def _refused(constant: str) -> float:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)
