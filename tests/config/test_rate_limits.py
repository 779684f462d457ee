"""Rules of rate limits as a variable says them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core.declarations import check_name, variable
from svcready.config import load
from svcready.config._kinds import PartlyWrongError
from svcready.config._rate_limits import MOST_RULES, RATE_RULES, RateRule

WORDS = st.sampled_from(
    [
        *("GET", "POST", "FETCH", "*", "/", "/a/*", "5/s", "10/minute", "burst", "20"),
        *("by", "address", "tenant+route", "header:X-Key", "cost", "3", "as", "one"),
        *(";", "\x00", "default", "é", "-1", "/s", "by by"),
    ]
)


def test_the_rules_of_the_documentation() -> None:
    """Method, path, rate, burst and key are what they say, and each has a name."""
    rules = RATE_RULES.parse(
        "POST /orders 50/s burst 100 by address; GET /search 10/s by header:x-api-key; "
        "* 1000/s by tenant; /x 5 per minute cost 2 as slow; get 1/s"
    )
    assert rules == (
        RateRule("post-orders-by-address", "POST", "/orders", 50.0, 100, "address", 1),
        RateRule(
            "get-search-by-header-x-api-key",
            *("GET", "/search", 10.0, 10, "header:x-api-key", 1),
        ),
        RateRule("all-by-tenant", "*", "*", 1000.0, 1000, "tenant", 1),
        RateRule("slow", "*", "/x", 5 / 60, 5, "client", 2),
        RateRule("get-by-client", "GET", "*", 1.0, 1, "client", 1),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "FETCH / 1/s",
        "GET",
        "*",
        "5/s",
        "GET 5/s burst 3 cost 4",
        "GET / 1/s by a by b",
        "GET / 1/s by a b",
        "GET / 1/s by a+b+c+d+e",
        "GET / 1/s as A_B!",
        "GET / 1/s as default",
        "GET / many by address",
        "GET orders 1/s",
        "GET /\x1b 1/s",
    ],
)
def test_a_wrong_rule_is_named_and_the_others_are_used(wrong: str) -> None:
    """A report of one problem, which quotes the rule."""
    settings = load(
        environ={"SVCREADY_HTTP_RATE_LIMITS": f"POST /a 1/s;{wrong}; GET /b 2/s"}
    )
    (problem,) = settings.problems
    assert problem.name == "SVCREADY_HTTP_RATE_LIMITS"
    assert [rule.path for rule in settings.http.rate_limits] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("wrong", "use"),
    [
        ("POTS /a 1/s", "a method or * (did you mean POST?) in place of 'POTS'"),
        ("FETCH / 1/s", "a method or * in place of 'FETCH'"),
        ("5/s", "* 5/s in place of '5/s'"),
        ("GET orders 1/s", "a path with / in front, or a rate, in place of 'orders"),
        ("GET / many by address", "a path with / in front, or a rate, in place of 'm"),
        ("GET / 5 per fortnight", "a rate such as"),
        ("GET", "a rate such as"),
        ("GET / 1/s burst 0", "burst NUMBER, by KEY, cost NUMBER or as NAME in place"),
        ("GET / 1/s by", "burst NUMBER, by KEY, cost NUMBER or as NAME in place of 'b"),
        ("GET / 1/s bye address", "by in place of 'bye address'"),
        ("GET / 1/s brust 5", "burst in place of 'brust 5'"),
        ("GET / 1/s by a by b", "one by alone in place of 'by a'"),
        ("GET / 1/s by a+b+c+d+e", "by address, client, route, all, header:NAME"),
        ("GET / 1/s cost many", "a cost from 0 to 1000000 in place of 'cost many'"),
        ("GET / 1/s cost 4", "a cost up to the burst, which is 1, in place of 'cost"),
        ("GET / 1/s as A_B!", "a name of lower-case letters, digits, _, . and -"),
    ],
)
def test_the_part_that_is_wrong_is_named(wrong: str, use: str) -> None:
    """With what to write in its place and one example, and not the whole grammar."""
    settings = load(environ={"SVCREADY_HTTP_RATE_LIMITS": f"{wrong}; GET /b 2/s"})
    (problem,) = settings.problems
    text = str(problem)

    assert text.startswith(f"SVCREADY_HTTP_RATE_LIMITS='{wrong}' is not allowed: ")
    assert f"use {use}" in text
    assert text.endswith(
        ", as in POST /orders 50/s burst 100 by address; the rest is used"
    )
    assert "METHOD PATH RATE" not in text


def test_each_wrong_rule_says_what_is() -> None:
    """Of several the parts are listed, a repeated fault once."""
    text = "GTE / 1/s; GET / 1/s cost -1; GET /a 1/s cost -1"
    (problem,) = load(environ={"SVCREADY_HTTP_RATE_LIMITS": text}).problems

    assert "in place of 'GTE', a cost from 0" in str(problem)
    assert str(problem).count("cost from 0") == 1


def test_rules_of_one_name_are_told_apart() -> None:
    """By a number, also where variables would spell them alike."""
    rules = RATE_RULES.parse("* 1/s; * 100/h; * 9/m as all.by.client")
    names = [rule.name for rule in rules]
    assert names == ["all-by-client", "all-by-client-2", "all.by.client-3"]


def test_there_are_so_many_rules_at_most() -> None:
    """Those beyond are reported, and the first are used."""
    with pytest.raises(PartlyWrongError) as caught:
        RATE_RULES.parse("; ".join(f"/p{n} 1/s" for n in range(MOST_RULES + 2)))

    value: tuple[RateRule, ...] = caught.value.value  # type: ignore[assignment]
    assert (len(value), len(caught.value.wrong)) == (MOST_RULES, 2)


@given(st.lists(WORDS, max_size=24).map(" ".join))
def test_whatever_is_said_is_read_or_named(text: str) -> None:
    """Nothing but the kind's errors comes of it, and what is read can be shown."""
    try:
        rules = RATE_RULES.parse(text)
    except PartlyWrongError as error:
        rules = error.value  # type: ignore[assignment]

    spelt = [variable(check_name("limit", rule.name)) for rule in rules]
    assert len(set(spelt)) == len(rules)
    again = RATE_RULES.parse(RATE_RULES.show(rules))
    for one, other in zip(rules, again, strict=True):
        assert one._replace(per_s=0.0) == other._replace(per_s=0.0)
        assert one.per_s == pytest.approx(other.per_s, rel=1e-6)


@pytest.mark.parametrize("text", ["5/s", "100/minute burst 20", "300/15min"])
def test_a_limit_takes_the_text_of_a_rate(text: str) -> None:
    """`SVCREADY_LIMIT__<NAME>__RATE` is what `limit()` takes."""
    settings = load(environ={"SVCREADY_LIMIT__LOGIN__RATE": text})
    assert settings.problems == ()
    (rate,) = settings.named.values("LIMIT", "login").values()
    assert isinstance(rate, tuple)
    settings = load(environ={"SVCREADY_LIMIT__LOGIN__RATE": "soon"})
    assert len(settings.problems) == 1
