"""Who may have the service drain without a signal: the group, a file, the commands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from svcready._core.guard import guard
from svcready._transport import marks
from svcready._transport.workers import find_run_dir

if TYPE_CHECKING:
    from pathlib import Path

    from svcready._runtime._runtime import Runtime

__all__ = ["DrainOrders"]

_TOPIC = "lifecycle.drain"
_PROBED = "lifecycle.probed"
_LONGEST_S = 3600.0
_LONGEST_WHY = 200
_guarded = guard("runtime.drain")


class DrainOrders:
    """
    Has all processes of the service drain, or take requests again, together.

    A drain that was ordered ends nothing: the process serves until SIGTERM comes, for
    which the delay that has passed counts.

    Args:
        runtime: Whose drain, and whose group.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._by_file = self._told_probed = False
        self._run_dir: Path | None = None
        self._marked = False
        runtime.group.follow(_TOPIC, self._take)
        runtime.group.follow(_PROBED, self._take_probed)

    def drain(self, why: str, delay_s: float | None = None) -> float:
        """
        Have readiness fail in all processes of the service.

        Args:
            why: Who or what asks for it, for the log.
            delay_s: How long load balancers take to notice; as configured if None.

        Returns:
            How long that still takes, in seconds.
        """
        runtime = self._runtime
        if delay_s is None:
            delay_s = runtime.settings.lifecycle.drain_delay_s

        self._post(
            {
                "drain": True,
                "why": why[:_LONGEST_WHY],
                "delay_s": delay_s,
                "at_ns": runtime.clock.time_ns(),
            }
        )
        return runtime.drain.left_s()

    def resume(self) -> bool:
        """
        Have all processes take requests again.

        Returns:
            False if this one was told to end, or did not drain.
        """
        before = self._runtime.drain.why
        self._post({"drain": False})
        return bool(before) and not self._runtime.drain.why

    def tick(self) -> None:
        """Look for what was ordered; to be called about once a second."""
        with _guarded:
            self._look_at_file()

        with _guarded:
            self._look_at_order()

        if self._runtime.drain.probed and not self._told_probed:
            self._told_probed = True
            with _guarded:
                self._runtime.group.post(_PROBED, value=True)

    def knows_of_probes(self) -> bool:
        """Tell whether a worker of the group was probed; safe in a signal handler."""
        return self._runtime.group.read(_PROBED) is True

    def show(self) -> None:
        """Leave or renew the mark by which the command line finds this process."""
        runtime = self._runtime
        with _guarded:
            if self._run_dir is None:
                run_dir = runtime.settings.core.run_dir
                self._run_dir = find_run_dir(run_dir, os.environ)

            if self._run_dir is None:
                return

            self._marked = True
            said = {
                "service": runtime.identity.service,
                "parent": os.getppid(),
                "draining": runtime.drain.why,
                "left_s": round(runtime.drain.left_s(), 3),
                "at_ns": runtime.clock.time_ns(),
            }
            marks.write(self._run_dir, runtime.group.identify(), said)

    def forget(self) -> None:
        """Be found no more."""
        if self._marked and self._run_dir is not None:
            marks.forget(self._run_dir, self._runtime.group.identify())

    def after_fork(self) -> None:
        """Be another process, which nobody has found yet."""
        self._marked = self._by_file = self._told_probed = False

    def _post(self, value: dict[str, object]) -> None:
        try:
            self._runtime.group.post(_TOPIC, value)
        except OSError:  # the others cannot be told
            self._take(value)

    def _take(self, value: object) -> None:
        if not isinstance(value, dict):
            return

        runtime = self._runtime
        if value.get("drain") is not True:
            if runtime.drain.resume() and self._marked:
                self.show()

            return

        delay_s, at_ns = value.get("delay_s"), value.get("at_ns")
        if not isinstance(delay_s, int | float) or not isinstance(at_ns, int):
            return

        passed_s = (runtime.clock.time_ns() - at_ns) / 1e9
        runtime.drain.begin(
            str(value.get("why", "")),
            min(max(0.0, delay_s), _LONGEST_S),
            passed_s=min(max(0.0, passed_s), _LONGEST_S),
        )
        if self._marked:
            self.show()

    def _take_probed(self, value: object) -> None:
        self._runtime.drain.probed |= value is True

    def _look_at_file(self) -> None:
        path = self._runtime.settings.lifecycle.drain_file
        if not path:
            return

        there = os.path.exists(path)  # noqa: PTH110 - once a second
        why = f"file {path}"
        if there and not self._by_file:
            self._by_file = True
            self.drain(why)
        elif not there and self._by_file:
            self._by_file = False
            if self._runtime.drain.why == why[:_LONGEST_WHY]:
                self.resume()

    def _look_at_order(self) -> None:
        if not self._marked or self._run_dir is None:
            return

        me = self._runtime.group.identify()
        what = marks.ordered(self._run_dir, me)
        if what is None:
            return

        if what.get("drain") is True:
            delay_s = what.get("delay_s")
            own = float(delay_s) if isinstance(delay_s, int | float) else None
            self.drain("svcready drain", own)
        else:
            self.resume()
