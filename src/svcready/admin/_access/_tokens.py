"""The way in by a bearer token that the configuration lists."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from svcready.admin._access._gate import Grant

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.admin._exchange import OpsRequest

__all__ = ["SHORT_TOKEN", "TokenWay", "bearer_of", "is_token"]

SHORT_TOKEN = 16
"""With fewer characters it can be guessed."""

_SCHEME = "bearer "
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_LONGEST = 16 * 1024


class TokenWay:
    """
    Admits bearers of a configured token.

    What is offered is compared with every token, each by its digest, so that the time
    tells neither of which one matched, nor how far, nor how long they are.

    Args:
        tokens: Those that may look and change.
        read_tokens: Those that may look only.
        compare: Compares two digests in constant time.
    """

    def __init__(
        self,
        tokens: tuple[str, ...],
        read_tokens: tuple[str, ...] = (),
        *,
        compare: Callable[[bytes, bytes], bool] = hmac.compare_digest,
    ) -> None:
        # What is no visible ASCII stands for a malformed list, and matches nobody.
        self._known = [
            (
                sha256(token.encode()).digest(),
                Grant(f"{name} {place}", writes, len(token) < SHORT_TOKEN),
            )
            for name, listed, writes in (
                ("token", tokens, True),
                ("read token", read_tokens, False),
            )
            for place, token in enumerate(listed, 1)
            if is_token(token)
        ]
        self._compare = compare

    def __call__(self, request: OpsRequest) -> Grant | str:
        """Say whose token *request* bears."""
        header = request.header("Authorization")
        offered = sha256(bearer_of(header).encode("utf-8", "surrogateescape")).digest()
        matches = [
            grant for known, grant in self._known if self._compare(offered, known)
        ]
        return matches[0] if matches else "" if header is None else "wrong_credentials"


def bearer_of(header: str | None) -> str:
    """Return the token in an `Authorization` header; empty if there is none."""
    if header is None or len(header) > _LONGEST:
        return ""

    scheme, token = header[: len(_SCHEME)], header[len(_SCHEME) :]
    return token.strip(" \t") if scheme.lower() == _SCHEME else ""


def is_token(text: str) -> bool:
    """Tell whether *text* can be a token, as a malformed list's stand-in can't."""
    return _VISIBLE.fullmatch(text) is not None
