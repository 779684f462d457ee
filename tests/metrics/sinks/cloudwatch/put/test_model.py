"""Recordings, flushes and failures in any order, against a naive model."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from svcready.config._sections.cloudwatch import CloudwatchSettings
from svcready.metrics.sinks._cloudwatch._put._sink import PutMetricDataSink
from svcready.testing import FakeClock
from tests.metrics.conftest import IDENTITY
from tests.metrics.sinks.cloudwatch.put.conftest import Recorder
from tests.metrics.sinks.cloudwatch.put.metrics_server import check_datum

SERIES = st.integers(0, 2500)


class Answer(Exception):
    """An error as botocore raises it."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.operation_name = "PutMetricData"
        self.response = {
            "Error": {"Code": code},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }


class ReadTimeoutError(Exception):
    """Called as botocore's is."""


FAILURES: dict[str, Exception] = {
    "throttled": Answer("Throttling", 400),
    "down": Answer("InternalServiceError", 500),
    "denied": Answer("AccessDenied", 403),
    "odd": Answer("SomethingNew", 418),
    "refused connection": ConnectionRefusedError("refused"),
}


class Service:
    """CloudWatch in one method: takes a request whole, or not at all."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.sums: Counter[str] = Counter()
        self.samples: Counter[str] = Counter()
        self.twice: Counter[str] = Counter()
        """What was taken of requests whose answer was lost, and so comes again."""
        self.samples_twice: Counter[str] = Counter()
        self.fates: list[str] = []
        self.requests = 0
        self.bad = ""

    def put_metric_data(self, **arguments: object) -> None:
        """Take a request, or do with it what is due."""
        fate = self.fates.pop(0) if self.fates else ""
        if fate in FAILURES:
            raise FAILURES[fate]

        members = arguments["MetricData"]
        assert isinstance(members, list)
        assert 1 <= len(members) <= 1000
        for member in members:
            check_datum(member, self._clock.time_ns() / 1e9)

        if any(self._name(member) == self.bad for member in members):
            raise Answer("InvalidParameterValue", 400)

        self.requests += 1
        for member in members:
            self._take(member, self.sums, self.samples)
            if fate == "answer lost":
                self._take(member, self.twice, self.samples_twice)

        if fate == "answer lost":
            raise ReadTimeoutError

    def close(self) -> None:
        """Nothing is open."""

    def _name(self, member: dict[str, object]) -> str:
        dimensions = member.get("Dimensions", [])
        assert isinstance(dimensions, list)
        return f"{member['MetricName']}{''.join(d['Value'] for d in dimensions)}"

    def _take(
        self, member: dict[str, object], sums: Counter[str], samples: Counter[str]
    ) -> None:
        name = self._name(member)
        if "Value" in member:
            values = [member["Value"]]
        else:
            assert isinstance(member["Values"], list)
            values = member["Values"]

        counts = member.get("Counts", [1] * len(values))
        assert isinstance(counts, list)
        for value, count in zip(values, counts, strict=True):
            assert isinstance(value, int | float)
            sums[name] += round(value * count)
            samples[name] += count


class PutMachine(RuleBasedStateMachine):
    """The sink, the service, and what was recorded by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.service = Service(self.clock)
        self.recorder = Recorder()
        self.sink = PutMetricDataSink(
            CloudwatchSettings(mode="api"),
            self.recorder,
            identity=IDENTITY,
            clock=self.clock,
            make=lambda *_, **__: self.service,
        )
        self.counted: Counter[str] = Counter()
        self.observed: Counter[str] = Counter()

    @rule(series=SERIES, amount=st.integers(1, 1000))
    def count(self, series: int, amount: int) -> None:
        """Add to one counter."""
        self.recorder.count("count", amount, D=f".{series}")
        self.counted[f"count.{series}"] += amount

    @rule(most=st.sampled_from([3, 1000, 1001]))
    def count_many(self, most: int) -> None:
        """Add to many, so that several requests are needed."""
        for series in range(most):
            self.count(series, 1)

    @rule(series=st.integers(0, 3), values=st.lists(st.integers(-50, 50), max_size=40))
    def observe(self, series: int, values: list[int]) -> None:
        """Record values of a distribution."""
        self.recorder.observe("size", *map(float, values), D=f".{series}")
        self.counted[f"size.{series}"] += sum(values)
        self.observed[f"size.{series}"] += len(values)

    @rule(fates=st.lists(st.sampled_from(["", *FAILURES]), min_size=1, max_size=4))
    def fail(self, fates: list[str]) -> None:
        """Have the next requests fail before they are taken."""
        self.service.fates = fates

    @rule(
        most=st.sampled_from([1001, 1100]),
        fates=st.lists(st.sampled_from(["", *FAILURES]), min_size=1, max_size=3),
    )
    def push_much_into_trouble(self, most: int, fates: list[str]) -> None:
        """Flush several requests, of which some fail."""
        self.count_many(most)
        self.fail(fates)
        self.push()

    @rule()
    def lose_an_answer(self) -> None:
        """Have the next request taken, and its answer lost."""
        self.service.fates = ["answer lost"]

    @rule(seconds=st.integers(0, 7200), jump_h=st.integers(-48, 48))
    def wait(self, seconds: int, jump_h: int) -> None:
        """Let time pass, and set the clock."""
        self.clock.advance(seconds)
        self.clock.set_wall(self.clock.time_ns() + jump_h * 3600 * 10**9)

    @rule()
    def push(self) -> None:
        """Flush, with whatever comes of it."""
        before = self.service.requests
        series = sum(1 for _ in self.pending())
        sent = self.sink.push(30)
        assert sent == (self.sink.pending == 0)
        if sent:
            assert self.service.requests - before == -(-series // 1000)

    @rule()
    def settle(self) -> None:
        """Once the service is well, one flush brings all there."""
        self.service.fates = []
        self.push()
        assert self.sink.pending == 0
        expected = self.counted.copy()
        expected.update(self.service.twice)
        assert self.service.sums == expected
        for name, samples in self.observed.items():
            again = self.service.samples_twice[name]
            assert self.service.samples[name] == samples + again

    @invariant()
    def nothing_comes_from_nowhere(self) -> None:
        """What arrived was recorded, or is of a request whose answer was lost."""
        assert self.sink.describe()["dropped"] == {}
        for name in self.observed:
            again = self.service.samples_twice[name]
            assert self.service.samples[name] <= self.observed[name] + again

    def pending(self) -> set[str]:
        """Name the series that the next flush has to bring."""
        held = [*self.sink._waiting[60]._held, *self.recorder.keys()]
        return {f"{key[0]}{key[1]}" for key in held}


PutMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestPutMachine = PutMachine.TestCase


@pytest.mark.parametrize("taken", [True, False])
def test_an_unclear_end_is_counted_twice_rather_than_never(*, taken: bool) -> None:
    """A timeout after sending: the counts go again, whatever became of them."""
    machine = PutMachine()
    machine.count(1, 5)
    if taken:
        machine.lose_an_answer()
    else:
        machine.fail(["refused connection"])

    machine.push()
    machine.push()
    assert machine.service.sums["count.1"] == (10 if taken else 5)
    assert machine.sink.describe()["uncertain"] == int(taken)
