"""
The forms in which secrets stand in text, each found in time linear in its length.

No expression here can scan the same stretch of text from many starting points: runs
start where the character before cannot belong to them, and are taken possessively.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from urllib.parse import unquote

from svcready._core._redaction_pairs import marker

__all__ = [
    "QUERY_SECRETS",
    "replace_authorization",
    "replace_aws_secret",
    "replace_cookie",
    "replace_jwt",
    "replace_key_id",
    "replace_private_key",
    "replace_query",
    "replace_user_info",
]

QUERY_SECRETS = frozenset(
    {
        *("sig", "signature", "awsaccesskeyid", "x-amz-signature"),
        *("x-amz-credential", "x-amz-security-token"),
        *("x-goog-signature", "x-goog-credential"),
    }
)

# Nothing of the kind before it, or `%20`, or a printed line's end.
_FREE = r"(?:(?<![\w\-])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
_JWT = re.compile(
    _FREE + r"eyJ[A-Za-z0-9_\-]{4,}+(?:\.|%2[Ee])(?:[A-Za-z0-9_\-]{4,}+|(?=\.))"
    r"(?:(?:\.|%2[Ee])[A-Za-z0-9_\-]*){0,3}"
)
_SCHEME = re.compile(
    _FREE + r"(bearer|basic)(\s{1,4}|(?:%(?:25){0,2}20|\+){1,4})"
    r"((?:[A-Za-z0-9\-._~+/]|%2[BDEF]|%5F|%7E)++(?:=|%3D)*+)",
    re.IGNORECASE,
)
_KEY_ID = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])"
)
_BLOB = re.compile(
    r"(?:(?<![A-Za-z0-9/+])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
    r"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
)
_BLOB_NEAR = 64
_USER_INFO = re.compile(
    r"://(?:[^\s/?#\"'<>\\]*@"
    # A password in which `/`, `?` and `#` are not encoded, but no port and path.
    r"|[^\s:/?#@\"'<>\\\[]{1,256}:(?![0-9]{1,5}(?:[/?#]|\Z))[^\s@\"'<>\\]{1,256}@)"
)
_QUERY = re.compile(
    r"((?:[?&;#]|\\u0026)"
    rf"(?:{'|'.join(sorted(QUERY_SECRETS, reverse=True))})=)[^&\s\"'#<>\\]+",
    re.IGNORECASE,
)
_COOKIE = re.compile(r"\bcookie(\s{0,4}:\s{0,4})(?=[^\s\"'])[^\r\n\"]+", re.IGNORECASE)
_OF_PRIVATE_KEY = r"(?: |\+|%20)[A-Z0-9 +%]{0,40}PRIVATE(?: |\+|%20)KEY"
_BEGIN = re.compile("-----BEGIN" + _OF_PRIVATE_KEY)
_END = re.compile("-----END" + _OF_PRIVATE_KEY)
_BODY = "".join(map(chr, (*range(48, 58), *range(65, 91), *range(97, 123))))
_BODY += "+/=\\% \t\r\n"
_LEAST_BODY = 32
_DIGIT = re.compile(r"[0-9]")

_HIDDEN_AUTHORIZATION = r"\1\2" + marker("authorization")
_HIDDEN_PRIVATE_KEY = marker("private-key")


def replace_jwt(text: str) -> str:
    """Hide JSON web tokens, signed or encrypted (RFC 7519)."""
    return _JWT.sub(marker("jwt"), text)


def replace_authorization(text: str) -> str:
    """Hide the credentials of the schemes Bearer (RFC 6750) and Basic (RFC 7617)."""
    return _SCHEME.sub(_hide_scheme, text)


def _hide_scheme(match: re.Match[str]) -> str:
    found = _looks_basic if match[1].lower() == "basic" else _looks_random
    return match.expand(_HIDDEN_AUTHORIZATION) if found(match[3]) else match[0]


def _looks_basic(word: str) -> bool:
    # "basic information" is none: its letters don't decode to `user:password`.
    word = unquote(word)
    try:
        said = a2b_base64(word + "=" * (-len(word) % 4)).decode()
    except ValueError:
        return False

    return ":" in said and said.isprintable()


def _looks_random(word: str) -> bool:
    # "Bearer authentication", "bearer token-based" and "Bearer realm=" are none.
    word = word.rstrip(".=")
    return len(word) >= 6 and (
        _DIGIT.search(word) is not None
        or not (word.islower() or word.isupper() or word.istitle())
    )


def replace_key_id(text: str) -> str:
    """Hide AWS access key ids, long-lived and temporary."""
    return _KEY_ID.sub(marker("aws-key-id"), text)


def replace_aws_secret(text: str) -> str:
    """Hide 40-character AWS secrets that follow a word like `aws` or `secret`."""

    def hide(match: re.Match[str]) -> str:
        blob = match[0]
        # A digest in hex has one case, a path hardly a digit and both cases.
        if blob.islower() or blob.isupper() or not ("+" in blob or _DIGIT.search(blob)):
            return blob

        before = text[max(0, match.start() - _BLOB_NEAR) : match.start()].lower()
        near = "aws" in before or "secret" in before
        return marker("aws-secret") if near else blob

    return _BLOB.sub(hide, text)


def replace_user_info(text: str, hidden: str = marker("user-info")) -> str:
    """Hide the user and password of URLs (RFC 3986, section 3.2.1)."""
    return _USER_INFO.sub(f"://{hidden}@", text)


def replace_query(text: str, hidden: str = marker("query")) -> str:
    """Hide the signatures of pre-signed URLs."""
    return _QUERY.sub(rf"\g<1>{hidden}", text)


def replace_cookie(text: str) -> str:
    """Hide whole `Cookie` and `Set-Cookie` header lines (RFC 6265)."""
    return _COOKIE.sub(r"Cookie\1" + marker("key"), text)


def replace_private_key(text: str) -> str:
    """Hide private keys' PEM blocks (RFC 7468), whole or with either end cut off."""
    parts: list[str] = []
    start = 0
    while match := _BEGIN.search(text, start):
        parts += (text[start : match.start()], _HIDDEN_PRIVATE_KEY)
        end = text.find("-----END", match.end())
        close = -1 if end < 0 else text.find("-----", end + len("-----END"))
        if close < 0:
            return _without_headless("".join(parts))

        start = close + len("-----")

    return _without_headless("".join((*parts, text[start:])))


def _without_headless(text: str) -> str:
    """Hide the key before an end that has no beginning."""
    parts: list[str] = []
    start = 0
    for match in _END.finditer(text):
        before = text[start : match.start()]
        kept = before.rstrip(_BODY)
        if len(before) - len(kept) >= _LEAST_BODY:
            before = f"{kept}{' ' if kept else ''}{_HIDDEN_PRIVATE_KEY}\n"

        parts += (before, match[0])
        start = match.end()

    return "".join((*parts, text[start:])) if parts else text
