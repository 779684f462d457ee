"""Redis's protocol, version 2 (RESP): commands into bytes, bytes into replies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Command", "RedisError", "RedisRefused", "Replies", "Reply", "packed"]

Command: TypeAlias = "tuple[str | bytes | int, ...]"
Reply: TypeAlias = "bytes | int | list[Reply] | RedisRefused | None"

_END = b"\r\n"
_LONGEST_BYTES = 1024 * 1024
_DEEPEST = 4
_CODE = re.compile(r"[A-Z]{2,20}")


class RedisError(Exception):
    """
    A server can't be asked.

    Args:
        reason: A fixed word, for a metric's label.
        text: What is wrong.
        code: What the server's own error begins with, as `NOAUTH`; empty: it is not
            the server that says so, or it says no such word.
    """

    def __init__(self, reason: str, text: str = "", code: str = "") -> None:
        self.reason = reason
        self.code = code
        super().__init__(text or reason)


class RedisRefused(RedisError):
    """The server answered with an error; the connection is as good as before."""

    def __init__(self, text: str) -> None:
        word = text.split(" ", 1)[0]
        code = word if _CODE.fullmatch(word) else ""  # or it may be anybody's secret
        super().__init__("refused", text[:200], code)


def packed(commands: Iterable[Command]) -> bytes:
    """Return what is sent for *commands*, one after the other."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for word in command:
            raw = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))

    return b"".join(parts)


class _MoreError(Exception):
    """The reply is not whole yet."""


class Replies:
    """What has come of a server's replies, as far as it is not taken."""

    __slots__ = ("_at", "_data")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0

    @property
    def pending(self) -> bool:
        """Whether something has come that is not taken."""
        return bool(self._data)

    def feed(self, data: bytes) -> None:
        """
        Add what has come.

        Raises:
            RedisError: It is longer than any reply to us.
        """
        self._data += data
        if len(self._data) > _LONGEST_BYTES:
            raise RedisError("garbage", "the reply is too long")

    def take(self) -> tuple[Reply] | None:
        """
        Return the next reply, in a tuple because a reply can be None; None: not whole.

        Raises:
            RedisError: It is no reply.
        """
        self._at = 0
        try:
            reply = self._read(0)
        except _MoreError:
            return None
        except ValueError as error:
            raise RedisError("garbage", "that is no reply") from error

        self._data = self._data[self._at :]
        return (reply,)

    def _read(self, depth: int) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest

        if kind == b"-":
            return RedisRefused(rest.decode("utf-8", "replace"))

        if kind not in {b":", b"$", b"*"} or depth > _DEEPEST:
            raise ValueError(kind)

        number = int(rest)
        if kind == b":":
            return number

        if number == -1:
            return None

        if not 0 <= number <= _LONGEST_BYTES:
            raise ValueError(number)

        if kind == b"*":
            return [self._read(depth + 1) for _ in range(number)]

        return self._text(number)

    def _line(self) -> bytes:
        end = self._data.find(_END, self._at)
        if end < 0:
            # No line of ours is so long; without an end it is no line at all.
            if len(self._data) - self._at > 4096:
                raise ValueError("an endless line")

            raise _MoreError

        line = self._data[self._at : end]
        self._at = end + 2
        return line

    def _text(self, size_bytes: int) -> bytes:
        end = self._at + size_bytes
        if len(self._data) < end + 2:
            raise _MoreError

        if self._data[end : end + 2] != _END:
            raise ValueError("a text without its end")

        text = self._data[self._at : end]
        self._at = end + 2
        return text
