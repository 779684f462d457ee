"""The health of all workers together, as the operator's port tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import guard
from svcready._runtime._ops import _health_files
from svcready._runtime._ops._health_files import WorkerHealth
from svcready._runtime._stalls._awake import Awake
from svcready._transport.workers import is_alive
from svcready.health._board import answer_of, word_of, worst_of
from svcready.health._report import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from svcready._core.clock import Clock
    from svcready._transport.group import Group
    from svcready.health._board import Probe
    from svcready.health._pillar import HealthPillar
    from svcready.health._running._demand import Demand

__all__ = ["WholeHealth", "together"]

_REPEAT_S = 2.0
_GRACE_S = 5.0
_OF_ALL = ("liveness", "startup")  # of any worker that is not well, or that is
_publishing = guard("runtime.health")


class WholeHealth:
    """
    Publishes what one worker says of its health, and judges all of them together.

    All workers accept from one socket, so nobody outside can choose among them:

    - **Liveness** fails if one worker that lives is broken, or says nothing any more.
      A worker that has ended is its supervisor's business.
    - **Readiness**, and every group, is the worst of the workers that serve: whose
      state is `ready` and whose start-up is over. One that starts, drains or hangs
      accepts nothing, and counts only if no other serves.
    - **Startup** has passed if it has for one worker.

    Checks that run on demand run in the worker that is asked, whose readiness is then
    that of all while it serves: what another found may be hours old.

    A process that is alone writes no file and reads none. Where it can't write itself,
    on a full disk say, the silence of others means nothing.

    Args:
        health: This worker's.
        group: The processes that it belongs to.
        clock: Judges ages.
        silent_s: A worker that lives and says nothing for so long hangs; 0 never.
    """

    def __init__(
        self, health: HealthPillar, group: Group, clock: Clock, silent_s: float
    ) -> None:
        self._health = health
        self._group = group
        self._now = clock.monotonic
        self._silent_s = silent_s and silent_s + _GRACE_S
        self._awake = Awake(clock.monotonic)
        self._writes_since_s: float | None = clock.monotonic()
        self._last: WorkerHealth | None = None

    def publish(self) -> None:
        """Publish what is new, or a sign of life; about once a second."""
        self._awake.since()
        room = self._group.room()
        if room is None:
            return

        with _publishing:
            mine, last = self._mine(), self._last
            same = last is not None and mine._replace(beat_s=last.beat_s) == last
            if last is None or not same or mine.beat_s - last.beat_s >= _REPEAT_S:
                self._write(room, mine)

    def _write(self, room: Path, mine: WorkerHealth) -> None:
        try:
            _health_files.write(room, mine)
        except OSError:
            self._writes_since_s = None
            raise

        self._last = mine
        if self._writes_since_s is None:
            self._writes_since_s = mine.beat_s

    def leave(self) -> None:
        """Take back what was published: the worker ends."""
        room = self._group.room()
        if room is not None and self._last is not None:
            _health_files.remove(room, self._last.pid, self._last.start)

        self._last = None

    @property
    def groups(self) -> tuple[str, ...]:
        """The names that `probe` answers."""
        return self._health.groups

    def probe(self, name: str) -> Probe:
        """
        Answer a probe for all workers.

        Args:
            name: As `HealthPillar.probe` takes it.

        Raises:
            KeyError: There is no such group.
        """
        if self._group.room() is None:
            return self._health.probe(name)

        return answer_of(self._judge(name, self._workers()))

    def asks(self, name: str) -> bool:
        """Tell whether a probe has to `refresh` first, as `HealthPillar.asks`."""
        return self._health.asks(name)

    def refresh(self, name: str | None = None) -> bool:
        """Run this worker's checks, where they run on demand."""
        return self._health.refresh(name)

    def demand(self, name: str | None = None) -> Demand | None:
        """Begin what `refresh` waits for; None if there is nothing to wait for."""
        return self._health.demand(name)

    def report(self, *, details: bool = True, group: str = "") -> dict[str, object]:
        """Describe this worker's health, or a group's, and the state of all."""
        report = self._health.report(details=details, group=group)
        if self._group.room() is None:
            return report

        workers = self._workers()
        report["status"] = self._judge(group or "readiness", workers)
        if details:
            report["workers"] = [_entry(each, self._now()) for each in workers]

        return report

    def _judge(self, name: str, workers: list[WorkerHealth]) -> str:
        mine = self._mine()
        by_me = name not in _OF_ALL and self._health.asks(name) and _serves(mine)
        return together(name, [mine] if by_me else workers)

    def _workers(self) -> list[WorkerHealth]:
        """Return all that live, this one as it is now and silent ones as broken."""
        mine = self._mine()
        found = [mine]
        room = self._group.room()
        since_s, writes_since_s = self._awake.since(), self._writes_since_s
        for each in () if room is None else _health_files.read_all(room):
            if (each.pid, each.start) == (mine.pid, mine.start):
                continue

            if not is_alive(each.pid, each.start):
                assert room is not None
                _health_files.remove(room, each.pid, each.start)
                continue

            silence_s = 0.0
            if writes_since_s is not None:
                silence_s = self._now() - max(each.beat_s, since_s, writes_since_s)

            if self._silent_s and silence_s >= self._silent_s:
                silent = f"no sign of life for {silence_s:.0f} s"
                each = each._replace(  # noqa: PLW2901 - the same one, as it is now
                    state="silent",
                    probes={**each.probes, "liveness": "fail"},
                    faults={**each.faults, "process": silent},
                )

            found.append(each)

        return sorted(found)

    def _mine(self) -> WorkerHealth:
        health = self._health
        pid, start = self._group.identify()
        life = health.lifecycle
        return WorkerHealth(
            pid,
            start,
            self._now(),
            life.shown,
            stamp(life.since_ns),
            {name: word_of(health.probe(name)) for name in health.groups},
            dict(health.vitals.faults()),
        )


def together(name: str, workers: Iterable[WorkerHealth]) -> str:
    """
    Return what a probe says of *workers* together: `pass`, `warn` or `fail`.

    Raises:
        KeyError: No worker knows such a probe.
    """
    every = list(workers)
    serving = [each for each in every if _serves(each)]
    if name == "liveness":
        asked = every
    elif name == "startup":
        asked = [each for each in every if each.probes.get(name) != "fail"] or every
    else:
        asked = serving or every

    levels = [each.probes[name] for each in asked if name in each.probes]
    if not levels:
        raise KeyError(name)

    return worst_of(levels)


def _serves(worker: WorkerHealth) -> bool:
    return worker.state == "ready" and worker.probes.get("startup") != "fail"


def _entry(worker: WorkerHealth, now_s: float) -> dict[str, object]:
    entry: dict[str, object] = {
        "pid": worker.pid,
        "state": worker.state,
        "since": worker.since,
        "status": worker.probes,
        "saidSecondsAgo": round(max(0.0, now_s - worker.beat_s), 1),
    }
    if worker.faults:
        entry["faults"] = worker.faults

    return entry
