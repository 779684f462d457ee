"""Load shedding before simulated services: overload, recovery, noise, classes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from svcready.resilience._shed._gradient import GradientConfig
from svcready.resilience._shed._shedder import Shedder, SheddingConfig
from svcready.testing import FakeClock
from tests.resilience.queueing import Answer, Service, exponential, percentile

CAPACITY = 200.0
SERVERS = 10
TAKES = exponential(0.05)


def served(answers: list[Answer]) -> int:
    """Return how many were served."""
    return sum(answer.latency_s is not None for answer in answers)


def service(
    clock: FakeClock,
    rate: Callable[[float], float],
    servers: int = SERVERS,
    takes: Callable[[random.Random, float], float] = TAKES,
    *,
    mode: str = "enforce",
    mix: dict[str, float] | None = None,
    seed: int = 1,
) -> Service:
    """Return a service behind a shedder with the default numbers."""
    shedder = Shedder("http", SheddingConfig(mode), clock=clock)
    return Service(shedder, clock, servers, takes, rate, mix=mix, seed=seed)


@pytest.mark.parametrize("seed", range(3))
def test_twice_the_capacity(clock: FakeClock, seed: int) -> None:
    """At twice the capacity p99 is within 3 times the idle one, goodput over 95 %."""
    simulated = service(clock, lambda t: 100 if t < 30 else 400, seed=seed)
    idle = simulated.run(30.0)
    simulated.run(45.0)
    overloaded = simulated.run(105.0)
    assert served(overloaded) / 60.0 >= 0.95 * CAPACITY
    assert percentile(overloaded, 0.99) <= 3.0 * percentile(idle, 0.99)
    assert percentile(overloaded, 0.5) <= 0.15


def test_an_hour_of_overload_is_as_its_first_minute(clock: FakeClock) -> None:
    """Latency and limit don't creep up: an hour's last minutes are like its first."""
    simulated = service(
        clock, lambda t: 5 if t < 60 else 20, servers=2, takes=exponential(0.2)
    )
    simulated.run(120.0)
    first = simulated.run(420.0)
    simulated.run(3_300.0)
    last = simulated.run(3_600.0)
    assert percentile(last, 0.99) <= 1.5 * percentile(first, 0.99)
    assert served(last) / 300.0 >= 9.0


def test_without_it_latency_has_no_bound(clock: FakeClock) -> None:
    """The same overload without shedding: seconds, and more every second."""
    simulated = service(clock, lambda t: 100 if t < 30 else 400, mode="observe")
    simulated.run(60.0)
    assert percentile(simulated.run(90.0), 0.5) >= 10.0


def test_overload_from_the_start(clock: FakeClock) -> None:
    """A service that starts into an overload never saw better, and stays bounded."""
    simulated = service(clock, lambda _: 400)
    simulated.run(120.0)
    answers = simulated.run(180.0)
    assert percentile(answers, 0.99) <= 1.0
    assert served(answers) / 60.0 >= 0.95 * CAPACITY


def test_recovery(clock: FakeClock) -> None:
    """Ten seconds after the overload nobody is refused, and latency is as before."""
    simulated = service(clock, lambda t: 400 if 30 < t < 330 else 100)
    before = simulated.run(30.0)
    simulated.run(340.0)
    after = simulated.run(400.0)
    assert served(after) == len(after)
    assert percentile(after, 0.99) <= 1.2 * percentile(before, 0.99)


@pytest.mark.parametrize("seed", range(3))
def test_noise_refuses_nobody(clock: FakeClock, seed: int) -> None:
    """Latencies over five decades for half an hour: under 0.2 % refused."""
    simulated = service(
        clock,
        lambda _: 100,
        servers=10_000,
        takes=lambda rng, _: rng.lognormvariate(-3.0, 1.6),
        seed=seed,
    )
    answers = simulated.run(1_800.0)
    assert served(answers) >= 0.998 * len(answers)
    assert simulated.limits[-1] >= 20


def test_few_noisy_requests_ratchet_nothing_down(clock: FakeClock) -> None:
    """Twelve a second, each between 1 ms and 3 s, for an hour: under 1 % refused."""
    simulated = service(
        clock,
        lambda _: 12,
        servers=10_000,
        takes=lambda rng, _: 0.001 if rng.random() < 0.8 else 3.0,
    )
    answers = simulated.run(3_600.0)
    assert served(answers) >= 0.99 * len(answers)


@pytest.mark.parametrize(("rate", "takes_s"), [(100, 0.05), (400, 0.02), (100, 0.3)])
def test_a_slower_dependency_is_no_overload(
    clock: FakeClock, rate: float, takes_s: float
) -> None:
    """A dependency four times as slow for good costs refusals for 90 s, no more."""
    simulated = service(
        clock,
        lambda _: rate,
        servers=10_000,
        takes=lambda rng, t: rng.expovariate(1.0 / takes_s) * (1 if t < 90 else 4),
    )
    simulated.run(90.0)
    during = simulated.run(180.0)
    after = simulated.run(240.0)
    assert served(during) >= 0.5 * len(during)
    assert served(after) >= 0.97 * len(after)


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize(("initial", "within_s"), [(20, 60.0), (80, 0.0)])
def test_a_service_that_waits_is_refused_until_the_limit_has_grown(
    clock: FakeClock, mode: str, initial: int, within_s: float
) -> None:
    """Forty in flight that only wait: some refused in the first minute, none after."""
    config = SheddingConfig(mode, GradientConfig(initial))
    shedder = Shedder("http", config, clock=clock)
    simulated = Service(shedder, clock, 10_000, lambda *_: 0.1, lambda _: 400)

    def refused() -> int:
        counts = shedder.counts().items()
        return sum(many for (_, what), many in counts if what != "success")

    simulated.run(10.0)
    assert bool(refused()) == bool(within_s)
    simulated.run(60.0)
    before = refused()
    simulated.run(180.0)
    assert refused() == before


def test_a_stall(clock: FakeClock) -> None:
    """A service that stands still for 20 s serves as before within 20 s."""
    simulated = service(
        clock,
        lambda _: 150,
        takes=lambda rng, t: max(
            rng.expovariate(20.0), 50.0 - t if 30.0 < t < 50.0 else 0.0
        ),
    )
    simulated.run(70.0)
    after = simulated.run(130.0)
    assert served(after) >= 0.97 * len(after)
    assert percentile(after, 0.99) <= 0.6


def test_classes_are_shed_in_their_order(clock: FakeClock) -> None:
    """Beyond capacity sheddable goes first, then default; critical passes."""
    mix = {"critical": 0.2, "default": 0.4, "sheddable": 0.4}
    simulated = service(clock, lambda t: 100 if t < 30 else 400, mix=mix)
    simulated.run(45.0)
    answers = simulated.run(165.0)
    asked = Counter(answer.priority for answer in answers)
    passed = Counter(a.priority for a in answers if a.latency_s is not None)
    shares = {name: passed[name] / asked[name] for name in mix}
    assert shares["critical"] >= 0.97
    assert shares["sheddable"] <= 0.3
    assert shares["sheddable"] + 0.2 <= shares["default"] <= shares["critical"]
    assert served(answers) / 120.0 >= 0.93 * CAPACITY


@pytest.mark.parametrize("least", [5, 8])
def test_never_below_the_least(clock: FakeClock, least: int) -> None:
    """However slow a service becomes, so many are let in."""
    config = SheddingConfig(gradient=GradientConfig(min_limit=least))
    shedder = Shedder("http", config, clock=clock)
    simulated = Service(
        shedder,
        clock,
        1,
        lambda rng, t: rng.expovariate(20.0 / (1 + t)),
        lambda _: 50,
    )
    simulated.run(600.0)
    assert min(simulated.limits) >= least
