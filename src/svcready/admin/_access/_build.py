"""Makes the gate of a runtime from its settings, once."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from svcready._core.optional import installed
from svcready.admin._access._certificates import CertificateWay
from svcready.admin._access._failures import Failures
from svcready.admin._access._gate import Gate
from svcready.admin._access._keys import Keys, fetch_keys
from svcready.admin._access._networks import NetworkWay, Proxies
from svcready.admin._access._tokens import SHORT_TOKEN, TokenWay, is_token
from svcready.admin._access._web_tokens import Claims, WebTokenWay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready._runtime import Runtime
    from svcready.admin._access._gate import Way
    from svcready.config._sections.admin import AdminSettings

__all__ = ["gate_of"]

_GATES: WeakKeyDictionary[Runtime, Gate] = WeakKeyDictionary()


def gate_of(runtime: Runtime) -> Gate:
    """
    Return the gate of *runtime*, the same each time.

    It remembers the keys of an issuer and who was refused, which a surface that is
    built anew and the operator's own port share.
    """
    gate = _GATES.get(runtime)
    if gate is None:
        gate = _GATES.setdefault(runtime, _make(runtime))

    return gate


def _make(runtime: Runtime) -> Gate:
    admin = runtime.settings.admin
    for notice in _doubts(admin):
        runtime.notice(notice)

    ways = tuple(_ways(runtime))
    return Gate(
        ways,
        configured=_is_configured(admin),
        open_to_loopback=runtime.development,
        failures=Failures(admin.max_failures, runtime.clock.monotonic),
        slow=any(isinstance(way, WebTokenWay) for way in ways),
    )


def _is_configured(admin: AdminSettings) -> bool:
    return any(
        (
            *(admin.tokens, admin.read_tokens, admin.networks),
            *(admin.oidc_issuer, admin.oidc_audience, admin.oidc_jwks_url),
            *(admin.client_cert_header, admin.client_cert_subjects),
        )
    )


def _ways(runtime: Runtime) -> Iterator[Way]:
    admin = runtime.settings.admin
    yield TokenWay(admin.tokens, admin.read_tokens)
    claims = Claims.of(admin)
    if claims is not None and installed("jwt") and installed("cryptography"):
        yield WebTokenWay(claims, _keys(runtime))

    proxies = Proxies(admin.trusted_proxies)
    if admin.client_cert_header and admin.client_cert_subjects:
        header, subjects = admin.client_cert_header, admin.client_cert_subjects
        yield CertificateWay(header, subjects, proxies)

    if admin.networks:
        yield NetworkWay(admin.networks, admin.hosts, proxies)


def _keys(runtime: Runtime) -> Keys:
    url = runtime.settings.admin.oidc_jwks_url
    logs, quiet = runtime.logging, runtime.tracing.quiet

    def tell(reason: str) -> None:
        if logs is None:
            return

        if reason:
            logs.event(
                "the keys of web tokens for /admin can't be fetched",
                "WARN",
                event="svcready.admin.keys_unavailable",
                reason=reason,
            )
        else:
            logs.event(
                "the keys of web tokens for /admin are fetched again",
                "INFO",
                event="svcready.admin.keys_available",
            )

    return Keys(lambda: fetch_keys(url, quiet), runtime.clock.monotonic, tell)


def _doubts(admin: AdminSettings) -> Iterator[str]:
    for field in ("tokens", "read_tokens"):
        tokens: tuple[str, ...] = getattr(admin, field)
        short = [
            n
            for n, token in enumerate(tokens, 1)
            if is_token(token) and len(token) < SHORT_TOKEN
        ]
        if short:
            # A colon or an equals sign behind that name has a secret behind it.
            yield (
                f"SVCREADY_ADMIN_{field.upper()} has tokens of fewer than "
                f"{SHORT_TOKEN} characters, which can be guessed (by their places: "
                f"{', '.join(map(str, short))}); take one of `openssl rand -hex 32`"
            )
