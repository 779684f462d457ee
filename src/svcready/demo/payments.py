"""
The payments service of `svcready demo`, which can be made slow or broken.

A bare ASGI application, so it goes through `svcready.wrap`. Run it for the examples by
`python -m svcready.demo.payments --port 9000`, and break it by
`curl -X PUT http://127.0.0.1:9000/mode/broken` (or `slow`, or `ok` to mend it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from typing import TYPE_CHECKING

import svcready

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MODES = ("ok", "slow", "broken")
"""How the service can be told to behave."""

_FAILS_EVERY = 25
_SLOW_S = 1.0
_BANK_S = (0.002, 0.012)

log = svcready.get_logger(__name__)
charged = svcready.counter("charges", "Charges by outcome.", labels=("outcome",))


class Payments:
    """
    The application.

    Even in the mode `ok` it fails now and then, as networks do, so that retries have
    something to mend.
    """

    def __init__(self) -> None:
        self.mode = "ok"
        self._calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection by the ASGI protocol."""
        if scope["type"] == "lifespan":
            await _serve_lifespan(receive, send)
            return

        while (await receive()).get("more_body"):
            pass  # what is charged does not matter here, only whether it can be

        status, answer = await self._answer(scope["method"], scope["path"])
        body = json.dumps(answer).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send(
            {"type": "http.response.start", "status": status, "headers": headers}
        )
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, path: str) -> tuple[int, dict[str, str]]:
        mode = path.removeprefix("/mode/")
        if method == "PUT" and mode in MODES:
            self.mode = mode
            return 200, {"mode": mode}

        if (method, path) == ("GET", "/status"):
            await self._dawdle()
            return (503 if self.mode == "broken" else 200), {"mode": self.mode}

        if (method, path) == ("POST", "/charges"):
            return await self._charge()

        return 404, {"detail": "not found"}

    async def _charge(self) -> tuple[int, dict[str, str]]:
        await self._dawdle()
        self._calls += 1
        if self.mode == "broken" or self._calls % _FAILS_EVERY == 0:
            log.error("bank refused the connection", mode=self.mode)
            charged.labels("failed").inc()
            return 503, {"detail": "no bank"}

        with svcready.span("ask the bank"):
            await asyncio.sleep(random.uniform(*_BANK_S))

        receipt = f"r{self._calls:06d}"
        log.info("charged", receipt=receipt)
        charged.labels("charged").inc()
        return 201, {"receipt": receipt}

    async def _dawdle(self) -> None:
        if self.mode == "slow":
            await asyncio.sleep(_SLOW_S)


async def _serve_lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def route_of(scope: Scope, _root_path: str) -> str | None:
    """Tell the route's template, which a bare application cannot declare."""
    path = str(scope["path"])
    if path.removeprefix("/mode/") in MODES:
        return "/mode/{mode}"

    return path if path in {"/charges", "/status"} else None


def create_app() -> Payments:
    """Make the application, ready for production."""
    svcready.init(service="payments", version="0.9.0")
    return svcready.wrap(Payments(), route_of=route_of)


def main() -> None:
    """Serve it."""
    import uvicorn

    parser = argparse.ArgumentParser(description="A downstream that can be broken.")
    parser.add_argument("--port", type=int, default=9000)
    uvicorn.run(create_app(), host="127.0.0.1", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
