"""The circuit breakers that a service has open, as Redis keeps them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from svcready._transport.redis._resp import RedisError
from svcready._transport.redis._script import Script

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready._transport.redis._resp import Reply

__all__ = [
    "EXCHANGE",
    "MOST",
    "Opening",
    "arguments",
    "hash_tag",
    "key",
    "read",
    "written",
]

MOST = 512
"""So many openings are kept, those that last longest."""
_VERSION = "1"
_LONGEST_MEMBER = 200
_LONGEST_MS = 86_400_000
_FORM = re.compile(r"1 ([a-z0-9_.-]{1,64}) ([0-9a-f]{16}) ([0-9]{1,18})")
_UNFIT = re.compile(r"[^A-Za-z0-9_.:/-]")

EXCHANGE = Script(
    """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, told = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 1, told do
  redis.call('ZADD', KEYS[1], now + ARGV[2 * i + 2], ARGV[2 * i + 1])
end
for i = 2 * told + 3, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[i])
end
local over = redis.call('ZCARD', KEYS[1]) - most
if over > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1)
end
local open = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
if told > 0 and #open > 0 then
  redis.pcall('PEXPIREAT', KEYS[1], open[#open])
end
for i = 2, #open, 2 do
  open[i] = string.format('%d', open[i] - now)
  if #open[i - 1] > 200 then
    open[i - 1] = ''
  end
end
return open
"""
)
"""
Tells of what is open here, takes back what no longer is, returns what is open anywhere.

A sorted set by the time at which each opening ends, on the server's clock; members
and scores are all it takes, so it works since Redis 5. What is too long for an opening
(`_LONGEST_MEMBER`) stays where it is.
"""


class Opening(NamedTuple):
    """One breaker that one process has open."""

    name: str
    """The breaker's name."""
    process: str
    """Whose: 16 hexadecimal digits, new in each process and forked child."""
    number: int
    """Which opening of that process's it is, counting up."""

    @property
    def member(self) -> str:
        """How it is spelt: the format's version, name, process, number."""
        return f"{_VERSION} {self.name} {self.process} {self.number}"


def key(service: str, environment: str) -> str:
    """Return where the openings are."""
    return f"svcready:{hash_tag(service, environment)}:open"


def hash_tag(service: str, environment: str) -> str:
    """Return what keeps all keys of a service on one node of a cluster."""
    return f"{{{_fit(service)}/{_fit(environment)}}}"


def arguments(
    told: Iterable[tuple[Opening, float]], withdrawn: Iterable[Opening]
) -> list[str | bytes | int]:
    """
    Return the arguments of `EXCHANGE`.

    Args:
        told: What is open here, and for how many more seconds.
        withdrawn: What no longer is.
    """
    pairs = [(opening.member, max(1, round(left_s * 1000))) for opening, left_s in told]
    flat = [word for pair in pairs for word in pair]
    return [MOST, len(pairs), *flat, *(opening.member for opening in withdrawn)]


def written(reply: Reply) -> list[tuple[bytes, float]]:
    """
    Return the members that the script returned, and the seconds that each has left.

    Raises:
        RedisError: It is nothing that the script returns.
    """
    if not isinstance(reply, list) or len(reply) % 2 or len(reply) > 2 * MOST:
        raise RedisError("garbage", "the reply is none of the script's")

    found = []
    for member, left in zip(reply[::2], reply[1::2], strict=True):
        if not isinstance(member, bytes) or not isinstance(left, bytes):
            raise RedisError("garbage", "the reply is none of the script's")

        digits = left[:20]
        if not digits.isdigit() or not 0 < int(digits) <= _LONGEST_MS:
            found.append((b"", 0.0))  # by another clock, or somebody's own entry
        else:
            found.append((member[: _LONGEST_MEMBER + 1], int(digits) / 1000.0))

    return found


def read(member: bytes) -> Opening | str:
    """Return what a member means, or why it means nothing: `version`, `garbage`."""
    text = member[:_LONGEST_MEMBER].decode("ascii", "replace")
    found = _FORM.fullmatch(text)
    if found is not None:
        return Opening(found[1], found[2], int(found[3]))

    version, space, _ = text.partition(" ")
    is_other = space and version.isdecimal() and version != _VERSION
    return "version" if is_other else "garbage"


def _fit(name: str) -> str:
    return _UNFIT.sub("_", name)
