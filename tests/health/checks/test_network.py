"""The checks of TCP ports and names, against real listeners and name servers."""

from __future__ import annotations

import json
import subprocess
import sys
from time import perf_counter

import pytest

from svcready import health
from svcready.errors import DeclarationError
from tests.health.checks.asked import SOON_S, ask, serving, target
from tests.health.checks.namespace import needs_namespaces, run_apart
from tests.servers.relay import Relay


def test_a_port_that_is_up_down_and_up_again() -> None:
    """A connection is all that is needed, and none is kept."""
    with serving(lambda _: None) as port, Relay(port) as relay:
        health.add_tcp("127.0.0.1", relay.port)
        name = f"tcp-127.0.0.1-{relay.port}"
        assert ask(name) == health.CheckResult("pass")

        relay.refuse()
        down = ask(name)
        assert down.status == "fail"
        assert down.output == (
            f"127.0.0.1:{relay.port}: nothing listens there (connection refused)"
        )

        relay.through()
        assert ask(name).status == "pass"
        assert target(name) == f"127.0.0.1:{relay.port}"


FULL = """
import json, socket, sys, time
from svcready import health
from tests.health.checks.asked import ask

with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)  # and nobody accepts: the kernel drops what comes then
    port = listener.getsockname()[1]
    waiting = []
    for _ in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        waiting.append(client)

    health.add_tcp("127.0.0.1", port, name="full")
    began = time.perf_counter()
    said = ask("full", 0.3)
    print(json.dumps([*said, time.perf_counter() - began]))
"""


def test_a_port_that_swallows_connections_hangs_no_longer_than_allowed() -> None:
    """Nothing comes back from it, as behind a firewall."""
    done = subprocess.run(
        [sys.executable, "-c", FULL],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    status, output, _, _, took_s = json.loads(done.stdout)

    assert status == "fail"
    assert output.endswith(": no answer within 0.3 s")
    assert took_s < SOON_S


def test_names_are_resolved() -> None:
    """By whatever the system asks."""
    health.add_dns("localhost")
    assert ask("dns-localhost") == health.CheckResult("pass")
    assert target("dns-localhost") == "localhost"


RESOLVER = """
import json, socket, threading, time
from svcready import health
from svcready.config._sections.health import HealthSettings
from svcready.config._sections.lifecycle import LifecycleSettings

answering = threading.Event()
answering.set()
serving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
serving.bind(("127.0.0.1", 53))
asked = 0

def serve():
    global asked
    while True:
        query, peer = serving.recvfrom(2048)
        asked += 1
        if not answering.is_set():
            continue
        end = query.index(0, 12) + 5
        question = query[12:end]
        known = question.startswith(b"\\x02up") and question[-4:] == b"\\0\\1\\0\\1"
        missing = not question.startswith(b"\\x02up")
        head = query[:2] + (b"\\x81\\x83" if missing else b"\\x81\\x80")
        head += b"\\0\\1" + (b"\\0\\1" if known else b"\\0\\0") + b"\\0\\0\\0\\0"
        address = b"\\0\\4\\x7f\\0\\0\\1"
        record = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\5" + address if known else b""
        serving.sendto(head + question + record, peer)

threading.Thread(target=serve, daemon=True).start()
health.add_dns("up.example", timeout=0.2, interval=0.1, fail_after=1, recover_after=1)
health.add_dns("no.example", timeout=0.2, interval=0.1, fail_after=1)
pillar = health.HealthPillar(HealthSettings(), LifecycleSettings())
pillar.start()
pillar.wake()

def until(name, test):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        (found,) = [s for s in pillar.results() if s.name == name]
        if test(found):
            return [found.status, found.output, found.stuck]
        threading.Event().wait(0.01)
    raise SystemExit(f"{name} never came to that: {found}")

def threads():
    return sum(t.name == "svcready-check" for t in threading.enumerate())

told = {"up": until("dns-up.example", lambda s: s.status == "pass")}
told["missing"] = until("dns-no.example", lambda s: s.status == "fail")
answering.clear()
told["hanging"] = until("dns-up.example", lambda s: s.stuck and s.failures > 5)
told["threads"] = threads()
answering.set()
told["again"] = until("dns-up.example", lambda s: s.status == "pass" and not s.stuck)
print(json.dumps(told))
"""


@needs_namespaces
def test_a_resolver_that_hangs_holds_one_thread_and_no_more() -> None:
    """Against a name server that answers, knows no such name, and says nothing."""
    told = json.loads(
        run_apart(
            RESOLVER,
            "ip link set lo up 2>/dev/null || python3 -c 'import fcntl,socket;"
            's=socket.socket();fcntl.ioctl(s,0x8914,b"lo".ljust(16,b"\\0")+'
            'b"\\x41\\0"+b"\\0"*22)\'',
            'printf "nameserver 127.0.0.1\\noptions timeout:2 attempts:1\\n" > $DIR/r',
            "mount --bind $DIR/r /etc/resolv.conf",
        )
    )

    assert told["up"] == ["pass", "", False]
    status, output, stuck = told["missing"]
    assert (status, stuck) == ("fail", False)
    assert output.startswith("no.example: its name cannot be resolved (")
    assert told["hanging"] == ["fail", "still not back from an earlier run", True]
    assert told["threads"] <= 2  # one for each of the two checks
    assert told["again"] == ["pass", "", False]


@pytest.mark.parametrize(
    "host", ["", "a b", "http://a", "a:80", "joe:hunter2@a", "a/b", None, "a" * 254]
)
def test_wrong_hosts_raise_at_once(host: object) -> None:
    """And the error repeats no credential."""
    with pytest.raises(DeclarationError, match="host is not allowed") as raised:
        health.add_dns(host)  # type: ignore[arg-type]

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("port", [0, -1, 65536, "80", True, 1.0])
def test_wrong_ports_raise_at_once(port: object) -> None:
    """A number from 1 to 65535 is all that there is."""
    with pytest.raises(DeclarationError, match="port="):
        health.add_tcp("host", port)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_address_of_version_6(host: str) -> None:
    """With or without the brackets of a URL."""
    health.add_tcp(host, 1)
    assert target("tcp-1-1") == "[::1]:1"


def test_a_name_that_cannot_be() -> None:
    """Refused by the resolver's own rules."""
    health.add_tcp("a..b", 1, name="odd")
    health.add_dns("a..b", name="odd-too")
    said = "its name is none that can be resolved"
    assert ask("odd").output == f"a..b:1: {said}"
    assert ask("odd-too").output == f"a..b: {said}"


def test_the_second_address_has_its_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that swallows, of version 6 say, must not take what the other needs."""
    import socket

    with serving(lambda _: None) as port, Relay(port) as relay:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        there = (*kind, ("127.0.0.1", relay.port))
        blocked = socket.socket()
        blocked.bind(("127.0.0.1", 0))
        blocked.listen(0)
        held = [socket.socket() for _ in range(4)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(blocked.getsockname())

        found = [(*kind, blocked.getsockname()), there]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        health.add_tcp("two.example", 80, name="two")
        began = perf_counter()
        assert ask("two", 2.0).status == "pass"
        assert 0.8 < perf_counter() - began < SOON_S
        for one in (*held, blocked):
            one.close()
