"""
Innocent fields as services log them, by kind: what redaction has to leave alone.

A seeded generator makes the ids, numbers and hashes; the texts are written by hand.
"""

from __future__ import annotations

import base64
import random
import string
import uuid
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

__all__ = ["Innocent", "innocents"]

HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Innocent(NamedTuple):
    """A field that holds no secret."""

    kind: str
    name: str
    value: object


def _word(rng: random.Random, alphabet: str, size: int) -> str:
    return "".join(rng.choices(alphabet, k=size))


def _ids(rng: random.Random) -> list[Innocent]:
    made = []
    for _ in range(60):
        some = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        made += [
            Innocent("UUID", rng.choice(["order_id", "tenant", "message_id"]), some),
            Innocent("UUID in text", "message", f"order {some} accepted in 12 ms"),
            Innocent("ULID", "event_id", "01" + _word(rng, CROCKFORD, 24)),
            Innocent("object id", "_id", _word(rng, HEX, 24)),
            Innocent("trace id", "trace_id", _word(rng, HEX, 32)),
            Innocent(
                "traceparent",
                "traceparent",
                f"00-{_word(rng, HEX, 32)}-{_word(rng, HEX, 16)}-01",
            ),
            Innocent(
                "X-Ray id", "xray", f"1-{_word(rng, HEX, 8)}-{_word(rng, HEX, 24)}"
            ),
            Innocent("customer id", "customer", f"cus_{_word(rng, ALNUM, 14)}"),
            Innocent("payment id", "payment", f"pi_{_word(rng, ALNUM, 24)}"),
            Innocent("short id", "user", f"u-{rng.randrange(10**7)}"),
        ]

    return made


def _hashes(rng: random.Random) -> list[Innocent]:
    made = []
    for _ in range(40):
        sha1 = _word(rng, HEX, 40)
        made += [
            Innocent("git SHA", "commit", sha1),
            Innocent("git SHA in text", "message", f"deployed {sha1[:12]} to aws eu-1"),
            Innocent("SHA-256", "digest", f"sha256:{_word(rng, HEX, 64)}"),
            Innocent("ETag", "etag", f'W/"{_word(rng, HEX, 32)}"'),
            Innocent("MD5", "checksum", _word(rng, HEX, 32)),
            Innocent(
                "image", "image", f"registry.example.com/shop/orders@sha256:{_word(rng, HEX, 64)}"
            ),
            Innocent(
                "base64 image",
                "thumbnail",
                "data:image/png;base64," + base64.b64encode(rng.randbytes(90)).decode(),
            ),
            Innocent("base64", "payload", base64.b64encode(rng.randbytes(60)).decode()),
        ]  # fmt: skip

    return made


def _numbers(rng: random.Random) -> list[Innocent]:
    made = []
    for _ in range(45):
        at = 1_763_000_000 + rng.randrange(10**7)
        order = rng.randrange(10**15, 10**16)
        made += [
            Innocent("seconds", "ts", at),
            Innocent("milliseconds", "timestamp", at * 1000 + rng.randrange(1000)),
            Innocent("microseconds", "time_us", at * 10**6 + rng.randrange(10**6)),
            Innocent("nanoseconds", "start_ns", at * 10**9 + rng.randrange(10**9)),
            Innocent("snowflake", "tweet", rng.randrange(10**18, 2 * 10**18)),
            Innocent("16-digit order number", "order_number", order),
            Innocent("order number", "order", f"{rng.randrange(10**9):09d}"),
            Innocent(
                "order number in groups",
                "order_ref",
                f"{rng.randrange(100, 1000)}-{rng.randrange(10**7):07d}"
                f"-{rng.randrange(10**7):07d}",
            ),
            Innocent("EAN", "ean", "40" + _word(rng, string.digits, 11)),
            Innocent("parcel", "tracking", "1Z" + _word(rng, CROCKFORD, 16)),
            Innocent("parcel", "tracking", "9400" + _word(rng, string.digits, 18)),
            Innocent("IBAN", "iban", "DE" + _word(rng, string.digits, 20)),
            Innocent(
                "IBAN in groups",
                "iban",
                " ".join(["DE89", *(_word(rng, string.digits, 4) for _ in "1234"), "00"]),
            ),
            Innocent("phone", "phone", f"+49 151 {rng.randrange(10**8):08d}"),
            Innocent("phone", "phone", f"+31{rng.randrange(10**9):09d}"),
            Innocent("price", "total", round(rng.random() * 1000, 2)),
            Innocent("ratio", "ratio", rng.random()),
            Innocent("bytes", "size_bytes", rng.randrange(10**10)),
            Innocent("amounts", "note", f"{rng.randrange(10**4)} of {order % 10**6} EUR"),
            Innocent("coordinates", "at", f"{rng.random() * 90:.15f},{rng.random():.15f}"),
        ]  # fmt: skip

    return made


def _times(rng: random.Random) -> list[Innocent]:
    made = []
    for _ in range(25):
        at = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(
            seconds=rng.random() * 10**6
        )
        made += [
            Innocent("ISO time", "created_at", at.isoformat()),
            Innocent("HTTP date", "expires", f"{at:%a, %d %b %Y %H:%M:%S} GMT"),
            Innocent("compact time", "batch", f"{at:%Y%m%d%H%M%S%f}"),
            Innocent(
                "log line", "line", f"{at:%Y-%m-%d %H:%M:%S},123 INFO worker[17]: ok"
            ),
        ]

    return made


NAMES = (
    *("author", "authority", "authored_by", "session_count", "sessions", "token_count"),
    *("max_tokens", "total_tokens", "prompt_tokens", "tokenizer", "token_type"),
    *("token_bucket", "token_expires_at", "token_ttl_s", "page_token", "nextToken"),
    *("next_page_token", "continuation_token", "nextPageToken", "resume_token"),
    *("time_to_first_token", "eos_token", "monkey", "keyboard", "keyword", "passenger"),
    *("compass", "passed", "pass_rate", "boarding_pass", "bypass", "password_length"),
    *("password_reset_url", "has_password", "secret_name", "secret_arn", "secretary"),
    *("cookie_consent", "cookies_enabled", "cache_key", "primary_key", "partition_key"),
    *("sort_key", "idempotency_key", "routing_key", "public_key", "key", "keys"),
    *("api_key_id", "key_id", "kid", "auth_method", "authenticated", "oauth_scopes"),
    *("credentials_provider", "is_secret", "num_secrets", "signature_version"),
    *("pin_count", "card_type", "card_last4", "sid_count", "design", "bearer"),
)
VALUES = (
    "retail",
    "Bearer",
    "v2",
    17,
    0.25,
    "eyes",
    "b2Zmc2V0OjQw",
    "n/a",
    "eu-west-1",
)

TEXTS = (
    "order accepted and handed over to the warehouse in Rotterdam",
    "payment of order 4711 took 12.5 ms: state=settled, retries=0",
    "the password is wrong",
    "password reset mail sent",
    "Bearer authentication failed",
    "bearer token-based login is off",
    'WWW-Authenticate: Bearer realm="shop", error="invalid_request"',
    "basic information is missing",
    "Basic Research Group",
    "SELECT id, name FROM users WHERE email = %s AND state IN ('open', 'sent') LIMIT 50",
    "INSERT INTO tokens_used (model, prompt_tokens) VALUES (%(model)s, %(n)s)",
    "UPDATE sessions SET seen_at = now() WHERE id = $1",
    "CREATE INDEX CONCURRENTLY ix_orders_author ON orders (author)",
    "arn:aws:iam::123456789012:role/orders-in-eu-west-1",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf",
    "arn:aws:lambda:eu-west-1:123456789012:function:ResizeThumbnailsOfTheShopsFrontPage",
    "s3://aws-logs-123456789012-eu-west-1/AWSLogs/2026/11/22/",
    "secret/orders/in/the/vault/at/the/path/of/nothing/much",
    "mounting /var/run/secrets/kubernetes.io/serviceaccount/token",
    "reading config from /etc/keys/README and /opt/passenger/compass",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "python-httpx/0.28.1",
    "https://shop.example.com/orders?page=2&sort=-created_at&token_type=bearer#top",
    "https://shop.example.com:8443/users/me@example.com/orders",
    "GET /orders/4711?next=%2Fcart%3Fitem%3D7 HTTP/1.1",
    "/orders/{id}/items/{item}",
    "orders-7d9c6b5f4-x2x9k",
    "ip-10-0-17-42.eu-west-1.compute.internal",
    "postgres://db.example.com:5432/orders?sslmode=require",
    "redis://cache:6379/0",
    'Traceback (most recent call last):\n  File "/app/pay.py", line 12, in pay\n'
    "    charge(order)\nTimeoutError: no answer in 5 s\n",
    "KeyError: 'price'",
    "ValueError: invalid literal for int() with base 10: 'x'",
    "{'order': 7, 'state': 'open', 'author': 'c-17'}",
    '{"order":7,"token_type":"bearer","expires_in":3600,"tokens":512}',
    "kafka consumer group orders-v2 rebalanced: partitions=[0, 3, 7]",
    "retry 2/5 of payments in 0.4 s: ConnectionResetError(104, 'reset by peer')",
    "circuit breaker payments: closed -> open (5 of 10 calls failed)",
    "cookie banner shown",
    "session of 12 min ended",
    "compass heading 271.5, passenger 3 of 4",
    "X-Forwarded-For: 203.0.113.7, 10.0.0.1",
    "accept-encoding: gzip, br",
    'if-none-match: "33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "application/vnd.api+json; charset=utf-8",
    "sk-learn-pipeline-with-a-rather-long-name",
    "task-0191e7c2-7b0e-7cc3-98c5-4e4d3d1f1c11",
    "hf_transfer is not installed",
    "npm_config_registry is set",
    "glibc-2.39, openssl-3.0.13",
    "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkq\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----",
    "eyJ is how they start",
    "columns ('password', 'name', 'age')",
    "field required: ['name', 'password']",
    "100% of 40 tests passed",
    "Order 2026-4711-0001-17 of 12-2026",
    "pool: size=10 checked_out=3 overflow=-7",
    "rtt min/avg/max = 0.1/0.2/0.3 ms",
    "temperature 4.1111111111111111 C",
    "Unexpected token < in JSON at position 0",
    "token bucket empty: 0 of 100 tokens",
    "grant_type=authorization_code scope=orders:read",
    "user me@example.com signed in",
    "feature flag new-checkout is on for 12 % of sessions",
)  # fmt: skip
KNOWN = (
    ("prose with a colon behind a secret's name", "Invalid token: unexpected end"),
    ("prose with a colon behind a secret's name", "password: must not be empty"),
    ("source line in a stack", "    client = Client(token=config.token, n=1)"),
)
"""What is hidden although it is innocent: it can't be told from a secret by its look."""


def innocents() -> list[Innocent]:
    """Return the corpus, the same at each call."""
    rng = random.Random(20261122)
    made = [*_ids(rng), *_hashes(rng), *_numbers(rng), *_times(rng)]
    made += [Innocent("innocent name", n, rng.choice(VALUES)) for n in NAMES]
    made += [Innocent("innocent name", n, "retail") for n in NAMES]
    made += [Innocent("text", "message", text) for text in TEXTS]
    made += [Innocent("text", "context", {"a": [text]}) for text in TEXTS]
    made += [Innocent(kind, "message", text) for kind, text in KNOWN]
    return made
