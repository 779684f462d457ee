"""A runtime of a test's own, whose log lines, metrics and spans can be read back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import orjson

from svcready._core.clock import SYSTEM_CLOCK
from svcready._runtime import Runtime, current, put_in_force
from svcready.config import load
from svcready.errors import DeclarationError
from svcready.logging._audit._targets import KeptEntries
from svcready.testing._policies import Policies, reset_policies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import NoReturn

    from prometheus_client import Metric

    from svcready._core.clock import Clock
    from svcready.tracing.view._records import SpanRecord

__all__ = ["Harness", "running"]

_ADD_UP = frozenset(("counter", "histogram", "summary"))
_MOST_SHOWN = 20


class _Nothing(list[dict[str, object]]):
    """No line, where a test expects one: unpacked, it says what there was instead."""

    def __init__(self, message: str, there_were: list[str]) -> None:
        super().__init__()
        self._message = message
        self._there_were = there_were

    def __iter__(self) -> Iterator[dict[str, object]]:
        raise self._error()

    def __getitem__(self, _index: object) -> NoReturn:
        raise self._error()

    def _error(self) -> AssertionError:
        last = self._there_were[-_MOST_SHOWN:]
        left = len(self._there_were) - len(last)
        shown = [f"  ... and {left} before"] if left else []
        shown += [f"  {message}" for message in last] or ["  (none)"]
        said = f"no line has the message {self._message!r}; there were:"
        return AssertionError("\n".join((said, *shown)))


class Harness:
    """
    What a runtime under test said.

    Args:
        runtime: The runtime.
        written: Where its log lines arrive.
    """

    def __init__(self, runtime: Runtime, written: list[bytes]) -> None:
        self.runtime = runtime
        self.policies = Policies()
        """The policies: hold them in a state, count their attempts."""
        self._written = written
        self._page_made = self._page()
        self._page_begun = ""

    @property
    def lines(self) -> list[dict[str, object]]:
        """Return every log line so far, parsed."""
        return [line for line in self._parsed() if "_aws" not in line]

    @property
    def emf_events(self) -> list[dict[str, object]]:
        """Return the metrics written so far as EMF, if that is on, parsed."""
        return [line for line in self._parsed() if "_aws" in line]

    def logged(self, message: str) -> list[dict[str, object]]:
        """
        Return the log lines whose message is *message*.

        Without one the list is empty, and false; to take a line out of it all the same
        is an `AssertionError` that tells which messages there were.
        """
        lines = self.lines
        found = [line for line in lines if line["message"] == message]
        return found or _Nothing(message, [str(line["message"]) for line in lines])

    def _parsed(self) -> list[dict[str, object]]:
        self.runtime.flush(1.0)
        return [orjson.loads(line) for line in b"".join(self._written).splitlines()]

    @property
    def audit_entries(self) -> list[dict[str, object]]:
        """Return every entry of the audit log so far, parsed."""
        self.runtime.flush(1.0)
        target = getattr(self.runtime.audit, "target", None)
        lines = target.lines if isinstance(target, KeptEntries) else []
        return [orjson.loads(line) for line in lines]

    @property
    def access_lines(self) -> list[dict[str, object]]:
        """Return the access lines so far."""
        return [line for line in self.lines if "http" in line]

    @property
    def spans(self) -> list[SpanRecord]:
        """Return the finished spans so far, oldest first."""
        return list(self.runtime.tracing.recent())

    def draw_traces(self, trace_id: str | None = None) -> str:
        """
        Return the traces so far as text: trees, with a bar for the time of each span.

        Args:
            trace_id: Only this trace, 32 hex digits.
        """
        from svcready.tracing.view._drawing import draw

        return draw(self.runtime.tracing.recent(trace_id))

    def sample(self, name: str, /, **labels: str) -> float | None:
        """
        Return the value of a sample of the Prometheus page, or None.

        Of what adds up (counters, histograms, timers, calls through policies) it is
        what was added since the block began, or since it began anew within the block.

        Args:
            name: The sample's name: `orders_created_total`.
            labels: All or some of its labels.

        Returns:
            The sum over all series that have these labels; None if there is none.
        """
        # What svcready counts of itself while it starts belongs to the block. Of others
        # some sources only come with the start.
        made = [family.name for family in _families(self._page_made)]
        ours = name.startswith("svcready_") and name.startswith(tuple(made))
        page = self._page_made if ours else self._page_begun
        now = self._page()
        before = {each.series: each.value for each in _samples(page, name)}
        anew = _began_anew(page, now, name)
        found = [
            each.value - before.get(each.series, 0.0)
            if each.adds_up and each.series not in anew
            else each.value
            for each in _samples(now, name)
            if labels.items() <= each.labels.items()
        ]
        return sum(found) if found else None

    def begun(self) -> None:
        """Take note that the runtime has started."""
        self._page_begun = self._page()

    def _page(self) -> str:
        metrics = self.runtime.metrics
        if metrics is None:
            return ""

        _, _, body = metrics.prometheus.render(None, None, ())
        return body.decode()


class _Sample(NamedTuple):
    """A value on a Prometheus page."""

    labels: Mapping[str, str]
    series: frozenset[tuple[str, str]]
    value: float
    adds_up: bool


def _families(page: str) -> Iterable[Metric]:
    from prometheus_client.parser import text_string_to_metric_families

    return text_string_to_metric_families(page)


def _began_anew(before: str, now: str, name: str) -> set[frozenset[tuple[str, str]]]:
    """Return the series that have fallen: what adds up only does so anew."""
    if name.endswith("_sum"):  # of negative values it falls by itself
        name = f"{name.removesuffix('_sum')}_count"

    then = {each.series: each.value for each in _samples(before, name)}
    return {
        each.series
        for each in _samples(now, name)
        if each.adds_up and each.value < then.get(each.series, 0.0)
    }


def _samples(page: str, name: str) -> Iterator[_Sample]:
    """Read the samples called *name*."""
    for family in _families(page):
        for sample in family.samples:
            if sample.name == name:
                # An empty label is none; OpenTelemetry's series get them later on.
                series = frozenset(item for item in sample.labels.items() if item[1])
                # A quantile of a summary is a level.
                adds_up = family.type in _ADD_UP and "quantile" not in sample.labels
                yield _Sample(sample.labels, series, sample.value, adds_up)


@contextmanager
def running(
    *,
    service: str = "test",
    environ: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Harness]:
    """
    Run a runtime of the test's own, in force inside the `with` block.

    Policies begin anew, before and after. Every request is sampled and every span kept,
    no span leaves the process, and log lines and audit entries are JSON kept in memory.
    `svcready.init()` inside the block gives its application to this runtime and changes
    nothing else.

    Args:
        service: The service's name.
        environ: Variables; those of the process are not read.
        settings: Settings by key, as `init()` takes them.
        clock: A fake clock, where the test moves time itself.

    Raises:
        DeclarationError: A runtime is in force already.
    """
    if current() is not None:
        msg = "a runtime is in force already: call svcready.shutdown() first"
        raise DeclarationError(msg)

    wanted: dict[str, object] = {
        "log.format": "json",
        "log.delivery": "sync",
        "tracing.sampling": "100%",
        "tracing.view_spans": 2000,
        "core.start_summary": "line",
        **(settings or {}),
    }
    written: list[bytes] = []
    runtime = Runtime(
        load(environ=environ or {}, arguments=wanted, service=service),
        clock,
        write=lambda line, _: written.append(line),
    )
    reset_policies()
    harness = Harness(runtime, written)
    try:
        runtime.start()  # a test's time limit can cut it off
        put_in_force(runtime, pinned=True)
        harness.begun()
        yield harness
    finally:
        put_in_force(None)
        runtime.close(1.0)
        harness.policies.close()
        reset_policies()
