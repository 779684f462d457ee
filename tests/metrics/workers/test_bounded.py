"""The bound: totals beyond a number of series share one, and none is lost."""

from __future__ import annotations

import random
from collections import Counter

from svcready.metrics._model import Distribution, Family, Number, Point, Sample
from svcready.metrics._workers._bounded import bounded
from svcready.metrics._workers._layout import Published
from svcready.metrics._workers._merge import Part, merge_totals


def part(kind: str, *points: Point, labels: tuple[str, ...] = ("user",)) -> Part:
    """Return what one process published of one family."""
    given = labels if not isinstance(points[0], Sample) else ()
    made = Family("x", "x", kind, "What", "", given, points, "application", "sum")
    return Part((Published(made),), lives=False)


def test_distributions_that_find_no_room_are_added_up() -> None:
    """Counts by bucket and sums go to `__other__`, whatever the buckets are."""
    one = part("histogram", Distribution(("a",), (1.0,), (1, 2), 5.0))
    other = part(
        "histogram",
        Distribution(("b",), (1.0,), (3, 0), 1.0),
        Distribution(("a",), (1.0,), (1, 0), 1.0),
        Distribution(("c",), (1.0, 2.0), (0, 1, 1), 9.0),
    )
    parts, full = bounded([one, other], 1)
    ((published,),) = merge_totals(parts)

    assert {p.labels: p for p in published.family.points} == {
        ("a",): Distribution(("a",), (1.0,), (2, 2), 6.0),
        ("__other__",): Distribution(("__other__",), (1.0, 2.0), (3, 1, 1), 10.0),
    }
    assert [(e.metric, e.limit, e.label) for e in full] == [("x", 1, "user")]


def test_samples_of_one_series_go_together() -> None:
    """Of prometheus_client's summaries count, sum and beginning find room at once."""

    def series(user: str, count: float, total: float, created: float) -> list[Point]:
        pairs = (("user", user),)
        return [
            Sample("x_count", pairs, count),
            Sample("x_sum", pairs, total),
            Sample("x_created", pairs, created),
        ]

    users = [*series("a", 1, 2, 30), *series("b", 3, 4, 20), *series("c", 5, 6, 10)]
    parts, full = bounded([part("summary", *users)], 1)
    ((published,),) = merge_totals(parts)

    assert {(p.name, p.labels[0][1]): p.value for p in published.family.points} == {  # type: ignore[union-attr]
        ("x_count", "a"): 1,
        ("x_sum", "a"): 2,
        ("x_created", "a"): 30,
        ("x_count", "__other__"): 8,
        ("x_sum", "__other__"): 10,
        ("x_created", "__other__"): 10,
    }
    assert full[0].label == "user"


def test_process_after_process_nothing_is_lost() -> None:
    """However they die, the sum is what was counted and the series are bounded."""
    draw = random.Random(7)
    kept: list[Part] = []
    counted: Counter[tuple[str, ...]] = Counter()
    for _ in range(50):
        own = {(str(draw.randrange(60)),): draw.randrange(1, 9) for _ in range(15)}
        counted.update(own)
        new = part("counter", *(Number(key, n) for key, n in own.items()))
        parts, _ = bounded([*kept, new], 20)
        layers = merge_totals(parts)
        kept = [Part(tuple(layer), lives=False) for layer in layers]

    ((published,),) = (each.families for each in kept)
    found = {p.labels: p.value for p in published.family.points}  # type: ignore[union-attr]
    assert len(found) == 21
    assert sum(found.values()) == counted.total()
    assert all(
        found[key] == counted[key]  # type: ignore[index]
        for key in list(found)[:10]  # who came first and so had room from the start
        if key != ("__other__",)
    )
