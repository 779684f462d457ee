"""Layers: which rule decides, by which name, and what happens if one fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.config import load
from svcready.config._sampling_rules import SamplingRule
from svcready.testing import FakeClock
from svcready.tracing.sampling._build import build_decider
from svcready.tracing.sampling._decider import NAMELESS, Decider
from svcready.tracing.sampling._layers import (
    UNMATCHED,
    Layer,
    RuleLayer,
    Unmatched,
    local_layers,
)
from svcready.tracing.sampling._rate import Rate
from svcready.tracing.sampling._service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.conftest import Faults

SERVICE = Service("orders")
ALL, NONE = 1.0, 0.0


def decider(
    *layers: Sequence[SamplingRule], rate: float = NONE, trust: str = "always"
) -> Decider:
    """Return what decides by *layers*, then by *rate*."""
    clock = FakeClock()
    made = [RuleLayer(rules, "a test", clock, SERVICE) for rules in layers]
    return Decider(Rate(0, rate, clock), trust, 100, clock, made)


def from_variable(text: str, sampling: str = "0") -> Decider:
    """Return what decides by the variable's rules."""
    environ = {"SVCREADY_TRACING_RULES": text, "SVCREADY_TRACING_SAMPLING": sampling}
    settings = load(environ=environ)
    return build_decider(settings.tracing, FakeClock(), SERVICE)


class Asked:
    """A layer that counts how often it is asked and says what it is told to."""

    def __init__(self, answer: str | Unmatched | None) -> None:
        self.answer = answer
        self.times = 0
        self.workers = 1
        self.service: Service | None = None

    def decide(
        self, method: str, path: str, describe: Callable[[], Mapping[str, object]]
    ) -> str | Unmatched | None:
        """Say what was set."""
        self.times += 1
        return self.answer

    def share(self, workers: int) -> None:
        """Take note."""
        self.workers = workers

    def serve(self, service: Service) -> None:
        """Take note."""
        self.service = service

    def describe(self) -> str:
        """Say whose it is."""
        return "a test's"


def test_the_first_layer_with_a_rule_decides() -> None:
    """Later layers and the setting are asked only about what no rule matched."""
    made = decider(
        [SamplingRule("first", path="/a", rate=ALL)],
        [SamplingRule("second", path="/*", rate=NONE)],
        rate=ALL,
    )

    assert made.decide("GET", "/a", dict) == "first"
    assert made.decide("GET", "/b", dict) is None
    assert made.decide("GET", "elsewhere", dict) == NAMELESS


def test_rules_do_not_decide_what_a_trusted_caller_decided() -> None:
    """Their reservoirs are for traces that begin here."""
    layer = Asked("central")
    clock = FakeClock()
    trusting = Decider(Rate(0, NONE, clock), "always", 1, clock, [layer])

    assert trusting.inbound(True, "GET", "/", dict) == NAMELESS
    assert trusting.inbound(False, "GET", "/", dict) is None
    assert layer.times == 0
    assert trusting.inbound(True, "GET", "/", dict) == "central"  # above the limit
    assert trusting.inbound(None, "GET", "/", dict) == "central"


def test_a_file_s_default_stands_behind_x_rays_rules() -> None:
    """The variable's rules come first, and the setting last."""
    clock = FakeClock()
    variable = [SamplingRule("", 1, path="/v")]
    file = [SamplingRule("f", 1, path="/f"), SamplingRule("Default", 10_000, rate=ALL)]
    first, last = local_layers(variable, file, clock, SERVICE)
    central = Asked("central")
    made = Decider(Rate(0, NONE, clock), "always", 1, clock, [*first, central, *last])

    assert made.decide("GET", "/v", dict) is None
    assert made.decide("GET", "/f", dict) is None
    assert central.times == 0
    assert made.decide("GET", "/x", dict) == "central"
    central.answer = UNMATCHED
    assert made.decide("GET", "/x", dict) == "Default"


def test_a_rule_of_a_variable_has_no_name_on_x_ray() -> None:
    """Only X-Ray's own names go on spans."""
    made = from_variable("POST /checkout 100%")

    assert made.decide("POST", "/checkout", dict) == NAMELESS
    assert made.decide("GET", "/checkout", dict) is None


def test_a_layer_that_fails_is_passed_over(faults: Faults) -> None:
    """A request goes on, sampled as if the layer had no rule for it."""

    def fail() -> Mapping[str, object]:
        raise ValueError("no header")

    made = decider([SamplingRule("r", host="shop.*", rate=ALL)], rate=NONE)

    assert made.decide("GET", "/", fail) is None
    assert str(faults.claim("tracing.sampling")) == "no header"


def test_a_rule_has_its_own_reservoir_and_rate() -> None:
    """`1/s` of one path takes nothing from another's."""
    made = from_variable("* /a 1/s; * /b 2/s", "3/s")

    taken = {
        path: sum(made.decide("GET", path, dict) is not None for _ in range(50))
        for path in ("/a", "/b", "/c")
    }
    assert taken == {"/a": 1, "/b": 2, "/c": 3}


def test_what_was_found_out_of_the_service_reaches_the_rules() -> None:
    """A look-up that names the service brings its rules in, with their reservoirs."""
    clock = FakeClock()
    rules = [SamplingRule("r", service_name="shop", reservoir=1)]
    layer = RuleLayer(rules, "a test", clock, SERVICE)
    asked = Asked(UNMATCHED)
    made = Decider(Rate(0, NONE, clock), "always", 1, clock, [layer, asked])

    assert made.decide("GET", "/", dict) is None
    made.serve(Service("shop"))
    assert asked.service == Service("shop")
    assert made.decide("GET", "/", dict) == "r"
    made.serve(Service("shop", "AWS::ECS::Container"))
    assert made.decide("GET", "/", dict) is None


def test_what_is_sampled_is_said_in_one_line() -> None:
    """For the start line: each source, the setting, and who shares it."""
    made = from_variable("* /a 1/s; * /b 0", "1/s+5%")

    said = "2 rules of SVCREADY_TRACING_RULES, then 1/s+5% of the others"
    assert str(made) == f"{said}, in each process"
    made.share(4)
    assert str(made) == f"{said}, shared by 4 processes"
    assert str(from_variable("", "5%")) == "5%"
    assert str(from_variable("", "1/s")) == "1/s in each process"


words = st.sampled_from(
    [
        *(
            "GET",
            "*",
            "/a",
            "/*",
            "//shop/a",
            "200",
            "101%",
            "1000%",
            "5",
            "nan",
            "inf",
        ),
        *("-1", "10 %", "1/s", "1/m", "x/s", "1/s+", "+", "++", "1/s+200%", "all"),
        *("true", "always", "1e3", "", ";", "50%", "0", "%", "-100%", "100%%", "1O0%"),
    ]
)


@given(st.lists(st.lists(words, max_size=5).map(" ".join), max_size=6).map(";".join))
def test_no_text_samples_everything_unless_it_says_so(text: str) -> None:
    """Without a right rate of 100 % in it, no request has all of its like sampled."""
    settings = load(environ={"SVCREADY_TRACING_RULES": text})

    assert all(rule.rate <= 0.5 for rule in settings.tracing.rules)


@given(st.text("GET* /ab;0159%+s.", max_size=60))
def test_no_typing_error_samples_everything(text: str) -> None:
    """Whoever reads a rule that samples all finds 100 % in it, or a 1."""
    settings = load(environ={"SVCREADY_TRACING_RULES": text})
    said = re.compile(r"(?<![\d.])0*(100(\.0*)?\s*%|1(\.0*)?)\s*(\+|$)")

    if any(rule.rate >= 1.0 for rule in settings.tracing.rules):
        assert any(said.search(part.strip()) for part in text.split(";"))


@pytest.mark.parametrize("rate", ["1000%", "-5%", "5", "abc", "1/s+5", "", "inf/s"])
def test_a_wrong_rate_is_the_safe_one(rate: str) -> None:
    """Its requests don't fall to a later rule, which may sample them all."""
    made = from_variable(f"* /health {rate}; * * 100%")

    taken = sum(made.decide("GET", "/health", dict) is not None for _ in range(2000))
    assert 1 <= taken <= 250
    assert made.decide("GET", "/x", dict) == NAMELESS


def test_layers_fit_the_protocol() -> None:
    """What X-Ray's central rules have to be."""
    layer: Layer = RuleLayer([], "a test", FakeClock(), SERVICE)

    assert layer.decide("GET", "/", dict) is UNMATCHED
    assert layer.describe() == "0 rules of a test"
