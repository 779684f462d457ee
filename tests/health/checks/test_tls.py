"""The check of certificates' expiry, against TLS servers with every kind of them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready.errors import DeclarationError
from tests.health.checks.asked import SOON_S, ask, drip, serving, target
from tests.health.checks.certificates import save
from tests.servers.relay import Relay

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path


def with_certificate(file: Path) -> Callable[[socket.socket], None]:
    """Speak TLS with the certificate in *file*, and hang up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return handle


@pytest.mark.parametrize(
    ("days", "status", "said"),
    [
        (90, "pass", ""),
        (20.9, "warn", "expires in 20.9 days, on "),
        (2.5, "fail", "expires in 2.5 days, on "),
        (-0.5, "fail", "expired 12 hours ago, on "),
        (-10, "fail", "expired 10 days ago, on "),
    ],
)
def test_the_days_that_are_left(
    tmp_path: Path, days: float, status: str, said: str
) -> None:
    """Of a certificate of an authority that nobody here knows."""
    file = save(tmp_path, days=days, names=("localhost",))
    with serving(with_certificate(file)) as port:
        health.add_tls_expiry("localhost", port, name="peer")
        result = ask("peer", 5)

    on = datetime.now(UTC) + timedelta(days=days)
    assert result.status == status
    assert said in result.output
    assert bool(said) == result.output.endswith(f"{on:%Y-%m-%d}")
    assert result.observed == pytest.approx(days, abs=0.02)
    assert result.unit == "d"


def test_a_certificate_of_tomorrow_fails(tmp_path: Path) -> None:
    """Clients refuse it, as one that is over."""
    file = save(tmp_path, days=90, since=1, names=("localhost",))
    with serving(with_certificate(file)) as port:
        health.add_tls_expiry("localhost", port, name="peer")
        result = ask("peer", 5)

    assert result.status == "fail"
    assert "is not valid before " in result.output


def test_a_certificate_for_others_warns(tmp_path: Path) -> None:
    """Unless the check asks for the name that it is for."""
    file = save(tmp_path, days=90, names=("api.example",))
    with serving(with_certificate(file)) as port:
        health.add_tls_expiry("localhost", port, name="peer")
        health.add_tls_expiry(
            "localhost", port, name="named", server_name="api.example"
        )
        result = ask("peer", 5)
        assert ask("named", 5).status == "pass"

    assert result.status == "warn"
    assert result.output == (
        f"the certificate of localhost:{port} is not for localhost"
    )


def test_down_hanging_and_up_again(tmp_path: Path) -> None:
    """The check follows its peer, and is back in time when it hangs."""
    file = save(tmp_path, days=90, names=("localhost",))
    with serving(with_certificate(file)) as port, Relay(port) as relay:
        health.add_tls_expiry("localhost", relay.port)
        name = f"tls-localhost-{relay.port}"
        assert ask(name, 5).status == "pass"

        relay.refuse()
        assert ask(name).output.endswith("nothing listens there (connection refused)")

        relay.swallow()
        began = perf_counter()
        assert ask(name, 0.3).output == f"{target(name)}: no answer within 0.3 s"
        assert perf_counter() - began < SOON_S

        relay.through()
        assert ask(name, 5).status == "pass"


def test_a_peer_that_drips_or_speaks_no_tls() -> None:
    """Ends in time, and says so."""
    with serving(drip(b"\x16\x03\x03\x40\x00", b"\x02")) as port:
        health.add_tls_expiry("localhost", port, name="drips")
        assert ask("drips", 0.3).output.endswith(": no answer within 0.3 s")

    with serving(lambda connection: connection.sendall(b"220 smtp\r\n")) as port:
        health.add_tls_expiry("localhost", port, name="smtp")
        assert ": TLS failed (" in ask("smtp", 5).output


def test_the_usual_port_is_not_in_the_name() -> None:
    """And a certificate is looked at every five minutes."""
    from svcready.health._check import CHECKS

    health.add_tls_expiry("api.example")
    check = CHECKS.get("tls-api.example")
    assert check is not None
    assert check.interval_s == 300


@pytest.mark.parametrize(
    "arguments",
    [{"warn_days": None}, {"warn_days": "21"}, {"fail_days": -1}],
)
def test_wrong_days_raise_at_once(arguments: dict[str, object]) -> None:
    """They are numbers."""
    with pytest.raises(DeclarationError, match="_days="):
        health.add_tls_expiry("host", **arguments)  # type: ignore[arg-type]
