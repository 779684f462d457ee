"""Matching: X-Ray's semantics, held against a model that is written out."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.config._sampling_rules import SamplingRule
from svcready.tracing.sampling._matcher import Matcher
from svcready.tracing.sampling._service import Service, service_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVICE = Service("Orders", "AWS::ECS::Container", "arn:aws:ecs:eu:1:task/a")


def fits(pattern: str, text: str) -> bool:
    """Match as the words of X-Ray's guide say, one character after the other."""
    reached = {0}
    for character in pattern:
        if character == "*":
            reached = set(range(min(reached, default=len(text) + 1), len(text) + 1))
        else:
            reached = {
                at + 1
                for at in reached
                if at < len(text) and character in ("?", text[at])
            }

    return len(text) in reached


def folded(text: str) -> str:
    """Put A to Z, and nothing else, in lower case."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def first_of(
    rules: Sequence[SamplingRule],
    service: Service,
    method: str,
    path: str,
    attributes: Mapping[str, object],
) -> int | None:
    """Return the place in *rules* of the one that decides, by the model."""
    places = sorted(
        range(len(rules)),
        key=lambda at: (rules[at].priority, rules[at].name.encode(), at),
    )
    host = str(attributes.get("server.address", ""))
    for at in places:
        rule = rules[at]
        pairs = [
            (rule.method, method),
            (rule.host, host),
            (rule.service_name, service.name),
            (rule.service_type, service.kind),
        ]
        exact = [(rule.path, path), (rule.resource_arn, service.resource_arn)]
        wanted = all(
            key in attributes and fits(pattern, str(attributes[key]))
            for key, pattern in rule.attributes
        )
        if (
            all(fits(folded(pattern), folded(text)) for pattern, text in pairs)
            and all(fits(*pair) for pair in exact)
            and wanted
        ):
            return at

    return None


LETTERS = "aAbB/.*?\\[-]^$(|é"
texts = st.text("aAbB/.\\[-]^$(|é", max_size=8)
globs = st.one_of(
    st.just("*"), st.text("a/*?", max_size=9), st.text(LETTERS, max_size=7)
)
methods = st.sampled_from(["GET", "get", "POST", "", "PURGE", "aB", "*"])
rules = st.builds(
    SamplingRule,
    name=st.text("aAbB1", max_size=2),
    priority=st.integers(1, 3),
    method=st.sampled_from(["*", "GET", "get", "P*", "?et", "PURGE", "", "a?"]),
    path=globs,
    host=st.one_of(st.just("*"), globs),
    service_name=st.sampled_from(["*", "orders", "O*", "other", "?rders"]),
    service_type=st.sampled_from(["*", "AWS::ECS::*", "aws::ecs::container", "x"]),
    resource_arn=st.sampled_from(["*", "arn:aws:ecs:*", "ARN:*"]),
    attributes=st.lists(
        st.tuples(st.sampled_from(["k", "n"]), st.sampled_from(["*", "a?", "1", ""])),
        max_size=2,
    ).map(tuple),
)
attributes = st.fixed_dictionaries(
    {},
    optional={
        "server.address": texts,
        "k": st.sampled_from(["ab", "a", ""]),
        "n": st.sampled_from([1, 10, "1"]),
    },
)


@given(st.lists(rules, max_size=8), methods, texts, attributes)
def test_the_first_rule_that_matches_is_the_models(
    made: list[SamplingRule],
    method: str,
    path: str,
    attributes: dict[str, object],
) -> None:
    """Whatever rules, methods, hosts, paths and attributes there are."""
    matcher = Matcher([(rule, at) for at, rule in enumerate(made)], SERVICE)

    found = matcher.match(method, path, lambda: attributes)

    assert found == first_of(made, SERVICE, method, path, attributes)


@given(globs, texts)
def test_a_pattern_matches_a_whole_path(pattern: str, path: str) -> None:
    """`*` is any characters, `?` one, and all others are themselves."""
    matcher = Matcher([(SamplingRule("r", path=pattern), True)], SERVICE)

    assert bool(matcher.match("GET", path, dict)) == fits(pattern, path)


@given(st.lists(st.text("ab/*?", max_size=6), min_size=1, max_size=30), texts)
def test_rules_that_begin_alike_keep_their_order(
    patterns: list[str], path: str
) -> None:
    """Shared beginnings are compared once, and change nothing."""
    made = [SamplingRule("", at, path=each) for at, each in enumerate(patterns)]
    matcher = Matcher([(rule, at) for at, rule in enumerate(made)], SERVICE)

    assert matcher.match("GET", path, dict) == first_of(made, SERVICE, "GET", path, {})


def test_priority_comes_before_name_and_names_are_in_byte_order() -> None:
    """Upper case stands before lower; the default's 10000 behind 9999."""
    made = [
        (SamplingRule("Default", 10_000), "default"),
        (SamplingRule("b", 5), "b"),
        (SamplingRule("a", 5), "a"),
        (SamplingRule("B", 5), "B"),
        (SamplingRule("z", 4, path="/z"), "z"),
    ]
    matcher = Matcher(made, SERVICE)

    assert matcher.match("GET", "/z", dict) == "z"
    assert matcher.match("GET", "/", dict) == "B"


@pytest.mark.parametrize("pattern", ["GET", "get", "G?T", "g*"])
def test_methods_match_in_any_case(pattern: str) -> None:
    """The X-Ray SDK's way; ADOT's compares letter by letter."""
    matcher = Matcher([(SamplingRule("r", method=pattern), True)], SERVICE)

    assert matcher.match("GET", "/", dict)
    assert matcher.match("get", "/", dict)
    assert not matcher.match("POST", "/", dict)


def test_paths_match_in_their_own_case() -> None:
    """A path is not a host."""
    made = [(SamplingRule("r", path="/Orders", host="Shop.example"), True)]
    matcher = Matcher(made, SERVICE)
    shop = {"server.address": "SHOP.EXAMPLE"}

    assert matcher.match("GET", "/Orders", lambda: shop)
    assert not matcher.match("GET", "/orders", lambda: shop)


@pytest.mark.parametrize(
    "rule",
    [
        SamplingRule("r", host="shop.example"),
        SamplingRule("r", method="GET"),
        SamplingRule("r", service_type="AWS::EC2::*"),
        SamplingRule("r", resource_arn="arn:*"),
        SamplingRule("r", attributes=(("tenant", "*"),)),
    ],
)
def test_what_is_missing_matches_no_rule_that_asks_for_it(rule: SamplingRule) -> None:
    """The X-Ray SDK takes a rule for what is missing, which can be one of 100 %."""
    matcher = Matcher([(rule, True)], Service("orders"))

    assert matcher.match("", "/", dict) is None


def test_attributes_that_are_no_texts_are_compared_as_texts() -> None:
    """ADOT's raises for a number, so that its rule never matches."""
    made = [(SamplingRule("r", attributes=(("shard", "1?"), ("paid", "true"))), True)]
    matcher = Matcher(made, SERVICE)

    assert matcher.match("GET", "/", lambda: {"shard": 12, "paid": True})
    assert not matcher.match("GET", "/", lambda: {"shard": 21, "paid": True})
    assert not matcher.match("GET", "/", lambda: {"shard": 12, "paid": False})


def test_a_request_is_described_only_for_a_rule_that_asks() -> None:
    """Its description is what costs most of a decision."""
    asked: list[str] = []

    def describe() -> dict[str, object]:
        asked.append("asked")
        return {"server.address": "shop.example"}

    made = [
        (SamplingRule("a", 1, path="/admin/*"), "plain"),
        (SamplingRule("b", 2, path="/api/*", host="shop.*"), "host"),
        (SamplingRule("c", 3, path="/api/*", attributes=(("k", "v"),)), "attribute"),
        (SamplingRule("d", 4), "rest"),
    ]
    matcher = Matcher(made, SERVICE)

    assert matcher.match("GET", "/admin/x", describe) == "plain"
    assert matcher.match("GET", "/x", describe) == "rest"
    assert asked == []
    assert matcher.match("GET", "/api/x", describe) == "host"
    assert asked == ["asked"]
    assert matcher.match("GET", "/api/x", dict) == "rest"


def test_rules_for_other_services_are_left_out() -> None:
    """They are not even tried."""
    made = [
        (SamplingRule("a", 1, service_name="payments"), "payments"),
        (SamplingRule("b", 2, service_name="order?"), "orders"),
    ]

    assert Matcher(made, Service("ORDERS")).match("GET", "/", dict) == "orders"
    assert Matcher(made, Service("else")).match("GET", "/", dict) is None


def test_hostile_patterns_and_paths_take_linear_time() -> None:
    """A path twice as long takes about twice the time, and never seconds."""
    made = [
        (SamplingRule("", 1, path="*a" * 60 + "*b"), 1),
        (SamplingRule("", 2, path="*" + "a" * 120 + "b"), 2),
        (SamplingRule("", 3, path="*?a" * 40 + "c"), 3),
        (SamplingRule("", 4, host="*a" * 30 + "b", path="*a*a*a*a*a*x"), 4),
        (SamplingRule("", 5, path="/" + "?*" * 60), 5),
    ]
    matcher = Matcher(made, SERVICE)
    hostile = {"server.address": "a" * 65_536}
    began = time.perf_counter()

    assert matcher.match("GET", "a" * 65_536, lambda: hostile) is None
    assert matcher.match("GET", "/" + "a" * 65_536, lambda: hostile) == 5
    assert time.perf_counter() - began < 5.0


def test_hundreds_of_rules_within_each_other_can_be_compiled() -> None:
    """Each begins as the one before it, which nests as deep as they go."""
    made = [(SamplingRule("", at, path="/" + "a" * at), at) for at in range(500)]
    matcher = Matcher(made, SERVICE)

    assert matcher.match("GET", "/" + "a" * 321, dict) == 321


def test_a_service_is_what_its_resource_says() -> None:
    """Its type and its ARN as X-Ray has them; its name on X-Ray wins."""
    resource = {
        "service.name": "orders",
        "cloud.platform": "aws_ecs",
        "aws.ecs.container.arn": "arn:aws:ecs:x",
    }

    ecs = service_of("", resource)
    assert ecs == ("orders", "AWS::ECS::Container", "arn:aws:ecs:x")
    assert service_of("shop", {"cloud.platform": "gcp"}) == ("shop", "", "")


def test_the_model_is_what_it_says() -> None:
    """The oracle itself, held against expressions of the standard library."""
    for pattern in ("", "*", "a*b", "?", "a?*", "**b", "*a*a"):
        for text in ("", "a", "ab", "aab", "ba", "aba", "bb"):
            expression = "".join({"*": ".*", "?": "."}.get(c, c) for c in pattern)
            assert fits(pattern, text) == bool(re.fullmatch(expression, text))
