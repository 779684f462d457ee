"""
Secrets of every form that redaction claims to find, made up, and the ways they travel.

A seeded generator makes them, and no literal here has a secret's whole form.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote, quote_plus

__all__ = ["CARRIERS", "FORMS", "Secret", "is_told", "placed", "secrets"]

ALNUM = string.ascii_letters + string.digits
BASE64 = ALNUM + "+/"
URLSAFE = ALNUM + "-_"
HEX = "0123456789abcdef"
LOWER = string.ascii_lowercase
PER_FORM = 25


class Secret(NamedTuple):
    """What must not be seen, and how a text holds it."""

    form: str
    value: str
    text: str
    """The value with what stands beside it: a name, a scheme, a URL's other parts."""
    name: str = ""
    """For a secret that only its name tells: of a field, header or parameter."""


def word(rng: random.Random, alphabet: str, size: int) -> str:
    """Return a random word."""
    return "".join(rng.choices(alphabet, k=size))


def _b64(data: object) -> str:
    raw = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _jwt(rng: random.Random) -> Secret:
    head = _b64({"alg": rng.choice(["HS256", "RS256", "ES384"]), "typ": "JWT"})
    body = _b64({"sub": word(rng, HEX, 12), "exp": rng.randrange(10**9, 2 * 10**9)})
    made = f"{head}.{body}.{word(rng, URLSAFE, 43)}"
    return Secret("JSON web token", made, made)


def _jwe(rng: random.Random) -> Secret:
    head = _b64({"alg": "dir", "enc": "A256GCM", "kid": word(rng, LOWER, 6)})
    made = f"{head}..{word(rng, URLSAFE, 16)}.{word(rng, URLSAFE, 60)}."
    made += word(rng, URLSAFE, 22)
    return Secret("encrypted web token", made, made)


def _bearer(rng: random.Random) -> Secret:
    made = word(rng, HEX, 32) if rng.random() < 0.3 else word(rng, ALNUM + "-._~", 40)
    made = made.strip(".") + "7a"
    scheme = rng.choice(["Bearer", "bearer", "BEARER"])
    return Secret("bearer credential", made, f"{scheme} {made}")


def _basic(rng: random.Random) -> Secret:
    pair = f"{word(rng, LOWER, 6)}:{word(rng, ALNUM + '!$%&.', 14)}"
    made = base64.b64encode(pair.encode()).decode()
    return Secret("basic credential", made, f"Basic {made}")


def _key_id(rng: random.Random) -> Secret:
    start = rng.choice(["AK", "AS"]) + "IA"
    made = start + word(rng, string.ascii_uppercase + "234567", 16)
    return Secret("AWS access key id", made, made)


def _aws_secret(rng: random.Random) -> Secret:
    made = word(rng, BASE64, 38) + "7+"
    said = rng.choice(["aws {}", "the AWS secret {}", "aws: key pair {}"])
    return Secret("AWS secret near a hint", made, said.format(made))


def _private_key(rng: random.Random) -> Secret:
    kind = rng.choice(["RSA ", "EC ", "", "ENCRYPTED ", "OPENSSH ", "PGP "])
    tail = " BLOCK" if kind == "PGP " else ""
    body = "\n".join(word(rng, BASE64, 64) for _ in range(4))
    name = f"{kind}PRIVATE KEY{tail}"
    made = f"-----BEGIN {name}-----\n{body}\n"
    if rng.random() < 0.7:  # else cut
        made += f"-----END {name}-----"

    return Secret("private key", body, made)


def luhn(digits: str) -> str:
    """Return *digits* with the check digit that ISO/IEC 7812-1 wants."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value

    return digits + str(-total % 10)


_CARDS = (
    *(("4", 16), ("51", 16), ("2223", 16), ("34", 15), ("37", 15), ("6011", 16)),
    *(("3530", 16), ("36", 14), ("62", 16), ("4", 19), ("5018", 18), ("65", 16)),
)


def _digits(rng: random.Random) -> str:
    start, size = rng.choice(_CARDS)
    return luhn(start + word(rng, string.digits, size - 1 - len(start)))


def _card(rng: random.Random) -> Secret:
    made = _digits(rng)
    return Secret("card number", made, made)


def _grouped_card(rng: random.Random) -> Secret:
    made = _digits(rng)
    while len(made) not in {15, 16}:
        made = _digits(rng)

    ends = (4, 10, 15) if len(made) == 15 else (4, 8, 12, 16)
    starts = (0, *ends[:-1])
    groups = [made[start:end] for start, end in zip(starts, ends, strict=True)]
    said = rng.choice([" ", "-"]).join(groups)
    return Secret("card number in groups", said, said)


def _url_password(rng: random.Random) -> Secret:
    made = word(rng, ALNUM + "-._~!$*", 16) + rng.choice(["", "%40x", "%2Fq9"])
    scheme = rng.choice(["postgres", "amqps", "https", "redis", "mongodb+srv"])
    user = rng.choice(["app", "", "svc-orders"])
    return Secret(
        "password in a URL", made, f"{scheme}://{user}:{made}@db.example.com:5432/x"
    )


def _signed_url(rng: random.Random) -> Secret:
    made = word(rng, HEX, 64)
    name = rng.choice(["X-Amz-Signature", "sig", "Signature", "X-Goog-Signature"])
    return Secret(
        "signature of a URL",
        made,
        f"https://b.example.com/k?X-Amz-Date=20261122T000000Z&{name}={made}&z=1",
    )


def _fragment(rng: random.Random) -> Secret:
    made = word(rng, URLSAFE, 40)
    name = rng.choice(["#access_token", "?api_key", "?auth_token", "#id_token"])
    return Secret(
        "secret parameter", made, f"https://a.example.com/cb{name}={made}&s=1"
    )


def _connection(rng: random.Random) -> Secret:
    if rng.random() < 0.5:
        made = word(rng, BASE64, 86) + "=="
        name = rng.choice(["AccountKey", "SharedAccessKey"])
        said = f"Endpoint=sb://q.example.net/;{name}={made};EntityPath=q"
    else:
        made = word(rng, ALNUM + "!#*", 18)
        said = f"Server=db;User Id=app;Password={made};Encrypt=true"

    return Secret("connection string", made, said)


_TOKENS: tuple[tuple[str, str, Callable[[random.Random], str]], ...] = (
    ("GitHub token", "gh", lambda r: f"{r.choice('posur')}_{word(r, ALNUM, 36)}"),
    ("GitHub token", "git", lambda r: f"hub_pat_{word(r, ALNUM, 22)}_{word(r, ALNUM, 59)}"),
    ("GitLab token", "gl", lambda r: f"pat-{word(r, URLSAFE, 20)}"),
    ("Slack token", "xo", lambda r: f"x{r.choice('abpr')}-{word(r, string.digits, 11)}"
     f"-{word(r, string.digits, 12)}-{word(r, ALNUM, 24)}"),
    ("Stripe key", "sk_", lambda r: f"live_{word(r, ALNUM, 24)}"),
    ("Stripe key", "rk_", lambda r: f"live_{word(r, ALNUM, 99)}"),
    ("Google key", "AI", lambda r: f"za{word(r, URLSAFE, 35)}"),
    ("npm token", "np", lambda r: f"m_{word(r, ALNUM, 36)}"),
    ("PyPI token", "py", lambda r: f"pi-AgEIcHlwaS5vcmc{word(r, URLSAFE, 120)}"),
    ("SendGrid key", "S", lambda r: f"G.{word(r, URLSAFE, 22)}.{word(r, URLSAFE, 43)}"),
    ("OpenAI key", "sk-", lambda r: f"proj-{word(r, URLSAFE, 74)}"),
    ("OpenAI key", "sk-", lambda r: word(r, ALNUM, 48)),
    ("Anthropic key", "sk-", lambda r: f"ant-api03-{word(r, URLSAFE, 93)}AA"),
    ("Databricks token", "da", lambda r: f"pi{word(r, HEX, 32)}"),
    ("Vault token", "hv", lambda r: f"s.{word(r, URLSAFE, 92)}"),
    ("Shopify token", "sh", lambda r: f"pat_{word(r, HEX, 32)}"),
    ("DigitalOcean token", "do", lambda r: f"p_v1_{word(r, HEX, 64)}"),
    ("Hugging Face token", "h", lambda r: f"f_{word(r, ALNUM, 34)}"),
    ("Grafana token", "gl", lambda r: f"sa_{word(r, ALNUM, 32)}_{word(r, HEX, 8)}"),
    ("Azure client secret", "a1B", lambda r: f"8Q~{word(r, ALNUM + '_-', 34)}"),
    ("Mailgun key", "ke", lambda r: f"y-{word(r, HEX, 32)}"),
)  # fmt: skip


def _token(rng: random.Random) -> Iterator[Secret]:
    for form, start, rest in _TOKENS:
        made = start + rest(rng)
        yield Secret(form, made, made)


def _twilio(rng: random.Random) -> Secret:
    made = "S" + "K" + word(rng, HEX, 32)
    return Secret("Twilio key", made, f"twilio said 401 for {made}")


def _webhook(rng: random.Random) -> Secret:
    made = f"T{word(rng, ALNUM.upper(), 9)}/B{word(rng, ALNUM.upper(), 9)}/"
    made += word(rng, ALNUM, 24)
    return Secret(
        "Slack webhook", made, "https://hooks.slack" + f".com/services/{made}"
    )


def _bot(rng: random.Random) -> Secret:
    made = f"{word(rng, '123456789', 9)}:{word(rng, URLSAFE, 35)}"
    return Secret(
        "Telegram bot", made, f"https://api.telegram.org/bot{made}/sendMessage"
    )


_NAMES = (
    *("password", "db_password", "passwd", "client_secret", "apiKey", "api_key"),
    *("X-Api-Key", "access_token", "refreshToken", "private_key", "secret"),
    *("X-Auth-Token", "csrf_token", "session_id", "credentials", "PGPASSWORD"),
)
_FREE_FORM = ALNUM + "!#$*+-./:;=?@^_~()[]{}|"


def _named(rng: random.Random) -> Secret:
    made = rng.choice(ALNUM) + word(rng, _FREE_FORM, 14) + rng.choice(ALNUM)
    name = rng.choice(_NAMES)
    said = rng.choice(["{}={}", "{}: {}", '"{}": "{}"', "{}='{}'"])
    return Secret("value under a secret name", made, said.format(name, made), name)


def _cookie(rng: random.Random) -> Secret:
    made = word(rng, URLSAFE, 32)
    name = rng.choice(["Cookie", "Set-Cookie"])
    return Secret("cookie header", made, f"{name}: sid={made}; theme=dark", name)


def _markup(rng: random.Random) -> Secret:
    made = word(rng, ALNUM + "!$*-_", 16) + "9"
    said = rng.choice(
        [
            "mysqldump --password {} orders",
            "<wsse:Password Type='t'>{}</wsse:Password>",
            "ALTER USER app WITH PASSWORD '{}'",
        ]
    )
    return Secret("flag, XML element, SQL", made, said.format(made))


_MAKERS = (
    *(_jwt, _jwe, _bearer, _basic, _key_id, _aws_secret, _private_key, _card),
    *(_grouped_card, _url_password, _signed_url, _fragment, _connection),
    *(_twilio, _webhook, _bot, _named, _cookie, _markup),
)


def secrets() -> list[Secret]:
    """Return the corpus, the same at each call."""
    rng = random.Random(20261122)
    made = [make(rng) for make in _MAKERS for _ in range(PER_FORM)]
    made += [secret for _ in range(PER_FORM // 2) for secret in _token(rng)]
    return made


FORMS = tuple(dict.fromkeys(secret.form for secret in secrets()))


def _in_url(text: str) -> str:
    return f"GET https://shop.example.com/cb?page=2&data={quote_plus(text)}&z=1 -> 302"


CARRIERS: dict[str, Callable[[str], object]] = {
    "field": lambda text: text,
    "message": lambda text: f"calling the upstream failed, {text} was refused",
    "exception": lambda text: repr(ValueError({"order": 7, "detail": text})),
    "stack": lambda text: (
        'Traceback (most recent call last):\n  File "/app/pay.py", line 12, in pay\n'
        f"    charge(order)\nRuntimeError: {text}\n"
    ),
    "JSON": lambda text: json.dumps({"order": 7, "body": text}),
    "JSON in JSON": lambda text: json.dumps({"body": json.dumps({"note": text})}),
    "query": _in_url,
    "encoded twice": lambda text: f"/cb?to={quote(quote(f'/x?y={quote_plus(text)}'))}",
    "form body": lambda text: f"page=2&note={quote_plus(text)}&state=open",
    "headers": lambda text: [("accept", "*/*"), ("x-note", text)],
    "printed headers": lambda text: repr([(b"x-note", text.encode()), (b"a", b"b")]),
    "nested": lambda text: {"request": {"items": [1, {"note": text}]}},
    "path": lambda text: f"/a/{quote(text)}",
    "bytes": lambda text: f"body: {text}".encode(),
    "library line": lambda text: f'api.example.com:443 "POST /v1 HTTP/1.1" 401 {text}',
}
"""By kind: what a field's value, a message or an argument is that holds the text."""


def placed(secret: Secret) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield fields that hold *secret*, one for each way in which it travels."""
    for carrier, hold in CARRIERS.items():
        yield carrier, {"note": hold(secret.text)}

    if secret.name:
        named = {secret.name: secret.value}
        yield "by name", dict(named)
        yield "by name, nested", {"request": {"a": [named]}}
        yield "by name, header", {"headers": [(secret.name, secret.value)]}
        yield "by name, printed", {"note": f"got {named!r}"}
        yield "by name, JSON", {"note": json.dumps({"n": json.dumps(named)})}


def is_told(secret: Secret, output: str) -> bool:
    """Tell whether *output* has any 10 characters of *secret*, however encoded."""
    value = secret.value
    for _ in range(3):
        output = output.replace("\\\\", "\\").replace("\\n", "\n")

    pieces = {value[at : at + 10] for at in range(max(1, len(value) - 9))}
    pieces |= {to(piece) for piece in pieces for to in (quote, quote_plus)}
    pieces |= {quote(quote_plus(piece)) for piece in pieces}
    return any(piece in output for piece in pieces)
