"""The ready-made check of a TLS certificate's expiry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from svcready.errors import DeclarationError
from svcready.health._result import CheckResult, fail
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._bounds import whole
from svcready.health.checks._deadline import Deadline
from svcready.health.checks._named import name_for
from svcready.health.checks._network._der import is_for, read_certificate
from svcready.health.checks._network._hosts import read_host, shown
from svcready.health.checks._network._peer import connect, in_words, secure

if TYPE_CHECKING:
    from ssl import SSLContext
    from typing import Unpack

    from svcready.health.checks._adding import Options
    from svcready.health.checks._network._der import Certificate

__all__ = ["add_tls_expiry"]

_INTERVAL = "5m"  # a peer's certificate changes rarely, and a handshake costs both
_DAY_S = 86400


def add_tls_expiry(
    host: str,
    port: int = 443,
    *,
    warn_days: float = 21,
    fail_days: float = 3,
    server_name: str | None = None,
    name: str | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a check of the days until a peer's TLS certificate expires.

    The certificate is read, not verified, so that one of a private authority, or one
    that has expired already, is told of like any other; who signed it is not looked at.
    A certificate that is for other hosts warns.

    Args:
        host: A name or an address.
        port: Where TLS is spoken at once, without STARTTLS.
        warn_days: It warns when fewer days are left.
        fail_days: It fails when fewer days are left.
        server_name: The name to ask for where it is not the host.
        name: By default `tls-`, the host, and the port if it is not 443.
        options: What every check takes; it runs every 5 minutes by default.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    check = _ExpiryCheck(
        read_host(host),
        whole("port", port, 1, 65535),
        _days(warn_days, fail_days),
        read_host(server_name or host),
    )
    place = (check.host,) if port == 443 else (check.host, port)
    ready = ReadyMade(
        check.run, kind="component", target=check.shown, measurement="daysLeft"
    )
    add(name or name_for("tls", *place), ready, {"interval": _INTERVAL, **options})


class _ExpiryCheck:
    def __init__(
        self, host: str, port: int, days: tuple[float, float], server_name: str
    ) -> None:
        self.host = host
        self.shown = shown(host, port)
        self._port = port
        self._warn_days, self._fail_days = days
        self._server_name = server_name
        self._context: SSLContext | None = None

    def run(self) -> CheckResult:
        """Look once."""
        if self._context is None:
            self._context = _unverifying()

        deadline = Deadline(allowed_s())
        try:
            with (
                connect(self.host, self._port, deadline) as sock,
                secure(sock, self._context, self._server_name, deadline) as secured,
            ):
                der = secured.getpeercert(binary_form=True)
        except OSError as error:
            return fail(f"{self.shown}: {in_words(error, deadline.allowed_s)}")

        try:
            certificate = read_certificate(der or b"")
        except ValueError:
            return fail(f"{self.shown} has a certificate that cannot be read")

        return self.judge(certificate, datetime.now(UTC))

    def judge(self, certificate: Certificate, now: datetime) -> CheckResult:
        """Say what *certificate* means at the time *now*."""
        left = (certificate.not_after - now).total_seconds() / _DAY_S
        status, said = "pass", ""
        if left < 0:
            status = "fail"
            said = f"expired {_ago(-left)}, on {certificate.not_after:%Y-%m-%d}"
        elif now < certificate.not_before:
            status = "fail"
            said = f"is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC"
        elif left < max(self._warn_days, self._fail_days):
            status = "fail" if left < self._fail_days else "warn"
            said = f"expires in {left:.1f} days, on {certificate.not_after:%Y-%m-%d}"
        elif not is_for(certificate, self._server_name):
            status, said = "warn", f"is not for {self._server_name}"

        output = f"the certificate of {self.shown} {said}" if said else ""
        return CheckResult(status, output, round(left, 2), "d")


def _ago(days: float) -> str:
    return f"{days:.0f} days ago" if days >= 2 else f"{days * 24:.0f} hours ago"


def _days(warn: object, fail: object) -> tuple[float, float]:
    for name, value in (("warn_days", warn), ("fail_days", fail)):
        if type(value) not in {int, float} or not 0 <= value <= 36500:  # type: ignore[operator]
            msg = f"{name}={value!r} is not allowed: use a number of days"
            raise DeclarationError(msg)

    return float(warn), float(fail)  # type: ignore[arg-type]


def _unverifying() -> SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
