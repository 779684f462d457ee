"""A Lua script of ours, asked for by its digest and sent whole where it is unknown."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from svcready._transport.redis._resp import RedisRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from svcready._transport.redis._link import Link
    from svcready._transport.redis._resp import Command, Reply

    Words: TypeAlias = "Sequence[str] | Sequence[str | bytes | int]"

__all__ = ["Script", "is_unknown"]


class Script:
    """
    One script.

    Args:
        text: In Lua.
    """

    __slots__ = ("_digest", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        # What EVALSHA asks for; it protects nothing.
        digest = hashlib.sha1(text.encode(), usedforsecurity=False)
        self._digest = digest.hexdigest()

    def by_digest(self, keys: Words, arguments: Words) -> Command:
        """Return the command that the server knows the script for, if it does."""
        return ("EVALSHA", self._digest, len(keys), *keys, *arguments)

    def whole(self, keys: Words, arguments: Words) -> Command:
        """Return the command that makes the script known."""
        return ("EVAL", self._text, len(keys), *keys, *arguments)

    def run(
        self,
        link: Link,
        keys: Words,
        arguments: Words,
        ends_s: float,
    ) -> Reply:
        """
        Run it over a connection, in one round trip if the server knows it.

        Raises:
            RedisError: It did not run, or nobody knows whether it did.
        """
        (reply,) = link.ask([self.by_digest(keys, arguments)], ends_s)
        if is_unknown(reply):
            (reply,) = link.ask([self.whole(keys, arguments)], ends_s)

        if isinstance(reply, RedisRefused):
            raise reply

        return reply


def is_unknown(reply: Reply) -> bool:
    """Return whether the server says that it does not know a script."""
    return isinstance(reply, RedisRefused) and reply.code == "NOSCRIPT"
