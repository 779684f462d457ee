"""What each kind of value accepts, refuses and shows."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.config._kinds import (
    BOUNDS,
    COUNT,
    DURATION,
    FLAG,
    NAMES,
    PAIRS,
    RATE,
    RATIO,
    SIZE,
    TEXT,
    Kind,
    PartlyWrongError,
    choice,
    duration,
    integer,
    matching,
    number,
    size,
    words,
)

EVERY = cast(
    "list[Kind[object]]",
    [
        BOUNDS,
        COUNT,
        DURATION,
        FLAG,
        NAMES,
        PAIRS,
        RATE,
        RATIO,
        SIZE,
        TEXT,
        choice("a", "b"),
        words("a", "b"),
        matching("[a-z]+", "letters"),
        number(),
    ],
)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (FLAG, "1", True),
        (FLAG, " Yes ", True),
        (FLAG, "ON", True),
        (FLAG, "0", False),
        (FLAG, "off", False),
        (FLAG, "No", False),
        (FLAG, True, True),
        (DURATION, "250ms", 0.25),
        (DURATION, "2m", 120.0),
        (DURATION, "1.5 h", 5400.0),
        (DURATION, "1d", 86400.0),
        (DURATION, "5", 5.0),
        (DURATION, 5, 5.0),
        (DURATION, timedelta(minutes=1), 60.0),
        (SIZE, "256KiB", 262144),
        (SIZE, "1MB", 1_000_000),
        (SIZE, "1GiB", 1073741824),
        (SIZE, "512", 512),
        (RATIO, "5%", 0.05),
        (RATIO, "0.05", 0.05),
        (RATIO, "100 %", 1.0),
        (RATE, "120/m", 2.0),
        (RATE, "10 / s", 10.0),
        (RATE, 3, 3.0),
        (COUNT, "1e3", 1000),
        (NAMES, "a, b,,c ", ("a", "b", "c")),
        (NAMES, ["a", "b"], ("a", "b")),
        (BOUNDS, "0.1, 1,5", (0.1, 1.0, 5.0)),
        (BOUNDS, [1, 2], (1.0, 2.0)),
        (PAIRS, "a=1,b=x%20y", (("a", "1"), ("b", "x y"))),
        (PAIRS, {"a": "1"}, (("a", "1"),)),
        (choice("auto", "JSON"), "json", "JSON"),
        (words("b3", "xray"), "XRay,b3", ("xray", "b3")),
        (matching("[a-z]+", "letters", lower=True), " ABC ", "abc"),
    ],
)
def test_what_is_accepted(kind: Kind[object], raw: object, value: object) -> None:
    """Units, cases and native values are read as the documentation promises."""
    assert value == kind.parse(raw)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (FLAG, "maybe"),
        (FLAG, 2),
        (FLAG, ""),
        (DURATION, "-1"),
        (DURATION, "5 weeks"),
        (DURATION, "nan"),
        (DURATION, "1e999"),
        (DURATION, True),
        (DURATION, "1" * 100_000 + "!"),
        (duration(low=1), "0.5"),
        (duration(high=60), "61"),
        (SIZE, "5 apples"),
        (SIZE, "-1"),
        (size(low=1024), "1000"),
        (RATIO, "101%"),
        (RATIO, "10 percent"),
        (RATIO, "-0.1"),
        (RATE, "5/fortnight"),
        (RATE, "-5/s"),
        (COUNT, "1.5"),
        (COUNT, 10**400),
        (integer(0, 10), "11"),
        (NAMES, 5),
        (NAMES, [1]),
        (BOUNDS, "1,1"),
        (BOUNDS, "2,1"),
        (BOUNDS, ""),
        (BOUNDS, ["a"]),
        (PAIRS, 5),
        (PAIRS, {"a": 1}),
        (TEXT, 5),
        (TEXT, "two\nlines"),
        (TEXT, "undecodable \udc80"),
        (TEXT, "escape \x1b[31m"),
        (choice("a"), "b"),
        (matching("[a-z]+", "letters"), "a1"),
    ],
)
def test_what_is_refused(kind: Kind[object], raw: object) -> None:
    """What is out of bounds or of another type is refused, however large."""
    with pytest.raises(ValueError):  # noqa: PT011 - the text is not for people
        kind.parse(raw)


@pytest.mark.parametrize(
    ("kind", "raw", "value", "wrong"),
    [
        (words("b3", "xray"), "b3,bogus", ("b3",), ("bogus",)),
        (PAIRS, "a=1,bogus", (("a", "1"),), ("bogus",)),
        (PAIRS, "a=%ff,b=2", (("b", "2"),), ("a=%ff",)),
    ],
)
def test_one_wrong_entry_does_not_spoil_the_others(
    kind: Kind[object], raw: str, value: object, wrong: tuple[str, ...]
) -> None:
    """A list tells which of its entries are wrong and keeps the rest."""
    with pytest.raises(PartlyWrongError) as caught:
        kind.parse(raw)

    assert value == caught.value.value
    assert wrong == caught.value.wrong


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.name)
@given(raw=st.text() | st.integers() | st.floats() | st.lists(st.text()) | st.none())
def test_garbage_is_a_value_error(kind: Kind[object], raw: object) -> None:
    """No input makes a kind raise anything but ValueError."""
    try:
        kind.parse(raw)
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FLAG, True),
        (DURATION, 0.25),
        (SIZE, 4096),
        (RATIO, 0.05),
        (NAMES, ("a", "b")),
        (BOUNDS, (0.5, 1.0)),
        (PAIRS, (("a", "1"), ("b", "2"))),
        (TEXT, "x"),
    ],
)
def test_what_is_shown_can_be_read_again(kind: Kind[object], value: object) -> None:
    """A value is shown as a variable would spell it."""
    assert value == kind.parse(kind.show(value))


def test_a_range_is_written_as_one_would_type_it() -> None:
    """What is allowed names whole numbers in full, however large."""
    assert integer(1, 1_000_000).allowed == "a whole number from 1 to 1000000"
