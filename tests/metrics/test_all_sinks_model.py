"""Recordings, flushes, faults and forks in any order, compared with a naive model."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import svcready
from svcready._core.guard import set_reporter
from svcready._runtime import _background
from svcready.errors import DeclarationError
from svcready.metrics._instruments._register import forget_all
from svcready.testing import FakeClock, Harness, running
from tests.examples import examples

pytest.importorskip("opentelemetry.proto")
pytest.importorskip("boto3")


from svcready._transport.otlp_metrics import Limits
from svcready.metrics.sinks._cloudwatch._emf._sink import EmfSink
from svcready.metrics.sinks._cloudwatch._put import _packs as _put_packs
from svcready.metrics.sinks._otlp._since import forget_arrived
from svcready.metrics.sinks._otlp._sink import OtlpSink
from tests.metrics.received import OPENMETRICS, Key, Received, Receivers
from tests.metrics.recorded import (
    CLOUDWATCH,
    OTHER,
    OTLP,
    PAGE,
    Metric,
    Model,
    Texts,
)
from tests.metrics.troubles import (
    NO_TROUBLE,
    TROUBLES,
    CutCollector,
    NarrowWay,
    Trouble,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

LEVELS = ("sum", "max", "min", "latest")
METRICS = (
    Metric("orders", "counter", "orders", ("kind",)),
    Metric("pairs", "counter", "pairs", ("kind", "shop")),
    Metric("ticks", "counter", "ticks"),
    Metric("queue", "level", "queue", ("kind",)),
    *(Metric(f"level.{it}", "level", f"level_{it}", ("kind",), it) for it in LEVELS),
    Metric("sizes", "histogram", "sizes_bytes", ("kind",)),
    Metric("times", "histogram", "times_seconds"),
)
LABELS: dict[object, str] = {
    **{kind: kind for kind in ("a", "b", "c", "d")},
    7: "7",
    None: "None",
    "": "",
    " ": " ",
    "é": "é",
    "ü": "ü",
    "\N{SNOWMAN}": "\N{SNOWMAN}",
    'x"\\\n{},=': 'x"\\\n{},=',
    "y" * 300: "y" * 200,
    OTHER: OTHER,
    "\ud800": "?",
    "password=hunter2": "password=[redacted:key]",
    "AKIAIOSFODNN7EXAMPLE": "[redacted:aws-key-id]",
}
"""Label values, and as which text they are to be shown."""
SECRETS = ("hunter2", "AKIA")
MOST_SERIES = 9
NONSENSE = (math.nan, math.inf, -math.inf, "x", None)

label = st.sampled_from(list(LABELS))
amount = st.one_of(
    st.integers(0, 1000),
    st.integers(0, 800).map(lambda number: number / 8),
    st.sampled_from([0.1, 1e9 + 1, 2**53, 1e-200, 1e60]),
)
value = st.one_of(
    st.floats(-1e6, 1e6),
    st.integers(-50, 50),
    st.sampled_from([0.0, -0.0, 5e-324, -1e-200, 1e100, -1e100, 1.5, -1.5]),
)


class Recording(NamedTuple):
    """One call, by the metric's name."""

    metric: str
    labels: tuple[object, ...]
    values: tuple[float, ...]


def of(name: str, labels: int, values: st.SearchStrategy[float]) -> object:
    """Return a strategy for recordings of one metric."""
    given = st.lists(values, min_size=1, max_size=4).map(tuple)
    return st.builds(Recording, st.just(name), st.tuples(*[label] * labels), given)


recording = st.one_of(
    *cast(
        "list[st.SearchStrategy[Recording]]",
        [
            *(of("orders", 1, amount), of("pairs", 2, amount), of("ticks", 0, amount)),
            *(of(f"level.{each}", 1, st.floats(-1e6, 1e6)) for each in LEVELS),
            *(of("queue", 1, st.floats(-1e6, 1e6)), of("sizes", 1, value)),
            of("times", 0, value.map(abs)),  # no bucket's bound is negative: no value
        ],
    )
)


class World(NamedTuple):
    """The receivers, which outlive an example."""

    receivers: Receivers
    collector: CutCollector
    numbers: Iterator[int]

    def renew(self) -> Receivers:
        """Forget everything that came, and return receivers with a file that is new."""
        clock = FakeClock()
        room = self.receivers.file.parent / str(next(self.numbers))
        room.mkdir(mode=0o700)
        self.receivers.put.now_s = lambda: clock.time_ns() / 1e9
        self.receivers.put.requests.clear()
        self.collector.pushes.clear()
        return Receivers(room / "emf", self.receivers.put, self.collector, clock)


@pytest.fixture
def world(receivers: Receivers, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Run the receivers, and have little in each request, so that there are several."""
    monkeypatch.setattr(_put_packs, "MOST_DATUMS", 7)
    collector = CutCollector()
    yield World(receivers, collector, count())
    collector.close()


class Process:
    """What one process records, and beside it the model of that."""

    def __init__(self, harness: Harness, known: dict[str, set[Texts]]) -> None:
        self.harness = harness
        self.known: dict[str, set[Texts]] = defaultdict(set, known)
        self.model = Model(METRICS)
        self.latest: dict[Texts, float] = {}
        """Of the gauge whose latest value counts, what any process has set."""
        declare = svcready.histogram
        kind = ("kind",)
        self.declared: dict[str, Any] = {
            "orders": svcready.counter("orders", "help", labels=kind),
            "pairs": svcready.counter("pairs", "help", labels=(*kind, "shop")),
            "ticks": svcready.counter("ticks", "help"),
            "queue": svcready.up_down_counter("queue", "help", labels=kind),
            "sizes": declare(
                "sizes", "help", labels=kind, unit="By", buckets=(-9, 0, 9)
            ),
            "times": declare("times", "help", unit="s"),
        }
        self.levels = {
            f"level.{mode}": svcready.gauge(
                f"level.{mode}",
                "help",
                labels=kind,
                workers=mode,  # type: ignore[arg-type]
            )
            for mode in LEVELS
        }

    def child(self) -> Process:
        """Return what a forked child is: it has the series, and none of the counts."""
        known = {name: set(keys) for name, keys in self.known.items()}
        return Process(self.harness, known)

    def play(self, recordings: Iterable[Recording]) -> None:
        """Record, for real and in the model."""
        for each in recordings:
            self.record(each)
            self.note(each)

    def record(self, each: Recording) -> None:
        """Make one call for each value."""
        metric: Any = self.levels.get(each.metric) or self.declared[each.metric]
        child = metric.labels(*each.labels) if each.labels else metric
        for number in each.values:
            if each.metric in self.levels:
                child.set(number)
            elif each.metric in {"sizes", "times"}:
                child.observe(number)
            elif number < 0:
                child.dec(-number)
            else:
                child.inc(number)

    def note(self, each: Recording) -> None:
        """Do the same to the model."""
        labels = self.place(each.metric, each.labels)
        if each.metric in self.levels:
            self.model.set(each.metric, labels, each.values[-1])
            if each.metric == "level.latest":
                self.latest[labels] = each.values[-1]

        elif each.metric == "queue":
            before = self.model.recorded["queue"].get(labels, [0.0])
            self.model.set("queue", labels, before[0] + sum(each.values))
        else:
            self.model.add(each.metric, labels, *each.values)

    def place(self, metric: str, labels: tuple[object, ...]) -> Texts:
        """Return the series that a recording belongs to, the cap being what it is."""
        texts = tuple(LABELS.get(each, str(each)) for each in labels)
        known = self.known[metric]
        if texts and texts not in known and len(known) >= MOST_SERIES:
            texts = (OTHER,) * len(texts)

        known.add(texts)
        return texts

    def flush(self) -> bool:
        """Send what there is."""
        return self.harness.runtime.flush(10)

    def meet(self) -> None:
        """Do what the runtime's threads do about once a second, but send nothing."""
        runtime = self.harness.runtime
        _background.meet(runtime)
        runtime.group.poll()


class AllSinks(RuleBasedStateMachine):
    """A service with all its sinks, its children, and the model of all of that."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        forget_all()
        forget_arrived()
        self.receivers = self.world.renew()
        self.stack = ExitStack()
        self.faults: list[str] = []
        self.expected_faults = 0
        before = set_reporter(
            lambda name, error: self.faults.append(f"{name}: {error!r}")
        )
        self.stack.callback(set_reporter, before)
        self.counted = Model(METRICS)
        """What children have counted and sent."""
        self.joined = Model(METRICS)
        """What of it is on the page."""
        self.shown: dict[Key, float] = {}
        self.number = 0

    @initialize(
        mode=st.sampled_from(["emf", "api"]),
        temporality=st.sampled_from(["delta", "cumulative", "lowmemory"]),
        workers=st.booleans(),
    )
    def begin(self, mode: str, temporality: str, workers: bool) -> None:
        """Start the service."""
        self.mode, self.temporality, self.workers = mode, temporality, workers
        off = [f"metrics.{source}" for source in ("process", "runtime", "host")]
        self.settings = {
            "core.run_dir": str(self.receivers.file.parent),
            "metrics.max_series": MOST_SERIES,
            "metrics.workers": workers,
            **dict.fromkeys(off, False),
        }
        self.run = self.stack.enter_context(ExitStack())
        self.process = Process(self.start({}), {})

    def start(self, environ: dict[str, str]) -> Harness:
        """Start a runtime."""
        sinks = self.receivers.settings(self.mode, self.temporality)
        harness = self.run.enter_context(
            running(
                settings=self.settings | sinks,
                environ=environ,
                clock=self.receivers.clock,
            )
        )
        metrics = harness.runtime.metrics
        assert metrics is not None
        self.sinks = metrics._pusher.sinks
        self.narrow: NarrowWay | None = None
        for sink in self.sinks:
            if isinstance(sink, OtlpSink):
                sink._limits = Limits(9, 4_000_000)
            elif isinstance(sink, EmfSink):
                self.narrow = NarrowWay(sink._way)
                sink._way = self.narrow

        return harness

    def make(self, trouble: Trouble) -> None:
        """Have the next requests fail, in the parent and in a child."""
        self.receivers.put.troubles = list(trouble.puts)
        self.world.collector.statuses = list(trouble.statuses)
        self.world.collector.cuts = trouble.cuts
        if self.narrow is not None:
            self.narrow.room = list(trouble.room)

    @rule(recordings=st.lists(recording, min_size=1, max_size=8))
    def record(self, recordings: list[Recording]) -> None:
        """Record this and that."""
        self.process.play(recordings)

    @rule(
        seed=st.integers(0, 99),
        size=st.sampled_from([101, 160, 300, 5000]),
        where=st.sampled_from([("times", ()), ("sizes", ("a",))]),
    )
    def record_many(self, seed: int, size: int, where: tuple[str, Texts]) -> None:
        """Record so many different values that they are folded, and put into bins."""
        draw = random.Random(seed).lognormvariate
        values = tuple(draw(0, 1) for _ in range(size))
        self.process.play([Recording(*where, values)])

    @rule(size=st.integers(1, 12), name=st.sampled_from(["orders", "sizes", "queue"]))
    def record_everywhere(self, size: int, name: str) -> None:
        """Record under many label values, until there are no more series."""
        labels = [f"v-{number}" for number in range(size)]
        self.process.play([Recording(name, (each,), (1.0,)) for each in labels])

    @rule(nonsense=st.sampled_from(NONSENSE))
    def record_nonsense(self, nonsense: object) -> None:
        """What is no number is reported, and counts for nothing."""
        for name in ("ticks", "times"):
            metric = self.process.declared[name]
            call = getattr(metric, "inc" if name == "ticks" else "observe")
            call(nonsense)

        self.process.declared["ticks"].inc(-1)
        self.expected_faults += 3

    @rule()
    def declare_again(self) -> None:
        """The same declaration is the same metric; another is refused."""
        for name, metric in Process(self.process.harness, {}).declared.items():
            assert metric is self.process.declared[name]

        with pytest.raises(DeclarationError):
            svcready.counter("orders", "help", labels=("shop",))

    @rule(seconds=st.sampled_from([0.5, 5, 61, 4000]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.receivers.clock.advance(seconds)

    @rule(
        recordings=st.lists(recording, max_size=8),
        trouble=TROUBLES,
        number=st.integers(0, 1),
    )
    def push(self, recordings: list[Recording], trouble: Trouble, number: int) -> None:
        """Record, and send to one sink, with whatever comes of it."""
        self.process.play(recordings)
        self.make(trouble)
        self.sinks[number].push(10)

    @rule(recordings=st.lists(recording, max_size=8), trouble=TROUBLES)
    def flush(self, recordings: list[Recording], trouble: Trouble) -> None:
        """Record, and send to all, with whatever comes of it."""
        self.process.play(recordings)
        self.make(trouble)
        self.process.flush()

    @rule(
        recordings=st.lists(recording, max_size=8),
        trouble=TROUBLES,
        flushes=st.booleans(),
        generations=st.integers(1, 2),
    )
    def fork(
        self,
        recordings: list[Recording],
        trouble: Trouble,
        flushes: bool,
        generations: int,
    ) -> None:
        """Have a child, and maybe a child of it, record, send and end."""
        # One that forks publishes what it has counted, for pages, and sends nothing.
        generations = generations if flushes else 1
        self.process.play(recordings)
        child = self.process
        children = []
        for _ in range(generations):
            child = child.child()
            for each in recordings:
                child.note(each)

            children.append(child)

        def work(left: int) -> bool:
            """Record and send, in the child."""
            self.process.meet()
            for each in recordings:
                self.process.record(each)

            if left > 1:
                _fork(lambda: work(left - 1), self.faults)

            return not flushes or any(self.process.flush() for _ in range(9))

        self.make(trouble)
        self.process.flush()  # what is left of it is not the child's
        self.make(trouble)
        _fork(lambda: work(generations), self.faults)
        for child in children if flushes else ():
            self.counted.take(child.model)
            self.joined.take(child.model)
            self.process.latest |= child.latest

    @precondition(lambda self: self.workers)
    @rule()
    def look_after_the_dead(self) -> None:
        """Take over what children have left, as is done every few seconds."""
        self.process.meet()
        metrics = self.process.harness.runtime.metrics
        assert metrics is not None
        together = metrics._whole._together
        assert together is not None
        for _ in range(3):
            together.tick()

    @rule(accept=st.sampled_from([None, OPENMETRICS]))
    def look_at_the_page(self, accept: str | None) -> None:
        """The page shows everything that was counted, and no count ever falls."""
        self.process.meet()
        page = self.receivers.page(self.process.harness, accept)
        expected = Model(METRICS)
        for name, series in self.process.model.recorded.items():
            for labels, values in series.items():
                expected.add(name, labels, *values)

        if self.workers:
            expected.take(self.joined)
            for labels, level in self.process.latest.items():
                expected.set("level.latest", labels, level)

        expected.compare(page, PAGE)
        totals = {
            key: amount.count if metric.kind == "histogram" else amount.latest
            for metric in METRICS
            for key, amount in page.items()
            if metric.kind != "level" and key[0] == metric.page
        }
        for key, before in self.shown.items():
            assert totals[key] >= before

        self.shown = totals

    @rule(
        mode=st.sampled_from(["emf", "api"]),
        buckets=st.sampled_from(["", "-1,2,3", "-5,0,5000"]),
    )
    def start_anew(self, mode: str, buckets: str) -> None:
        """Close the runtime and start another, with other settings."""
        self.settle()
        self.run.close()
        self.mode = mode
        environ = {"SVCREADY_BUCKETS__SIZES": buckets} if buckets else {}
        self.process.harness = self.start(environ)
        self.settle()

    @rule(recordings=st.lists(recording, max_size=8))
    def fork_without_a_runtime(self, recordings: list[Recording]) -> None:
        """Close the runtime and fork: the child begins anew, and so does the parent."""
        self.settle()
        self.run.close()
        child = self.process.child()
        for each in recordings:
            child.note(each)

        def work() -> bool:
            """Record before there is a runtime and since."""
            for each in recordings[1:]:
                child.record(each)

            child.harness = self.start({})
            for each in recordings[:1]:
                child.record(each)

            return child.flush()

        _fork(work, self.faults)
        self.counted.take(child.model)
        self.process.harness = self.start({})

    @rule()
    def settle(self) -> None:
        """Once all is well, one flush has everything arrive, and once."""
        self.make(NO_TROUBLE)
        # Else the same level at once after another flush is not told again.
        self.receivers.clock.advance(1.0)
        assert self.process.flush()
        everything = Model(METRICS)
        for name, series in self.process.model.recorded.items():
            for labels, values in series.items():
                everything.add(name, labels, *values)

        everything.take(self.counted)
        before = "api" if self.mode == "emf" else "emf"
        sent = _together(*map(self.receivers.cloudwatch, (before, self.mode)))
        everything.compare(sent, CLOUDWATCH)
        instance = self.process.harness.runtime.identity.instance
        over_otlp = self.receivers.otlp(levels_of=instance)
        everything.compare(over_otlp, OTLP)
        for received in (sent, over_otlp):
            told = str(list(received))
            assert not [secret for secret in SECRETS if secret in told]

    @invariant()
    def nothing_goes_wrong_unseen(self) -> None:
        """Faults are those that were asked for, and nothing is dropped."""
        assert len(self.faults) == self.expected_faults, self.faults
        if hasattr(self, "process"):
            metrics = self.process.harness.runtime.metrics
            assert metrics is not None
            assert metrics.lost == {}

    def teardown(self) -> None:
        """See that everything arrived in the end."""
        try:
            if hasattr(self, "process"):
                self.settle()
                self.look_at_the_page(None)
        finally:
            self.stack.close()
            forget_all()


def _together(first: Received, then: Received) -> Received:
    """Return what came in two ways."""
    for key, amount in then.items():
        total = first[key]
        total.count += amount.count
        total.sum += amount.sum
        total.values.update(amount.values)
        total.latest = amount.latest

    return first


def _fork(work: Callable[[], bool], faults: list[str]) -> None:
    """Have a child *work*, which returns whether it has sent everything."""
    before = len(faults)
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, from 3.12 on
        pid = os.fork()

    if pid == 0:
        said = "?"
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            sent = work()
            said = json.dumps([*faults[before:], *(() if sent else ("not sent",))])
        except BaseException:  # noqa: BLE001 - the parent says it
            said = json.dumps([traceback.format_exc()])
        finally:
            os.write(writer, said.encode())
            os._exit(0)

    os.close(writer)
    with open(reader, "rb") as file:  # noqa: PTH123 - a descriptor
        told = file.read()

    assert os.waitpid(pid, 0)[1] == 0
    assert json.loads(told) == []


def run_model(world: World, examples: int, steps: int, *phases: Phase) -> None:
    """Run so many examples of so many steps."""
    here = type("AllSinksHere", (AllSinks,), {"world": world})
    run_state_machine_as_test(
        here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=(Phase.reuse, Phase.generate, *phases),
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)  # some 15 s, on a machine that is not busy
def test_nothing_is_lost_and_nothing_counted_twice(world: World) -> None:
    """On any sink, whatever is recorded, fails, forks and begins anew in any order."""
    # A failure is told as it is; to make it small can take minutes.
    run_model(world, 12, 20)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_counted_twice_in_the_long_run(
    world: World,
) -> None:
    """The same, with many more examples."""
    run_model(world, examples(80), 40, Phase.shrink)
