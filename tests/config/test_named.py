"""Settings of things that have names."""

from __future__ import annotations

import pytest

from svcready.config import KINDS, Named, load

FILE = {"SVCREADY_CORE_CONFIG_FILE": "/f"}


@pytest.mark.parametrize(
    ("variable", "kind", "name", "expected"),
    [
        (
            "SVCREADY_POLICY__PAY_MENTS_V2__RETRY_ATTEMPTS=5",
            "POLICY",
            "pay-ments.v2",
            {"retry_attempts": 5},
        ),
        (
            "SVCREADY_CHECK__DATABASE__TIMEOUT_S=1",
            "CHECK",
            "database",
            {"timeout_s": 1},
        ),
        ("SVCREADY_GROUP__DEEP__CHECKS=a,b", "GROUP", "deep", {"checks": ("a", "b")}),
        ("SVCREADY_BUCKETS__LATENCY=0.1,1", "BUCKETS", "latency", {"value": (0.1, 1)}),
        ("SVCREADY_LIMIT__LOGIN__RATE=120/m", "LIMIT", "login", {"rate": (2.0, 120)}),
    ],
)
def test_a_variable_reaches_the_thing_it_names(
    variable: str, kind: str, name: str, expected: dict[str, object]
) -> None:
    """Upper case, one underscore for each run of dots, dashes and underscores."""
    key, _, text = variable.partition("=")
    settings = load(environ={key: text})

    assert settings.problems == ()
    assert settings.named.values(kind, name) == expected
    assert settings.named.values(kind, f"other-{name}") == {}


def test_a_name_with_dots_is_one_name_in_every_source() -> None:
    """In the file a name's dots make tables in tables, in arguments more dots."""
    text = "[default.policy.orders.db]\nretry_attempts = 2\n[default.buckets]\na.b=[1]"
    settings = load(
        environ=FILE,
        arguments={"policy.orders.db.retry_max_s": "2s", "buckets.a.c": (1, 2)},
        read_file=lambda _: text.encode(),
    )

    assert settings.problems == ()
    assert settings.named.values("POLICY", "orders.db") == {
        "retry_attempts": 2,
        "retry_max_s": 2.0,
    }
    assert settings.named.values("BUCKETS", "a.b") == {"value": (1.0,)}
    assert settings.named.values("BUCKETS", "a.c") == {"value": (1.0, 2.0)}


def test_default_means_all_and_the_name_wins_over_it() -> None:
    """Within one source, what is said of the name lies over what is said of all."""
    settings = load(
        environ={
            "SVCREADY_POLICY__DEFAULT__RETRY_ATTEMPTS": "2",
            "SVCREADY_POLICY__DEFAULT__RETRY_MAX_S": "9",
            "SVCREADY_POLICY__PAYMENTS__RETRY_ATTEMPTS": "5",
        }
    )

    assert settings.named.values("POLICY", "payments") == {
        "retry_attempts": 5,
        "retry_max_s": 9.0,
    }
    assert settings.named.values("POLICY", "carts")["retry_attempts"] == 2


def test_the_environment_wins_even_by_default() -> None:
    """An operator can always override: the stronger source counts, not the name."""
    text = "[default.policy.payments]\nretry_attempts = 7\nretry_base_s = 1"
    settings = load(
        environ={**FILE, "SVCREADY_POLICY__DEFAULT__RETRY_ATTEMPTS": "2"},
        arguments={"policy.payments.retry_attempts": 9, "policy.payments.mode": "off"},
        read_file=lambda _: text.encode(),
    )
    said = settings.named.explained("POLICY", "payments")

    assert {field: value.value for field, value in said.items()} == {
        "retry_attempts": 2,
        "retry_base_s": 1.0,
        "mode": "off",
    }
    assert str(said["retry_attempts"].origin).startswith("SVCREADY_POLICY__DEFAULT__")
    assert settings.pinned == {
        "/f [default.policy.payments] retry_attempts": (
            "SVCREADY_POLICY__DEFAULT__RETRY_ATTEMPTS"
        )
    }


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        (
            "SVCREADY_POLICY__PAYMENTS__RETRY_ATEMPTS",
            "SVCREADY_POLICY__PAYMENTS__RETRY_ATTEMPTS",
        ),
        ("SVCREADY_POLICY__PAYMENTS", "SVCREADY_POLICY__<NAME>__<FIELD>"),
        ("SVCREADY_POLICY__PAYMENTS__", "SVCREADY_POLICY__<NAME>__<FIELD>"),
        ("SVCREADY_POLICY____MODE", "SVCREADY_POLICY__<NAME>__<FIELD>"),
        ("SVCREADY_POLICY__pay__MODE", "SVCREADY_POLICY__PAY__MODE"),
        ("SVCREADY_BUCKETS__LATENCY__VALUE", "SVCREADY_BUCKETS__<NAME>"),
        ("SVCREADY_POLICI__PAYMENTS__MODE", "SVCREADY_POLICY__PAYMENTS__MODE"),
        ("SVCREADY_POLICY_PAYMENTS_MODE", "SVCREADY_POLICY__PAYMENTS__MODE"),
        (
            "SVCREADY_POLICY_PAYMENTS_TIMEOUT_S",
            "SVCREADY_POLICY__PAYMENTS__TIMEOUT_S",
        ),
        (
            "SVCREADY_POLICY__BANK_EU_RETRY_MODE",
            "SVCREADY_POLICY__BANK_EU__RETRY_MODE",
        ),
        (
            "SVCREADY_POLICY_BANK_EU__RETRY_ATTEMPTS",
            "SVCREADY_POLICY__BANK_EU__RETRY_ATTEMPTS",
        ),
        (
            "SVCREADY_POLICY_BANK_EU_RETRY_ATEMPTS",
            "SVCREADY_POLICY__BANK_EU__RETRY_ATTEMPTS",
        ),
        ("SVCREADY_POLICY_PAYMENTS_COLOUR", "SVCREADY_POLICY__<NAME>__<FIELD>"),
        ("SVCREADY_POLICY_PAYMENTS_TIMEOUT", "SVCREADY_POLICY__PAYMENTS__TIMEOUT_S"),
        ("SVCREADY_POLICY_TIMEOUT_S", "SVCREADY_POLICY__<NAME>__<FIELD>"),
        ("SVCREADY_LIMIT_LOGIN_RATE", "SVCREADY_LIMIT__LOGIN__RATE"),
        ("SVCREADY_BUCKETS_LATENCY", "SVCREADY_BUCKETS__LATENCY"),
    ],
)
def test_a_misspelt_variable_leads_to_the_right_shape(
    variable: str, nearest: str
) -> None:
    """A wrong field, shape or kind is reported with what was probably meant."""
    (problem,) = load(environ={variable: "1"}).problems

    assert (problem.kind, problem.name) == ("unknown", variable)
    assert problem.nearest == nearest


@pytest.mark.parametrize(("field", "said"), [("COST", "cost="), ("BY", "by=")])
def test_what_only_code_and_rules_say_of_a_limit(field: str, said: str) -> None:
    """A field that no variable has is answered by who says it."""
    variable = f"SVCREADY_LIMIT__ORDERS__{field}"
    (problem,) = load(environ={variable: "2"}).problems

    assert str(problem).startswith(f"{variable} is not known: ")
    assert f"is said by the code ({said}) or by the rule" in str(problem)


def test_a_wrong_value_is_ignored_and_reported() -> None:
    """What the code declares stays in force when a variable cannot be used."""
    settings = load(environ={"SVCREADY_BUCKETS__LATENCY": "2,1"})

    assert settings.named.values("BUCKETS", "latency") == {}
    assert str(settings.problems[0]) == (
        "SVCREADY_BUCKETS__LATENCY='2,1' is not allowed: use up to 200 ascending "
        "numbers separated by commas; it is ignored"
    )


def test_names_that_nobody_declared_are_unmatched() -> None:
    """Asking for a name declares it; the rest is reported with the nearest one."""
    settings = load(
        environ={
            "SVCREADY_POLICY__PAYMENT__RETRY_ATTEMPTS": "5",
            "SVCREADY_POLICY__CARTS__RETRY_ATTEMPTS": "5",
            "SVCREADY_POLICY__DEFAULT__RETRY_ATTEMPTS": "5",
            "SVCREADY_CHECK__DATABASE__CRITICALITY": "degraded",
        },
        arguments={"check.cahce.fail_after": 1},
    )
    settings.named.values("POLICY", "payments")
    settings.named.values("POLICY", "carts")
    problems = settings.named.unmatched({"CHECK": ["database", "cache"]})

    assert [str(problem) for problem in problems] == [
        (
            "SVCREADY_POLICY__PAYMENT__RETRY_ATTEMPTS names nothing that the service "
            "declares; did you mean SVCREADY_POLICY__PAYMENTS__RETRY_ATTEMPTS?"
        ),
        (
            "check.cahce.fail_after names nothing that the service declares; "
            "did you mean cache?"
        ),
    ]


def test_settings_by_name_compare_by_value() -> None:
    """Two sources that say the same make equal settings."""
    variable = load(environ={"SVCREADY_CHECK__DB__FAIL_AFTER": "1"}).named
    argument = load(environ={}, arguments={"check.db.fail_after": 1}).named

    assert variable == argument
    assert variable != Named()
    assert repr(variable) == "Named({'check.db.fail_after': 1})"


def test_every_kind_declares_help_for_each_field() -> None:
    """The kinds of DESIGN.md are all there, and no field is without its line."""
    assert set(KINDS) == {"POLICY", "CHECK", "GROUP", "BUCKETS", "LIMIT"}
    assert all(
        field.help and not field.help.endswith(".")
        for kind in KINDS.values()
        for field in kind.fields.values()
    )
