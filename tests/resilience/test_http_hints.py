"""When to come again: `Retry-After` in both forms, and what else says it."""

from __future__ import annotations

from email.utils import formatdate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.resilience._http._hints import MOST_S, hint_s, parse_retry_after

NOW_S = 1_700_000_000.0
NOW = "Tue, 14 Nov 2023 22:13:20 GMT"


def now() -> float:
    """Return a wall time that is not the server's."""
    return NOW_S + 3600.0


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("999999999999", MOST_S),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),  # IMF-fixdate
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),  # RFC 850
        ("Tue Nov 14 22:13:50 2023", 30.0),  # asctime
        ("Tue, 14 Nov 2023 22:13:19 GMT", 0.0),  # past
        ("Tue, 14 Nov 2033 22:13:19 GMT", MOST_S),
        ("-5", None),
        ("+5", None),
        ("1e3", None),
        ("soon", None),
        ("", None),
        ("\u0665", None),  # a digit, but not one of HTTP's
        ("Tue, 99 Nov 2023 99:99:99 GMT", None),
    ],
)
def test_both_forms(text: str, wait_s: float | None) -> None:
    """Seconds, or a date of any of the three forms; past is 0, malformed is nothing."""
    assert parse_retry_after(text, NOW, now) == wait_s


def test_a_date_is_related_to_the_answers_own() -> None:
    """A server whose clock is off by an hour still means 30 s; else ours is asked."""
    text = formatdate(NOW_S + 30.0, usegmt=True)
    assert parse_retry_after(text, NOW, now) == 30.0
    assert parse_retry_after(text, None, lambda: NOW_S) == 30.0
    assert parse_retry_after(text, "yesterday", lambda: NOW_S + 10.0) == 20.0


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"Retry-After": "3", "RateLimit": '"default";r=0;t=60'}, 3.0),
        ({"x-ms-retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "2"}, 2.0),
        ({"Retry-After": "soon"}, None),
        ({"RateLimit": '"default";r=0;t=30'}, 30.0),
        ({"RateLimit": '"default";r=5;t=30'}, None),
        ({"RateLimit": '"hour";r=0;t=30, "day";t=600;r=0, "x";r=1;t=9'}, 600.0),
        ({"RateLimit": '"d\\"ay";r=0;pk=:cHsdsRa894==:;t=8'}, 8.0),
        ({"RateLimit": '"default";r=0'}, None),
        ({"RateLimit": "limit=100, remaining=0, reset=30"}, None),
        ({"RateLimit": '"default";r=0;t=30, broken'}, None),
        ({"RateLimit": '"default";r=0;t=99999999'}, MOST_S),
        ({"RateLimit": '"a";r=0;t=1,' * 1000}, None),
    ],
)
def test_whichever_header_says_it(
    headers: dict[str, str], wait_s: float | None
) -> None:
    """Milliseconds before seconds before a quota that is used up."""
    assert hint_s(headers, now) == wait_s
    assert hint_s(httpx.Headers(headers), now) == wait_s


def test_no_headers_say_nothing() -> None:
    """An answer whose headers nobody has asks for no wait."""
    assert hint_s(None) is None
    assert hint_s({"retry-after": 5}) is None  # type: ignore[dict-item]


@given(st.text(max_size=80), st.text(max_size=80))
def test_garbage_never_raises(text: str, date: str) -> None:
    """Whatever a server sends, the wait is none or within bounds."""
    headers = {"Retry-After": text, "Date": date, "RateLimit": date}
    wait_s = hint_s(headers, now)
    assert wait_s is None or 0.0 <= wait_s <= MOST_S


@given(
    st.from_regex(r'("[a-z]*"(;[rt]=\d{1,20}|;q|;pk=:[a-z]*:| )*,? ?)*', fullmatch=True)
)
def test_almost_structured_fields_never_raise(field: str) -> None:
    """Nor does what looks like the draft's field."""
    wait_s = hint_s({"RateLimit": field}, now)
    assert wait_s is None or 0.0 <= wait_s <= MOST_S
