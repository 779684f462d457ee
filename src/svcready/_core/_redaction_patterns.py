"""
The forms in which secrets stand in text, each found in time linear in its length.

No expression here can scan the same stretch of text from many starting points: runs
start where the character before cannot belong to them, and are taken possessively.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "QUERY_SECRETS",
    "compile_all",
    "marker",
    "replace_authorization",
    "replace_aws_secret",
    "replace_cookie",
    "replace_items",
    "replace_jwt",
    "replace_key_id",
    "replace_pairs",
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

_FREE = r"(?:(?<![\w\-])|(?<=%[0-9A-Fa-f]{2}))"  # nothing of the kind before, or `%20`
_JWT = re.compile(
    _FREE + r"eyJ[A-Za-z0-9_\-]{4,}+(?:\.|%2[Ee])[A-Za-z0-9_\-]{4,}+"
    r"(?:(?:\.|%2[Ee])[A-Za-z0-9_\-]*){0,3}"
)
_SCHEME = re.compile(
    _FREE + r"(bearer|basic)(\s{1,4}|(?:%(?:25){0,2}20|\+){1,4})"
    r"((?:[A-Za-z0-9\-._~+/]|%2[BDEF]|%5F|%7E)++(?:=|%3D)*+)",
    re.IGNORECASE,
)
_KEY_ID = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2}))"
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])"
)
_BLOB = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_BLOB_NEAR = 64
_USER_INFO = re.compile(r"://[^\s/?#\"'<>\\]*@")
_QUERY = re.compile(
    r"([?&](?:" + "|".join(sorted(QUERY_SECRETS, reverse=True)) + r")=)[^&\s\"'#<>]+",
    re.IGNORECASE,
)
_COOKIE = re.compile(r"\bcookie(\s{0,4}:\s{0,4})(?=[^\s\"'])[^\r\n\"]+", re.IGNORECASE)
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY")
_KEY_AND_SIGN = re.compile(
    r"(?<![\w.\-])([\w.\-]++)(?:\[\])?\\{0,8}+[\"']?\s*+(?::=|=>|[:=])\s*+"
)
_VALUE = re.compile(
    r"\\++[\"'][^\"'\\]*+(?:\\++[\"'])?"  # quoted inside a quoted text
    r"|(?:[A-Za-z_][\w.]{0,64}\(\s{0,4})?[bBuUrR]?"
    r"(?:\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?)"  # "a b", b'a b', Secret('a b')
    r"|\[[^\]]*+\]?"
    r"|digest\s[^\r\n]++"
    r"|(?:(?:bearer|basic|token|negotiate|apikey)\s+)?[^\s&\"']++",
    re.IGNORECASE | re.DOTALL,
)
_ITEM_KEY = re.compile(
    r"[(\[]\s*+[bBuU]?\\{0,8}+[\"']([\w.\-]++)\\{0,8}+[\"']\s*+,\s*+"
)
_ITEM_VALUE = re.compile(
    r"(?:\\++[\"'][^\"'\\]*+(?:\\++[\"'])?"
    r"|[bBuUrR]?(?:\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?)"
    r"|[^\s,()\[\]\"']++)(?=\s*+(?:[)\]]|\Z))",
    re.DOTALL,
)


def marker(rule: str) -> str:
    """Return what stands in a secret's place: it names the rule, not the secret."""
    return f"[redacted:{rule}]"


_HIDDEN_AUTHORIZATION = r"\1\2" + marker("authorization")
_KEY = marker("key")


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
        return b":" in a2b_base64(word + "=" * (-len(word) % 4))
    except Base64Error:
        return False


def _looks_random(word: str) -> bool:
    # "Bearer authentication" is none.
    word = word.rstrip(".")
    return len(word) >= 6 and (
        not word.isalpha() or not (word.islower() or word.isupper() or word.istitle())
    )


def replace_key_id(text: str) -> str:
    """Hide AWS access key ids, long-lived and temporary."""
    return _KEY_ID.sub(marker("aws-key-id"), text)


def replace_aws_secret(text: str) -> str:
    """Hide 40-character AWS secrets that follow a word like `aws` or `secret`."""

    def hide(match: re.Match[str]) -> str:
        blob = match[0]
        if blob.islower() or blob.isupper() or blob.isdigit():  # SHA-1 in hex
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
    """Hide PEM blocks of private keys (RFC 7468), cut ones to the end of the text."""
    parts: list[str] = []
    start = 0
    while match := _BEGIN.search(text, start):
        parts += (text[start : match.start()], marker("private-key"))
        end = text.find("-----END", match.end())
        close = -1 if end < 0 else text.find("-----", end + len("-----END"))
        if close < 0:
            return "".join(parts)

        start = close + len("-----")

    return "".join((*parts, text[start:])) if parts else text


def replace_pairs(
    text: str, is_secret: Callable[[str], bool], hidden: str = _KEY
) -> str:
    """
    Hide the values of pairs (`password=x`, `"token": "x"`) whose key is secret.

    Args:
        text: What to search.
        is_secret: Tells whether a key's value must not be shown.
        hidden: What to write in its place.
    """
    return _replace_values(text, _KEY_AND_SIGN, _VALUE, is_secret, hidden)


def replace_items(text: str, is_secret: Callable[[str], bool]) -> str:
    """
    Hide the second of two items (`('token', 'x')`) whose first is a secret's key.

    So headers look that are printed as the list of pairs that they are.

    Args:
        text: What to search.
        is_secret: Tells whether a key's value must not be shown.
    """
    return _replace_values(text, _ITEM_KEY, _ITEM_VALUE, is_secret, _KEY)


def _replace_values(
    text: str,
    keys: re.Pattern[str],
    values: re.Pattern[str],
    is_secret: Callable[[str], bool],
    hidden: str,
) -> str:
    parts: list[str] = []
    start = 0
    cut = 0
    search = keys.search
    while match := search(text, start):
        start = match.end()
        if not is_secret(match[1]):
            continue

        value = values.match(text, start)
        if value is None or value[0].startswith("[redacted:"):
            continue

        parts += (text[cut:start], hidden)
        start = cut = value.end()

    return "".join((*parts, text[cut:])) if parts else text


def compile_all(
    patterns: Iterable[str],
) -> tuple[tuple[tuple[str, re.Pattern[str]], ...], tuple[str, ...]]:
    """Return marker and pattern of each that compiles, and what is wrong else."""
    compiled = []
    problems = []
    for number, pattern in enumerate(patterns, 1):
        try:
            compiled.append((marker(f"pattern-{number}"), re.compile(pattern)))
        except (re.error, TypeError, OverflowError, RecursionError) as error:
            problems.append(f"redaction pattern {number}, {pattern!r}: {error}")

    return tuple(compiled), tuple(problems)
