"""Real processes of a service, a real Redis, and what they make of each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.resilience.sharing.servers import paused
from tests.servers.harness import eventually, free_port
from tests.servers.redis_server import redis_server

SCRIPT = Path(__file__).with_name("peer.py")


class Peer:
    """
    One process.

    Args:
        process: It runs.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def calls(self, *outcomes: str) -> dict[str, object]:
        """Have it make calls, `ok` or `fail`, and return how it stands."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(outcomes) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("peer "):
                told: dict[str, object] = json.loads(line.removeprefix("peer "))
                return told

        pytest.fail("the peer ended")

    def becomes(self, **wanted: object) -> None:
        """Wait until it stands so."""

        def stands() -> bool:
            told = self.calls()
            return all(told[name] == value for name, value in wanted.items())

        eventually(stands, f"{wanted}")


@contextmanager
def peer(url: str, *, service: str = "orders", **environ: str) -> Iterator[Peer]:
    """Run one."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), service],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            **os.environ,
            "SVCREADY_RESILIENCE_REDIS_URL": url,
            "SVCREADY_RESILIENCE_SHARE_BREAKERS": "true",
            **environ,
        },
    )
    try:
        with process:
            yield Peer(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0
    finally:
        process.kill()


def test_processes_hear_of_each_others_breakers() -> None:
    """
    One opens by its own failures; a second by one failure of its own; one that has
    seen none opens only if the quorum is one; other services and environments don't.
    """
    with redis_server() as server, ExitStack() as stack:
        begin = stack.enter_context
        first, second, idle = (begin(peer(server.url)) for _ in range(3))
        easy = begin(peer(server.url, SVCREADY_RESILIENCE_SHARE_QUORUM="1"))
        other = begin(peer(server.url, service="refunds"))
        apart = begin(peer(server.url, SVCREADY_SERVICE_ENVIRONMENT="staging"))

        second.calls("ok", "fail")
        assert first.calls("fail", "fail", "fail", "fail")["state"] == "open"
        second.becomes(state="open", reason="peers")
        easy.becomes(state="open", reason="peers")
        idle.becomes(counts={"heard": 1})
        assert idle.calls()["state"] == "closed"
        late = begin(peer(server.url))
        late.becomes(counts={"heard": 1})
        assert late.calls("fail")["state"] == "open", "who comes later hears as well"
        assert other.calls()["counts"] == apart.calls()["counts"] == {}
        assert apart.calls("fail")["state"] == "closed"


@pytest.mark.parametrize("how", ["gone", "hangs"])
def test_without_redis_each_decides_alone(how: str) -> None:
    """A Redis that is gone or hangs changes nothing for calls, and is found again."""
    with ExitStack() as stack:
        port = free_port()
        if how == "hangs":
            server = stack.enter_context(redis_server(port=port))
            hung = stack.enter_context(ExitStack())
            hung.enter_context(paused(server))

        alone = stack.enter_context(peer(f"redis://127.0.0.1:{port}"))
        alone.becomes(up=False)
        assert alone.calls("fail", "fail", "fail", "fail")["state"] == "open"
        if how == "hangs":
            hung.close()
        else:
            stack.enter_context(redis_server(port=port))

        alone.becomes(up=True)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"SVCREADY_RESILIENCE_REDIS_URL": ""}, "needs SVCREADY_RESILIENCE_REDIS_URL"),
        (
            {"SVCREADY_RESILIENCE_REDIS_URL": "http://:secret@x"},
            "is not allowed: use a URL",
        ),
    ],
)
def test_what_is_missing_is_reported(environ: dict[str, str], problem: str) -> None:
    """Sharing without a store, or with a bad URL, is a problem that names no secret."""
    with peer("", **environ) as alone:
        problems = alone.calls()["problems"]
        assert problem in str(problems)
        assert "secret@" not in str(problems)


def test_a_service_without_a_name_shares_nothing() -> None:
    """Services that nobody named would share by accident, so they don't."""
    with peer("redis://127.0.0.1:9", service="") as alone:
        told = alone.calls()
        assert told["counts"] is None
        assert "needs SVCREADY_SERVICE_NAME" in str(told["problems"])
