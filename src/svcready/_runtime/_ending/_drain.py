"""The drain: what is done between the word to end and the server's own stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready._core.guard import guard
from svcready._runtime._cells import renew_plans
from svcready._runtime._ending._plan import make_plan
from svcready._runtime._ending._servers import OtherServer, describe_conflicts
from svcready._transport.workers import parent_of
from svcready.health._life._departure import DEPARTURE

if TYPE_CHECKING:
    from svcready._runtime._ending._plan import Plan
    from svcready._runtime._ending._servers import Server
    from svcready._runtime._open_requests import OpenRequest
    from svcready._runtime._runtime import Runtime

__all__ = ["Drain"]

_LOOK_S = 0.02
_LEAST_S = 0.5
"""What a server has for its own end, at least."""
_ECHO_S = 3.0
"""How long a supervisor may take to tell what others told its worker already."""
_guarded = guard("runtime.drain")


class Drain:
    """
    The drain of one runtime.

    It begins when somebody says so: readiness fails, and every response asks its
    client to close the connection. If the server was told to end, it goes on: the
    server serves for the delay, streams and websockets are told, requests in flight
    are waited for, and then the server's own handler is called.

    What runs in a signal handler (`holds`) takes no lock and starts nothing that takes
    one, because the main thread may hold any.

    Args:
        runtime: What drains.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._now = runtime.clock.monotonic
        # Re-entrant: where nothing is to be waited for, a signal handler announces.
        self._announcing = threading.RLock()
        self.servers: list[Server] = [OtherServer()]
        """What is known of the servers that this process runs in."""
        self.probed = False
        """Whether anybody has asked a probe, here or in another worker."""
        self._forget()

    def _forget(self) -> None:
        self.why = ""
        """Who or what asked for it; empty while the service takes requests."""
        self.until_s = 0.0
        """When the delay is over, on the monotonic clock."""
        self.told = self.released = False
        """Whether the server was told to end, and whether it may."""
        self.cut: dict[str, int] = {}
        """What was in flight when the server had to stop, by kind."""
        self.is_led = False
        """Whether a server waits for this drain itself, and ends by itself."""
        self._hurried = self._over = self._runs = False
        self._told_s = 0.0
        self._ends_s: float | None = None
        """When those in flight have had their time; None while the delay lasts."""
        DEPARTURE.tell(draining=False, ending=False)

    def serve_in(self, server: Server) -> None:
        """Take note of a server that this process runs in; one of each kind."""
        others = [each for each in self.servers if type(each) is not type(server)]
        self.servers = [*others, server]

    def see_probe(self) -> None:
        """Take note that somebody probes, and have the other workers told at once."""
        if not self.probed:
            self.probed = True
            self._runtime.ops.hurry()

    def inherit(self, before: Drain) -> None:
        """Know what the drain of the runtime before knew, which this one replaces."""
        self.servers, self.probed = before.servers, before.probed
        if before.why:
            self.announce(before.why, before.left_s())

    @property
    def plan(self) -> Plan:
        """How the end would go if it began now."""
        lifecycle = self._runtime.settings.lifecycle
        return make_plan(lifecycle, self.servers, probed=self.probed)

    def compare(self) -> None:
        """Tell of what the settings of the end contradict."""
        lifecycle = self._runtime.settings.lifecycle
        if self._runtime.development:
            return

        kills_after_s = [server.kills_after_s for server in self.servers]
        waits_s = [server.waits_s for server in self.servers]
        for notice in describe_conflicts(
            lifecycle.drain_delay_s,
            lifecycle.drain_timeout_s,
            lifecycle.flush_timeout_s,
            grace_s=lifecycle.grace_s,
            kills_after_s=next((s for s in kills_after_s if s is not None), None),
            server_waits_s=next((s for s in waits_s if s is not None), None),
        ):
            self._runtime.notice(notice)

    def left_s(self) -> float:
        """Return how long the delay still takes."""
        return max(0.0, self.until_s - self._now())

    def waits_for_delay(self) -> bool:
        """Tell whether somebody who asked for the drain is to wait a while yet."""
        waits = bool(self.why) and not (self._over or self._hurried)
        blocks = any(server.blocks for server in self.servers)
        return waits and not blocks and self.left_s() > 0.0

    def announce(self, why: str, delay_s: float, *, passed_s: float = 0.0) -> bool:
        """
        Have readiness fail from now on.

        Args:
            why: Who or what asks for it.
            delay_s: How long load balancers take to notice.
            passed_s: How much of that is over.

        Returns:
            False if it did before; the first word counts.
        """
        runtime = self._runtime
        with self._announcing:
            if self.why:
                return False

            self.until_s = self._now() + delay_s - passed_s
            self.why = why
            runtime.draining = True

        DEPARTURE.tell(draining=True, ending=False)
        if runtime.health is not None:
            runtime.health.lifecycle.drain()

        renew_plans()
        for server in self.servers:
            server.close_connections()

        return True

    def begin(self, why: str, delay_s: float, *, passed_s: float = 0.0) -> None:
        """Announce that the service drains, by an order that ends nothing yet."""
        if self.announce(why, delay_s, passed_s=passed_s):
            self._say(
                "draining",
                event="svcready.draining",
                why=why,
                delay_s=round(self.left_s(), 3),
                in_flight=len(self._runtime.open_requests),
            )

    def resume(self) -> bool:
        """
        Take requests again; False if the service did, or its server was told to end.

        A server that was told ends, whatever anybody says.
        """
        runtime = self._runtime
        with self._announcing:
            if not self.why or self.told or self._over:
                return False

            self._forget()
            runtime.draining = False

        if runtime.health is not None:
            runtime.health.lifecycle.resume()

        renew_plans()
        for server in self.servers:
            server.keep_connections()

        self._say("service takes requests again", event="svcready.resumed")
        return True

    def holds(self) -> bool:
        """
        Take note that the server was told to end; true if it shall go on for a while.

        To be asked by whoever stands before the server's own handler, a signal handler
        as a rule, which then has `run` called on another thread. Asked once more, by a
        second signal or after `run`, it says no: that is obeyed at once.
        """
        runtime = self._runtime
        if not self.told:
            self.told = True
            self._told_s = self._now()
            # Another worker may have been asked a moment ago.
            self.probed = self.probed or runtime.drain_orders.knows_of_probes()
            left_s = self.left_s() if self.why else self.plan.delay_s
            serves = runtime.serves and not self._over
            if serves and (left_s > 0.0 or len(runtime.open_requests) > 0):
                return True

        elif not self.released:
            self._hurried = True

        self.released = True
        self._limit_servers()
        return False

    def echoes(self) -> bool:
        """
        Tell whether to be told now is to be told the first word by another way.

        Who ends a whole group of processes (dumb-init, `tini -g`, systemd's control
        group) tells each worker, and so does the workers' master, a moment later.
        """
        is_soon = self.told and self._now() - self._told_s < _ECHO_S
        return is_soon and parent_of() is not None

    def run(self, why: str) -> bool:
        """
        Let the delay pass, tell those who stay, and wait for those in flight.

        Two may run it, if a server was told in two ways: the second waits for the
        first.

        Returns:
            False if the server is ending already, because it was told once more.
        """
        if self._runs:
            while not self.released and self._goes_on():
                self._runtime.clock.sleep(_LOOK_S)

            return self._goes_on()

        self._runs = True
        with _guarded:
            plan = self.plan
            self._announce_end(why, plan)
            while self.left_s() and self._goes_on():
                self._runtime.clock.sleep(min(_LOOK_S, self.left_s()))

            if self._goes_on():
                self._wait_for_open(plan)

        goes_on = self._goes_on()
        self.released = True
        with _guarded:  # whatever becomes of it, the server is let go
            self._limit_servers()

        return goes_on

    def end(self) -> None:
        """Take note that the server stops: nothing is waited for any more."""
        self._over = True
        self.announce("the server stops", 0.0)

    def begin_again(self) -> None:
        """Start as if nothing had been, as an application can in one process."""
        self._forget()

    def after_fork(self) -> None:
        """Know of no server in a forked child, and of no end."""
        self._announcing = threading.RLock()
        self.servers = [OtherServer()]
        self._forget()

    def _goes_on(self) -> bool:
        return not (self._hurried or self._over)

    def _announce_end(self, why: str, plan: Plan) -> None:
        before = self.why
        self.announce(why, plan.delay_s)
        left_s = self.left_s()
        self._say(
            "draining",
            event="svcready.draining",
            why=f"{why}, after {before}" if before else why,
            delay_s=round(left_s, 3),
            timeout_s=plan.timeout_s,
            flush_s=plan.flush_s,
            in_flight=len(self._runtime.open_requests),
            **({"no_delay": plan.reason} if plan.reason and not before else {}),
        )

    def _wait_for_open(self, plan: Plan) -> None:
        """Wait for what is in flight when the delay ends, not for what still comes."""
        runtime = self._runtime
        self._ends_s = ends_s = self._now() + plan.timeout_s
        # The streams first, who can say a last word.
        DEPARTURE.tell(draining=True, ending=True)
        waiting = runtime.open_requests.all()
        if waiting:
            self._say(
                "the delay is over; waiting for what is in flight",
                event="svcready.draining.waiting",
                timeout_s=plan.timeout_s,
                **_counted(waiting),
            )

        for request in waiting:
            if request.go_away is not None:
                request.go_away()

        still = set(waiting)
        while still and self._now() < ends_s and self._goes_on():
            runtime.clock.sleep(_LOOK_S)
            still.intersection_update(runtime.open_requests.all())

        if still and self._goes_on():
            self.cut = _counted(still)
            self._say(
                "the time is over for what is in flight; the server is stopped",
                "WARNING",
                event="svcready.draining.cut",
                timeout_s=plan.timeout_s,
                **self.cut,
            )

    def _limit_servers(self) -> None:
        """Have servers that would wait longer, or for ever, keep to the plan."""
        ends_s = self._ends_s
        if ends_s is None:  # told a second time, before the first delay was over
            ends_s = self._now() + self.plan.timeout_s

        for server in self.servers:
            server.limit(max(_LEAST_S, ends_s - self._now()))

    def _say(self, text: str, level: str = "INFO", /, **fields: object) -> None:
        logs = self._runtime.logging
        if logs is not None:
            with _guarded:
                logs.event(text, level, **fields)


def _counted(requests: tuple[OpenRequest, ...] | set[OpenRequest]) -> dict[str, int]:
    websockets = sum(request.go_away is not None for request in requests)
    counts = {"requests": len(requests) - websockets, "websockets": websockets}
    return {kind: count for kind, count in counts.items() if count}
