"""X-Ray's sampling service as its model describes it, with a clock of its own."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator

from svcready._transport.xray_api import Answer, XrayApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botocore.model import ServiceModel

    from svcready.testing import FakeClock

OPERATIONS = {
    "/GetSamplingRules": "GetSamplingRules",
    "/SamplingTargets": "GetSamplingTargets",
}
EPOCH_S = 1_800_000_000
ANY = {
    "ResourceARN": "*",
    "ServiceName": "*",
    "ServiceType": "*",
    "Host": "*",
    "HTTPMethod": "*",
    "URLPath": "*",
    "Version": 1,
}
DEFAULT = {"RuleName": "Default", "Priority": 10000, "FixedRate": 0.05}
GARBAGE: tuple[object, ...] = (
    [],
    {},
    {"SamplingRuleRecords": None, "SamplingTargetDocuments": None},
    {"SamplingRuleRecords": [], "SamplingTargetDocuments": "none"},
    {"message": "<html>"},
)


class Reply(NamedTuple):
    """What the service answers to one call."""

    status: int
    body: object
    date: str


class Call(NamedTuple):
    """One call that came in, as long as it was valid."""

    at_s: float
    """The service's time."""
    path: str
    body: Mapping[str, Any]


def require_model() -> None:
    """Skip the module where botocore's model is older than adaptive sampling."""
    shape = service_model().operation_model("GetSamplingTargets").input_shape
    if shape is None or "SamplingBoostStatisticsDocuments" not in shape.members:
        pytest.skip("this botocore knows no boosts of X-Ray's", allow_module_level=True)


@cache
def service_model() -> ServiceModel:
    """Return botocore's model of X-Ray."""
    return get_session().get_service_model("xray")


def complaints(operation: str, part: str, params: Any) -> str:
    """Say what of *params* the service model does not allow; empty if all is well."""
    model = service_model().operation_model(operation)
    shape = model.input_shape if part == "input" else model.output_shape
    assert shape is not None
    return str(ParamValidator().validate(params, shape).generate_report())


def rule(name: str, **given: object) -> dict[str, Any]:
    """Return a rule of X-Ray's that matches all but what *given* narrows."""
    priority = 10000 if name == "Default" else 100
    usual = {"Priority": priority, "FixedRate": 0.05, "ReservoirSize": 1}
    return {**ANY, "RuleName": name, **usual, **given}


@dataclass
class FakeXray:
    """
    The service: rules in pages, quotas shared by the clients that report.

    Its time is *clock*'s monotonic one: a client's wall clock may jump, and the
    service's does not.
    """

    clock: FakeClock
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    page: int = 25
    """Rules on one page."""
    ttl_s: int = 300
    interval_s: int = 10
    rate_of: Callable[[dict[str, Any]], float] = lambda it: float(it["FixedRate"])
    """The rate that targets say."""
    dated: bool = True
    """Answers have a `Date`."""
    quotas: bool = True
    """Targets have a quota."""
    boosts: dict[str, float] = field(default_factory=dict)
    """Rates to which rules are boosted now, for a minute."""
    unprocessed: set[str] = field(default_factory=set)
    """Rules whose statistics are not taken."""
    broken: str = ""
    """`refuse`, `error` or `garbage`."""
    modified_s: float = EPOCH_S
    calls: list[Call] = field(default_factory=list)
    told: dict[str, list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0, 0])
    )
    """Of each rule, how many requests, sampled and borrowed were reported."""
    boosts_told: list[dict[str, Any]] = field(default_factory=list)
    _clients: dict[tuple[str, str], float] = field(default_factory=dict)
    _garbage: int = 0

    @property
    def now_s(self) -> float:
        """The service's time, in seconds since the epoch."""
        return EPOCH_S + self.clock.monotonic()

    def change(self, *rules: dict[str, Any]) -> None:
        """Have exactly *rules* and Default."""
        self.rules = {it["RuleName"]: it for it in (*rules, rule("Default"))}
        self.rules |= {it["RuleName"]: it for it in rules}
        self.modified_s = self.now_s

    def answer(self, path: str, body: object) -> Reply:
        """
        Answer one call.

        Raises:
            ConnectionRefusedError: It is down.
        """
        if self.broken == "refuse":
            raise ConnectionRefusedError

        date = formatdate(self.now_s, usegmt=True) if self.dated else ""
        operation = OPERATIONS.get(path, "")
        if self.broken == "error" or not operation:
            return Reply(500 if operation else 404, {"message": "no"}, date)

        wrong = complaints(operation, "input", body)
        if wrong:
            return Reply(400, {"__type": "InvalidRequestException", "m": wrong}, date)

        assert isinstance(body, dict)
        self.calls.append(Call(self.now_s, path, body))
        if self.broken == "garbage":
            self._garbage += 1
            return Reply(200, GARBAGE[self._garbage % len(GARBAGE)], date)

        made = self._rules(body) if "Rules" in operation else self._targets(body)
        assert not _ignoring_default(complaints(operation, "output", made))
        return Reply(200, made, date)

    def asked(self, path: str) -> list[float]:
        """Return when *path* was asked for."""
        return [call.at_s for call in self.calls if call.path == path]

    def _rules(self, body: dict[str, Any]) -> dict[str, Any]:
        first = int(body.get("NextToken", "0"))
        names = sorted(self.rules)
        made: dict[str, Any] = {
            "SamplingRuleRecords": [
                {"SamplingRule": self.rules[name], "CreatedAt": 1.5, "ModifiedAt": 2}
                for name in names[first : first + self.page]
            ]
        }
        if first + self.page < len(names):
            made["NextToken"] = str(first + self.page)

        return made

    def _targets(self, body: dict[str, Any]) -> dict[str, Any]:
        self.boosts_told += body.get("SamplingBoostStatisticsDocuments", [])
        targets, refused = [], []
        for document in body["SamplingStatisticsDocuments"]:
            name = document["RuleName"]
            if name not in self.rules or name in self.unprocessed:
                refused.append({"RuleName": name, "ErrorCode": "400", "Message": "no"})
                continue

            assert int(document["ClientID"], 16) >= 0
            told = self.told[name]
            for at, key in enumerate(("Request", "Sampled", "Borrow")):
                told[at] += document[f"{key}Count"]

            self._clients[name, document["ClientID"]] = self.now_s
            targets.append(self._target(self.rules[name]))

        return {
            "SamplingTargetDocuments": targets,
            "LastRuleModification": self.modified_s,
            "UnprocessedStatistics": refused,
            "UnprocessedBoostStatistics": [],
        }

    def _target(self, found: dict[str, Any]) -> dict[str, Any]:
        name = found["RuleName"]
        target = {
            "RuleName": name,
            "FixedRate": self.rate_of(found),
            "Interval": self.interval_s,
        }
        if self.quotas:
            clients = sum(
                asked_s > self.now_s - 30
                for (rule_name, _), asked_s in self._clients.items()
                if rule_name == name
            )
            target["ReservoirQuota"] = found["ReservoirSize"] // clients
            target["ReservoirQuotaTTL"] = int(self.now_s) + self.ttl_s

        if name in self.boosts:
            until_s = int(self.now_s) + 60
            rate = self.boosts[name]
            target["SamplingBoost"] = {"BoostRate": rate, "BoostRateTTL": until_s}

        return target


class FakeApi:
    """
    A client of *xray* without a network; what is sent goes through JSON.

    Args:
        xray: Answers.
        heard: Is told of each call's path, body and answer.
    """

    name = "fake"

    def __init__(
        self,
        xray: FakeXray,
        heard: Callable[[str, Any, Reply], None] = lambda *_: None,
    ) -> None:
        self._xray = xray
        self._heard = heard
        self.forgotten = 0

    def rules(self, next_token: str) -> Answer:
        """Ask for one page of rules."""
        return self._ask(
            "/GetSamplingRules", {"NextToken": next_token} if next_token else {}
        )

    def targets(
        self,
        statistics: Sequence[Mapping[str, object]],
        boosts: Sequence[Mapping[str, object]],
    ) -> Answer:
        """Report what was sampled."""
        body: dict[str, object] = {"SamplingStatisticsDocuments": statistics}
        if boosts:
            body["SamplingBoostStatisticsDocuments"] = boosts

        return self._ask("/SamplingTargets", body)

    def forget(self) -> None:
        """Count that it was told to."""
        self.forgotten += 1

    def _ask(self, path: str, body: object) -> Answer:
        from email.utils import parsedate_to_datetime

        try:
            reply = self._xray.answer(path, json.loads(json.dumps(body)))
        except ConnectionRefusedError as error:
            raise XrayApiError("refused", answered=False) from error

        self._heard(path, body, reply)
        if reply.status != 200:
            raise XrayApiError(f"HTTP {reply.status} {reply.body}")

        made = reply.body if isinstance(reply.body, dict) else {}
        date = parsedate_to_datetime(reply.date).timestamp() if reply.date else None
        return Answer(json.loads(json.dumps(made)), date)


def _ignoring_default(report: str) -> str:
    # The model says up to 9999, and the service's own Default has 10000.
    return "\n".join(line for line in report.splitlines() if "10000" not in line)
