"""Fetching and reporting: pages, chunks, schedule, and what is left when all fails."""

from __future__ import annotations

import json
import logging
import random
import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("botocore")

from svcready._core.events import DestinationNoted, ItemsDropped, subscribe
from svcready._transport.xray_api import Answer, XrayApiError
from svcready.tracing.sampling._service import Service
from tests.tracing.sampling.central.driving import Driven, make_clock, run
from tests.tracing.sampling.central.fake_xray import (
    EPOCH_S,
    FakeApi,
    FakeXray,
    require_model,
    rule,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.conftest import Faults

require_model()

RULES, TARGETS = "/GetSamplingRules", "/SamplingTargets"


def make(**given: object) -> tuple[FakeXray, Driven]:
    """Return a service with the rule Default, and a process."""
    xray = FakeXray(make_clock(), **given)  # type: ignore[arg-type]
    xray.change()
    return xray, Driven(xray)


def test_sixty_rules_on_three_pages_are_reported_in_three_calls() -> None:
    """All pages are read, and no call has more than 25 documents (ADOT's fault b)."""
    xray, process = make()
    xray.change(*(rule(f"r{n}", URLPath=f"/{n}", Priority=n + 1) for n in range(59)))
    run(xray.clock, 1, process)
    assert [call.body for call in xray.calls] == [
        {},
        {"NextToken": "25"},
        {"NextToken": "50"},
    ]

    xray.calls.clear()
    chosen = {process.decide(f"/{n}") for n in range(60)}
    run(xray.clock, 10, process)

    assert chosen == {"Default", *(f"r{n}" for n in range(59))}
    sent = [call.body for call in xray.calls if call.path == TARGETS]
    sizes = [len(body["SamplingStatisticsDocuments"]) for body in sent]
    assert sizes == [25, 25, 10]
    assert sum(told[0] for told in xray.told.values()) == 60


def test_a_borrowed_request_counts_as_sampled_too() -> None:
    """The documents have the names that the API requires (ADOT's fault a)."""
    xray, process = make(rate_of=lambda _: 0.0)
    run(xray.clock, 11, process)
    process.decide()
    run(xray.clock, 11, process)  # from here on the rate is 0
    for _ in range(5):
        process.decide()

    run(xray.clock, 11, process)

    last = xray.calls[-1].body["SamplingStatisticsDocuments"]
    assert [it["BorrowCount"] for it in last] == [0]
    assert xray.told["Default"] == [6, 2, 1]


def test_quota_comes_and_ends_and_borrowing_begins_again() -> None:
    """Once its time is over, one a second is borrowed as before (ADOT's fault c)."""
    xray, process = make(ttl_s=30, rate_of=lambda _: 0.0)
    xray.change(rule("r", ReservoirSize=5, FixedRate=0.0))
    run(xray.clock, 1, process)
    assert [process.decide() for _ in range(9)].count("r") == 1
    run(xray.clock, 11, process)
    assert [process.decide() for _ in range(9)].count("r") == 5

    xray.broken = "refuse"
    run(xray.clock, 31, process)

    for _ in range(3):
        assert [process.decide() for _ in range(9)].count("r") == 1
        run(xray.clock, 1, process)


def test_targets_do_not_empty_the_reservoir() -> None:
    """The quota of each second is there in full when answers come (ADOT's fault i)."""
    xray, process = make(rate_of=lambda _: 0.0)
    xray.change(rule("r", ReservoirSize=3, FixedRate=0.0))
    run(xray.clock, 1, process)
    process.decide()
    run(xray.clock, 10.5, process)

    taken = []
    for _ in range(40):
        taken.append([process.decide() for _ in range(6)].count("r"))
        run(xray.clock, 1, process)

    assert taken == [3] * 40


@pytest.mark.parametrize("broken", ["refuse", "error", "garbage"])
def test_an_outage_keeps_the_rules_for_an_hour(broken: str) -> None:
    """Then one a second and 5 % are sampled, never all (ADOT's fault d)."""
    xray, process = make()
    xray.change(rule("none", ReservoirSize=0, FixedRate=0.0, URLPath="/x"))
    run(xray.clock, 1, process)
    xray.broken = broken
    noted: list[DestinationNoted] = []
    unsubscribe = subscribe(DestinationNoted, noted.append)
    run(xray.clock, 3500, process)
    assert [process.decide("/x") for _ in range(100)] == [None] * 100

    run(xray.clock, 200, process)
    chosen = [process.decide("/x") for _ in range(2000)]
    xray.broken = ""
    run(xray.clock, 400, process)
    unsubscribe()

    assert 1 + 60 <= chosen.count("") <= 1 + 140
    assert set(chosen) == {"", None}
    assert process.decide("/x") is None
    assert len(noted) == 1, "an outage is told once"
    assert "stay in force" in noted[0].notice


def test_what_came_is_told_at_first_and_after_an_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was said last is what holds; fetching again is no news."""
    caplog.set_level(logging.INFO, "svcready.tracing")
    xray, process = make()
    run(xray.clock, 700, process)
    assert xray.broken == ""
    xray.broken = "refuse"
    run(xray.clock, 700, process)
    xray.broken = ""
    run(xray.clock, 700, process)

    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all(text.endswith("sampling rules in force: 1") for text in said)


def test_a_rule_that_is_not_understood_is_told_and_hides_no_outage() -> None:
    """Once each, although the first stays true."""
    xray = FakeXray(make_clock())

    class Odd(FakeApi):
        def rules(self, next_token: str) -> Answer:
            super().rules(next_token)  # which may refuse
            good = {"SamplingRule": rule("good", FixedRate=1.0)}
            return Answer({"SamplingRuleRecords": [good, 7]})

    process = Driven(xray, api=Odd(xray))
    noted: list[DestinationNoted] = []
    unsubscribe = subscribe(DestinationNoted, noted.append)
    run(xray.clock, 700, process)
    xray.broken = "refuse"
    run(xray.clock, 700, process)
    unsubscribe()

    odd, outage = (it.notice for it in noted)
    assert odd == "1 sampling rules are not understood"
    assert outage.startswith("no sampling ")


def test_before_the_first_answer_one_a_second_and_five_percent() -> None:
    """Nothing is known yet, so the fallback decides; the first second samples too."""
    xray, process = make()
    xray.broken = "refuse"
    process.draws._random.seed(1)
    chosen = []
    for _ in range(10):
        chosen.append([process.decide() for _ in range(100)].count(""))
        run(xray.clock, 1, process)

    assert all(1 <= n <= 16 for n in chosen)
    assert 10 + 25 <= sum(chosen) <= 10 + 90


def test_rules_are_asked_for_again_soon_while_there_are_none() -> None:
    """A daemon that comes up late is found within seconds, and not hammered."""
    xray, process = make()
    xray.broken = "error"
    tried: list[float] = []
    ask = xray.answer

    def answer(path: str, body: object) -> object:
        tried.append(xray.now_s)
        return ask(path, body)

    xray.answer = answer  # type: ignore[assignment, method-assign]
    run(xray.clock, 1000, process)

    gaps = [after - before for before, after in pairwise(tried)]
    assert len(tried) <= 10
    for gap, least in zip(gaps, (10, 20, 40, 80, 160, 300), strict=False):
        assert least <= gap <= least + 1.1


def test_the_schedule_is_jittered() -> None:
    """Rules every 300 to 305 s, targets every 10 to 10.1 s, not all at once."""
    xray, process = make()
    xray.modified_s = EPOCH_S
    for _ in range(1000):
        process.decide()
        run(xray.clock, 2, process)

    for path, least, most in ((RULES, 300, 305), (TARGETS, 10, 10.1)):
        at = xray.asked(path)
        gaps = [after - before for before, after in pairwise(at)]
        assert len(set(gaps)) > 2
        assert all(least <= gap <= most + 0.05 for gap in gaps), path


def test_the_service_says_how_often_it_wants_reports() -> None:
    """The shortest `Interval` of an answer counts until the next."""
    for interval_s in (5, 40):
        xray, process = make(interval_s=interval_s)
        for _ in range(100):
            process.decide()
            run(xray.clock, 2, process)

        at = xray.asked(TARGETS)
        gaps = [after - before for before, after in pairwise(at)]
        assert all(interval_s <= gap <= interval_s + 0.15 for gap in gaps)
        assert gaps


def test_forked_workers_do_not_all_ask_at_once() -> None:
    """Children of one parent fetch at different times, though it fetched once."""
    clock = make_clock()
    at = []
    for seed in range(4):
        xray = FakeXray(clock, modified_s=0)
        xray.rules = {"Default": rule("Default")}
        process = Driven(xray, uniform=random.Random(0).random)
        run(clock, 1, process)
        begun_s = clock.monotonic()
        process.rules._refresher._uniform = random.Random(seed).uniform
        process.fork()
        run(clock, 320, process)
        at.append(xray.asked(RULES)[1] - EPOCH_S - begun_s)

    assert len(set(at)) == 4
    assert all(299 <= each <= 309 for each in at)


def test_a_modification_is_fetched_at_once_and_once() -> None:
    """`LastRuleModification` later than the fetch brings the new rules in 10 s."""
    xray, process = make()
    run(xray.clock, 60, process)
    xray.change(rule("new", FixedRate=1.0))
    process.decide()
    run(xray.clock, 11, process)

    assert process.decide() == "new"
    for _ in range(20):
        process.decide()
        run(xray.clock, 11, process)

    assert len(xray.asked(RULES)) == 2


def test_counts_survive_a_change_and_are_told_of_a_rule_that_is_gone() -> None:
    """New rules lose no statistics; of what nobody wants, the loss is counted."""
    xray, process = make()
    xray.change(rule("a", URLPath="/a", FixedRate=1.0), rule("b", URLPath="/b"))
    run(xray.clock, 1, process)
    for path in ("/a", "/b", "/b"):
        process.decide(path)

    dropped: list[ItemsDropped] = []
    unsubscribe = subscribe(ItemsDropped, dropped.append)
    xray.change(rule("a", URLPath="/a", FixedRate=0.5, ReservoirSize=9))
    process.rules._refresher._fetch(xray.clock.monotonic())
    process.decide("/a")
    run(xray.clock, 25, process)
    unsubscribe()

    assert xray.told["a"][0] == 2
    assert dropped == [ItemsDropped("tracing.sampling", "rule_removed", 2)]


def test_what_is_not_processed_is_told_again() -> None:
    """The service takes part of a report; the rest is in the next one, whole."""
    xray, process = make()
    run(xray.clock, 1, process)
    xray.unprocessed = {"Default"}
    for _ in range(3):
        process.decide()
        run(xray.clock, 11, process)

    assert "Default" in process.rules.describe()
    xray.unprocessed.clear()
    process.decide()
    run(xray.clock, 11, process)

    assert xray.told["Default"][0] == 4
    assert process.rules.describe().endswith(" s old)")


def test_one_chunk_that_is_refused_does_not_hold_the_others_up() -> None:
    """A service that answers is asked for the rest; one that is gone is not."""
    xray, process = make()
    xray.change(*(rule(f"r{n:02}", URLPath=f"/{n}", Priority=n + 1) for n in range(59)))
    run(xray.clock, 1, process)
    ask = xray.answer

    def answer(path: str, body: dict[str, list[dict[str, str]]]) -> object:
        sent = body.get("SamplingStatisticsDocuments", [])
        refused = any(it["RuleName"] == "r00" for it in sent)
        return ask(path, {"SamplingStatisticsDocuments": [{}]} if refused else body)

    xray.answer = answer  # type: ignore[assignment, method-assign]
    for n in range(60):
        process.decide(f"/{n}")

    run(xray.clock, 10, process)

    assert sum(told[0] for told in xray.told.values()) == 35


def test_a_record_that_is_none_costs_only_itself() -> None:
    """The other rules are in force, and what is left out is said."""
    xray, process = make()

    class Odd(FakeApi):
        def rules(self, next_token: str) -> Answer:
            good = rule("good", FixedRate=1.0)
            wrongs: tuple[dict[str, object], ...] = (
                {},
                {"Version": 2},
                {"FixedRate": 1.5},
                {"FixedRate": float("nan")},
                {"FixedRate": True},
                {"ReservoirSize": -1},
                {"ReservoirSize": "many"},
                {"URLPath": None},
                {"RuleName": ""},
                {"RuleName": "x" * 33},
                {"Attributes": ["a"]},
                {"SamplingRateBoost": {}},
                {"SamplingRateBoost": 7},
            )
            records = [{"SamplingRule": {**good, **wrong}} for wrong in wrongs]
            return Answer({"SamplingRuleRecords": [*records, None, 7, {}]})

    process = Driven(xray, api=Odd(xray))
    run(xray.clock, 1, process)

    assert process.decide() == "good"
    assert "15 sampling rules are not understood" in process.rules.describe()


def test_too_many_rules_are_cut_to_the_first() -> None:
    """A service that has thousands does not stop ours while it compiles them."""
    xray, _ = make()

    class Generous(FakeApi):
        def rules(self, next_token: str) -> Answer:
            page = int(next_token or "9")  # the last to be tried come first
            named = [(f"r{page}{number:02}", page + 1) for number in range(100)]
            records = [
                {"SamplingRule": rule(name, Priority=priority, URLPath=f"/{name}")}
                for name, priority in named
            ]
            further = str(page - 1) if page else None
            return Answer({"SamplingRuleRecords": records, "NextToken": further})

    process = Driven(xray, api=Generous(xray))
    run(xray.clock, 1, process)

    live = process.rules._table.live
    assert sorted(live) == [f"r{number:03}" for number in range(500)]
    said = "500 sampling rules beyond the first 500 are not used"
    assert said in process.rules.describe()


@pytest.mark.parametrize("token", ["0", "7"])
def test_pages_without_end_are_an_outage(token: str) -> None:
    """A proxy that repeats itself neither hangs us nor fills the memory."""
    xray, _ = make()

    class Endless(FakeApi):
        asked = 0

        def rules(self, next_token: str) -> Answer:
            self.asked += 1
            records = [{"SamplingRule": rule("r")}]
            further = token if token == "0" else str(self.asked)
            return Answer({"SamplingRuleRecords": records, "NextToken": further})

    api = Endless(xray)
    process = Driven(xray, api=api)
    run(xray.clock, 1, process)

    assert api.asked <= 101
    assert "pages without end" in process.rules.describe()


@pytest.mark.parametrize(
    "target",
    [
        {"FixedRate": 7},
        {"FixedRate": float("nan")},
        {"FixedRate": "1"},
        {"ReservoirQuota": -5, "ReservoirQuotaTTL": EPOCH_S + 9999},
        {"ReservoirQuota": 1e300, "ReservoirQuotaTTL": EPOCH_S + 9999},
        {"ReservoirQuota": 5, "ReservoirQuotaTTL": "soon"},
        {"SamplingBoost": {"BoostRate": 3, "BoostRateTTL": EPOCH_S + 9999}},
        {"SamplingBoost": [1]},
        {"Interval": -1},
        {"Interval": 10**400},
    ],
)
def test_a_target_that_is_none_changes_nothing(target: dict[str, object]) -> None:
    """Nothing that the service says by mistake turns into more than the rule allows."""
    xray, _ = make()
    xray.change(rule("r", FixedRate=0.0, ReservoirSize=0))

    class Odd(FakeApi):
        def targets(self, *_: object) -> Answer:
            document = json.loads(json.dumps({"RuleName": "r", **target}))
            return Answer({"SamplingTargetDocuments": [document, None]})

    process = Driven(xray, api=Odd(xray))
    run(xray.clock, 1, process)
    process.decide()
    run(xray.clock, 11, process)

    assert [process.decide() for _ in range(100)] == [None] * 100
    assert "a target that is none" in process.rules.describe()


def test_a_quota_is_never_good_for_ever() -> None:
    """A service or clock that is decades off gives an hour at most."""
    xray, _ = make(ttl_s=10**9)
    xray.change(rule("r", ReservoirSize=5, FixedRate=0.0))

    class Once(FakeApi):
        asked = 0

        def targets(self, *given: Sequence[Mapping[str, object]]) -> Answer:
            self.asked += 1
            if self.asked > 1:
                raise XrayApiError("HTTP 503")

            return super().targets(*given)

    process = Driven(xray, api=Once(xray))
    run(xray.clock, 1, process)
    process.decide()
    run(xray.clock, 3600, process)
    assert [process.decide() for _ in range(9)].count("r") == 5

    run(xray.clock, 60, process)
    assert [process.decide() for _ in range(9)].count("r") == 1


def test_workers_borrow_one_a_second_together() -> None:
    """Four processes that know of each other take turns, one among them a second."""
    xray = FakeXray(make_clock(), quotas=False, rate_of=lambda _: 0.0)
    xray.change(rule("r", FixedRate=0.0))
    processes = [Driven(xray, seed=seed) for seed in range(4)]
    run(xray.clock, 1, *processes)
    for process in processes:
        process.rules.share(4)

    borrowed = 0
    for _ in range(400):
        borrowed += [it.decide() for it in processes for _ in range(3)].count("r")
        run(xray.clock, 1, *processes)

    assert 390 <= borrowed <= 410
    assert len({process.rules.client_id for process in processes}) == 4


def test_a_fault_of_ours_ends_no_refreshing(faults: Faults) -> None:
    """It is reported, and the next round comes at its time."""
    xray, _ = make()

    class Faulty(FakeApi):
        asked = 0

        def rules(self, next_token: str) -> Answer:
            self.asked += 1
            if self.asked < 3:
                raise ZeroDivisionError

            return super().rules(next_token)

    api = Faulty(xray)
    process = Driven(xray, api=api)
    run(xray.clock, 40, process)

    for _ in range(2):
        assert isinstance(faults.claim("worker.xray"), ZeroDivisionError)

    assert process.decide() == "Default"
    assert api.asked == 3


def test_a_description_that_raises_leaves_the_request_to_the_fallback(
    faults: Faults,
) -> None:
    """Telemetry never raises into the application."""
    xray, process = make()
    xray.change(rule("r", Host="a.example"))
    run(xray.clock, 1, process)

    def describe() -> dict[str, object]:
        raise LookupError

    assert process.decider.decide("GET", "/", describe) == ""
    assert isinstance(faults.claim("tracing.sampling"), LookupError)


def test_rules_for_another_service_count_once_it_is_known() -> None:
    """A look-up that names the service later changes which rules match."""
    xray, process = make()
    xray.change(rule("r", ServiceType="AWS::ECS::*", FixedRate=1.0))
    run(xray.clock, 1, process)
    assert process.decide() == "Default"

    process.rules.serve(Service("orders", "AWS::ECS::Container"))

    assert process.decide() == "r"


def test_threads_lose_no_count() -> None:
    """Eight threads decide while reports are made; every request is told once."""
    xray, process = make()
    xray.change(rule("r", FixedRate=0.5, ReservoirSize=0))
    run(xray.clock, 1, process)
    decided: list[str | None] = []

    def ask() -> None:
        mine = [process.decide() for _ in range(5000)]
        decided.extend(mine)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()

    while any(thread.is_alive() for thread in threads):
        process.rules._refresher._report(xray.clock.monotonic())

    process.rules._refresher._report(xray.clock.monotonic())

    assert xray.told["r"] == [40000, decided.count("r"), 0]
