"""The RateLimit fields, read by an independent parser of structured fields."""

from __future__ import annotations

import math
from typing import Any

import http_sf
from hypothesis import given
from hypothesis import strategies as st

from svcready.resilience._admitting._gcra import Rate, gcra
from svcready.resilience._limiting._fields_draft11 import (
    Share,
    fields,
    legacy_fields,
    most_constrained_first,
)
from svcready.resilience._limiting._problem import (
    QUOTA_EXCEEDED,
    REDUCED_CAPACITY,
    refusal,
    retry_after,
)
from svcready.resilience._limiting._store import Left

RATES = st.builds(
    Rate,
    st.floats(1 / (30 * 86_400), 1e6),
    st.integers(1, 1_000_000_000),
)


def left_of(rate: Rate, taken: int, after_s: float = 0.0) -> Left:
    """Return how a bucket stands of which *taken* was taken a while ago."""
    first = gcra(rate, 0.0, 1000.0, taken)
    now = gcra(rate, first.tat_s, 1000.0 + after_s, 0)
    return Left(True, now.remaining, 0.0, now.full_after_s)


def parsed(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a field as the parser reads it: strings with parameters."""
    items: Any = http_sf.parse(text.encode("ascii"), tltype="list")
    assert all(type(item) is tuple and isinstance(item[0], str) for item in items)
    return list(items)


@given(
    rates=st.lists(RATES, min_size=1, max_size=4),
    share=st.floats(0, 1),
    after_s=st.floats(0, 1e5),
)
def test_they_are_structured_fields(
    rates: list[Rate], share: float, after_s: float
) -> None:
    """Lists of strings, whose parameters are whole numbers as the draft bounds them."""
    shares = [
        Share(
            f"limit-{number}",
            rate,
            left_of(rate, int(rate.burst * share), after_s),
            "AAECAw==",
        )
        for number, rate in enumerate(rates)
    ]
    told = dict(fields(shares))
    policies, limits = parsed(told["ratelimit-policy"]), parsed(told["ratelimit"])

    names = [f"limit-{number}" for number in range(len(rates))]
    assert [name for name, _ in policies] == [name for name, _ in limits] == names
    for (_, policy), (_, limit), rate in zip(policies, limits, rates, strict=True):
        assert policy == {
            "q": rate.burst,
            "w": min(10**15 - 1, max(1, math.ceil(rate.burst / rate.per_s - 1e-9))),
            "pk": b"\x00\x01\x02\x03",
        }
        assert 0 <= limit["r"] <= rate.burst
        assert limit["t"] >= 1
        assert limit["pk"] == b"\x00\x01\x02\x03"


@given(rate=RATES, share=st.floats(0, 1), after_s=st.floats(0, 1e5))
def test_a_client_that_divides_is_never_told_to_be_faster_than_the_rate(
    rate: Rate, share: float, after_s: float
) -> None:
    """What is left over `t` is no more than lasts, unless all of it is one second's."""
    left = left_of(rate, int(rate.burst * share), after_s)
    (told,) = parsed(dict(fields([Share("a", rate, left)]))["ratelimit"])
    pace = told[1]["r"] / told[1]["t"]

    assert pace <= rate.per_s * (1 + 1e-6) or told[1]["t"] == 10**15 - 1


def test_of_nothing_left_the_effective_window_is_when_there_is_more() -> None:
    """With r=0, t is the ceiling of the time to the next one."""
    rate = Rate(100 / 60, 20)  # one in 0.6 s
    left = left_of(rate, 20)
    assert dict(fields([Share("default", rate, left)])) == {
        "ratelimit-policy": '"default";q=20;w=12',
        "ratelimit": '"default";r=0;t=1',
    }
    slow = Rate(1 / 90, 1)
    (told,) = parsed(
        dict(fields([Share("a", slow, left_of(slow, 1, 30.5))]))["ratelimit"]
    )
    assert told == ("a", {"r": 0, "t": 60})


def test_the_policy_is_the_same_in_every_response() -> None:
    """It depends on the rate alone, as the draft asks."""
    rate = Rate(2.0, 10)
    told = {
        dict(fields([Share("a", rate, left_of(rate, taken, taken / 7))]))[
            "ratelimit-policy"
        ]
        for taken in range(11)
    }
    assert told == {'"a";q=10;w=5'}


def test_the_most_constrained_comes_first() -> None:
    """First what refuses, then what has the smallest share left."""
    rate = Rate(1.0, 10)
    shares = [
        Share("half", rate, Left(True, 5, 0.0, 5.0)),
        Share("full", rate, Left(True, 10, 0.0, 0.0)),
        Share("refusing", Rate(1.0, 100), Left(False, 20, 3.0, 80.0)),
        Share("nearly", rate, Left(True, 1, 0.0, 9.0)),
    ]
    names = [share.name for share in most_constrained_first(shares)]
    assert names == ["refusing", "nearly", "half", "full"]


def test_a_policy_is_told_of_once_for_each_partition() -> None:
    """Of one name the most constrained is told, unless a partition tells them apart."""
    rate = Rate(1.0, 10)
    lefts = [Left(True, left, 0.0, 10.0 - left) for left in (7, 3, 5)]
    shares = [Share("a", rate, left, key=str(n)) for n, left in enumerate(lefts)]
    (told,) = most_constrained_first(shares)
    assert told.left.remaining == 3
    parts = zip(shares, "xxy", strict=True)
    parted = [share._replace(partition=part) for share, part in parts]
    assert [share.left.remaining for share in most_constrained_first(parted)] == [3, 5]


def test_the_fields_without_a_standard_count_from_now() -> None:
    """`X-RateLimit-Reset` is seconds from now, until the whole burst is back."""
    share = Share("a", Rate(1.0, 10), Left(True, 4, 0.0, 5.5))
    assert dict(legacy_fields(share)) == {
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "4",
        "x-ratelimit-reset": "6",
    }


@given(wait_s=st.floats(0, 1e6), drawn=st.floats(0, 1, exclude_max=True))
def test_retry_after_is_at_least_the_wait_and_at_most_a_tenth_later(
    wait_s: float, drawn: float
) -> None:
    """Whole seconds from 1; spread, so that not all come again at once."""
    told = retry_after(wait_s, lambda: drawn)
    least = max(1, math.ceil(wait_s))
    assert least <= told <= least * 1.1


def test_a_refusal_is_a_problem_of_a_registered_type() -> None:
    """`application/problem+json` with type, title and status, and no store keeps it."""
    answer = refusal(
        429, QUOTA_EXCEEDED, retry_after_s=7, more={"violated-policies": ["a"]}
    )
    assert dict(answer.headers) == {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "retry-after": "7",
    }
    assert answer.body == (
        b'{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded",'
        b'"title":"Request cannot be satisfied as assigned quota has been exceeded",'
        b'"status":429,"violated-policies":["a"]}'
    )
    assert (
        b"#temporary-reduced-capacity"
        in refusal(503, REDUCED_CAPACITY, retry_after_s=1).body
    )
