"""Reads a document of sampling rules: of X-Ray's API, or of its SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from svcready.config._masking import one_line, shown
from svcready.config._parsers import parse_number, parse_ratio, within
from svcready.config._problems import Problem, nearest
from svcready.config._sampling import MAX_PER_SECOND, SAFE_RATE
from svcready.config._sampling_rules import (
    DEFAULT_PRIORITY,
    MOST_RULES,
    SamplingRule,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RulesDocument"]

_PATTERNS = {
    "HTTPMethod": "method",
    "URLPath": "path",
    "Host": "host",
    "ServiceName": "service_name",
    "ServiceType": "service_type",
    "ResourceARN": "resource_arn",
}
_LONGEST_PATTERN = 500
_LONGEST_NAME = 32
_MOST_ATTRIBUTES = 5
_RULE_KEYS = (
    *("RuleName", "RuleARN", "Priority", "FixedRate", "ReservoirSize", *_PATTERNS),
    *("Version", "Attributes", "SamplingRateBoost"),
)
_RECORD_KEYS = ("SamplingRule", "CreatedAt", "ModifiedAt")
_BOOST_KEYS = ("MaxRate", "CooldownWindowMinutes", "DisableDefaultAnomalyDetection")
_SDK_KEYS = ("version", "default", "rules")
_SDK_PATTERNS = {"http_method": "method", "url_path": "path"}
_SDK_TARGETS = ("method", "path", "host")
_SDK_RATE = ("fixed_target", "rate")
_USED = f"{SAFE_RATE} is used for its requests"
_LEFT_OUT = "the rule is left out"
_RATIO = "a part from 0 to 1"
_PER_SECOND = f"a number from 0 to {MAX_PER_SECOND:g}"


class RulesDocument:
    """
    A parsed file, read as the shape that it has.

    Args:
        path: The file's, for problems.
        document: What is in it.
    """

    def __init__(self, path: str, document: object) -> None:
        self._path = path
        self.rules: list[SamplingRule] = []
        self.problems: list[Problem] = []
        if isinstance(document, Mapping) and set(document) & set(_SDK_KEYS):
            self._read_sdk(document)
        else:
            self._read_api(document)

        if len(self.rules) > MOST_RULES:
            most = f"{MOST_RULES} rules at most"
            self._wrong("", f"{len(self.rules)} rules", most, "the first are used")
            del self.rules[MOST_RULES:]

    def _read_api(self, document: object) -> None:
        """Read what GetSamplingRules answers, or rules by themselves."""
        place = ""
        found = document
        if isinstance(document, Mapping):
            keys = ("SamplingRuleRecords", "SamplingRules", "SamplingRule")
            place = next((key for key in keys if key in document), "")
            found = document.get(place)
            known = (place, "NextToken") if place else keys
            self._look_for_unknown(document, known, "")

        listed = [found] if isinstance(found, Mapping) else found
        if not isinstance(listed, list):
            allowed = "SamplingRuleRecords, a list of rules, or an SDK's document"
            raw = found if place else document
            self._wrong(place, raw, allowed, "no rules are taken from it")
            return

        for number, record in enumerate(listed):
            where = f"{place}[{number}]"
            rule = record
            if isinstance(record, Mapping) and "SamplingRule" in record:
                self._look_for_unknown(record, _RECORD_KEYS, where)
                rule, where = record["SamplingRule"], f"{where}.SamplingRule"

            if isinstance(rule, Mapping):
                self.rules += self._api_rule(rule, where)
            else:
                self._wrong(where, rule, "a rule, with FixedRate", _LEFT_OUT)

    def _api_rule(self, given: Mapping[str, object], where: str) -> list[SamplingRule]:
        self._look_for_unknown(given, _RULE_KEYS, where)
        name = given.get("RuleName", "")
        patterns = {
            target: self._pattern(given.get(key, "*"), f"{where}.{key}")
            for key, target in _PATTERNS.items()
        }
        attributes = self._attributes(given.get("Attributes") or {}, where)
        is_default = name == "Default"
        lowest = DEFAULT_PRIORITY if is_default else 1
        highest = DEFAULT_PRIORITY if is_default else DEFAULT_PRIORITY - 1
        priority = self._number(
            given.get("Priority", highest),
            f"{where}.Priority",
            f"a whole number from {lowest} to {highest}",
            lambda raw: _whole(within(parse_number(raw), lowest, highest)),
            _LEFT_OUT,
        )
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            self._wrong(f"{where}.RuleName", name, "up to 32 characters", _LEFT_OUT)
            return []

        if given.get("Version", 1) != 1:
            self._wrong(f"{where}.Version", given["Version"], "1", _LEFT_OUT)
            return []

        if None in patterns.values() or attributes is None or priority is None:
            return []

        reservoir, rate = self._rate(given, ("ReservoirSize", "FixedRate"), where)
        boost, cooldown_s = self._boost(given.get("SamplingRateBoost"), where)
        return [
            SamplingRule(
                name,
                int(priority),
                reservoir,
                rate,
                **{key: text for key, text in patterns.items() if text is not None},
                attributes=attributes,
                boost_max_rate=boost,
                boost_cooldown_s=cooldown_s,
            )
        ]

    def _boost(self, given: object, where: str) -> tuple[float | None, float]:
        if given is None:
            return None, 0.0

        place, used = f"{where}.SamplingRateBoost", "its rate is not raised"
        if not isinstance(given, Mapping):
            self._wrong(place, given, "a table with MaxRate", used)
            return None, 0.0

        self._look_for_unknown(given, _BOOST_KEYS, place)
        most = self._number(
            given.get("MaxRate"), f"{place}.MaxRate", _RATIO, parse_ratio, used
        )
        minutes = self._number(
            given.get("CooldownWindowMinutes", 0),
            f"{place}.CooldownWindowMinutes",
            "minutes",
            lambda raw: within(parse_number(raw), 0, 1e6),
            used,
        )
        return (None, 0.0) if most is None or minutes is None else (most, minutes * 60)

    def _read_sdk(self, document: Mapping[str, object]) -> None:
        """Read a document of the X-Ray SDK, version 1 or 2."""
        self._look_for_unknown(document, _SDK_KEYS, "")
        version = document.get("version")
        if version not in (1, 2) or isinstance(version, bool):
            used = "no rules are taken from it"
            self._wrong("version", version, "1 or 2", used)
            return

        host = "service_name" if version == 1 else "host"
        patterns = {**_SDK_PATTERNS, host: "host"}
        listed = document.get("rules", [])
        if not isinstance(listed, list):
            self._wrong("rules", listed, "a list of rules", "they are left out")
            listed = []

        for number, given in enumerate(listed):
            self._sdk_rule(given, f"rules[{number}]", number + 1, patterns)

        self._sdk_default(document.get("default"))

    def _sdk_rule(
        self, given: object, where: str, priority: int, keys: Mapping[str, str]
    ) -> None:
        if not isinstance(given, Mapping):
            self._wrong(where, given, "a rule, with rate", _LEFT_OUT)
            return

        self._look_for_unknown(given, ("description", *_SDK_RATE, *keys), where)
        # Whoever leaves one out would have it match everything: the SDK refuses too.
        patterns = {
            target: self._pattern(given.get(key), f"{where}.{key}")
            for key, target in keys.items()
        }
        reservoir, rate = self._rate(given, _SDK_RATE, where)
        if None not in patterns.values():
            method, path, on = (patterns[key] or "" for key in _SDK_TARGETS)
            rule = SamplingRule("", priority, reservoir, rate, method, path, on)
            self.rules.append(rule)

    def _sdk_default(self, given: object) -> None:
        if not isinstance(given, Mapping):
            allowed = "a table with fixed_target and rate"
            used = "the setting `sampling` decides about the others"
            self._wrong("default", given, allowed, used)
            return

        self._look_for_unknown(given, _SDK_RATE, "default")
        reservoir, rate = self._rate(given, _SDK_RATE, "default")
        self.rules.append(SamplingRule("", DEFAULT_PRIORITY, reservoir, rate))

    def _rate(
        self, given: Mapping[str, object], keys: tuple[str, str], where: str
    ) -> tuple[float, float]:
        """Return reservoir and ratio; both are X-Ray's own where one is wrong."""
        first, second = keys
        reservoir = self._number(
            given.get(first, 0),
            f"{where}.{first}",
            _PER_SECOND,
            lambda raw: within(parse_number(raw), 0, MAX_PER_SECOND),
            _USED,
        )
        rate = self._number(
            given.get(second), f"{where}.{second}", _RATIO, parse_ratio, _USED
        )
        if reservoir is None or rate is None:
            return SAFE_RATE.per_second, SAFE_RATE.ratio or 0.0

        return reservoir, rate

    def _number(
        self,
        raw: object,
        where: str,
        allowed: str,
        parse: Callable[[object], float],
        used: str,
    ) -> float | None:
        try:
            return parse(raw)
        except Exception:  # noqa: BLE001 - whatever it is, it is no such number
            self._wrong(where, raw, allowed, used)
            return None

    def _pattern(self, raw: object, where: str) -> str | None:
        if isinstance(raw, str) and raw.isprintable() and len(raw) <= _LONGEST_PATTERN:
            return raw

        allowed = "printable text, in which * and ? are wildcards"
        self._wrong(where, raw, allowed, _LEFT_OUT)
        return None

    def _attributes(
        self, given: object, where: str
    ) -> tuple[tuple[str, str], ...] | None:
        place, allowed = f"{where}.Attributes", "a table of up to 5 patterns"
        if not isinstance(given, Mapping) or len(given) > _MOST_ATTRIBUTES:
            self._wrong(place, given, allowed, _LEFT_OUT)
            return None

        pairs = [
            (key, self._pattern(raw, f"{place}.{key}")) for key, raw in given.items()
        ]
        found = tuple((key, text) for key, text in pairs if text is not None)
        return found if len(found) == len(pairs) else None

    def _look_for_unknown(
        self, given: Mapping[str, object], known: tuple[str, ...], where: str
    ) -> None:
        for key in given:
            if key not in known:
                name = self._named(f"{where}.{key}" if where else key)
                near = nearest(str(key), known)
                self.problems.append(Problem("unknown", name, nearest=near))

    def _wrong(self, where: str, raw: object, allowed: str, used: str) -> None:
        name = self._named(where)
        if raw is None:
            problem = Problem("incomplete", name, "", f" is missing: use {allowed}")
        else:
            problem = Problem("malformed", name, shown(raw, secret=False), allowed)

        self.problems.append(problem._replace(used=used))

    def _named(self, where: str) -> str:
        return one_line(f"{self._path} {where}".rstrip())


def _whole(value: float) -> float:
    if value != int(value):
        raise ValueError(value)

    return value
