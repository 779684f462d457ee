"""How the setting of adaptive sampling says what an anomaly is."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from svcready.config._kinds import TEXT, Kind

__all__ = ["ADAPTIVE", "USAGES", "AdaptiveSampling", "Condition"]

USAGES = ("both", "sampling-boost", "anomaly-trace-capture")
_LONGEST_MS = 86_400_000
_MOST_CONDITIONS = 50
_MOST_PER_SECOND = 1_000_000
_FILES = (".json", ".yaml", ".yml")
_KEYS = {"version", "anomalyConditions", "anomalyCaptureLimit"}
_CONDITION_KEYS = {"errorCodeRegex", "operations", "highLatencyMs", "usage"}


class Condition(NamedTuple):
    """What makes a request an anomaly; all that is said has to hold."""

    status: re.Pattern[str] | None = None
    """Matches the beginning of the response's status."""
    operations: frozenset[str] | None = None
    """Requests by method and route, such as `GET /orders/{id}`; None: all."""
    slower_than_s: float | None = None
    usage: str = "both"
    """What follows: `sampling-boost`, `anomaly-trace-capture` or `both`."""


class AdaptiveSampling(NamedTuple):
    """What counts as an anomaly where X-Ray may boost a rule."""

    conditions: tuple[Condition, ...] = ()
    """One of them is enough; none at all means a failed request."""
    capture_per_s: float | None = None
    """So many anomalies a second are kept though they are not sampled."""
    source: str = ""
    """What was said, for people."""


def _parse_adaptive(raw: object) -> AdaptiveSampling | None:
    text = str(raw).strip() if isinstance(raw, str) else json.dumps(raw)
    if not text:
        return None

    content = text
    if text.lower().endswith(_FILES) and "\n" not in text:
        from svcready.config._regular_file import read_regular_file

        content = read_regular_file(text).decode("utf-8")

    return _of(_object(_parse_text(content), _KEYS), TEXT.parse(" ".join(text.split())))


def _parse_text(text: str) -> object:
    try:
        parsed: object = json.loads(text)
    except ValueError:
        # YAML is what the variable was made for; who writes it has the parser.
        import yaml  # type: ignore[import-untyped, unused-ignore]

        parsed = yaml.safe_load(text)

    return parsed


def _of(given: dict[str, object], source: str) -> AdaptiveSampling:
    version = given.get("version")
    if isinstance(version, bool) or not isinstance(version, int | float):
        raise ValueError(version)  # noqa: TRY004 - one kind of error: "not allowed"

    if int(version) != 1:
        raise ValueError(version)

    conditions = given.get("anomalyConditions", [])
    if not isinstance(conditions, list) or len(conditions) > _MOST_CONDITIONS:
        raise ValueError(conditions)

    limit = given.get("anomalyCaptureLimit")
    per_s = None
    if limit is not None:
        key = "anomalyTracesPerSecond"
        per_s = _whole(_object(limit, {key}).get(key), _MOST_PER_SECOND)

    return AdaptiveSampling(tuple(map(_condition, conditions)), per_s, source)


def _condition(raw: object) -> Condition:
    given = _object(raw, _CONDITION_KEYS)
    pattern = given.get("errorCodeRegex")
    operations = given.get("operations")
    slow_ms = given.get("highLatencyMs")
    usage = given.get("usage", "both")
    if usage not in USAGES or (pattern is None and slow_ms is None):
        raise ValueError(raw)

    if operations is not None and not (
        isinstance(operations, list) and all(isinstance(it, str) for it in operations)
    ):
        raise ValueError(raw)

    return Condition(
        None if pattern is None else re.compile(TEXT.parse(pattern)),
        None if operations is None else frozenset(operations),
        None if slow_ms is None else _whole(slow_ms, _LONGEST_MS) / 1000.0,
        str(usage),
    )


def _object(given: object, known: set[str]) -> dict[str, object]:
    if not isinstance(given, dict) or not given.keys() <= known:
        raise ValueError(given)

    return given


def _whole(value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(value)

    return float(value)


ADAPTIVE: Kind[AdaptiveSampling | None] = Kind(
    "conditions",
    _parse_adaptive,
    "JSON, or a file of it, with version 1.0, anomalyConditions, anomalyCaptureLimit; "
    "YAML too if PyYAML is installed",
    show=lambda it: "" if it is None else it.source,
)
