"""Which names of fields, parameters and headers belong to secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["key_tokens", "may_name_secret", "names_secret"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")
_MAX_NAME = 256


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Secret wherever they stand, unless the name goes on to say that it holds no more than
# a property of the secret (`password_length`).
_STRONG = _words(
    "password passwords passwd pwd passphrase passcode secret secrets credential"
    " credentials apikey apikeys privatekey secretkey secretaccesskey signingkey"
    " encryptionkey masterkey authorization authorisation jwt connectionstring"
    " passwort"
)
# Secret only as the last word: `token_bucket` and `cookie_banner` are not.
_WEAK = _words(
    "token cookie accesskey authkey sessionkey sessionid jsessionid phpsessid"
    " sessid csrf xsrf csrftoken xsrftoken cvv cvc otp totp accesstokens"
    " refreshtokens authtokens admintokens apitokens bearertokens sharedkey"
    " accountkey dbpass userpass smtppass redispass adminpass rootpass pgpass"
    " mysqlpass mailpass emailpass ftppass ldappass rabbitpass sshpass vpnpass wifipass"
    " setcookie hmackey storagekey cookies basicauth otpcode totpcode authcode"
    " subscriptionkey functionskey"
)
_WHOLE = frozenset({"pass", "auth", "key_material", "session", "connect_sid"})
_ENDINGS = (
    *("password", "passwd", "pwd", "passphrase", "secret", "credential", "credentials"),
    *("token", "cookie", "apikey", "privatekey", "secretkey", "accesskey"),
)
_PROPERTIES = _words(
    "age algorithm allowed arn at attempts bucket changed check consent count"
    " created date days disabled enabled endpoint error errors exists expired"
    " expires expiry failed file format found hint host id in issuer kind lane last"
    " len length limit manager max message min missing name ok page path policy"
    " present provider required requests reset resets rotated rotation rule rules"
    " seconds set size source state status strength ttl type updated uri url used"
    " valid validation verified version"
)
# What a page, a text or a lease is told by is no secret.
_TOKENS = _words(
    "bos cancellation change client continuation cursor delta eos fencing first"
    " idempotency last mask next pad page pagination prev previous request resume skip"
    " special start starting stop sync unexpected unk"
)
_COUNTS = _words("avg has is max min n num number sum total")


def may_name_secret(low: str) -> bool:
    """
    Tell whether *low*, in lower case, may have a secret's name in it.

    Every name of the sets above contains one of these; those that share letters stand
    behind them, because most texts have none.
    """
    return (
        ("k" in low and ("key" in low or "token" in low or "cookie" in low))
        or ("ss" in low and ("pass" in low or "sess" in low))
        or ("cre" in low and ("secret" in low or "credential" in low))
        or "auth" in low
        or "pwd" in low
        or ("v" in low and ("cvv" in low or "cvc" in low))
        or ("j" in low and "jwt" in low)
        or "srf" in low
        or "otp" in low
        or "connect" in low
    )


def key_tokens(name: str) -> tuple[str, ...]:
    """Split *name* into lower-case words: `X-Api-Key` and `xApiKey` are the same."""
    return tuple(word.lower() for word in _WORD.findall(name[-_MAX_NAME:]))


def names_secret(
    name: str,
    also: Iterable[tuple[str, ...]] = (),
    safe: Collection[tuple[str, ...]] = (),
) -> bool:
    """
    Tell whether a value called *name* is a secret.

    Args:
        name: A key in any spelling: snake, kebab, camel, dotted, header.
        also: The words of further secret names; they count as a whole name and as
            the end of one.
        safe: The words of names that are never secret.
    """
    words = key_tokens(name)
    if not words or words in safe:
        return False

    for further in also:
        if words[-len(further) :] == further:
            return True

    while len(words) > 1 and words[-1].isdigit():  # password2
        words = words[:-1]

    if words[0] in _COUNTS or (
        words[-1] == "token" and not _TOKENS.isdisjoint(words[-2:-1])
    ):
        return False

    if "_".join(words) in _WHOLE or not _WEAK.isdisjoint(_tails(words)):
        return True

    return words[-1] not in _PROPERTIES and (
        words[-1].endswith(_ENDINGS) or not _STRONG.isdisjoint(_runs(words))
    )


def _tails(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("".join(words[-count:]) for count in (1, 2, 3))


def _runs(words: tuple[str, ...]) -> Iterable[str]:
    for start in range(len(words)):
        for count in (1, 2, 3):
            yield "".join(words[start : start + count])
