"""One demo, from the start of its services to what was found."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from svcready.demo._environ import cost_environ, service_environ, tuning
from svcready.demo._live import Progress
from svcready.demo._processes import Child, Children, listening
from svcready.demo._receiver import Receiver
from svcready.demo._report_traces import sum_up
from svcready.demo._scrape import Scrape
from svcready.demo._script import Script
from svcready.demo._story import follow
from svcready.demo._traffic import Balancer, Customers
from svcready.demo._verdict import Evidence, judge
from svcready.demo._witness import Witness
from svcready.errors import SvcreadyError

if TYPE_CHECKING:
    from types import TracebackType

    from svcready.demo._findings import Cost, Findings, Move
    from svcready.demo._paint import Painter

__all__ = ["Demo", "DemoError"]

_START_S = 30.0
_COST_S = 60.0
_QUIET_S = 0.8
_LATEST_S = 5.0
_REDRAW_S = 0.125
_SHORT_RUN_S = 15.0


class DemoError(SvcreadyError):
    """The demo could not go on; the message says why."""


class Demo:
    """
    The services of one demo, which end when the `with` block does.

    Args:
        seconds: How long the traffic lasts.
        painter: Shows how it goes.
    """

    def __init__(self, seconds: float, painter: Painter) -> None:
        self._seconds = seconds
        self._painter = painter
        self._exit = ExitStack()
        self._witness = Witness()
        self._begun_s = self._begun_epoch_s = 0.0
        self.token = secrets.token_urlsafe(12)
        """Opens `/admin`."""
        self.urls: dict[str, str] = {}
        """Where each service is."""

    def __enter__(self) -> Demo:
        with self._exit:
            enter = self._exit.enter_context
            self._directory = enter(
                tempfile.TemporaryDirectory(
                    prefix="svcready-demo-", ignore_cleanup_errors=True
                )
            )
            self._database = str(Path(self._directory, "orders.db"))
            self._receiver = enter(Receiver(self._witness.on_spans))
            self._children = enter(Children())
            self._exit.callback(self._painter.settle)
            self._services = [self._start("payments"), self._start("orders")]
            self._exit = self._exit.pop_all()

        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def check(self) -> None:
        """Raise a `DemoError` if one of the services has ended."""
        for service in self._services:
            if service.ended is not None:
                said = service.complaint or "\n".join(self._witness.garbled()[-5:])
                raise DemoError(
                    f"the {service.name} service ended with exit code {service.ended}"
                    + (f":\n{said}" if said else "")
                )

    def run(self) -> Findings:
        """Drive the traffic, measure the cost, and return what was found."""
        evidence = asyncio.run(self._drive())
        self._painter.settle()
        parts = judge(evidence)
        scrape = evidence.scrape
        return {
            "version": version("svcready"),
            "ok": all(part["shown"] for part in parts),
            "parts": parts,
            "seconds": self._seconds,
            "requests": len(evidence.request_ids),
            "phases": list(evidence.phases),
            "breaker": list(evidence.breaker),
            "readiness": list(evidence.readiness),
            "routes": [] if scrape is None else scrape.routes(self._seconds),
            "followed": evidence.followed,
            "traces": sum_up(evidence.spans),
            "scrape": [] if scrape is None else scrape.excerpt(),
            "cost": list(evidence.cost),
        }

    def _start(self, name: str) -> Child:
        factory = f"svcready.demo.{'service' if name == 'orders' else name}:create_app"
        listener, self.urls[name] = listening()
        environ = service_environ(os.environ, self._receiver.url)
        if name == "orders":
            environ |= tuning(self._seconds)
            environ["ORDERS_DATABASE"] = self._database
            environ["PAYMENTS_URL"] = self.urls["payments"]
            environ["SVCREADY_ADMIN_TOKENS"] = self.token

        child = Child(
            name,
            ("svcready.demo._serve", factory),
            environ=environ,
            on_line=self._witness.on_line,
            listener=listener,
        )
        return self._children.add(child)

    async def _drive(self) -> Evidence:
        async with (
            _client(self.urls["orders"]) as orders,
            _client(self.urls["payments"]) as payments,
        ):
            progress = Progress(self._painter, self._seconds)
            progress.wait("starting two services")
            balancer = Balancer(orders, self.token)
            await self._until_ready(orders, balancer)
            customers = Customers(orders, balancer)
            script = Script(payments, self._database)
            self._begun_epoch_s, self._begun_s = time.time(), time.monotonic()
            await self._perform(balancer, customers, script, progress)
            progress.wait("collecting what was seen")
            await self._until_quiet()
            scrape = await _scrape(orders)

        self._witness.close()
        progress.wait("measuring what it costs")
        lines, spans = self._witness.lines(), self._witness.spans()
        return Evidence(
            request_ids=customers.request_ids,
            lines=lines,
            garbled=self._witness.garbled(),
            spans=spans,
            scrape=scrape,
            followed=follow(lines, spans),
            breaker=self._moves(),
            readiness=balancer.verdicts,
            phases=script.phases,
            cost=self._measure_cost(),
        )

    async def _until_ready(self, orders: httpx.AsyncClient, balancer: Balancer) -> None:
        until_s = time.monotonic() + _START_S
        answer = "no answer"
        while time.monotonic() < until_s:
            self.check()
            try:
                response = await orders.get("/health/readiness")
                answer = f"{response.status_code} {response.text}"
                is_ready = response.status_code == httpx.codes.OK
                if is_ready and not await balancer.complaints():
                    return
            except httpx.HTTPError as error:
                answer = type(error).__name__

            await asyncio.sleep(0.05)

        raise DemoError(
            f"the orders service was not ready after {_START_S:.0f} s: its readiness "
            f"probe says {answer}"
        )

    async def _perform(
        self,
        balancer: Balancer,
        customers: Customers,
        script: Script,
        progress: Progress,
    ) -> None:
        async def display() -> None:
            while True:
                self.check()
                progress.show(
                    time.monotonic() - self._begun_s,
                    script.phases,
                    customers.statuses,
                    self._witness.breaker,
                    ready=balancer.in_rotation,
                )
                await asyncio.sleep(_REDRAW_S)

        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(balancer.probe(self._begun_s)),
                    group.create_task(display()),
                ]
                await asyncio.gather(
                    group.create_task(script.perform(self._seconds, self._begun_s)),
                    group.create_task(customers.come(self._begun_s + self._seconds)),
                )
                for task in beside:
                    task.cancel()
        except* DemoError as errors:
            raise errors.exceptions[0] from None

    async def _until_quiet(self) -> None:
        until_s = time.monotonic() + _LATEST_S
        heard = -1
        while time.monotonic() < until_s:
            now = len(self._witness.spans()) + len(self._witness.lines())
            if now == heard:
                return

            heard = now
            await asyncio.sleep(_QUIET_S)

    def _moves(self) -> list[Move]:
        return [
            {
                "at_s": round(said.time_s - self._begun_epoch_s, 3),
                "before": str(said.part("context").get("before")),
                "after": str(said.part("context").get("after")),
                "reason": str(said.part("context").get("reason")),
                "open_s": float(str(said.part("context").get("open_s", 0.0))),
            }
            for said in self._witness.lines()
            if said.event == "circuit_breaker.moved" and said.service == "orders"
        ]

    def _measure_cost(self) -> list[Cost]:
        """Measure in a process of its own; empty if that fails."""
        rounds = 5 if self._seconds < _SHORT_RUN_S else 15
        result = Path(self._directory, "cost.json")
        child = self._children.add(
            Child(
                "measuring",
                ("svcready.demo._cost", str(rounds), str(result)),
                environ=cost_environ(os.environ, self._receiver.url),
                on_line=lambda _: None,
            )
        )
        child.wait(_COST_S)
        try:
            measured: dict[str, list[float]] = json.loads(result.read_text())
        except (OSError, ValueError):
            return []

        return [
            {
                "request": request,
                "without_us": round(without_us, 1),
                "added_us": round(added_us, 1),
                "added_sampled_us": round(sampled_us, 1),
            }
            for request, (without_us, added_us, sampled_us) in measured.items()
        ]


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, trust_env=False)


async def _scrape(orders: httpx.AsyncClient) -> Scrape | None:
    answer = await orders.get("/metrics", headers={"Accept": "text/plain"})
    if answer.status_code != httpx.codes.OK:
        return None

    try:
        return Scrape(answer.text)
    except ValueError:
        return None
