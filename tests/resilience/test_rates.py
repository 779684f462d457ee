"""Rates as text: what is read, and what is refused with a word about what can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core.rates import read_rate
from svcready.errors import DeclarationError
from svcready.resilience._admitting._rates import parse_rate


@pytest.mark.parametrize(
    ("text", "per_s", "burst"),
    [
        ("100/s", 100.0, 100),
        ("100/s burst 20", 100.0, 20),
        ("100/s, burst 20", 100.0, 20),
        (" 100 / S  BURST  20 ", 100.0, 20),
        ("5 per second", 5.0, 5),
        ("100/minute burst 20", 100 / 60, 20),
        ("100 per minute", 100 / 60, 100),
        ("1/h", 1 / 3600, 1),
        ("10/day burst 3", 10 / 86_400, 3),
        ("300/15min", 1 / 3, 300),
        ("300 per 15 minutes burst 10", 1 / 3, 10),
        ("1 per 250ms", 4.0, 1),
        ("0.5/s", 0.5, 1),
        ("2.5/s", 2.5, 2),
        ("1000000/s", 1e6, 1_000_000),
    ],
)
def test_what_people_write_is_read(text: str, per_s: float, burst: int) -> None:
    """The usual spellings mean what they say; without a burst it is the number."""
    rate = parse_rate(text)
    assert rate.per_s == pytest.approx(per_s)
    assert rate.burst == burst


@pytest.mark.parametrize(
    "text",
    [
        *["", "fast", "100", "100/", "/s", "s", "100/fortnight", "100/s burst"],
        *["100/s burst 0", "100/s burst -1", "100/s burst 1.5", "100/s 20", "5 persec"],
        *["0/s", "-1/s", "1e3/s", "nan/s", "inf/s", "1/0s", "2000000/s", "5per s"],
        *["1/100d", "0.000000001/d", "\u0661/s", "1/s burst \u0661", "1/s\nx", "1//s"],
        *["1" * 11 + "/s", "1/s" + " " * 80, "1/s burst 2 burst 3"],
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    """The error shows the argument, the value and how rates are written."""
    with pytest.raises(DeclarationError, match=r"rate=.*5 per second") as refused:
        parse_rate(text)

    assert repr(text) in str(refused.value)


@pytest.mark.parametrize("value", [None, 100, 1.5, True, b"100/s", ["100/s"]])
def test_no_text_is_refused_alike(value: object) -> None:
    """A plain number has no time in it, so it is no rate."""
    with pytest.raises(DeclarationError, match="limit="):
        parse_rate(value, "limit")  # type: ignore[arg-type]


@given(st.text(max_size=80))
def test_garbage_is_a_rate_in_bounds_or_no_rate(text: str) -> None:
    """Whatever is written, what comes of it is a rate within bounds or ValueError."""
    try:
        per_s, burst = read_rate(text)
    except ValueError:
        return

    assert 0.0 < per_s <= 1e6
    assert 1 <= burst <= 1_000_000_000
