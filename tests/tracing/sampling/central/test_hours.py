"""Hours of three processes and one service, each decision as the model has it."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("botocore")

from tests.tracing.sampling.central.driving import make_clock, run
from tests.tracing.sampling.central.fake_xray import FakeXray, require_model, rule
from tests.tracing.sampling.central.held import Held

require_model()

MINUTE_S = 60
BROKEN = {40: "refuse", 60: "", 100: "garbage", 175: "", 190: "error", 194: ""}
"""What happens to the service in which minute; the second is longer than an hour."""
JUMPS = {20: 86400 * 400, 30: 0, 80: -86400, 130: 0}
"""By how much the wall clock is off from which minute on, in seconds."""


def rules(minute: int) -> list[dict[str, object]]:
    """Return the rules that somebody has written by then."""
    some = [rule("cheap", URLPath="/a", FixedRate=0.01, ReservoirSize=0, Priority=2)]
    if minute >= 50:
        some += [rule("dear", URLPath="/b", FixedRate=0.2, ReservoirSize=12)]

    if minute >= 65:
        some[0] = rule("cheap", URLPath="/a", FixedRate=0.1, ReservoirSize=3)

    return some if minute < 200 else some[1:]


def test_four_hours_of_three_processes_are_as_the_model_has_them() -> None:
    """Outages short and long, garbage, clock jumps, new rules and a fork included."""
    xray = FakeXray(make_clock(), page=2, ttl_s=45)
    traffic = random.Random(5)
    held = [Held(xray, seed) for seed in range(3)]
    chosen: list[str | None] = []
    for minute in range(240):
        if not minute or rules(minute) != rules(minute - 1):
            xray.change(*rules(minute))

        xray.broken = BROKEN.get(minute, xray.broken)
        if minute in JUMPS:
            wall_s = xray.now_s + JUMPS[minute]
            xray.clock.set_wall(round(wall_s * 1e9))
            for each in held:
                each.skewed = bool(JUMPS[minute])

        if minute in {70, 150}:
            held[1].fork()

        for _ in range(6):
            run(xray.clock, MINUTE_S / 6, *(each.process for each in held))
            for each in held:
                paths = traffic.choices(("/a", "/b", "/c"), k=traffic.randrange(12))
                chosen += [each.decide(path) for path in paths]

    assert sum(each.decided for each in held) == len(chosen) > 20_000
    assert {"cheap", "dear", "Default", "", None} == set(chosen)
    for name, (requests, sampled, borrowed) in xray.told.items():
        assert requests >= sampled >= borrowed >= 0, name

    assert xray.told["cheap"][2] > 0
    assert xray.told["dear"][2] > 0


def test_a_quota_is_shared_by_those_who_ask() -> None:
    """Four processes of one rule take its reservoir together, not each."""
    xray = FakeXray(make_clock(), rate_of=lambda _: 0.0)
    xray.change(rule("r", FixedRate=0.0, ReservoirSize=20))
    held = [Held(xray, seed) for seed in range(4)]
    for _ in range(40):
        run(xray.clock, 1, *(each.process for each in held))
        for each in held:
            each.decide("/")

    taken = []
    for _ in range(60):
        run(xray.clock, 1, *(each.process for each in held))
        taken.append(sum(each.decide("/") == "r" for each in held for _ in range(20)))

    assert set(taken) == {20}
