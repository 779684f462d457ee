"""What checks keep between runs: closed at the end, and not shared over a fork."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.health import CheckResult
from svcready.health.checks._kept import Kept
from tests.health.checks.looking import close, look
from tests.servers.harness import eventually
from tests.servers.redis_server import redis_server
from tests.servers.relay import Relay

pytest.importorskip("redis")

import redis

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Faults
    from tests.health.rig import Rig


def test_the_end_of_the_service_closes_it(make_rig: Callable[..., Rig]) -> None:
    """A pillar that closes leaves no connection, and a new one may run on."""
    with (
        redis_server() as server,
        Relay(server.port) as relay,
        redis.Redis(port=relay.port) as client,
    ):
        svcready.health.add_redis(client)
        for _ in range(2):
            rig = make_rig().start()
            rig.step()
            assert rig.status("redis").status == "pass"
            assert relay.connections == 1
            rig.close()
            eventually(lambda: not relay.connections, "the connection is closed")


def test_a_forked_child_has_its_own() -> None:
    """A child connects anew, and its end does not touch its parent's connection."""
    with (
        redis_server() as server,
        Relay(server.port) as relay,
        redis.Redis(port=relay.port) as client,
    ):
        svcready.health.add_redis(client)
        assert look("redis") == CheckResult("pass")
        child = os.fork()
        if child == 0:
            passed = look("redis") == CheckResult("pass")
            close("redis")
            os._exit(0 if passed else 1)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert relay.most_connections == 2
        assert look("redis") == CheckResult("pass")
        assert relay.most_connections == 2
        close("redis")


class TestKept:
    """The keeping itself."""

    def test_a_run_that_outlives_the_end_closes(self) -> None:
        """What a run puts back after the service has stopped is closed at once."""
        closed: list[str] = []
        kept: Kept[str] = Kept(closed.append)
        assert kept.take() is None
        kept.close()
        kept.keep("late")
        assert closed == ["late"]
        assert kept.take() is None

    def test_it_is_taken_out(self) -> None:
        """A thing is in one place only: no two runs can use it."""
        kept: Kept[str] = Kept(lambda _: None)
        kept.keep("one")
        assert kept.take() == "one"
        assert kept.take() is None

    def test_a_faulty_close_is_reported(self, faults: Faults) -> None:
        """A thing that cannot be closed does not keep the service from stopping."""
        error = OSError("no")

        def fail(_: str) -> None:
            raise error

        kept: Kept[str] = Kept(fail)
        kept.keep("one")
        kept.close()
        assert faults.claim("health.checks") is error
