"""The demo's customers, and the load balancer that holds them back."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from svcready.demo._findings import Verdict

__all__ = ["Balancer", "Customers"]

_CUSTOMERS = 8
_PAUSE_S = (0.01, 0.08)
_OUT_OF_ROTATION_S = 0.05
_PROBE_EVERY_S = 0.1
_KNOWN_ORDERS = 200
_SAMPLE_EVERY = 25
_ITEMS = ("teapot", "lamp", "notebook", "kettle", "chair")


class Balancer:
    """
    Probes readiness as a load balancer does.

    Args:
        client: Reaches the orders service.
        token: Opens `/admin/health`, which says why.
    """

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self._token = token
        self.in_rotation = True
        """Whether the last probe said that the service is ready."""
        self.verdicts: list[Verdict] = []
        """Every change so far."""

    async def probe(self, begun_s: float) -> None:
        """Probe until cancelled."""
        seen: tuple[int, str] | None = None
        while True:
            try:
                answer = await _send(self._client, "GET", "/health/readiness")
                now = (answer.status_code, answer.text)
            except httpx.HTTPError:
                now = (0, "")

            self.in_rotation = now[0] == httpx.codes.OK
            if now != seen:
                seen = now
                self.verdicts.append(
                    {
                        "at_s": round(max(0.0, time.monotonic() - begun_s), 3),
                        "status": now[0],
                        "checks": await self.complaints(),
                    }
                )

            await asyncio.sleep(_PROBE_EVERY_S)

    async def complaints(self) -> dict[str, str]:
        """Ask which checks do not pass, and why; empty if nobody says."""
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            answer = await self._client.get("/admin/health", headers=headers)
            checks: dict[str, list[dict[str, str]]] = answer.json()["checks"]
        except (httpx.HTTPError, ValueError, KeyError):
            return {}

        entries = [entry for entries in checks.values() for entry in entries]
        return {
            entry["componentId"]: entry.get("output", "")
            for entry in entries
            if entry.get("componentId") and entry.get("status") != "pass"
        }


class Customers:
    """
    Requests of all kinds: most are right, some are wrong, a few meet a bug.

    Args:
        client: Reaches the orders service.
        balancer: Holds the customers back while the service is not ready.
        seed: Makes two runs ask for the same.
    """

    def __init__(
        self, client: httpx.AsyncClient, balancer: Balancer, seed: int = 7
    ) -> None:
        self._client = client
        self._balancer = balancer
        self._random = random.Random(seed)
        self._orders: deque[str] = deque(maxlen=_KNOWN_ORDERS)
        self._samples: deque[str] = deque(maxlen=_KNOWN_ORDERS)
        self._ordered = 0
        self.statuses: Counter[int] = Counter()
        """How many answers there were of each status; 0 is none at all."""
        self.request_ids: list[str] = []
        """What the service called each request that it answered."""

    async def come(self, until_s: float) -> None:
        """Send requests until that time on the monotonic clock."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_CUSTOMERS):
                group.create_task(self._ask_on(until_s))

    async def _ask_on(self, until_s: float) -> None:
        kinds: tuple[Callable[[], Awaitable[None]], ...] = (
            self._order,
            self._look,
            self._list,
            self._look_for_nothing,
            self._order_nonsense,
            self._get_lost,
            self._ask_for_invoice,
        )
        while time.monotonic() < until_s:
            if not self._balancer.in_rotation:
                await asyncio.sleep(_OUT_OF_ROTATION_S)
                continue

            [kind] = self._random.choices(kinds, (34, 32, 14, 5, 5, 3, 7))
            await kind()
            await asyncio.sleep(self._random.uniform(*_PAUSE_S))

    async def _ask(
        self, method: str, path: str, body: object = None
    ) -> httpx.Response | None:
        try:
            answer = await _send(self._client, method, path, body)
        except httpx.HTTPError:
            self.statuses[0] += 1
            return None

        self.statuses[answer.status_code] += 1
        self.request_ids.append(answer.headers.get("x-request-id", ""))
        return answer

    async def _order(self) -> None:
        # Now and then a free sample: no pieces, for nothing.
        self._ordered += 1
        is_sample = self._ordered % _SAMPLE_EVERY == 1
        quantity = 0 if is_sample else self._random.randint(1, 40)
        body = {
            "item": self._random.choice(_ITEMS),
            "kind": self._random.choice(("retail", "retail", "wholesale")),
            "quantity": quantity,
            "total": round(quantity * self._random.uniform(2, 60), 2),
        }
        answer = await self._ask("POST", "/orders", body)
        if answer is not None and answer.status_code == httpx.codes.CREATED:
            (self._orders if quantity else self._samples).append(answer.json()["id"])

    async def _look(self) -> None:
        if self._orders:
            await self._ask("GET", f"/orders/{self._random.choice(self._orders)}")

    async def _list(self) -> None:
        await self._ask("GET", f"/orders?count={self._random.randint(1, 20)}")

    async def _look_for_nothing(self) -> None:
        await self._ask("GET", f"/orders/{self._random.getrandbits(48):012x}")

    async def _order_nonsense(self) -> None:
        await self._ask("POST", "/orders", {"item": "", "quantity": "many"})

    async def _get_lost(self) -> None:
        await self._ask("GET", f"/{self._random.choice(_ITEMS)}.php")

    async def _ask_for_invoice(self) -> None:
        from_samples = self._samples and self._random.random() < 0.2
        known = self._samples if from_samples else self._orders
        if known:
            await self._ask("GET", f"/orders/{self._random.choice(known)}/invoice")


async def _send(
    client: httpx.AsyncClient, method: str, path: str, body: object = None
) -> httpx.Response:
    try:
        return await client.request(method, path, json=body)
    except (httpx.ReadError, httpx.RemoteProtocolError):
        # uvicorn closes a kept connection when it is idle and after each unhandled
        # error; who uses it at that very moment was not heard, and asks again.
        return await client.request(method, path, json=body)
