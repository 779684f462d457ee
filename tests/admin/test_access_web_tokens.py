"""Web tokens: whose are taken, whose are not, and what becomes of the issuer's keys."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import queue
import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from svcready.admin import OpsRequest, build_surface
from svcready.admin._access._gate import Grant
from svcready.admin._access._keys import Keys, fetch_keys
from svcready.admin._access._web_tokens import Claims, WebTokenWay
from svcready.errors import MissingExtraError
from svcready.testing import FakeClock, running
from tests.admin.issuer import AUDIENCE, ISSUER, Issuer
from tests.servers.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLAIMS = Claims(ISSUER, AUDIENCE, "roles", frozenset({"look"}), frozenset({"ops"}))
DEADLINE_S = 10.0


@pytest.fixture(scope="module")
def shared() -> Iterator[Issuer]:
    """Run an issuer for all tests."""
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a busy machine longer to fetch the keys than a service would."""
    for name in ("_WAIT_S", "_FETCH_S"):
        monkeypatch.setattr(f"svcready.admin._access._keys.{name}", 60.0)


@pytest.fixture
def issuer(shared: Issuer) -> Issuer:
    """Return the issuer as it was at first."""
    shared.asked, shared.status, shared.publishes_late = 0, 200, False
    shared.body = None
    shared.holds.set()
    return shared


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test turns."""
    return FakeClock()


@pytest.fixture
def keys(issuer: Issuer, clock: FakeClock) -> Keys:
    """Return the issuer's keys as a service keeps them."""
    return Keys(lambda: fetch_keys(issuer.url, nullcontext), clock.monotonic)


@pytest.fixture
def way(keys: Keys) -> WebTokenWay:
    """Return the way in by the issuer's tokens."""
    return WebTokenWay(CLAIMS, keys)


def issued(issuer: Issuer, options: Mapping[str, object]) -> str:
    """Have *issuer* sign a token as the options of a case say."""
    kid = options.get("kid", "rsa")
    assert kid is None or isinstance(kid, str)
    return issuer.token(kid, **{k: v for k, v in options.items() if k != "kid"})


def bearing(token: str, method: str = "GET") -> OpsRequest:
    """Make a request that bears *token*."""
    known = {"authorization": f"Bearer {token}"}
    return OpsRequest(
        method, "/admin/health", "", lambda name: known.get(name.lower()), "203.0.113.9"
    )


def encoded(value: object) -> str:
    """Encode a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def land(keys: Keys) -> None:
    """Wait until no fetch is under way."""
    flight = keys._flight
    assert flight is None or flight.wait(DEADLINE_S)


@pytest.mark.parametrize("kid", ["rsa", "ec", "ed"])
def test_a_token_of_the_issuers_is_admitted(
    issuer: Issuer, way: WebTokenWay, kid: str
) -> None:
    """RSA, ECDSA and EdDSA; the subject is who it was."""
    assert way(bearing(issuer.token(kid))) == Grant("oidc alice", writes=True)


def test_roles_say_what_one_may(issuer: Issuer, way: WebTokenWay) -> None:
    """One role looks, another changes, none does neither."""
    assert way(bearing(issuer.token(roles=["look"]))) == Grant("oidc alice", False)
    both = issuer.token(roles=["look", "x", "ops"], sub=None, client_id="job")
    assert way(bearing(both)) == Grant("oidc job", True)
    for none in ([], None, ["OPS"], ["op"], {"ops": True}, [["ops"]], 7):
        assert way(bearing(issuer.token(roles=none))) == "missing_role", none


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("scope", {"scope": "openid ops"}),
        ("realm_access.roles", {"realm_access": {"roles": ["ops"]}}),
        ("https://a.example/roles", {"https://a.example/roles": ["ops"]}),
        ("cognito:groups", {"cognito:groups": ["ops"]}),
    ],
)
def test_the_role_claim_can_be_anywhere(
    issuer: Issuer, keys: Keys, claim: str, said: dict[str, object]
) -> None:
    """A member of another, a name with dots, a list or words with spaces."""
    way = WebTokenWay(CLAIMS._replace(role_claim=claim), keys)
    granted = way(bearing(issued(issuer, {**said, "roles": None})))

    assert granted == Grant("oidc alice", writes=True)
    assert way(bearing(issuer.token())) == "missing_role"


def _now(offset_s: int) -> int:
    """Return a time of a token's."""
    return int(time.time()) + offset_s


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("token_expired", {"exp": _now(-60)}),
        # Far off: made when the file is read, and maybe used long after.
        ("token_not_yet_valid", {"nbf": _now(86_400)}),
        ("token_not_yet_valid", {"iat": _now(86_400)}),
        ("wrong_audience", {"aud": "billing"}),
        ("wrong_audience", {"aud": "order"}),
        ("wrong_audience", {"aud": ["billing", "orders2"]}),
        ("wrong_issuer", {"iss": "https://issuer.example.evil"}),
        ("wrong_issuer", {"iss": "https://issuer"}),
        ("missing_claim", {"aud": None}),
        ("missing_claim", {"iss": None}),
        ("missing_claim", {"exp": None}),
        ("malformed_token", {"exp": "soon"}),
        ("malformed_token", {"sub": 7}),
        ("wrong_signature", {"signs": "late"}),
        ("wrong_algorithm", {"kid": "rsa", "signs": "ec"}),
        ("malformed_token", {"header": {"crit": ["x"], "x": 1}}),
        ("unknown_key", {"kid": None}),
        ("unknown_key", {"kid": "late"}),
        ("unknown_key", {"kid": "enc", "signs": "rsa"}),
        ("unknown_key", {"kid": "secret", "signs": "rsa"}),
        ("unknown_key", {"kid": "../../../../dev/null", "signs": "rsa"}),
        ("unknown_key", {"kid": "rsa' OR '1'='1", "signs": "rsa"}),
        ("unknown_key", {"kid": "http://127.0.0.1:9/", "signs": "rsa"}),
    ],
)
def test_a_token_that_is_not_for_us_is_refused(
    issuer: Issuer, way: WebTokenWay, reason: str, options: dict[str, object]
) -> None:
    """Signed or not, each says why to the audit log."""
    token = issued(issuer, options)

    assert way(bearing(token)) == reason


def test_times_may_differ_a_little(issuer: Issuer, way: WebTokenWay) -> None:
    """Clocks of two machines are not one."""
    token = issuer.token(exp=_now(-10), nbf=_now(10), iat=_now(10))

    assert isinstance(way(bearing(token)), Grant)


ODD: tuple[object, ...] = (
    [],
    {},
    ["RS256"],
    {"a": []},
    None,
    True,
    7,
    1.5,
    "",
    "\0",
    "\ud800",
    [[[]]],
)


@pytest.mark.parametrize("name", ["alg", "kid", "typ", "cty", "crit", "b64", "jwk"])
def test_a_header_may_hold_anything(
    issuer: Issuer, way: WebTokenWay, name: str
) -> None:
    """Of whatever kind a value is, it is refused for that or for its signature."""
    _, body, signature = issuer.token().split(".")
    for odd in ODD:
        header = encoded({"alg": "RS256", "kid": "rsa", name: odd})
        reason = way(bearing(f"{header}.{body}.{signature}"))
        if name == "alg":
            assert reason == "wrong_algorithm", odd
        else:
            assert reason in {"wrong_signature", "malformed_token", "unknown_key"}, odd


@pytest.mark.parametrize(
    "name", ["exp", "nbf", "iat", "iss", "aud", "sub", "jti", "client_id", "roles"]
)
def test_a_claim_may_hold_anything(issuer: Issuer, way: WebTokenWay, name: str) -> None:
    """Of whatever kind a value is, the token is judged; nothing is raised."""
    for odd in (*ODD, 1e400, -1e400, float("nan"), "9" * 5000, 10**400):
        said = way(bearing(issued(issuer, {name: odd})))
        assert said
        if name in {"iss", "aud", "roles"}:
            assert isinstance(said, str), odd


def forged(issuer: Issuer) -> dict[str, str]:
    """Return tokens that nobody has signed who may."""
    right = issuer.token()
    head, body, signature = right.split(".")
    pem = issuer.public_pem.public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    signed = f"{encoded({'alg': 'HS256', 'kid': 'rsa', 'typ': 'JWT'})}.{body}"
    mac = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
    confused = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    more = encoded({"iss": ISSUER, "aud": AUDIENCE, "exp": _now(300), "roles": ["ops"]})
    none = encoded({"alg": "none", "kid": "rsa"})
    detached = encoded({"alg": "RS256", "kid": "rsa", "b64": False})
    listed = encoded({"alg": "RS256", "kid": ["rsa"]})
    tokens = {
        f"alg {name}": f"{encoded({'alg': name, 'kid': 'rsa'})}.{body}."
        for name in ("none", "None", "NONE", "nOnE", "", "HS256", "RS1", "ES256K")
    }
    for name in ("alg", "kid", "typ", "crit"):
        for odd in ODD:
            header = encoded({"alg": "RS256", "kid": "rsa", name: odd})
            tokens[f"{name} is {odd!a}"] = f"{header}.{body}.AAAA"

    return tokens | {
        "alg none, signed": f"{none}.{body}.{signature}",
        "no alg": f"{encoded({'kid': 'rsa'})}.{body}.{signature}",
        "HS256 with the public key": f"{signed}.{confused}",
        "another body": f"{head}.{more}.{signature}",
        "no signature": f"{head}.{body}.",
        "signature cut": f"{head}.{body}.{signature[:-4]}",
        "no body": f"{head}..{signature}",
        "empty": "..",
        "no JSON": "a.b.c",
        "a list": f"{encoded([])}.{body}.{signature}",
        "deep": f"{encoded('[' * 3000)}.{body}.{signature}",
        "b64": f"{detached}.{body}.{signature}",
        "kid is a list": f"{listed}.{body}.{signature}",
        "long": f"{head}.{'a' * 65536}.{signature}",
        "lookalike": f"{head}.{body}.{signature}".replace("e", chr(0x435)),
        "four parts": f"{right}.x",
        "encrypted": f"{head}.a.b.c.d",
    }


def test_forged_tokens_are_refused(issuer: Issuer, way: WebTokenWay) -> None:
    """What is public can't sign, and nothing of a token chooses how it is verified."""
    assert isinstance(way(bearing(issuer.token())), Grant)
    for name, token in forged(issuer).items():
        assert isinstance(way(bearing(token)), str), name


def test_a_token_cannot_bring_its_keys(issuer: Issuer, way: WebTokenWay) -> None:
    """What a header says of keys elsewhere is never asked for."""
    with Issuer() as evil:
        evil.publishes_late = True
        stolen = json.loads(evil.keys())["keys"][-1]
        header = {"jku": evil.url, "x5u": evil.url, "jwk": stolen, "x5c": ["MIIB"]}

        assert isinstance(way(bearing(issuer.token(header=header))), Grant)
        token = issuer.token(header=header, signs="late")
        assert way(bearing(token)) == "wrong_signature"
        token = issuer.token("late", header=header)
        assert way(bearing(token)) == "unknown_key"
        assert evil.asked == 0


# --- The keys ------------------------------------------------------------------------


def test_keys_are_fetched_once_and_used_again(issuer: Issuer, keys: Keys) -> None:
    """Within five minutes one fetch serves all."""
    for kid in ("rsa", "ec", "ed") * 5:
        assert keys.get(kid, wait=True) is not None

    assert issuer.asked == 1


def test_an_unknown_key_is_fetched_for_once_a_minute(
    issuer: Issuer, keys: Keys, clock: FakeClock
) -> None:
    """A new key is found; who makes ids up has the issuer asked no oftener."""
    assert keys.get("rsa", wait=True) is not None
    issuer.publishes_late = True
    for n in range(50):
        assert keys.get(f"made up {n}", wait=True) is None

    assert issuer.asked == 1
    clock.advance(60.0)
    assert keys.get("late", wait=True) is not None
    for n in range(50):
        assert keys.get(f"made up {n}", wait=True) is None

    assert issuer.asked == 2


def test_keys_are_renewed_while_the_old_ones_serve(
    issuer: Issuer, keys: Keys, clock: FakeClock
) -> None:
    """Nobody waits for a renewal, not even where the issuer does not answer."""
    assert keys.get("rsa", wait=True) is not None
    clock.advance(301.0)
    issuer.holds.clear()

    assert keys.get("rsa", wait=True) is not None  # at once: the issuer is silent
    assert keys._flight is not None
    issuer.holds.set()
    land(keys)
    assert issuer.asked == 2


def test_keys_outlive_their_issuer_for_an_hour(
    issuer: Issuer, clock: FakeClock
) -> None:
    """Then there are none, and nobody is admitted; it is told once, and when over."""
    told: list[str] = []
    keys = Keys(
        lambda: fetch_keys(issuer.url, nullcontext), clock.monotonic, told.append
    )
    way = WebTokenWay(CLAIMS, keys)
    token = bearing(issuer.token())
    assert isinstance(way(token), Grant)
    issuer.status = 503
    for _ in range(11):
        clock.advance(320.0)
        assert isinstance(way(token), Grant)
        land(keys)

    clock.advance(320.0)
    assert way(token) == "keys_unavailable"
    land(keys)
    assert len(told) == 1
    assert "503" in told[0]
    issuer.status = 200
    clock.advance(5.0)
    assert isinstance(way(token), Grant)
    land(keys)
    assert told[1:] == [""]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((500, None), (404, None), (302, None), (200, b"not JSON"), (200, b"[]")),
        *((200, b"{}"), (200, b'{"keys": []}'), (200, b'{"keys": {"a": 1}}')),
        (200, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"}]}'),
        (200, b" " * 300_000),
    ],
)
def test_without_keys_nobody_is_admitted(
    issuer: Issuer, way: WebTokenWay, status: int, body: bytes | None
) -> None:
    """Whatever an issuer says that is no key set, and wherever it sends us."""
    token = bearing(issuer.token())
    issuer.status, issuer.body = status, body

    assert way(token) == "keys_unavailable"
    assert way(token) == "keys_unavailable"
    assert issuer.asked == 1  # not again within 5 seconds


def test_a_dead_issuer_admits_nobody(clock: FakeClock) -> None:
    """A port where nobody listens."""
    with Issuer() as issuer:
        token, url = issuer.token(), issuer.url

    way = WebTokenWay(
        CLAIMS, Keys(lambda: fetch_keys(url, nullcontext), clock.monotonic)
    )
    assert way(bearing(token)) == "keys_unavailable"


def test_an_event_loop_never_waits_for_keys(issuer: Issuer, way: WebTokenWay) -> None:
    """The keys are fetched meanwhile, and are there for the next request."""
    issuer.holds.clear()
    token = bearing(issuer.token())

    async def ask() -> Grant | str:
        return way(token)

    assert asyncio.run(ask()) == "keys_unavailable"  # the issuer is silent still
    issuer.holds.set()
    land(way._keys)
    assert isinstance(asyncio.run(ask()), Grant)


def test_many_at_once_fetch_once(issuer: Issuer, way: WebTokenWay) -> None:
    """Everyone who waits has the same fetch to wait for."""
    issuer.holds.clear()
    token = bearing(issuer.token())
    got: list[object] = []
    threads = [
        threading.Thread(target=lambda: got.append(way(token))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()

    issuer.holds.set()
    for thread in threads:
        thread.join()

    assert issuer.asked == 1
    assert got == [Grant("oidc alice", writes=True)] * 4


def test_made_up_ids_keep_nobody_out(
    issuer: Issuer, way: WebTokenWay, clock: FakeClock
) -> None:
    """While a few of them wait for a silent issuer, a known key serves at once."""
    right = bearing(issuer.token())
    assert isinstance(way(right), Grant)
    clock.advance(60.0)
    issuer.holds.clear()
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()
    wrong = [bearing(issuer.token(f"made up {n}")) for n in range(12)]
    threads = [
        threading.Thread(target=lambda each=each: answers.put(way(each)))
        for each in wrong
    ]
    for thread in threads:
        thread.start()

    try:
        refused = [answers.get(timeout=DEADLINE_S) for _ in wrong[4:]]
        for _ in range(3):
            assert way(right) == Grant("oidc alice", writes=True)

        assert answers.empty()  # four wait still
    finally:
        issuer.holds.set()
        for thread in threads:
            thread.join()

    refused += [answers.get(timeout=DEADLINE_S) for _ in wrong[:4]]
    assert refused == ["unknown_key"] * 12
    assert issuer.asked == 2
    clock.advance(60.0)
    issuer.publishes_late = True
    late = bearing(issuer.token("late"))
    assert way(late) == Grant("oidc alice", writes=True)  # their seats are free again


# --- The whole -----------------------------------------------------------------------


def settings(issuer: Issuer) -> dict[str, str]:
    """Return the variables that admit *issuer*'s tokens."""
    return {
        "SVCREADY_ADMIN_OIDC_ISSUER": ISSUER,
        "SVCREADY_ADMIN_OIDC_AUDIENCE": AUDIENCE,
        "SVCREADY_ADMIN_OIDC_JWKS_URL": issuer.url,
        "SVCREADY_ADMIN_OIDC_WRITE_ROLES": "ops",
        "SVCREADY_ADMIN_OIDC_READ_ROLES": "look",
    }


def test_a_service_takes_them(issuer: Issuer) -> None:
    """From the variables to the audit log, which has the subject and no token."""
    with running(environ=settings(issuer)) as harness:
        harness.runtime.ready()
        surface = build_surface(harness.runtime)
        token = issuer.token()
        assert surface.answer(bearing(token)).status == 200
        assert surface.answer(bearing(issuer.token(roles=["x"]))).status == 401
        assert (
            surface.answer(bearing(issuer.token(roles=["look"]), "POST")).status == 403
        )
        again = build_surface(harness.runtime)  # the plan is renewed
        assert again.answer(bearing(token)).status == 200
        entries = harness.audit_entries
        assert harness.runtime.problems() == ()
        # Off the event loop, because keys may have to be waited for.
        assert {"/admin/health", "/admin/loggers"} <= surface.slow

    assert issuer.asked == 1
    actors = [entry["actor"] for entry in entries]
    assert actors[0] == {"type": "operator", "id": "oidc alice", "ip": "203.0.113.9"}
    details = [entry["details"] for entry in entries]
    assert details[1] == {"method": "GET", "reason": "missing_role"}
    assert details[2] == {"method": "POST", "reason": "read_only"}
    assert token not in json.dumps(entries)


def test_an_issuer_that_is_down_is_told_of(issuer: Issuer) -> None:
    """One line, not one a request."""
    issuer.status = 500
    with running(environ=settings(issuer)) as harness:
        surface = build_surface(harness.runtime)
        for _ in range(3):
            assert surface.answer(bearing(issuer.token())).status == 401

        def told() -> list[dict[str, object]]:
            event = "svcready.admin.keys_unavailable"
            return [line for line in harness.lines if line.get("event") == event]

        eventually(told, "the thread that fetches has told")

    (line,) = told()
    assert "500" in str(line["context"])


def test_without_the_extra_nobody_is_admitted(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for by a variable it is a problem, by code an error."""
    monkeypatch.setattr("svcready._runtime._extras.installed", lambda _: False)
    monkeypatch.setattr("svcready.admin._access._build.installed", lambda _: False)
    token = issuer.token()
    with running(environ=settings(issuer)) as harness:
        (problem,) = harness.runtime.problems()
        assert 'pip install "svcready[jwt]"' in problem
        assert build_surface(harness.runtime).answer(bearing(token)).status == 401

    monkeypatch.setitem(__import__("sys").modules, "jwt", None)
    said = {"admin.oidc_issuer": ISSUER}
    with pytest.raises(MissingExtraError), running(settings=said):
        pass
