"""Who is let in: by token, network and certificate, and the own machine alone."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from svcready._core.addresses import address_of
from svcready._core.redaction import default_redactor
from svcready.admin import Admission, Gate, OpsRequest, Verdict, build_surface
from svcready.admin._access._certificates import CertificateWay, names_of
from svcready.admin._access._failures import Failures
from svcready.admin._access._networks import NetworkWay, Proxies
from svcready.admin._access._tokens import TokenWay
from svcready.config._sections.admin import NOBODY
from svcready.testing import FakeClock, running

if TYPE_CHECKING:
    from svcready.admin._access._gate import Way
    from svcready.testing import Harness

TOKEN = "0123456789abcdef0123456789abcdef"
READ_TOKEN = "fedcba9876543210fedcba9876543210"
PEER = "203.0.113.9"


def ask(
    peer: str | None = PEER,
    method: str = "GET",
    path: str = "/admin/health",
    **said: str,
) -> OpsRequest:
    """Make a request; headers as keyword arguments, `_` for `-`."""
    known = {name.replace("_", "-").lower(): text for name, text in said.items()}
    return OpsRequest(method, path, "", lambda name: known.get(name.lower()), peer)


def gate(
    *ways: Way,
    open_to_loopback: bool = False,
    most: int = 0,
    clock: FakeClock | None = None,
) -> Gate:
    """Make a gate as the configuration would."""
    return Gate(
        ways,
        configured=bool(ways),
        open_to_loopback=open_to_loopback,
        failures=Failures(most, (clock or FakeClock()).monotonic),
    )


def judged(gate: Gate, request: OpsRequest) -> Admission:
    """Return only whether *request* is admitted."""
    changes = request.method not in {"GET", "HEAD"}
    return gate.judge(request, changes=changes).admission


# --- Tokens --------------------------------------------------------------------------


def test_without_configuration_nothing_is_there() -> None:
    """No way in is configured: the path does not exist, whoever asks."""
    asked = ask("127.0.0.1", Authorization="Bearer anything", Host="localhost")

    assert judged(gate(), asked) is Admission.HIDDEN


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_a_configured_token_is_admitted(scheme: str, method: str) -> None:
    """Any of the tokens opens the gate for everything; the scheme's case is free."""
    way = TokenWay(("other-token", TOKEN))
    verdict = gate(way).judge(ask(method=method, Authorization=f"{scheme} {TOKEN}"))

    assert verdict == Verdict(Admission.ADMITTED, "token 2", writes=True)


def test_a_read_token_looks_and_changes_nothing() -> None:
    """It is admitted to read; a change is forbidden, and that is not a wrong token."""
    way = TokenWay((TOKEN,), (READ_TOKEN,))
    bearer = f"Bearer {READ_TOKEN}"

    looks = gate(way).judge(ask(Authorization=bearer))
    assert looks == Verdict(Admission.ADMITTED, "read token 1", writes=False)
    for method in ("POST", "DELETE", "PUT", "PATCH", "get", "TRACE"):
        said = gate(way).judge(ask(method=method, Authorization=bearer), changes=True)
        assert said.admission is Admission.FORBIDDEN, method
        assert (said.who, said.reason) == ("read token 1", "read_only")


def test_a_token_in_both_lists_may_change() -> None:
    """The strongest of what somebody holds counts."""
    way = TokenWay((TOKEN,), (TOKEN,))
    asked = ask(method="POST", Authorization=f"Bearer {TOKEN}")

    assert judged(gate(way), asked) is Admission.ADMITTED


@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN),
        *(f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0", f"Bearer {TOKEN.upper()}"),
        f"Bearer {TOKEN}, Bearer {TOKEN}",  # two headers, as servers join them
        f"Bearer \N{NO-BREAK SPACE}{TOKEN}",
        f"Bearer {TOKEN}\x85",
        f"Bearer {TOKEN.replace('a', chr(0x430))}",  # Cyrillic
        f"Bearer {TOKEN}\0",
        f"Bearer {TOKEN}\r\nX: y",
        f"Bearer\t{TOKEN}",
        "Bearer " + "a" * 65536,
        f"Bearer {'a' * 65536}{TOKEN}",
        "Bearer \udcff\udcfe",
    ],
)
def test_anything_else_is_refused(authorization: str) -> None:
    """Missing or wrong credentials are refused, not hidden."""
    asked = ask("127.0.0.1", Authorization=authorization)
    verdict = gate(TokenWay((TOKEN,))).judge(asked)

    assert verdict == Verdict(Admission.REFUSED, reason="wrong_credentials")


@pytest.mark.parametrize("offered", ["", "\0", "Bearer \0", "None", "()"])
def test_malformed_tokens_admit_nobody(offered: str) -> None:
    """A token list that could not be read fails closed, in development too."""
    asked = ask("127.0.0.1", Authorization=offered, Host="localhost")
    closed = gate(TokenWay(NOBODY, NOBODY), open_to_loopback=True)

    assert judged(closed, asked) is Admission.REFUSED


@pytest.mark.parametrize(
    "offered",
    ["", TOKEN, TOKEN[:1], TOKEN[:-1], TOKEN.upper(), "x", "x" * 16000, "\xe9" * 32],
)
def test_every_refusal_takes_the_same_comparisons(offered: str) -> None:
    """
    Whatever is offered is compared with every token, over equal lengths, and no
    comparison is left out after one has matched.
    """
    compared: list[tuple[int, int]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return hmac.compare_digest(left, right)

    way = TokenWay((TOKEN, "b" * 500, "c"), (READ_TOKEN,), compare=compare)
    way(ask(Authorization=f"Bearer {offered}"))

    assert compared == [(32, 32)] * 4


# --- The own machine -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("localhost:8000", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]:8000", "::1"),
        ("LOCALHOST", "127.8.8.8"),
    ],
)
def test_development_admits_the_own_machine(host: str, peer: str) -> None:
    """Development without tokens: a loopback peer with a loopback Host gets in."""
    verdict = gate(open_to_loopback=True).judge(ask(peer, Host=host))

    assert verdict == Verdict(Admission.ADMITTED, "local", writes=True)


@pytest.mark.parametrize(
    ("host", "peer", "more"),
    [
        ("evil.example", "127.0.0.1", {}),  # DNS rebinding
        ("localhost.evil.example", "127.0.0.1", {}),
        ("localhost", "10.0.0.7", {}),
        ("localhost", None, {}),
        ("localhost", "testclient", {}),
        ("", "127.0.0.1", {}),
        ("localhost", "127.0.0.1", {"X_Forwarded_For": "127.0.0.1"}),
        ("localhost", "127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
        ("localhost", "127.0.0.1", {"X_Forwarded_Proto": "https"}),
        ("localhost", "127.0.0.1", {"X_Forwarded_Port": "443"}),
        ("localhost", "127.0.0.1", {"Via": "1.1 proxy"}),
    ],
)
def test_development_admits_nobody_else(
    host: str, peer: str | None, more: dict[str, str]
) -> None:
    """A foreign peer, a foreign Host or a proxy in between finds no path there."""
    asked = ask(peer, Host=host, **more)

    assert judged(gate(open_to_loopback=True), asked) is Admission.HIDDEN


def test_tokens_close_development_too() -> None:
    """With tokens configured, the own machine needs one as well."""
    asked = ask("127.0.0.1", Host="localhost")
    closed = gate(TokenWay((TOKEN,)), open_to_loopback=True)

    assert judged(closed, asked) is Admission.REFUSED


# --- Networks and proxies ------------------------------------------------------------


def by_network(
    *networks: str, proxies: tuple[str, ...] = (), hosts: tuple[str, ...] = ()
) -> Gate:
    """Make a gate that admits *networks*."""
    return gate(NetworkWay(networks, hosts, Proxies(proxies)))


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_a_network_may_look_and_not_change(peer: str) -> None:
    """A peer of the network reads; a change needs a credential."""
    opened = by_network("10.0.0.0/8")

    looks = opened.judge(ask(peer, Host="10.0.0.9:8000"))
    assert looks == Verdict(Admission.ADMITTED, "network 10.0.0.0/8, 10.1.2.3")
    asked = ask(peer, "POST", Host="10.0.0.9:8000")
    assert judged(opened, asked) is Admission.FORBIDDEN


@pytest.mark.parametrize(
    "peer", ["11.1.2.3", "", None, "unix", "10.1.2.3.evil", "::10"]
)
def test_another_network_is_refused(peer: str | None) -> None:
    """A peer outside, or that has no address, is asked for credentials."""
    asked = ask(peer, Host="10.0.0.9")

    assert judged(by_network("10.0.0.0/8"), asked) is Admission.REFUSED


@pytest.mark.parametrize(
    "header", ["X_Forwarded_For", "Forwarded", "X_Real_IP", "Via", "X_Forwarded_Proto"]
)
def test_a_network_behind_a_stranger_is_refused(header: str) -> None:
    """What came through a proxy that is none of ours has no network."""
    asked = ask("10.1.2.3", Host="10.0.0.9", **{header: "10.1.2.3"})

    assert judged(by_network("10.0.0.0/8"), asked) is Admission.REFUSED


@pytest.mark.parametrize(
    ("forwarded", "admitted"),
    [
        ("10.1.2.3", True),
        ("203.0.113.7, 10.1.2.3", True),  # what is further to the left is not read
        ("10.1.2.3, 203.0.113.7", False),  # the client wrote the first
        ("10.1.2.3, 192.168.0.2", True),  # two proxies of ours
        ("203.0.113.7, 192.168.0.2", False),
        ("10.1.2.3, 203.0.113.7, 192.168.0.2, 192.168.0.3", False),
        ("10.1.2.3:4711", True),  # some proxies add the port
        ("", False),
        ("unknown", False),
        ("10.1.2.3, ", False),
        ("10.1.2.3, unknown", False),
        ("10.1.2.3\t, _hidden", False),
        ("10.1.2.3," * 10_000 + "203.0.113.7", False),
        # A server that took the client's word for the peer: who wrote it is unknown.
        ("10.1.2.3, 192.168.0.1", False),
    ],
)
def test_the_client_is_whom_our_own_proxies_saw(
    forwarded: str, *, admitted: bool
) -> None:
    """X-Forwarded-For is read from its end, over our own proxies and no further."""
    behind = by_network("10.0.0.0/8", proxies=("192.168.0.0/24",))
    asked = ask("192.168.0.1", Host="orders", X_Forwarded_For=forwarded)

    assert (judged(behind, asked) is Admission.ADMITTED) is admitted


@pytest.mark.parametrize(
    ("host", "admitted"),
    [
        *(("10.0.0.9", True), ("10.0.0.9:8000", True), ("[fd00::1]:8000", True)),
        *(("orders", True), ("orders.shop.svc.cluster.local:8000", True)),
        *(("localhost:8000", True), ("ops.example.com", True)),
        *(("OPS.example.com.", True), ("evil.example", False), ("", False)),
        ("ops.example.com.evil.example", False),
        ("evil.example:10.0.0.9", False),
        ("10.0.0.9.evil.example", False),
        ("user@10.0.0.9", False),
    ],
)
def test_a_page_cannot_use_an_operators_network(host: str, *, admitted: bool) -> None:
    """Only names that nobody outside can have lead here (DNS rebinding)."""
    opened = by_network("10.0.0.0/8", hosts=("ops.example.com",))

    assert (
        judged(opened, ask("10.1.2.3", Host=host)) is Admission.ADMITTED
    ) is admitted


@pytest.mark.parametrize(
    ("networks", "proxies"),
    [(NOBODY, ()), (("10.0.0.0/8",), NOBODY), (NOBODY, NOBODY)],
)
def test_a_malformed_list_admits_no_network(
    networks: tuple[str, ...], proxies: tuple[str, ...]
) -> None:
    """Where it is not known which peers are proxies, no peer is taken for a client."""
    closed = by_network(*networks, proxies=proxies)

    assert judged(closed, ask("10.1.2.3", Host="10.0.0.9")) is Admission.REFUSED


@pytest.mark.parametrize(
    ("text", "address"),
    [
        *(("10.0.0.1", "10.0.0.1"), ("10.0.0.1:80", "10.0.0.1")),
        *(("[2001:db8::1]:80", "2001:db8::1"), ("2001:db8::1", "2001:db8::1")),
        *(("fe80::1%eth0", "fe80::1"), ("::ffff:10.0.0.1", "10.0.0.1")),
        *(("10.0.0.01", None), ("10.0.0", None), ("0x0a000001", None), ("1", None)),
        *((" 10.0.0.1", None), ("10.0.0.1 ", None), ("a" * 1000, None), ("", None)),
    ],
)
def test_addresses_have_one_spelling(text: str, address: str | None) -> None:
    """One address is one, with a port, a zone or within IPv6; what is unclear none."""
    found = address_of(text)

    assert (None if found is None else str(found)) == address


# --- Certificates --------------------------------------------------------------------

XFCC = "X-Forwarded-Client-Cert"
CERT = "X-Client-Subject"


def by_certificate(
    *subjects: str, header: str = CERT, proxies: tuple[str, ...] = ("192.168.0.1",)
) -> Gate:
    """Make a gate that admits certificates of *subjects*."""
    return gate(CertificateWay(header, subjects, Proxies(proxies)))


@pytest.mark.parametrize(
    ("subject", "admitted"),
    [
        *(("CN=ops", True), ("CN=ops,OU=x,O=Example,C=DE", True)),
        *(("O=Example, CN=ops", True), ("OU=x+CN=ops,O=Example", True)),
        *(("emailAddress=a@b,CN=ops", True), ("CN=ops2", False), ("CN=OPS", False)),
        ("CN=eve,O=ops", False),
        ("CN=eve,O=x\\,CN=ops", False),
        ('CN=eve,O="x,CN=ops"', False),
        ("CN=eve,CN=ops", False),
        ("CN=ops, CN=eve", False),  # two headers, as servers join them
        ("/O=Example/CN=ops", False),  # whose slash that is cannot be told
        ("/O=Legacy/CN=old", True),
        ("O=Whole,CN=whole", True),
        ("O=Other,CN=whole", False),
        *(("", False), ("ops", False), ("\0", False), ("CN=ops" + " " * 65536, False)),
    ],
)
def test_a_certificate_is_admitted_by_name(subject: str, *, admitted: bool) -> None:
    """Its one common name or its whole subject must be listed, exactly."""
    opened = by_certificate("CN=ops", "O=Whole,CN=whole", "/O=Legacy/CN=old")
    asked = ask("192.168.0.1", "POST", X_Client_Subject=subject)

    assert (judged(opened, asked) is Admission.ADMITTED) is admitted


@pytest.mark.parametrize(
    ("peer", "more"),
    [
        (PEER, {}),
        (None, {}),
        # uvicorn's --proxy-headers put what a client wrote in the peer's place.
        ("192.168.0.1", {"X_Forwarded_For": "192.168.0.1"}),
        ("192.168.0.1", {"X_Forwarded_For": "192.168.0.1:99, 203.0.113.9"}),
        ("192.168.0.1", {"X_Real_IP": "192.168.0.1"}),
        ("192.168.0.1", {"Forwarded": 'for="192.168.0.1:80";proto=https'}),
        ("192.168.0.1", {"Forwarded": 'for="[::ffff:192.168.0.1]:80"'}),
    ],
)
def test_a_certificate_counts_from_our_proxy_only(
    peer: str | None, more: dict[str, str]
) -> None:
    """Who is not beyond doubt a proxy of ours can't say what it verified."""
    verdict = by_certificate("CN=ops").judge(
        ask(peer, X_Client_Subject="CN=ops", **more)
    )

    assert verdict == Verdict(Admission.REFUSED, reason="untrusted_certificate")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (
            'By=spiffe://c/a;Hash=4f;Subject="CN=ops,O=Example";URI=spiffe://c/ops',
            ("CN=ops,O=Example", "CN=ops", "URI=spiffe://c/ops"),
        ),
        ('Hash=1;Subject="CN=ops",Hash=2;Subject="CN=web"', ("CN=web", "CN=web")),
        ('Subject="CN=eve";Hash="Subject=\\"CN=ops\\""', ("CN=eve", "CN=eve")),
        ('Subject="CN=eve;URI=spiffe://c/ops"', None),
        (
            "Hash=1;URI=spiffe://c/a;URI=spiffe://c/b",
            ("URI=spiffe://c/a", "URI=spiffe://c/b"),
        ),
        ("Hash=1; URI = spiffe://c/ops", None),
        ("Hash=1; URI=spiffe://c/a ;DNS=a", ("URI=spiffe://c/a",)),
        ("URI=spiffe://c/a\\;DNS=a", ("URI=spiffe://c/a\\",)),
        ("", ()),
        ("Subject=", ()),
        ('Subject="', None),
    ],
)
def test_envoys_header_is_read_as_envoy_writes_it(
    value: str, names: tuple[str, ...] | None
) -> None:
    """Of several elements the last counts; what is quoted stays together."""
    found = names_of(XFCC, value)

    if names is None:
        assert "URI=spiffe://c/ops" not in found
        assert "CN=ops" not in found
    else:
        assert found == names


@pytest.mark.parametrize(
    "element",
    [
        'URI=spiffe://c/ops;Subject="CN=ops',
        'URI=spiffe://c/ops;Subject=CN=ops"',
        'URI=spiffe://c/ops;Subject="CN=ops"x',
        'URI=spiffe://c/ops;Subject="CN=ops\\"',
        'URI=spiffe://c/ops;Subject=x"CN=ops"',
        "URI=spiffe://c/ops;;Subject=CN=ops",
        "URI=spiffe://c/ops;Subject",
        "URI=spiffe://c/ops;=CN=ops",
        'URI=spiffe://c/ops;"Subject"="CN=ops"',
        'URI=spiffe://c/ops,"',
        "URI=spiffe://c/ops\\,\\",
        "URI=spiffe://c/ops,",
    ],
)
def test_an_element_that_is_malformed_names_nobody(element: str) -> None:
    """Not even by those of its parts that are well formed."""
    assert names_of(XFCC, element) == ()
    assert names_of(XFCC, f'Subject="CN=ops",{element}') == ()


OURS = (
    'By=spiffe://c/me;Hash=abc;Subject="CN=evil,O=corp";URI=spiffe://c/evil',
    'By=spiffe://c/me;Hash=abc;Subject="CN=evil,O=\\"x\\", y";URI=spiffe://c/evil',
    'Hash=abc;URI=spiffe://c/evil;Subject="CN=evil,O=\\\\"',
    "URI=spiffe://c/evil;Subject=CN=evil;By=\\",
)
WRITTEN = (
    '"',
    "\\",
    ",",
    ";",
    "=",
    " ",
    "x",
    "Subject",
    "CN=ops",
    "URI=spiffe://c/ops",
)


@given(st.lists(st.sampled_from(WRITTEN) | st.text(max_size=3)), st.sampled_from(OURS))
@example(["URI=spiffe://c/ops;X=\\"], OURS[0])
@example(["Subject=CN=ops;X=\\"], OURS[0])
@example(['Subject="CN=ops'], OURS[0])
@example(['Subject="CN=ops"', ',X="'], OURS[0])
@example(['Subject="CN=ops"', ',X="\\'], OURS[3])
def test_what_a_client_wrote_has_no_say(written: list[str], ours: str) -> None:
    """Whatever is before our proxy's element, the names are those of this alone."""
    names = names_of(XFCC, ours)

    assert {"CN=evil", "URI=spiffe://c/evil"} <= {*names}
    assert names_of(XFCC, f"{''.join(written)},{ours}") == names


def test_envoys_certificates_are_admitted_by_uri() -> None:
    """A mesh names workloads by URI."""
    opened = by_certificate("URI=spiffe://c/ops", header=XFCC)
    asked = ask("192.168.0.1", X_Forwarded_Client_Cert="Hash=1;URI=spiffe://c/ops")

    assert opened.judge(asked).who == "certificate URI=spiffe://c/ops"


# --- Too many refusals ---------------------------------------------------------------


def test_who_guesses_is_told_to_wait() -> None:
    """After as many refusals a minute a peer gets 429, and is heard again after it."""
    clock = FakeClock()
    closed = gate(TokenWay((TOKEN,)), most=3, clock=clock)
    wrong = ask(Authorization="Bearer guess")
    said = [closed.judge(wrong).admission for _ in range(4)]
    clock.advance(20.5)
    late = closed.judge(wrong)

    assert said == [*[Admission.REFUSED] * 3, Admission.SLOWED]
    assert late == Verdict(Admission.SLOWED, reason="too_many_failures", wait_s=40)

    clock.advance(39.5)
    assert judged(closed, wrong) is Admission.REFUSED


def test_the_right_credentials_always_get_through() -> None:
    """Neither the same peer's guesses nor another's lock an operator out."""
    closed = gate(TokenWay((TOKEN,)), most=1)
    for _ in range(5):
        closed.judge(ask(Authorization="Bearer guess"))

    assert judged(closed, ask(Authorization=f"Bearer {TOKEN}")) is Admission.ADMITTED
    other = ask("203.0.113.10", Authorization="Bearer guess")
    assert judged(closed, other) is Admission.REFUSED


def test_what_can_be_guessed_is_not_found_by_trying() -> None:
    """A short token waits as wrong ones do: who tries them all sees no difference."""
    clock = FakeClock()
    closed = gate(TokenWay((TOKEN,), ("s3cret",)), most=3, clock=clock)
    short = ask(Authorization="Bearer s3cret")
    assert judged(closed, short) is Admission.ADMITTED
    for _ in range(3):
        closed.judge(ask(Authorization="Bearer guess"))

    wrong = closed.judge(ask(Authorization="Bearer guess"))
    assert closed.judge(short) == wrong._replace(who="read token 1")
    assert judged(closed, ask(Authorization=f"Bearer {TOKEN}")) is Admission.ADMITTED
    clock.advance(60.0)
    assert judged(closed, short) is Admission.ADMITTED


def test_one_network_of_ipv6_is_one_peer() -> None:
    """The addresses of a /64 cost nothing, so they count together."""
    failures = Failures(1, FakeClock().monotonic)
    waits = [failures.note(f"2001:db8:0:1::{n:x}") for n in range(1, 4)]

    assert waits == [0, 60, 60]
    assert failures.note("2001:db8:0:2::1") == 0
    assert failures.note("::ffff:10.0.0.1") == 0
    assert failures.note("10.0.0.1") == 60


def test_a_million_peers_take_no_memory() -> None:
    """The oldest is forgotten for a further one."""
    failures = Failures(1, FakeClock().monotonic)
    for n in range(5000):
        failures.note(f"10.1.{n // 250}.{n % 250}")

    assert len(failures._since) == 1024
    assert failures.note("10.1.19.249") == 60
    assert failures.note("10.1.0.0") == 0


# --- The whole -----------------------------------------------------------------------


def surface_says(harness: Harness, request: OpsRequest) -> tuple[int, dict[str, str]]:
    """Ask the surface of a service."""
    harness.runtime.ready()
    answer = build_surface(harness.runtime).answer(request)
    return answer.status, dict(answer.headers)


def test_every_way_is_taken_from_the_settings() -> None:
    """Each admits by itself, with its own scope, beside the others."""
    environ = {
        "SVCREADY_ADMIN_TOKENS": TOKEN,
        "SVCREADY_ADMIN_READ_TOKENS": READ_TOKEN,
        "SVCREADY_ADMIN_NETWORKS": "10.0.0.0/8",
        "SVCREADY_ADMIN_TRUSTED_PROXIES": "192.168.0.1",
        "SVCREADY_ADMIN_CLIENT_CERT_HEADER": "X-Client-Subject",
        "SVCREADY_ADMIN_CLIENT_CERT_SUBJECTS": "CN=ops;CN=a,O=b",
    }
    change = {"Content_Type": "application/json", "Host": "x"}
    asked = [
        ({"Authorization": f"Bearer {TOKEN}"}, PEER, 200, 400),
        ({"Authorization": f"Bearer {READ_TOKEN}"}, PEER, 200, 403),
        ({"Host": "orders"}, "10.1.2.3", 200, 403),
        ({"X_Client_Subject": "CN=ops"}, "192.168.0.1", 200, 400),
        ({"X_Client_Subject": "CN=a,O=b"}, "192.168.0.1", 200, 400),
        ({"X_Client_Subject": "CN=a"}, "192.168.0.1", 401, 401),
    ]
    with running(environ=environ) as harness:
        assert harness.runtime.problems() == ()
        for said, peer, looks, changes in asked:
            got = surface_says(harness, ask(peer, **said))[0]
            assert got == looks, said
            request = ask(peer, "POST", "/admin/loggers", **{**change, **said})
            assert surface_says(harness, request)[0] == changes, said

        actors = [entry["actor"] for entry in harness.audit_entries]

    names = [actor["id"] for actor in actors if isinstance(actor, dict)]
    assert names[:2] == ["token 1", "token 1"]
    assert "certificate CN=a,O=b" in names
    assert TOKEN not in json.dumps(actors)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NETWORKS", "10.0.0.1/8"),
        ("NETWORKS", "10.0.0.0/8,everyone"),
        ("NETWORKS", "0.0.0.0/0"),
        ("NETWORKS", "::/0"),
        ("NETWORKS", ","),
        ("READ_TOKENS", "two words"),
        ("HOSTS", "https://ops"),
        ("OIDC_ISSUER", "two words"),
        ("OIDC_JWKS_URL", "http://issuer.example/keys"),
        ("OIDC_JWKS_URL", "file:///etc/passwd"),
        ("CLIENT_CERT_HEADER", "a header"),
        ("CLIENT_CERT_SUBJECTS", "ops"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
    ],
)
def test_a_malformed_setting_admits_nobody_and_is_reported(
    name: str, value: str
) -> None:
    """It fails closed, in development as well, and the report names it."""
    environ = {
        f"SVCREADY_ADMIN_{name}": value,
        "SVCREADY_SERVICE_ENVIRONMENT": "development",
    }
    if name in {"HOSTS", "TRUSTED_PROXIES"}:
        environ["SVCREADY_ADMIN_NETWORKS"] = "127.0.0.0/8"

    with running(environ=environ) as harness:
        problems = harness.runtime.problems()
        assert any(
            name in problem and "fails closed" in problem for problem in problems
        )
        asked = ask("127.0.0.1", Host="evil.example")
        assert surface_says(harness, asked)[0] == 401


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ({"OIDC_ISSUER": "https://i.example"}, "SVCREADY_ADMIN_OIDC_AUDIENCE"),
        ({"OIDC_READ_ROLES": "ops"}, "SVCREADY_ADMIN_OIDC_JWKS_URL"),
        (
            {
                "OIDC_ISSUER": "https://i.example",
                "OIDC_AUDIENCE": "orders",
                "OIDC_JWKS_URL": "https://i.example/keys",
            },
            "SVCREADY_ADMIN_OIDC_READ_ROLES or SVCREADY_ADMIN_OIDC_WRITE_ROLES",
        ),
        ({"CLIENT_CERT_HEADER": "X-S"}, "SVCREADY_ADMIN_TRUSTED_PROXIES"),
        ({"CLIENT_CERT_SUBJECTS": "CN=a"}, "SVCREADY_ADMIN_CLIENT_CERT_HEADER"),
    ],
)
def test_half_a_way_in_is_reported(said: dict[str, str], missing: str) -> None:
    """What is said in part admits nobody, and the report says what is missing."""
    environ = {f"SVCREADY_ADMIN_{name}": value for name, value in said.items()}
    with running(environ=environ) as harness:
        (problem,) = harness.runtime.problems()

    assert missing in problem
    assert "nobody is admitted by" in problem


def test_proxies_alone_are_no_problem() -> None:
    """They are for the networks, and may be told before."""
    with running(environ={"SVCREADY_ADMIN_TRUSTED_PROXIES": "10.0.0.1"}) as harness:
        assert harness.runtime.problems() == ()


def test_a_short_token_is_told_of() -> None:
    """It works, and the start line says that it can be guessed."""
    with running(environ={"SVCREADY_ADMIN_TOKENS": f"{TOKEN},s3cret"}) as harness:
        build_surface(harness.runtime)
        (notice,) = harness.runtime.notices

    assert "SVCREADY_ADMIN_TOKENS has tokens of fewer than 16 characters" in notice
    assert "by their places: 2" in notice
    assert default_redactor().text(notice) == notice
    assert "s3cret" not in notice


def test_what_is_refused_is_told_nothing() -> None:
    """Every refusal has the same answer, whichever method and whatever was wrong."""
    environ = {"SVCREADY_ADMIN_TOKENS": TOKEN, "SVCREADY_ADMIN_MAX_FAILURES": "0"}
    offers: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Basic {TOKEN}"},
    )
    methods = ("GET", "POST", "PUT", "TRACE", "get", "OPTIONS")
    with running(environ=environ) as harness:
        harness.runtime.ready()
        surface = build_surface(harness.runtime)
        answers = {
            surface.answer(ask(method=method, **offer))
            for offer in offers
            for method in methods
        }
        (answer,) = answers

    assert answer.status == 401


def test_too_many_refusals_are_a_429() -> None:
    """The answer says when to come back; every refusal is in the audit log."""
    environ = {"SVCREADY_ADMIN_TOKENS": TOKEN, "SVCREADY_ADMIN_MAX_FAILURES": "2"}
    with running(environ=environ, clock=FakeClock()) as harness:
        said = [surface_says(harness, ask()) for _ in range(3)]
        entries = harness.audit_entries

    assert [status for status, _ in said] == [401, 401, 429]
    assert said[-1][1]["retry-after"] == "60"
    reasons = [entry["details"] for entry in entries]
    assert reasons == [
        {"method": "GET", "reason": "no_credentials"},
        {"method": "GET", "reason": "too_many_failures"},
    ]
