"""Workloads that call an ASGI or WSGI application directly, without a network."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, MutableMapping

from benchmarks.workload import nothing

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]
StartResponse = Callable[..., object]
WsgiApp = Callable[..., Iterable[bytes]]

HEADERS = [
    (b"host", b"orders.internal:8000"),
    (b"user-agent", b"curl/8.5.0"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"x-forwarded-for", b"10.1.2.3"),
    (b"x-forwarded-proto", b"https"),
]


class AsgiRequests:
    """Requests to one path of an ASGI application, after its lifespan has started."""

    def __init__(
        self,
        app: AsgiApp,
        path: str = "/items/42",
        flush: Callable[[], object] = nothing,
        expect: int = 200,
    ) -> None:
        self._app = app
        self._path = path
        self._flush = flush
        self._expect = expect
        self._status: object = None
        self._loop = asyncio.new_event_loop()
        self._started = asyncio.Event()
        self._lifespan = self._loop.create_task(self._live())
        self._loop.run_until_complete(self._wait_started())

    def run(self, count: int) -> None:
        """Send `count` requests, one after another."""
        self._loop.run_until_complete(self._drive(count))
        if self._status != self._expect:
            message = f"{self._path} answered {self._status}"
            raise RuntimeError(message)

    def flush(self) -> None:
        """Do what the subject put off."""
        self._flush()

    async def _drive(self, count: int) -> None:
        app, receive, send = self._app, self._receive, self._send
        template: Message = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "root_path": "",
            "client": ("10.1.2.3", 40000),
            "server": ("10.0.0.1", 8000),
        }
        for _ in range(count):
            await app({**template, "headers": HEADERS[:], "state": {}}, receive, send)

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]

    async def _live(self) -> None:
        forever = asyncio.Event()
        asked = False

        async def receive() -> Message:
            nonlocal asked
            if asked:
                await forever.wait()

            asked = True
            return {"type": "lifespan.startup"}

        async def send(message: Message) -> None:
            if str(message["type"]).startswith("lifespan.startup"):
                self._started.set()

        scope: Message = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        await self._app(scope, receive, send)

    async def _wait_started(self) -> None:
        started = self._loop.create_task(self._started.wait())
        await asyncio.wait(
            {started, self._lifespan}, return_when=asyncio.FIRST_COMPLETED, timeout=30
        )
        if not self._started.is_set():
            message = f"lifespan did not start: {self._lifespan}"
            raise RuntimeError(message)


class WsgiRequests:
    """Requests to one path of a WSGI application."""

    def __init__(
        self,
        app: WsgiApp,
        path: str = "/items/42",
        flush: Callable[[], object] = nothing,
    ) -> None:
        self._app = app
        self._flush = flush
        self._status = ""
        self._template: dict[str, object] = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "RAW_URI": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "10.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "10.1.2.3",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in HEADERS:
            key = f"HTTP_{name.decode().upper().replace('-', '_')}"
            self._template[key] = value.decode()

    def run(self, count: int) -> None:
        """Send `count` requests and read each response to its end."""
        app, template, start = self._app, self._template, self._start_response
        for _ in range(count):
            body = app({**template, "wsgi.input": io.BytesIO()}, start)
            try:
                b"".join(body)
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()

        if not self._status.startswith("200"):
            message = f"answered {self._status}"
            raise RuntimeError(message)

    def flush(self) -> None:
        """Do what the subject put off."""
        self._flush()

    def _start_response(self, status: str, *_: object) -> Callable[[bytes], None]:
        self._status = status
        return lambda _body: None
