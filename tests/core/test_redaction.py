"""The redaction engine hides secrets, and hardly anything else."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core import _redaction_keys as keys_module
from svcready._core.redaction import Redactor, default_redactor

JWT = (
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0."
    "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq83vEjRW\n"
    "-----END RSA PRIVATE KEY-----"
)

SECRET_NAMES = [
    *("password", "passwd", "pwd", "PASSWORD", "db_password", "PGPASSWORD"),
    *("password2", "newPassword", "password_hash", "user-password", "dbpassword"),
    *("secret", "client_secret", "clientSecret", "SECRET_KEY", "secret_value"),
    *("aws_secret_access_key", "token", "access_token", "refreshToken", "X-Auth-Token"),
    *("idtoken", "api_key", "apikey", "X-Api-Key", "x_api_key_v2", "openai.api_key"),
    *("authorization", "Authorization", "Proxy-Authorization", "cookie", "Set-Cookie"),
    *("private_key", "privateKey", "ssh_private_key", "credential", "credentials"),
    *("session_id", "sessionid", "JSESSIONID", "PHPSESSID", "connect.sid", "cvv"),
    *("jwt", "csrfToken", "X-CSRF-Token", "passphrase", "connection_string"),
    *("admin_tokens", "AccountKey", "signing_key", "session"),
]
INNOCENT_NAMES = [
    *("author", "authority", "session_count", "token_count", "max_tokens", "secretary"),
    *("passport_control_lane", "compass", "passenger", "boarding_pass", "key", "keys"),
    *("primary_key", "cache_key", "keyboard", "tokenizer", "token_bucket", "tokens"),
    *("prompt_tokens", "password_length", "password_policy", "has_password"),
    *("password_reset_url", "secret_name", "secret_arn", "secrets_manager"),
    *("cookie_consent", "cookies_enabled", "token_type", "token_expires_at"),
    *("credentials_provider", "num_secrets", "is_secret", "order_id", "user_id"),
    *("authenticated", "auth_method", "monkey", "turkey", "session_duration_s"),
    *("api_key_id", "route", "status", "duration_ms", "customer", "basic", "bearer"),
    *("", "---", "description", "desired_state", "tokyo", "pass_rate", "stoken_rate"),
]


@pytest.fixture
def redactor() -> Redactor:
    """The built-in rules."""
    return Redactor()


class TestKeys:
    """Names of fields."""

    @pytest.mark.parametrize("name", SECRET_NAMES)
    def test_secret_names(self, redactor: Redactor, name: str) -> None:
        """A value under a secret's name is hidden whatever it is."""
        assert redactor.is_secret_key(name)
        assert redactor.fields({name: "x"}) == {name: "[redacted:key]"}
        assert redactor.fields({name: 12}) == {name: "[redacted:key]"}
        assert redactor.fields({name: ["x"]}) == {name: "[redacted:key]"}

    @pytest.mark.parametrize("name", INNOCENT_NAMES)
    def test_innocent_names(self, redactor: Redactor, name: str) -> None:
        """A name that only resembles a secret's keeps its value."""
        fields = {name: "retail", "n": 1}

        assert not redactor.is_secret_key(name)
        assert redactor.fields(fields) is fields
        assert redactor.fields(fields) is fields  # now from the cache

    @pytest.mark.parametrize("value", [None, True, False])
    def test_nothing_to_hide(self, redactor: Redactor, value: object) -> None:
        """None and flags under a secret name stay: they say only that it is there."""
        fields = {"password": value}

        assert redactor.fields(fields) is fields

    def test_further_keys(self) -> None:
        """A further key counts in every spelling, whole and as a longer one's end."""
        redactor = Redactor(keys=["card-number", "pan", ""])

        for name in ("cardNumber", "card_number", "old_card_number", "pan", "card.pan"):
            assert redactor.is_secret_key(name), name

        for name in ("card", "number", "panel", "pan_count", "span"):
            assert not redactor.is_secret_key(name), name

        assert redactor.text("span=1 pan=2") == "span=1 pan=[redacted:key]"

    def test_safe_keys(self) -> None:
        """A safe key's value stays, but is still searched for secrets."""
        redactor = Redactor(safe_keys=["page_token"])
        fields = {"pageToken": "abc", "page_token": "abc"}

        assert redactor.fields(fields) is fields
        assert redactor.fields({"page_token": JWT}) == {"page_token": "[redacted:jwt]"}
        assert redactor.is_secret_key("other_token")

    def test_hints_cover_the_names(self) -> None:
        """Text without any hint has no secret pair: every secret name has a hint."""
        names = (
            *(keys_module._WEAK | keys_module._STRONG | keys_module._WHOLE),
            *keys_module._ENDINGS,
        )

        for name in names:
            assert keys_module.may_name_secret(name), name

    def test_caches_are_bounded(self, redactor: Redactor) -> None:
        """Endlessly many names cost bounded memory and stay right."""
        for number in range(10_000):
            redactor.fields({f"f{number}": 1, f"password_{number}": "x"})
        redactor.fields({"n" * 10_000: 1})

        assert len(redactor._innocent) <= 4096
        assert len(redactor._verdicts) <= 4096
        assert redactor.fields({"f1": 1, "password_1": "x"}) == {
            "f1": 1,
            "password_1": "[redacted:key]",
        }


TEXTS = [
    (f"got {JWT}!", "got [redacted:jwt]!"),
    ("Bearer abc123DEF456", "Bearer [redacted:authorization]"),
    (
        f"sent Basic {base64.b64encode(b'me:pw').decode()} on",
        "sent Basic [redacted:authorization] on",
    ),
    (f"id {KEY_ID},", "id [redacted:aws-key-id],"),
    (f"AWS secret is {AWS_SECRET} ", "AWS secret is [redacted:aws-secret] "),
    (f"a\n{PEM}\nb", "a\n[redacted:private-key]\nb"),
    (PEM[:60], "[redacted:private-key]"),
    (f"{PEM} {PEM}", "[redacted:private-key] [redacted:private-key]"),
    (
        "postgres://me:p%40ss@db:5432/x failed",
        "postgres://[redacted:user-info]@db:5432/x failed",
    ),
    ("redis://:p@ss@cache/0", "redis://[redacted:user-info]@cache/0"),
    (
        "GET https://a.b/c?color=blue&X-Amz-Signature=abc&z=1",
        "GET https://a.b/c?color=blue&X-Amz-Signature=[redacted:query]&z=1",
    ),
    (
        "GET /cb?access_token=abc&z=1 done",
        "GET /cb?access_token=[redacted:key]&z=1 done",
    ),
    ("password=hunter2 user=me", "password=[redacted:key] user=me"),
    ("DB_PASSWORD: hunter2", "DB_PASSWORD: [redacted:key]"),
    ('{"password": "a b\\" c", "n": 1}', '{"password": [redacted:key], "n": 1}'),
    ("{'token': 'abc', 'n': 1}", "{'token': [redacted:key], 'n': 1}"),
    ("{'token': b'abc', 'n': 1}", "{'token': [redacted:key], 'n': 1}"),
    ('{"token":123,"n":1}', '{"token":[redacted:key]"n":1}'),
    (r"{\"password\": \"abc\", \"n\": 1}", r"{\"password\": [redacted:key], \"n\": 1}"),
    ('password="never closed', "password=[redacted:key]"),
    ("Login(password=Secret('abc d'), n=1)", "Login(password=[redacted:key], n=1)"),
    ("secrets=['a', 'b'] n=1", "secrets=[redacted:key] n=1"),
    ("Authorization: Bearer x", "Authorization: [redacted:key]"),
    (
        'authorization: Digest username="me", response="abc"\nHost: x',
        "authorization: [redacted:key]\nHost: x",
    ),
    ("Cookie: sid=abc; theme=dark\nHost: x", "Cookie: [redacted:key]\nHost: x"),
    ("Set-Cookie: a=b; Path=/", "Set-Cookie: [redacted:key]"),
    ('note="password=abc"', 'note="password=[redacted:key]"'),
    (
        "[('host', 'x'), ('authorization', 'abc d'), ('accept', '*/*')]",
        "[('host', 'x'), ('authorization', [redacted:key]), ('accept', '*/*')]",
    ),
    (
        "[(b'x-api-key', b'it\\'s'), (b'a', b'b')]",
        "[(b'x-api-key', [redacted:key]), (b'a', b'b')]",
    ),
    ('[["cookie","a=b"],["n","1"]]', '[["cookie",[redacted:key]],["n","1"]]'),
    (
        r"[[\"token\", \"abc\"], [\"n\", 1]]",
        r"[[\"token\", [redacted:key]], [\"n\", 1]]",
    ),
    ("('password', 'cut o", "('password', [redacted:key]"),
    ("('password', 1234)", "('password', [redacted:key])"),
    ("/c/Bearer%20abc123DEF456?d", "/c/[redacted:authorization]"),
    ("h=Bearer+abc123DEF456&a=b", "h=Bearer+[redacted:authorization]&a=b"),
    ("x%3DBearer%2520abc123DEF", "[redacted:authorization]"),
    (
        f"%20basic%20{base64.b64encode(b'me:pwd1').decode().replace('=', '%3D')}%0A",
        "[redacted:authorization]",
    ),
    (f"a%20{JWT}%20", "[redacted:jwt]"),
    (f"a%3D{JWT.replace('.', '%2E')}", "[redacted:jwt]"),
    (f"a%2F{KEY_ID}%2Feu", "[redacted:aws-key-id]"),
]

TEXTS += [
    ("f(auth=Creds('a', key='b'), n=1)", "f(auth=[redacted:key], n=1)"),
    (
        '{"credentials": {"a": "x}y", "b": [1]}, "n": 1}',
        '{"credentials": [redacted:key], "n": 1}',
    ),
    (
        r"{\"secret\": \"a\\\"b c\", \"n\": 1}",
        r"{\"secret\": [redacted:key], \"n\": 1}",
    ),
    ("password=it's{a b", "password=[redacted:key] b"),
    ("user[password]=abc&n=1", "user[password]=[redacted:key]&n=1"),
    ("os.environ['DB_PASSWORD'] = 'a'", "os.environ['DB_PASSWORD'] = [redacted:key]"),
    (r"a\npassword=x y", r"a\npassword=[redacted:key] y"),
    (r"C:\token=x y", r"C:\token=[redacted:key] y"),
    ("run --password hunter2 --verbose", "run --password [redacted:key] --verbose"),
    ("['run', '--token', 'abc', 'x']", "['run', '--token', [redacted:key], 'x']"),
    ("<a:password>abc</a:password>", "<a:password>[redacted:key]</a:password>"),
    ("CREATE USER a IDENTIFIED BY 'b'", "CREATE USER a IDENTIFIED BY [redacted:key]"),
    ("db://a:b/c#d@host/x", "db://[redacted:user-info]@host/x"),
    ("card 4111 1111 1111 1111 12/27", "card [redacted:card] 12/27"),
    ("3 4111111111111111, 5500-0055-5555-5559.", "3 [redacted:card], [redacted:card]."),
    ("amex 3782 822463 10005 ok", "amex [redacted:card] ok"),
    ("visa 4222222222222", "visa [redacted:card]"),
    ("?n=4111+1111+1111+1111&a=b", "?n=[redacted:card]&a=b"),
    (
        f"x: {'Ab/9' * 16}\n{PEM[58:]}",
        "x: [redacted:private-key]\n-----END RSA PRIVATE KEY-----",
    ),
    (PEM.replace("\n", "\\n"), "[redacted:private-key]"),
    (
        "Authorization: AWS4-HMAC-SHA256 Credential=a/b, Signature=c",
        "Authorization: [redacted:key]",
    ),
]

INNOCENT_TEXTS = [
    *("", "retail", "order accepted", "/orders/{id}", "https://a.b/c?q=1#x", "a=b c:d"),
    *("Bearer authentication failed", "bearer of bad news", "basic information", "no:"),
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709 of the secret store",
    "secret/" + "a" * 64,
    *("token_count=5 author: me", "password_length=12", "at 12:34:56 key=abc"),
    "arn:aws:iam::123456789012:role/orders-in-eu-west-1",
    *("the password is wrong", "tokens: 5", "eyJ is how they start", "mail me@a.b"),
    "-----BEGIN PUBLIC KEY-----",
    *("columns ('password', 'name', 'age')", "['name', 'password']", "f('a', 'b')"),
    *("password=None", '"token": null', "secret: True", "order 4111111111111112"),
    *("0.4111111111111111", "4111111111111111.5", "x4111111111111111"),
    *("DE89 3704 0044 0532 0130 00", "+4915123456789", "4006381333931 is an article"),
    *("http://host:8080/users/a@b", "arn:aws:secretsmanager:e:1:secret:a/b-C"),
    *("('token_count', '5')", "bearer%20of%20news", "basic+information"),
]


class TestText:
    """Secrets in running text."""

    @pytest.mark.parametrize(("text", "expected"), TEXTS)
    def test_secrets(self, redactor: Redactor, text: str, expected: str) -> None:
        """Each form of secret in a text is replaced, and only it."""
        assert redactor.text(text) == expected

    @pytest.mark.parametrize(("text", "expected"), TEXTS)
    def test_twice(self, redactor: Redactor, text: str, expected: str) -> None:
        """What is redacted once doesn't change when it passes again."""
        assert redactor.text(expected) == expected

    @pytest.mark.parametrize("text", INNOCENT_TEXTS)
    def test_innocent(self, redactor: Redactor, text: str) -> None:
        """A text without secrets comes back as the same object."""
        assert redactor.text(text) is text

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """No text makes it raise, and a second pass finds nothing new to break."""
        default_redactor().text(text)
        default_redactor().url(text)

    @given(
        before=st.text(alphabet=" ,.abAB\n{}\"'", max_size=20),
        secret=st.text(alphabet="abcXYZ0189_-./+", min_size=12, max_size=40),
        quote=st.sampled_from(['"', "'", ""]),
        sign=st.sampled_from(["=", ": ", ":", " = ", " => "]),
        name=st.sampled_from(SECRET_NAMES),
    )
    def test_pairs_anywhere(
        self, before: str, secret: str, quote: str, sign: str, name: str
    ) -> None:
        """The value of a secret pair is gone wherever in a text the pair stands."""
        text = f"{before} {name}{sign}{quote}{secret}{quote} end"

        assert secret not in default_redactor().text(text)

    @pytest.mark.parametrize(
        "piece",
        [
            *("a=b ", "password=x ", "eyJ", "eyJ.", "Bearer a ", "aws", " aws", "://"),
            *("://a@", 'password="', "\\", "a", "[", "=", " ", '"', "bearer "),
            *("-----BEGIN PRIVATE KEY", "cookie: a\n", "token: ", "?sig=", "AKIA"),
            *("A", 'password\\"', "password=a(", "password = [", "secret" + "a" * 41),
            *("('token', ", "('token', \"", "['token', 'a'", "(\\'token\\', \"", "('"),
            *(
                "password={",
                "password={'",
                "4111 ",
                "4",
                "41111111111111 ",
                "--token a ",
            ),
            *(
                "%20",
                "%",
                "a%3Da",
                "<password>",
                "<a:",
                "ghp_",
                "sk-",
                "a_",
                "a-",
                "SG.",
            ),
            *("-----END PRIVATE KEY", "://a:b", "with password '", '\\\\"', "eyJ.a."),
            *("bearer+", "Bearer%20", "%20eyJaaaa.", "%2E", "basic%20a%3D", "(  "),
        ],
    )
    def test_time_is_linear(self, redactor: Redactor, piece: str) -> None:
        """A long hostile text costs in proportion to its length."""

        def cost(size: int) -> float:
            text = "password = secret aws bearer eyJ://cookie: AKIA -----BEGIN "
            text += piece * (size // len(piece))
            times = []
            for _ in range(3):
                start = time.process_time()
                redactor.text(text)
                times.append(time.process_time() - start)

            return min(times)

        small, large = 1 << 15, 1 << 18

        # Eight times the text; a quadratic search would take 64 times as long.
        assert cost(large) <= 24 * cost(small) + 0.01


class TestUrl:
    """URLs as span attributes."""

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://me:pw@a.b/c", "https://REDACTED:REDACTED@a.b/c"),
            ("https://a.b/c?x=1&sig=ab#f", "https://a.b/c?x=1&sig=REDACTED#f"),
            ("/c?X-Amz-Credential=a%2Fb&q=1", "/c?X-Amz-Credential=REDACTED&q=1"),
            ("/c?AWSAccessKeyId=a&b=c", "/c?AWSAccessKeyId=REDACTED&b=c"),
            ("/c?api_key=a&page=2", "/c?api_key=REDACTED&page=2"),
            ("/c?token", "/c?token"),
            (f"/c/{JWT}/d", "/c/[redacted:jwt]/d"),
            ("/c?h=Bearer%20abc123DEF&q=a%20b", "/c?h=REDACTED&q=a%20b"),
            ("/c/Bearer%20abc123DEF", "/c/[redacted:authorization]"),
            ("/c?api%5Fkey=a&page=2", "/c?api%5Fkey=REDACTED&page=2"),
            (f"/c?x=a%3D{JWT.replace('.', '%2E')}", "/c?x=REDACTED"),
            ("/c?to=https%3A%2F%2Fa.b%2F%3Fpassword%3Dabc", "/c?to=REDACTED"),
            ("/c?to=%252Fa%253Fpassword%253Dabc", "/c?to=REDACTED"),
        ],
    )
    def test_secrets(self, redactor: Redactor, url: str, expected: str) -> None:
        """Credentials in a URL become REDACTED, as semantic conventions spell it."""
        assert redactor.url(url) == expected

    def test_innocent(self, redactor: Redactor) -> None:
        """A URL without credentials stays as it is."""
        url = "https://a.b/c?color=blue&author=me&page#top"

        assert redactor.url(url) == url


class Colour(StrEnum):
    """Text of a subclass."""

    RED = "red"
    LEAK = f"x {JWT}"


@dataclass
class Login:
    """What the JSON encoder would write out."""

    user: str
    password: str


class Access(NamedTuple):
    """What the log line shows by its names."""

    user: str
    password: str


class Account(NamedTuple):
    """Two items without a secret."""

    user: str
    kind: str


class TestFields:
    """Mappings of names to values."""

    def test_nested(self, redactor: Redactor) -> None:
        """Secrets are found in dictionaries, lists and tuples, left unchanged."""
        fields = {
            "user": {"name": "me", "password": "x", "tags": ["a", {"token": "y"}]},
            "pair": ("a", f"Bearer {JWT}"),
            "n": 1,
        }
        before = repr(fields)

        assert redactor.fields(fields) == {
            "user": {
                "name": "me",
                "password": "[redacted:key]",
                "tags": ["a", {"token": "[redacted:key]"}],
            },
            "pair": ("a", "Bearer [redacted:jwt]"),
            "n": 1,
        }
        assert repr(fields) == before

    @pytest.mark.parametrize(
        "value",
        [
            {"a": {"b": [1, "x", (2, None)]}},
            {"a": {1, 2}, "b": frozenset({"x"})},
            {"a": b"bytes", "b": bytearray(b"x")},
            {"a": object(), "b": 1j, "c": Colour.RED},
            {"a": Login("me", "")} | {"a": 1},
            {"a": {}, "b": {1: 2, None: 3, b"k": 4}},
            MappingProxyType({"a": {"b": 1}}),
            {},
        ],
    )
    def test_innocent(self, redactor: Redactor, value: dict[str, object]) -> None:
        """Fields with nothing to hide come back as the same object."""
        assert redactor.fields(value) is value
        assert redactor.fields(value) is value

    @pytest.mark.parametrize(
        "value",
        [
            4111111111111111,
            4111111111111111.0,
            "4111111111111111",
            "/a/" + "4111111111111111",
        ],
    )
    def test_cards_as_values(self, value: object) -> None:
        """A card's number is hidden under any name, but one that the operator frees."""
        redactor = Redactor(safe_keys=["order_no"])
        for _ in range(2):
            shown = redactor.fields({"n": value, "deep": [value], "order_no": value})

            assert "4111" not in str([shown["n"], shown["deep"]])
            assert shown["order_no"] == value

    @pytest.mark.parametrize(
        "value",
        [
            1763800000123456789,
            4111111111111112,
            -4111111111111111,
            1e300,
            float("nan"),
            10**30,
        ],
    )
    def test_numbers_that_are_no_cards(self, redactor: Redactor, value: float) -> None:
        """Times, ids and amounts of the same size stay."""
        fields = {"n": value}

        for _ in range(2):
            assert redactor.fields(fields) is fields

    @pytest.mark.parametrize("kind", [tuple, list])
    @pytest.mark.parametrize("name", ["X-Api-Key", b"cookie"])
    def test_lists_of_pairs(
        self, redactor: Redactor, kind: type, name: str | bytes
    ) -> None:
        """Headers come as lists of pairs; the value beside a secret's name hides."""
        headers = [kind(("host", "here")), kind((name, "abcdef123456"))]

        shown = redactor.fields({"headers": headers, "required": ("password", "age")})

        assert shown["headers"] == [kind(("host", "here")), (name, "[redacted:key]")]
        assert shown["required"] == ("password", "age")

    def test_other_types(self, redactor: Redactor) -> None:
        """Bytes, text of subclasses, sets and dataclasses are searched as well."""
        fields = {
            "a": f"x {JWT}".encode(),
            "b": Colour.LEAK,
            "c": Login("me", "pw"),
            "d": {f"x {JWT}"},
            "e": {b"password": "x"},
        }

        assert redactor.fields(fields) == {
            "a": "x [redacted:jwt]",
            "b": "x [redacted:jwt]",
            "c": {"user": "me", "password": "[redacted:key]"},
            "d": ["x [redacted:jwt]"],
            "e": {b"password": "[redacted:key]"},
        }

    def test_named_tuples(self, redactor: Redactor) -> None:
        """The names of a tuple's items count, also of two in a list of pairs."""
        harmless = Account("me", "savings")

        shown = redactor.fields(
            {"one": Access("me", "pw"), "all": [Access("me", "pw"), harmless]}
        )

        hidden = {"user": "me", "password": "[redacted:key]"}
        assert shown == {"one": hidden, "all": [hidden, harmless]}
        assert redactor.fields({"one": harmless})["one"] is harmless

    def test_secret_as_key(self, redactor: Redactor) -> None:
        """A key that is itself a secret is hidden."""
        assert redactor.fields({"by": {JWT: 1}}) == {"by": {"[redacted:jwt]": 1}}

    @pytest.mark.parametrize("depth", [6, 7])
    def test_depth(self, redactor: Redactor, depth: int) -> None:
        """Six levels are searched; what lies deeper is hidden, not passed on."""
        fields: dict[str, object] = {"password": "x"}
        for _ in range(depth - 1):
            fields = {"a": fields}

        shown = repr(redactor.fields(fields))

        assert ("[redacted:key]" in shown) == (depth == 6)
        assert ("[cut: depth]" in shown) == (depth == 7)

    def test_cycles(self, redactor: Redactor) -> None:
        """Values that contain themselves, even many times over, end."""
        fields: dict[str, object] = {}
        fields.update({f"k{n}": fields for n in range(200)})
        fields["password"] = "x"

        assert "'password': 'x'" not in repr(redactor.fields(fields))

    def test_off(self) -> None:
        """Switched off, it shows everything, even with a bad pattern."""
        redactor = Redactor(enabled=False, patterns=["("])
        fields = {"password": "x", "a": JWT}

        assert redactor.fields(fields) is fields
        assert redactor.text(JWT) is JWT
        assert redactor.url("https://a:b@c") == "https://a:b@c"
        assert not redactor.is_secret_key("password")


class TestPatterns:
    """Patterns that the operator adds."""

    def test_own_patterns(self) -> None:
        """Matches of a pattern of one's own are hidden in short values, too."""
        redactor = Redactor(patterns=[r"\d{3}-\d{4}", "Z+"])

        for _ in range(2):
            assert redactor.fields({"a": "x123-4567", "b": "ZZ"}) == {
                "a": "x[redacted:pattern-1]",
                "b": "[redacted:pattern-2]",
            }

    def test_long_texts(self) -> None:
        """Own patterns search 64 KiB; what they don't search is hidden, not passed."""
        redactor = Redactor(patterns=["Z[0-9]{8}"])
        straddling = "x" * (64 * 1024 - 4) + "Z12345678 and more"

        assert redactor.text("a Z12345678") == "a [redacted:pattern-1]"
        shown = redactor.text(straddling)

        assert shown.endswith("x[redacted:size]")
        assert "Z" not in shown
        assert len(shown) > 60_000
        assert Redactor().text(straddling) is straddling

    @pytest.mark.parametrize("pattern", ["(", "*", "[a", "(?P<n>a)(?P<n>b)", "a{2,1}"])
    def test_bad_pattern_fails_closed(self, pattern: str) -> None:
        """A bad pattern hides every value that is not under a safe key, and says so."""
        redactor = Redactor(patterns=["ok", pattern], safe_keys=["route", "user"])

        (problem,) = redactor.problems
        assert "pattern 2" in problem
        for _ in range(2):
            assert redactor.fields(
                {"a": "x", "n": 1, "route": "/a", "user": {"name": "me", "route": "b"}}
            ) == {
                "a": "[redacted:mask-all]",
                "n": "[redacted:mask-all]",
                "route": "/a",
                "user": {"name": "[redacted:mask-all]", "route": "b"},
            }

    def test_problems(self) -> None:
        """Good patterns leave no problem."""
        assert Redactor(patterns=["a+"]).problems == ()


def test_default_is_one() -> None:
    """The redactor with the built-in rules is made once."""
    assert default_redactor() is default_redactor()
