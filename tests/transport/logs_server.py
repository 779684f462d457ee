"""CloudWatch Logs as a local server, as strict as its reference says it is."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GROUP = re.compile(r"(?!aws/)[.\-_/#A-Za-z0-9]{1,512}")
STREAM = re.compile(r"[^:*]{1,512}")
RETENTION = {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096}

Body = dict[str, Any]


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class LogsServer:
    """
    The service: log groups, their streams, and every rule of PutLogEvents.

    Its clock is the machine's.
    """

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, list[Body]]] = {}
        self.retention: dict[str, int] = {}
        self.calls: list[str] = []
        """The operations that were asked for, in order."""
        self.sizes: list[int] = []
        """How many events each accepted PutLogEvents had."""
        self.refusals: list[tuple[str, Refused]] = []
        """Operations that are refused the next time, before anything else."""
        self.go_on = threading.Event()
        """Cleared, every call waits for it, as long as the server lives."""
        self.go_on.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                prefix, _, operation = self.headers["X-Amz-Target"].partition(".")
                assert prefix == "Logs_20140328"
                server.go_on.wait(40)
                status, answer = server.answer(operation, body)
                data = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/x-amz-json-1.1")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # nobody waits any more
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(
            target=self._http.serve_forever, args=(0.01,), daemon=True
        ).start()

    def stop(self) -> None:
        """Answer nobody any more."""
        self.go_on.set()
        self._http.shutdown()
        self._http.server_close()

    def messages(self, group: str, stream: str) -> list[str]:
        """Return what a stream holds."""
        return [event["message"] for event in self.groups[group][stream]]

    def answer(self, operation: str, body: Body) -> tuple[int, Body]:
        """Answer one call."""
        self.calls.append(operation)
        try:
            for index, (name, refused) in enumerate(self.refusals):
                if name == operation:
                    del self.refusals[index]
                    raise refused

            operations: dict[str, Callable[[Body], Body]] = {
                "PutLogEvents": self._put_log_events,
                "CreateLogGroup": self._create_log_group,
                "CreateLogStream": self._create_log_stream,
                "PutRetentionPolicy": self._put_retention_policy,
            }
            return 200, operations[operation](body)
        except Refused as refused:
            return refused.status, {"__type": refused.code, "message": refused.code}

    def _group(self, body: Body) -> dict[str, list[Body]]:
        name = body["logGroupName"]
        if not GROUP.fullmatch(name):
            raise Refused("InvalidParameterException")

        if name not in self.groups:
            raise Refused("ResourceNotFoundException")

        return self.groups[name]

    def _create_log_group(self, body: Body) -> Body:
        name = body["logGroupName"]
        if not GROUP.fullmatch(name):
            raise Refused("InvalidParameterException")

        if name in self.groups:
            raise Refused("ResourceAlreadyExistsException")

        self.groups[name] = {}
        return {}

    def _create_log_stream(self, body: Body) -> Body:
        streams, name = self._group(body), body["logStreamName"]
        if not STREAM.fullmatch(name):
            raise Refused("InvalidParameterException")

        if name in streams:
            raise Refused("ResourceAlreadyExistsException")

        streams[name] = []
        return {}

    def _put_retention_policy(self, body: Body) -> Body:
        self._group(body)
        if body["retentionInDays"] not in RETENTION:
            raise Refused("InvalidParameterException")

        self.retention[body["logGroupName"]] = body["retentionInDays"]
        return {}

    def _put_log_events(self, body: Body) -> Body:
        streams, events = self._group(body), body["logEvents"]
        if body["logStreamName"] not in streams:
            raise Refused("ResourceNotFoundException")

        assert "sequenceToken" not in body  # ignored since 2023
        check_events(events)
        now_ms, times = (
            time.time_ns() // 1_000_000,
            [event["timestamp"] for event in events],
        )
        days = self.retention.get(body["logGroupName"])
        old = sum(1 for at in times if at < now_ms - 14 * DAY_MS)
        expired = sum(1 for at in times if days and at < now_ms - days * DAY_MS)
        new = sum(1 for at in times if at > now_ms + 2 * HOUR_MS)
        info: Body = {}
        if old:
            info["tooOldLogEventEndIndex"] = old

        if expired:
            info["expiredLogEventEndIndex"] = expired

        if new:
            info["tooNewLogEventStartIndex"] = len(events) - new

        taken = events[max(old, expired) : len(events) - new]
        streams[body["logStreamName"]] += taken
        self.sizes.append(len(events))
        return {"rejectedLogEventsInfo": info} if info else {}


def check_events(events: list[Body]) -> None:
    """
    Hold the events of one call to every rule that refuses the whole call.

    Raises:
        Refused: One is broken.
    """
    sizes = [len(event["message"].encode()) for event in events]
    times = [event["timestamp"] for event in events]
    good = (
        1 <= len(events) <= 10_000
        and all(sizes)
        and sum(sizes) + 26 * len(sizes) <= 1_048_576
        and times == sorted(times)
        and times[-1] - times[0] <= 24 * HOUR_MS
        and times[0] >= 0
    )
    if not good:
        raise Refused("InvalidParameterException")
