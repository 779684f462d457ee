"""The buckets of rate limits as Redis keeps them, and the script that takes of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready._transport.redis._resp import RedisError
from svcready._transport.redis._script import Script
from svcready.resilience._admitting._gcra import gcra
from svcready.resilience._limiting._store import Decision, Left
from svcready.resilience._sharing._openings import hash_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready._transport.redis._resp import Command, Reply
    from svcready.resilience._limiting._store import Want

__all__ = ["SCRIPT_AT", "TAKE", "decided", "key_prefix", "words"]

# A bucket is what `gcra` keeps, as two numbers: the server's time in microseconds, and
# how far the theoretical arrival time was ahead of that, in seconds. One absolute
# number would have to be exact to 1e-9 at 1.8e9, which a double is not.
SCRIPT_AT = """
local allowed, buckets, reply = 1, {}, {1}
for i, key in ipairs(KEYS) do
  local per_s, burst = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local cost, ahead, back = tonumber(ARGV[3 * i]), 0, false
  local kept = redis.pcall('GET', key)
  if type(kept) == 'string' then
    local last, was = string.match(kept, '^(%d+) (%S+)$')
    last, was = tonumber(last), tonumber(was)
    if last and was and was > 0 and was < 1e12 then
      back = now < last
      ahead = math.max(0, was - math.max(0, now - last) / 1000000)
      if ahead > burst / per_s then
        ahead, back = burst / per_s, true
      end
    end
  end
  local interval = 1 / per_s
  local tolerance = burst * interval
  local wanted = ahead + cost * interval
  if wanted - tolerance > 1e-9 * tolerance then
    allowed = 0
  end
  buckets[i] = {ahead, wanted, back}
  reply[i + 1] = string.format('%.17g', ahead)
end
for i, key in ipairs(KEYS) do
  local ahead, wanted, back = unpack(buckets[i])
  if allowed == 1 then
    ahead = wanted
  end
  if ahead <= 0 then
    redis.call('DEL', key)
  elseif allowed == 1 or back then
    local kept = string.format('%.0f %.17g', now, ahead)
    redis.call('SET', key, kept, 'PX', math.ceil(ahead * 1000) + 1000)
  end
end
reply[1] = allowed
return reply
"""
"""
Takes what is wanted of every bucket, or of none, at the time `now` in microseconds.

The arithmetic of `gcra`, operation by operation. A bucket whose time lies ahead, as
after a failover to a server whose clock is behind, gets the time of now; one that was
kept at a lower rate than the one in force is empty at worst.
"""

TAKE = Script(
    "local time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2]\n"
    + SCRIPT_AT
)
"""The same at the server's time."""


def key_prefix(service: str, environment: str) -> str:
    """Return what every bucket's key begins with."""
    return f"svcready:{hash_tag(service, environment)}:rate:"


def words(prefix: str, wants: Sequence[Want]) -> tuple[Command, Command]:
    """Return the keys and the arguments of the script."""
    keys = tuple(prefix + want.key for want in wants)
    numbers = tuple(
        word
        for want in wants
        for word in (repr(want.rate.per_s), want.rate.burst, want.cost)
    )
    return keys, numbers


def decided(wants: Sequence[Want], reply: Reply) -> Decision:
    """
    Return what the script decided.

    Raises:
        RedisError: The reply is none of its.
    """
    if not isinstance(reply, list) or len(reply) != len(wants) + 1:
        raise RedisError("garbage", "the reply is none of the script's")

    verdict, *texts = reply
    if not isinstance(verdict, int) or verdict not in {0, 1}:
        raise RedisError("garbage", "the reply is none of the script's")

    allowed = verdict == 1
    left = tuple(
        _left(want, _ahead_s(text), allowed=allowed)
        for want, text in zip(wants, texts, strict=True)
    )
    if not allowed and all(one.allowed for one in left):
        raise RedisError("garbage", "it refuses what there is room for")

    return Decision(allowed, left)


def _left(want: Want, ahead_s: float, *, allowed: bool) -> Left:
    taken = gcra(want.rate, ahead_s, 0.0, want.cost)
    if taken.allowed and not allowed:  # nothing was taken of this one, either
        stands = gcra(want.rate, ahead_s, 0.0, 0)
        return Left(True, stands.remaining, 0.0, stands.full_after_s)

    return Left(taken.allowed, taken.remaining, taken.retry_after_s, taken.full_after_s)


def _ahead_s(text: Reply) -> float:
    try:
        ahead_s = float(text) if isinstance(text, bytes) else math.nan
    except ValueError:
        ahead_s = math.nan

    if not 0.0 <= ahead_s < 1e12:
        raise RedisError("garbage", "the reply is none of the script's")

    return ahead_s
