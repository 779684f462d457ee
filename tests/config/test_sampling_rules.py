"""Sampling rules as settings: the variable and the file, and what is wrong in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.config import describe, load, reload
from svcready.config._sampling_rules import SamplingRule
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from pathlib import Path

    from svcready.config import Settings

VARIABLE = "SVCREADY_TRACING_RULES"
FILE = "SVCREADY_TRACING_RULES_FILE"
SAFE = (1.0, 0.05)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("version", "rules", "default", "rate", "fixed_target", "host"),
                    *("SamplingRuleRecords", "SamplingRule", "FixedRate", "Priority"),
                    *("Attributes", "SamplingRateBoost", "URLPath", "RuleName"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def said(text: str) -> tuple[SamplingRule, ...]:
    """Return the rules of a variable that is right."""
    settings = load(environ={VARIABLE: text})
    assert settings.problems == ()
    return settings.tracing.rules


def from_file(content: object, name: str = "rules.json") -> Settings:
    """Return the settings with a file of *content*."""
    text = content if isinstance(content, str) else json.dumps(content)
    environ = {FILE: f"/etc/{name}"}
    return load(environ=environ, read_file=lambda _: text.encode())


def rules_of(content: object, name: str = "rules.json") -> tuple[SamplingRule, ...]:
    """Return the rules of a file that is right."""
    settings = from_file(content, name)
    assert [str(problem) for problem in settings.problems] == []
    return settings.tracing.rules_file.rules


def test_a_variable_lists_rules_in_the_order_in_which_they_are_tried() -> None:
    """METHOD PATH RATE, where the rate is what the setting `sampling` can be."""
    rules = said("POST /checkout 100%; * /admin/* 0;\n  * * 1/s + 5% ;")

    assert rules == (
        SamplingRule("", 1, 0.0, 1.0, "POST", "/checkout"),
        SamplingRule("", 2, 0.0, 0.0, "*", "/admin/*"),
        SamplingRule("", 3, 1.0, 0.05, "*", "*"),
    )


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        ("//shop.example/cart/*", "shop.example", "/cart/*"),
        ("//*.example", "*.example", "*"),
        ("//shop.example/", "shop.example", "/"),
        ("*/cart", "*", "*/cart"),
        ("?ort", "*", "?ort"),
    ],
)
def test_two_slashes_begin_a_host(target: str, host: str, path: str) -> None:
    """As in an address without its scheme; anything else is a path."""
    (rule,) = said(f"GET {target} 5%")

    assert (rule.host, rule.path) == (host, path)


@pytest.mark.parametrize(
    "rule",
    [
        "checkout 100%",
        "POST checkout 100%",
        "POST shop.example/checkout 100%",
        "GET //shop.example:8000/ 5%",
        "/checkout POST 100%",
        "POST",
        "G\u202eET /a 5%",
    ],
)
def test_what_is_no_rule_is_reported_and_left_out(rule: str) -> None:
    """The others are used."""
    settings = load(environ={VARIABLE: f"GET /a 1%; {rule}; GET /b 2%"})

    assert [each.path for each in settings.tracing.rules] == ["/a", "/b"]
    (problem,) = settings.problems
    assert problem.name == VARIABLE
    assert "METHOD PATH RATE" in str(problem)
    assert "the rest is used" in str(problem)


def test_a_rule_with_a_wrong_rate_keeps_its_requests() -> None:
    """They are sampled as X-Ray does by default, and not by a later rule."""
    settings = load(environ={VARIABLE: "* /health 1000%; * * 100%"})

    first, _ = settings.tracing.rules
    assert (first.path, first.reservoir, first.rate) == ("/health", *SAFE)
    (problem,) = settings.problems
    assert "'* /health 1000%' is not allowed" in str(problem)


def test_rules_can_be_a_list_in_the_configuration_file() -> None:
    """One text for each, or one for all."""
    toml = b'[default.tracing]\nrules = ["GET /a 5%", "* * 0"]'
    environ = {"SVCREADY_CORE_CONFIG_FILE": "/etc/s.toml"}
    settings = load(environ=environ, read_file=lambda _: toml)

    assert settings.problems == ()
    assert [rule.rate for rule in settings.tracing.rules] == [0.05, 0.0]
    assert settings.tracing.rules == said("GET /a 5%; * * 0")


def test_there_is_a_most_of_rules() -> None:
    """The first five hundred count, and the others are reported."""
    settings = load(environ={VARIABLE: "; ".join(["GET /a 5%"] * 501)})

    assert len(settings.tracing.rules) == 500
    assert len(settings.problems) == 1


@pytest.mark.parametrize(
    "text",
    [
        "POST /checkout 100%; * //*.example/cart* 1/s+5%; GET //shop.example 0%",
        "* * 2/s",
        "",
    ],
)
def test_what_is_in_force_is_shown_as_it_is_written(text: str) -> None:
    """For `svcready config`: what is shown can be set again."""
    rows = describe(load(environ={VARIABLE: text}))

    assert [row.value for row in rows if row.variable == VARIABLE] == [text]


@pytest.mark.parametrize("wrong", [7, {"GET /a": "5%"}, None])
def test_rules_in_code_are_text(wrong: object) -> None:
    """Anything else is a fault of the code's, and so is one wrong rule."""
    for each in (wrong, "GET /a 1000%"):
        with pytest.raises(DeclarationError, match="METHOD PATH RATE"):
            load(environ={}, arguments={"tracing.rules": each})


def test_a_file_has_a_most_of_rules_too() -> None:
    """The first five hundred count, and the others are reported."""
    settings = from_file([{"FixedRate": 0}] * 501)

    assert len(settings.tracing.rules_file.rules) == 500
    assert "501 rules" in str(settings.problems[0])


def test_the_answer_of_x_rays_api_is_read() -> None:
    """As `aws xray get-sampling-rules` prints it."""
    record = {
        "SamplingRule": {
            "RuleName": "checkouts",
            "RuleARN": "arn:aws:xray:eu-west-1:1:sampling-rule/checkouts",
            "ResourceARN": "arn:aws:ecs:*",
            "Priority": 10,
            "FixedRate": 0.25,
            "ReservoirSize": 5,
            "ServiceName": "shop",
            "ServiceType": "AWS::ECS::Container",
            "Host": "*.example",
            "HTTPMethod": "POST",
            "URLPath": "/checkout/*",
            "Version": 1,
            "Attributes": {"tenant": "gold*"},
            "SamplingRateBoost": {"MaxRate": 0.5, "CooldownWindowMinutes": 10},
        },
        "CreatedAt": "2026-01-01T00:00:00+00:00",
        "ModifiedAt": 0.0,
    }

    (rule,) = rules_of({"SamplingRuleRecords": [record], "NextToken": None})

    assert rule == SamplingRule(
        name="checkouts",
        priority=10,
        reservoir=5,
        rate=0.25,
        method="POST",
        path="/checkout/*",
        host="*.example",
        service_name="shop",
        service_type="AWS::ECS::Container",
        resource_arn="arn:aws:ecs:*",
        attributes=(("tenant", "gold*"),),
        boost_max_rate=0.5,
        boost_cooldown_s=600,
    )


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {"SamplingRules": it}])
def test_rules_by_themselves_are_read(wrap: type) -> None:
    """A list of them, with what is not said matching everything."""
    rules = rules_of(wrap([{"RuleName": "a", "FixedRate": 0}, {"FixedRate": "5%"}]))

    assert rules == (
        SamplingRule("a", 9999, 0, 0.0),
        SamplingRule("", 9999, 0, 0.05),
    )


def test_the_default_of_x_ray_is_behind_all_others() -> None:
    """It has a priority that no other may have."""
    given = [{"RuleName": "Default", "FixedRate": 0.05, "ReservoirSize": 1}]

    assert rules_of(given) == (SamplingRule("Default", 10_000, 1, 0.05),)


def test_toml_has_the_same_shape() -> None:
    """A file whose name ends in `.toml`."""
    text = """
        [[SamplingRule]]
        RuleName = "checkouts"
        FixedRate = "100%"
        HTTPMethod = "POST"
        URLPath = "/checkout"

        [SamplingRule.Attributes]
        tenant = "gold"
    """

    (rule,) = rules_of(text, "rules.TOML")
    assert rule[:4] == ("checkouts", 9999, 0, 1.0)
    assert rule.attributes == (("tenant", "gold"),)


@pytest.mark.parametrize(("version", "host"), [(1, "service_name"), (2, "host")])
def test_a_document_of_the_x_ray_sdk_is_read(version: int, host: str) -> None:
    """Its rules in their order, and its default behind them; none has a name."""
    document = {
        "version": version,
        "rules": [
            {
                "description": "Moves",
                host: "*.example",
                "http_method": "GET",
                "url_path": "/api/move/*",
                "fixed_target": 2,
                "rate": 0.1,
            },
            {
                host: "*",
                "http_method": "*",
                "url_path": "/ping",
                "fixed_target": 0,
                "rate": 0,
            },
        ],
        "default": {"fixed_target": 1, "rate": 0.05},
    }

    assert rules_of(document) == (
        SamplingRule("", 1, 2, 0.1, "GET", "/api/move/*", "*.example"),
        SamplingRule("", 2, 0, 0.0, "*", "/ping", "*"),
        SamplingRule("", 10_000, 1, 0.05),
    )


@pytest.mark.parametrize(
    ("rule", "place", "kept"),
    [
        ({"FixedRate": 5}, "FixedRate=5", SAFE),
        ({"FixedRate": True}, "FixedRate=True", SAFE),
        ({}, "FixedRate is missing", SAFE),
        ({"FixedRat": 1}, "did you mean FixedRate?", SAFE),
        ({"FixedRate": 1, "ReservoirSize": -1}, "ReservoirSize=-1", SAFE),
        ({"FixedRate": 1, "Priority": 10_000}, "Priority=10000", None),
        ({"FixedRate": 1, "Priority": 1.5}, "Priority=1.5", None),
        ({"FixedRate": 1, "URLPath": 7}, "URLPath=7", None),
        ({"FixedRate": 1, "Host": "a\nb"}, "Host=", None),
        ({"FixedRate": 1, "RuleName": "x" * 33}, "RuleName=", None),
        ({"FixedRate": 1, "Version": 2}, "Version=2", None),
        ({"FixedRate": 1, "Attributes": [1]}, "Attributes=[1]", None),
        ({"FixedRate": 1, "Attributes": {"a": 1}}, "Attributes.a=1", None),
        (
            {"FixedRate": 0.5, "SamplingRateBoost": {"MaxRate": 2}},
            "SamplingRateBoost.MaxRate=2",
            (0, 0.5),
        ),
        ({"FixedRate": 0.5, "SamplingRateBoost": 1}, "SamplingRateBoost=1", (0, 0.5)),
        (7, "SamplingRules[0]=7", None),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_with_its_place(
    rule: object, place: str, kept: tuple[float, float] | None
) -> None:
    """A wrong rate is the safe one; a rule that cannot be told is left out."""
    settings = from_file({"SamplingRules": [rule]})

    rules = settings.tracing.rules_file.rules
    assert [(each.reservoir, each.rate) for each in rules] == ([kept] if kept else [])
    said = [str(problem) for problem in settings.problems]
    assert any(place in text for text in said)
    assert all(text.startswith("/etc/rules.json SamplingRules[0]") for text in said)


@pytest.mark.parametrize(
    ("document", "place", "count"),
    [
        ({"version": 3, "default": {"rate": 0.05}}, "version=3", 0),
        ({"default": {"rate": 0.05}}, "version is missing", 0),
        ({"version": 2}, "default is missing", 0),
        ({"version": 2, "default": {}}, "default.rate is missing", 1),
        ({"version": 2, "default": {"rate": 2}}, "default.rate=2", 1),
        ({"version": 2, "default": {"rate": 0, "host": "*"}}, "default.host", 1),
        ({"version": 2, "rules": 1, "default": {"rate": 0}}, "rules=1", 1),
        ({"version": 2, "rules": [1], "default": {"rate": 0}}, "rules[0]=1", 1),
        (
            {"version": 2, "rules": [{"rate": 1}], "default": {"rate": 0}},
            "rules[0].http_method is missing",
            1,
        ),
        ({"rulez": []}, "SamplingRuleRecords", 0),
        (7, "SamplingRuleRecords", 0),
    ],
)
def test_what_is_wrong_with_a_document_is_said_with_its_place(
    document: object, place: str, count: int
) -> None:
    """And no more is used of it than what is right."""
    settings = from_file(document)

    rules = settings.tracing.rules_file.rules
    assert len(rules) == count
    assert all(rule.rate <= 0.05 for rule in rules)
    assert any(place in str(problem) for problem in settings.problems)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("rules.json", "{", "it is not JSON: "),
        ("rules.toml", "a = ", "it is not TOML: "),
        ("rules.json", "[" * 100_000, "cannot be read"),
    ],
)
def test_a_file_that_is_no_document_is_reported(
    name: str, text: str, reason: str
) -> None:
    """The setting `sampling` decides then, and nothing is sampled more."""
    settings = from_file(text, name)

    assert settings.tracing.rules_file.rules == ()
    (problem,) = settings.problems
    assert str(problem).startswith(f"tracing.rules_file='/etc/{name}' cannot be read")
    assert reason in str(problem)
    assert "no rules are taken from it" in str(problem)


def test_the_file_is_read_as_other_files_are(tmp_path: Path) -> None:
    """A missing one, a directory, no text: reported, as for the configuration file."""
    for path, reason in (
        (tmp_path / "missing.json", "No such file or directory"),
        (tmp_path, "irectory"),
        (tmp_path / "latin.json", "it is not UTF-8 text"),
    ):
        (tmp_path / "latin.json").write_bytes(b"\xff\xfe")
        settings = load(environ={FILE: str(path)})
        (problem,) = settings.problems
        assert reason in str(problem)
        assert str(settings.tracing.rules_file) == str(path)


def test_another_reading_of_the_file_is_no_change(tmp_path: Path) -> None:
    """Rules are taken at the start; the configuration is reloaded without them."""
    path = tmp_path / "rules.json"
    path.write_text('[{"FixedRate": 0.5}]')
    settings = load(environ={FILE: str(path)})
    path.write_text("[]")

    again = reload(settings)
    assert again.changed_from(settings) == ()
    assert again.problems == ()


@given(JSON)
def test_no_document_samples_everything_unless_it_says_so(document: object) -> None:
    """Whatever is in a file, a rate of 1 is only taken from a 1."""
    rules = from_file(document).tracing.rules_file.rules
    text = json.dumps(document)

    if "1" not in text:
        assert all(rule.rate < 1.0 for rule in rules)

    for rule in rules:
        assert 0.0 <= rule.rate <= 1.0
        assert rule.reservoir >= 0
