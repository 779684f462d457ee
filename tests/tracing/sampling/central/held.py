"""A process that samples by X-Ray's rules, held to its model at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.tracing.sampling.central.driving import Driven
from tests.tracing.sampling.central.fake_xray import FakeApi
from tests.tracing.sampling.central.naive import Process

if TYPE_CHECKING:
    from tests.tracing.sampling.central.fake_xray import FakeXray, Reply

__all__ = ["Held"]

KEYS = ("RequestCount", "SampledCount", "BorrowCount")


class Held:
    """
    One process and its model, which learns what the service answers.

    Args:
        xray: The service.
        seed: Of the process' random numbers.
    """

    def __init__(self, xray: FakeXray, seed: int = 0) -> None:
        self.xray = xray
        self.model = Process()
        self.skewed = False
        """The wall clock is hours off."""
        self.process = Driven(xray, seed=seed, api=FakeApi(xray, self._hear))
        self.decided = 0
        self._pages: dict[str, dict[str, Any]] = {}

    def decide(self, path: str) -> str | None:
        """Decide about a request, as the model does."""
        chosen = self.process.decide(path)
        now_s, drawn = self.xray.now_s, self.process.draws.last
        expected = self.model.decide(path, now_s, drawn)
        assert chosen == expected, (path, now_s, drawn)
        self.decided += 1
        return chosen

    def fork(self) -> None:
        """Become a forked child, which is looked at from now on."""
        before = self.process.rules.client_id
        self.process.fork()
        self.model.forked()
        assert self.process.rules.client_id != before

    def _hear(self, path: str, body: Any, reply: Reply) -> None:
        assert reply.status in {200, 500}, reply.body
        good = reply.status == 200 and not self.xray.broken
        answer: Any = reply.body
        if path == "/GetSamplingRules":
            if good:
                self._hear_rules(answer)

            return

        counts = {it["RuleName"]: it for it in body["SamplingStatisticsDocuments"]}
        expected = self.model.expected()
        if len(expected) <= 25:
            assert counts.keys() == expected.keys()

        for name, document in counts.items():
            for key in KEYS:
                assert document[key] == expected[name][key], (name, key)

        if good:
            # A clock that is wrong is corrected by a Date, which has whole seconds.
            late_s = self.xray.now_s % 1.0 if self.skewed else 0.0
            self.model.reported(answer, set(counts), late_s)

    def _hear_rules(self, answer: Any) -> None:
        self._pages |= {
            it["SamplingRule"]["RuleName"]: it["SamplingRule"]
            for it in answer["SamplingRuleRecords"]
        }
        if "NextToken" not in answer:
            self.model.fetched(self._pages, self.xray.now_s)
            self._pages = {}
