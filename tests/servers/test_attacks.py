"""Attacks on `/admin`, by bytes on real servers: all refused, all on record."""

from __future__ import annotations

import dataclasses
import json
import socket
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.admin.issuer import AUDIENCE, ISSUER, Issuer
from tests.admin.test_access_web_tokens import encoded, forged
from tests.servers.harness import Service, eventually, free_port
from tests.servers.matrix import SERVERS, start

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TOKEN = "0123456789abcdef0123456789abcdef"
READ_TOKEN = "fedcba9876543210fedcba9876543210"
NAMES = ("fastapi-uvicorn", "flask-gunicorn", "django-uvicorn", "ops-port")
XFCC = "X-Forwarded-Client-Cert"
OURS = 'By=spiffe://c/me;Hash=abc;Subject="CN={0},O=corp";URI=spiffe://c/{0}'
XFCC_FORGERIES = {
    "XFCC, a list": 'Subject="CN=ops";URI=spiffe://c/ops',
    "XFCC, an escaped comma": "URI=spiffe://c/ops;X=\\",
    "XFCC, a subject and an escaped comma": "Subject=CN=ops;X=\\",
    "XFCC, a quote left open": 'Subject="CN=ops',
    "XFCC, a quote opened after": 'URI=spiffe://c/ops;X="',
    "XFCC, an escaped quote": 'Subject="CN=ops\\"',
}
"""What a client may write before the proxy's own element."""
_SECRETS = (b"serviceId", b'"checks"', b'"loggers"', b'"settings"')
_AFTERWARDS_S = 1.0
_STATUSES = {400, 401, 403, 404, 405, 408, 413, 414, 415, 429, 431, 501, 505}


@dataclasses.dataclass(frozen=True)
class Target:
    """A service, and the port that its operators ask."""

    service: Service
    port: int
    issuer: Issuer

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Send *request* as it is; return the status and the whole answer."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            try:
                client.sendall(request)
                while part := client.recv(65536):
                    answer += part
                    # What a server may await is not what is asked here.
                    client.settimeout(_AFTERWARDS_S)
            except (ConnectionError, TimeoutError):
                pass

        # Uvicorn and gunicorn close a connection whose request they can't read.
        return (int(answer[9:12]) if answer[:5] == b"HTTP/" else 400), answer

    def ask(
        self,
        path: str = "/admin/health",
        method: str = "GET",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> tuple[int, bytes]:
        """Ask as a client would that closes after."""
        said = [("Host", f"127.0.0.1:{self.port}"), ("Connection", "close"), *headers]
        if body:
            said.append(("Content-Length", str(len(body))))

        named = {name.lower() for name, _ in headers}
        said = [
            pair for pair in said if pair in headers or pair[0].lower() not in named
        ]
        head = "".join(f"{name}: {value}\r\n" for name, value in said)
        line = f"{method} {path} HTTP/1.1\r\n"
        return self.send(f"{line}{head}\r\n".encode("utf-8", "surrogateescape") + body)


@pytest.fixture(scope="module", params=NAMES)
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """Run a service with every way in configured, none of which is open to us."""
    name = str(request.param)
    stack = next(
        each
        for each in SERVERS
        if each.name == ("fastapi-uvicorn" if name == "ops-port" else name)
    )
    with Issuer() as issuer:
        environ = {
            "SVCREADY_ADMIN_TOKENS": TOKEN,
            "SVCREADY_ADMIN_READ_TOKENS": READ_TOKEN,
            "SVCREADY_ADMIN_NETWORKS": "10.0.0.0/8",
            "SVCREADY_ADMIN_CLIENT_CERT_HEADER": "X-Client-Subject",
            "SVCREADY_ADMIN_CLIENT_CERT_SUBJECTS": "CN=ops",
            "SVCREADY_ADMIN_TRUSTED_PROXIES": "10.9.9.9",
            "SVCREADY_ADMIN_OIDC_ISSUER": ISSUER,
            "SVCREADY_ADMIN_OIDC_AUDIENCE": AUDIENCE,
            "SVCREADY_ADMIN_OIDC_JWKS_URL": issuer.url,
            "SVCREADY_ADMIN_OIDC_WRITE_ROLES": "ops",
            # Each attack is to be seen refused for what it is.
            "SVCREADY_ADMIN_MAX_FAILURES": "0",
        }
        port = 0
        if name == "ops-port":
            port = free_port()
            environ["SVCREADY_ADMIN_PORT"] = str(port)
            environ["SVCREADY_ADMIN_HOST"] = "127.0.0.1"

        directory: Path = tmp_path_factory.mktemp(name)
        with start(stack, directory, **environ) as service:
            yield Target(service, port or service.port, issuer)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the header that bears *token*."""
    return (("Authorization", f"Bearer {token}"),)


def offers(issuer: Issuer) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Return headers with which somebody might try, by what they try."""
    right = issuer.token()
    tried: dict[str, tuple[tuple[str, str], ...]] = {
        "nothing": (),
        "another token": bearer("guess"),
        "all but its end": bearer(TOKEN[:-1]),
        "more than it": bearer(f"{TOKEN}0"),
        "its upper case": bearer(TOKEN.upper()),
        "full-width letters": bearer(
            TOKEN.replace("a", "\N{FULLWIDTH LATIN SMALL LETTER A}")
        ),
        "Cyrillic letters": bearer(TOKEN.replace("a", "\N{CYRILLIC SMALL LETTER A}")),
        "a no-break space": bearer(f"\N{NO-BREAK SPACE}{TOKEN}"),
        "nothing after Bearer": (("Authorization", "Bearer "),),
        "Basic": (("Authorization", f"Basic {TOKEN}"),),
        "no scheme": (("Authorization", TOKEN),),
        "two headers": (*bearer("guess"), *bearer(TOKEN)),
        "two headers, right first": (*bearer(TOKEN), *bearer("guess")),
        "another header": (("X-Authorization", f"Bearer {TOKEN}"),),
        "Proxy-Authorization": (("Proxy-Authorization", f"Bearer {TOKEN}"),),
        "a cookie": (("Cookie", f"Authorization=Bearer {TOKEN}"),),
        "an underscore": (("HTTP_AUTHORIZATION", f"Bearer {TOKEN}"),),
        "a longer one": bearer("a" * 6000),
        "64 KiB": bearer("a" * 65536),
        "a header of 64 KiB beside": (("X-Long", "a" * 65536), *bearer("guess")),
        "NUL": bearer(f"{TOKEN}\0"),
        "a lone CR": bearer(f"{TOKEN}\rX-Y: z"),
        "a folded line": (("Authorization", f"Bearer\r\n {TOKEN[:-1]}"),),
        "expired": bearer(issuer.token(exp=1)),
        "not yet": bearer(issuer.token(nbf=4_000_000_000)),
        "another audience": bearer(issuer.token(aud="billing")),
        "no audience": bearer(issuer.token(aud=None)),
        "another issuer": bearer(issuer.token(iss="https://evil.example")),
        "no role": bearer(issuer.token(roles=["guest"])),
        "another key": bearer(issuer.token(signs="late")),
        "kid is a path": bearer(issuer.token("../../dev/null", signs="rsa")),
        "kid is a statement": bearer(issuer.token("x' UNION SELECT 1--", signs="rsa")),
        "jku": bearer(issuer.token(signs="late", header={"jku": issuer.url})),
        "x5u": bearer(issuer.token(signs="late", header={"x5u": issuer.url})),
        "a web token as Basic": (("Authorization", f"Basic {right}"),),
        "a certificate": (("X-Client-Subject", "CN=ops"),),
        "a certificate, forwarded": (
            ("X-Client-Subject", "CN=ops"),
            ("X-Forwarded-For", "10.9.9.9"),
        ),
        "a certificate, with a port": (
            ("X-Client-Subject", "CN=ops"),
            ("X-Forwarded-For", "10.9.9.9:4711"),
        ),
        "XFCC": ((XFCC, 'Subject="CN=ops"'),),
        "a network": (("X-Forwarded-For", "10.1.2.3"),),
        "a network behind a proxy": (("X-Forwarded-For", "10.1.2.3, 10.9.9.9"),),
        "two networks": (
            ("X-Forwarded-For", "10.1.2.3"),
            ("X-Forwarded-For", "10.9.9.9"),
        ),
        "X-Real-IP": (("X-Real-IP", "10.1.2.3"),),
        "Forwarded": (("Forwarded", "for=10.1.2.3"),),
        "X-Client-IP": (("X-Client-IP", "127.0.0.1"),),
        "this machine": (("Host", "localhost"),),
        "another host": (("Host", "evil.example"),),
    }
    tried |= {name: bearer(token) for name, token in forged(issuer).items()}
    return tried | {
        name: ((XFCC, f"{written},{OURS.format('evil')}"),)
        for name, written in XFCC_FORGERIES.items()
    }


def refused(status: int, answer: bytes) -> bool:
    """Tell whether an answer gives nothing away."""
    return status in _STATUSES and not any(word in answer for word in _SECRETS)


def denied(target: Target) -> int:
    """Return how many refusals are on record, those that were counted included."""
    total = 0
    for entry in target.service.audit_entries:
        details = entry.get("details")
        if entry["outcome"] == "denied" and isinstance(details, dict):
            total += 1 + int(details.get("again", 0))

    return total


def test_who_may_gets_in(target: Target) -> None:
    """The table below is worth nothing where nobody gets in."""
    assert target.ask(headers=bearer(TOKEN))[0] == 200
    assert target.ask(headers=bearer(READ_TOKEN))[0] == 200
    assert target.ask(headers=bearer(target.issuer.token()))[0] == 200
    assert target.ask("/admin/config", headers=bearer(TOKEN))[0] == 200


def test_no_offer_is_taken(target: Target) -> None:
    """Whatever is offered in place of a credential; all methods alike."""
    taken = {}
    for name, headers in offers(target.issuer).items():
        status, answer = target.ask(headers=headers)
        if not refused(status, answer):
            taken[name] = status, answer[:200]

    assert taken == {}
    details = [entry.get("details") for entry in target.service.audit_entries]
    reasons = {each.get("reason") for each in details if isinstance(each, dict)}
    assert "fault" not in reasons
    assert reasons >= {
        *("no_credentials", "wrong_credentials", "untrusted_certificate"),
        *("token_expired", "token_not_yet_valid", "wrong_audience", "wrong_issuer"),
        *("wrong_algorithm", "wrong_signature", "unknown_key", "missing_role"),
    }


@pytest.mark.parametrize(
    "path",
    [
        *("//admin/health", "/admin//health", "/admin/./health", "/./admin/health"),
        *("/admin/%2e/health", "/ADMIN/health", "/admin/HEALTH", "/admin/health/"),
        *("/admin;x/health", "/admin/health;x=y", "/health/../admin/health"),
        *("/health/liveness/../../admin/health", "/health/%2e%2e/admin/health"),
        *("/admin%2fhealth", "/%2fadmin/health", "/admin%5chealth", "/admin\\health"),
        *(
            "/admin%252fhealth",
            "/%61dmin/health",
            "/admin/health%00",
            "/admin/health%20",
        ),
        *("/admin/health%0d%0aX:y", "/metrics/../admin/health", "/admin/health.json"),
        *(f"/admin/health?token={TOKEN}", f"/admin/health?access_token={TOKEN}"),
        *(f"/admin/health?Authorization=Bearer%20{TOKEN}", "/admin/health?x=/metrics"),
        *("http://127.0.0.1/admin/health", "*", "/admin", "/admin/"),
    ],
)
def test_no_other_spelling_leads_there(target: Target, path: str) -> None:
    """A path that a proxy might read otherwise is no way around the gate."""
    assert refused(*target.ask(path))


@pytest.mark.parametrize(
    "method",
    [
        *("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"),
        *("get", "GeT", "FOO", "PROPFIND"),
    ],
)
def test_no_method_leads_there(target: Target, method: str) -> None:
    """Nor does a method that nobody thought of, or a header that names another."""
    status, answer = target.ask(method=method)
    assert refused(status, answer)
    assert TOKEN.encode() not in answer
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        status, answer = target.ask("/admin/loggers", "GET", ((name, method),))
        assert refused(status, answer)


def test_no_page_can_change_anything(target: Target) -> None:
    """An operator's browser that bears a token is of no use to a page elsewhere."""
    body = b'{"logger": "orders", "level": "DEBUG"}'
    json_type = ("Content-Type", "application/json")
    evil = ("Origin", "https://evil.example")
    for headers in (
        (evil, json_type),
        (("Origin", "null"), json_type),
        (("Content-Type", "text/plain"),),
        (("Content-Type", "application/x-www-form-urlencoded"),),
        (("Content-Type", "multipart/form-data; boundary=x"),),
        (evil, ("Content-Type", "text/plain"), ("X-HTTP-Method-Override", "GET")),
    ):
        sent = (*headers, *bearer(TOKEN))
        status, answer = target.ask("/admin/loggers", "POST", sent, body)
        assert status in {400, 403, 415}, headers
        assert b"access-control-allow" not in answer.lower()

    sent = (json_type, *bearer(READ_TOKEN))
    assert target.ask("/admin/loggers", "POST", sent, body)[0] == 403
    preflight = (evil, ("Access-Control-Request-Method", "POST"))
    status, answer = target.ask("/admin/loggers", "OPTIONS", preflight)
    assert refused(status, answer)
    assert b"access-control-allow" not in answer.lower()


def test_no_request_hides_in_another(target: Target) -> None:
    """What a proxy may take for a body, or for a second request, gets nothing."""
    hidden = b"GET /admin/health HTTP/1.1\r\nHost: x\r\n\r\n"
    probe = b"%s /health/liveness HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n"
    both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    for head in (
        probe % (b"POST", both) + b"0\r\n\r\n",
        probe % (b"GET", b"Content-Length: %d\r\n" % len(hidden)),
        probe % (b"GET", b" X: y\r\n"),
    ):
        _, answer = target.send(head + hidden)
        assert not any(word in answer for word in _SECRETS)


def test_every_refusal_is_on_record(target: Target) -> None:
    """As many as there were, though a repetition is counted and not written."""
    marker = "10.77.0.1"
    for n in range(3):
        status, _ = target.ask("/admin/info", headers=bearer(f"{marker}{n}"))
        assert status == 401

    def of_info() -> list[dict[str, object]]:
        return [
            entry
            for entry in target.service.audit_entries
            if entry["resource"] == {"type": "endpoint", "id": "/admin/info"}
        ]

    entries = eventually(of_info, "an entry of the audit log")
    assert {entry["outcome"] for entry in entries} == {"denied"}
    told = json.dumps(target.service.audit_entries)
    assert marker not in told
    assert TOKEN not in told
    assert READ_TOKEN not in told
    assert denied(target) >= 1


def test_the_public_key_signs_nothing(target: Target) -> None:
    """HS256 with what the issuer publishes: as PEM, and as the set's own text."""
    import base64
    import hashlib
    import hmac

    pem = target.issuer.public_pem.public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    body = target.issuer.token().split(".")[1]
    for secret in (pem, pem.strip(), target.issuer.keys()):
        for name in ("HS256", "hs256"):
            signed = f"{encoded({'alg': name, 'kid': 'rsa'})}.{body}"
            mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
            text = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
            assert target.ask(headers=bearer(f"{signed}.{text}"))[0] == 401


def test_a_proxys_word_is_not_mistaken_for_a_clients(tmp_path: Path) -> None:
    """Behind an Envoy of ours that adds its element to what a client wrote."""
    environ = {
        "SVCREADY_ADMIN_CLIENT_CERT_HEADER": XFCC,
        "SVCREADY_ADMIN_CLIENT_CERT_SUBJECTS": "CN=ops;URI=spiffe://c/ops",
        "SVCREADY_ADMIN_TRUSTED_PROXIES": "127.0.0.1",
        "SVCREADY_ADMIN_MAX_FAILURES": "0",
    }
    stack = next(each for each in SERVERS if each.name == "fastapi-uvicorn")
    with Issuer() as issuer, start(stack, tmp_path, **environ) as service:
        target = Target(service, service.port, issuer)
        assert target.ask(headers=((XFCC, OURS.format("ops")),))[0] == 200
        for name, written in XFCC_FORGERIES.items():
            forgery, honest = (f"{written},{OURS.format(s)}" for s in ("evil", "ops"))
            assert refused(*target.ask(headers=((XFCC, forgery),))), name
            assert target.ask(headers=((XFCC, honest),))[0] == 200, name
