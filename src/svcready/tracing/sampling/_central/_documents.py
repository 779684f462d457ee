"""What X-Ray's sampling API answers, read with suspicion."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from svcready.config._sampling_rules import SamplingRule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "GarbageError",
    "Target",
    "Targets",
    "read_rules",
    "read_targets",
]

_LONGEST_NAME = 32
_LONGEST_PATTERN = 500
_MOST_PER_SECOND = 1e6
_LONGEST_INTERVAL_S = 3600.0
_VERSION = 1


class GarbageError(Exception):
    """An answer is not what the API gives; the text says what is wrong."""


class Target(NamedTuple):
    """What the service wants of one rule; None is what it did not say."""

    name: str
    rate: float | None
    quota: float | None
    """So many a second, from this process."""
    quota_until_s: float | None
    """Until when, in seconds since the epoch."""
    interval_s: float | None
    boost_rate: float | None
    boost_until_s: float | None
    """In seconds since the epoch."""


class Targets(NamedTuple):
    """One answer to a report."""

    targets: tuple[Target, ...]
    modified_s: float | None
    """When any rule was last changed, in seconds since the epoch."""
    unprocessed: Mapping[str, str]
    """The rules whose statistics were not taken, and why."""
    unprocessed_boosts: Mapping[str, str]
    wrong: int
    """How many targets were left out, because they are none."""


def read_rules(body: Mapping[str, object]) -> tuple[list[SamplingRule], int, str]:
    """
    Read one page of rules.

    Returns:
        The rules; how many records were left out, because they are none or of a
        version that is not known; and the token of the next page, empty if it is
        the last.

    Raises:
        GarbageError: It is no page of rules.
    """
    records = body.get("SamplingRuleRecords")
    if not isinstance(records, list):
        raise GarbageError("an answer without SamplingRuleRecords")

    rules = [rule for rule in map(_read_rule, records) if rule is not None]
    token = body.get("NextToken")
    return rules, len(records) - len(rules), token if isinstance(token, str) else ""


def read_targets(body: Mapping[str, object]) -> Targets:
    """
    Read the answer to a report.

    Raises:
        GarbageError: It is none.
    """
    documents = body.get("SamplingTargetDocuments")
    if not isinstance(documents, list):
        raise GarbageError("an answer without SamplingTargetDocuments")

    found = [target for target in map(_read_target, documents) if target is not None]
    modified = body.get("LastRuleModification")
    return Targets(
        tuple(found),
        None if modified is None else _or_none(lambda: _seconds(modified)),
        _unprocessed(body.get("UnprocessedStatistics")),
        _unprocessed(body.get("UnprocessedBoostStatistics")),
        len(documents) - len(found),
    )


def _read_rule(record: object) -> SamplingRule | None:
    given = record.get("SamplingRule") if isinstance(record, dict) else None
    if not isinstance(given, dict) or given.get("Version", _VERSION) != _VERSION:
        return None

    boost = given.get("SamplingRateBoost")
    most, cooldown_s = None, 0.0
    try:
        if boost is not None:
            most = _number(boost["MaxRate"], 1.0)
            cooldown_s = _number(boost.get("CooldownWindowMinutes", 0), 1e6) * 60.0

        return SamplingRule(
            name=_name(given["RuleName"]),
            priority=int(_number(given["Priority"], 1e9)),
            reservoir=_number(given["ReservoirSize"], _MOST_PER_SECOND),
            rate=_number(given["FixedRate"], 1.0),
            method=_pattern(given["HTTPMethod"]),
            path=_pattern(given["URLPath"]),
            host=_pattern(given["Host"]),
            service_name=_pattern(given["ServiceName"]),
            service_type=_pattern(given["ServiceType"]),
            resource_arn=_pattern(given["ResourceARN"]),
            attributes=_attributes(given.get("Attributes")),
            boost_max_rate=most,
            boost_cooldown_s=cooldown_s,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _read_target(document: object) -> Target | None:
    if not isinstance(document, dict):
        return None

    def maybe(read: Callable[[object], float], value: object) -> float | None:
        return None if value is None else read(value)

    boost = document.get("SamplingBoost") or {}
    try:
        return Target(
            _name(document["RuleName"]),
            maybe(_rate, document.get("FixedRate")),
            maybe(_per_second, document.get("ReservoirQuota")),
            maybe(_seconds, document.get("ReservoirQuotaTTL")),
            maybe(_interval, document.get("Interval")),
            maybe(_rate, boost.get("BoostRate")),
            maybe(_seconds, boost.get("BoostRateTTL")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _unprocessed(given: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in given if isinstance(given, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("RuleName"), str):
            code, text = entry.get("ErrorCode"), entry.get("Message")
            found[entry["RuleName"]] = " ".join(str(it) for it in (code, text) if it)

    return found


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise ValueError(value)

    return value


def _pattern(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_PATTERN:
        raise ValueError(value)

    return value


def _attributes(given: object) -> tuple[tuple[str, str], ...]:
    if given is None:
        return ()

    if not isinstance(given, dict):
        raise ValueError(given)  # noqa: TRY004 - one kind of error means "no rule"

    return tuple((_pattern(key), _pattern(given[key])) for key in sorted(given))


def _number(value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)  # noqa: TRY004 - one kind of error means "no rule"

    if not 0 <= value <= most:  # which NaN is not
        raise ValueError(value)

    return float(value)


def _rate(value: object) -> float:
    return _number(value, 1.0)


def _per_second(value: object) -> float:
    return _number(value, _MOST_PER_SECOND)


def _interval(value: object) -> float:
    return min(max(1.0, _number(value, 1e12)), _LONGEST_INTERVAL_S)


def _seconds(value: object) -> float:
    if isinstance(value, datetime):  # as boto3 gives it
        return value.timestamp()

    return _number(value, 1e12)


def _or_none(read: Callable[[], float]) -> float | None:
    try:
        return read()
    except ValueError:
        return None
