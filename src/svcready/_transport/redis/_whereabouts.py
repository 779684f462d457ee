"""Which server has our keys: the one that the URL names, or one of its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._transport.redis._resp import RedisRefused

if TYPE_CHECKING:
    from svcready._transport.redis._resp import RedisError
    from svcready.config._redis_address import RedisAddress

__all__ = ["Whereabouts"]


class Whereabouts:
    """
    Where to connect.

    Every key of a service has the same hash tag, so in a cluster all are on one node;
    any other says which (`MOVED`).

    Args:
        home: Where the URL says.
    """

    __slots__ = ("_home", "address")

    def __init__(self, home: RedisAddress) -> None:
        self._home = home
        self.address = home
        """Where to connect now."""

    def learn(self, error: RedisError, asked: RedisAddress) -> bool:
        """
        Take note of why the server could not be asked.

        Args:
            error: Why.
            asked: Where it was thought to be when it was asked.

        Returns:
            Whether another is to be asked instead, and nothing is wrong.
        """
        if asked != self.address:
            return True  # somebody else has found that out meanwhile

        was_home = asked == self._home
        self.address = self._home
        if not isinstance(error, RedisRefused) or error.code != "MOVED":
            return False

        host, _, port = str(error).split(" ")[-1].rpartition(":")
        if port.isdecimal() and 0 < int(port) < 65536 and not self._home.path:
            host = host.strip("[]") or self._home.host
            self.address = self._home._replace(host=host, port=int(port))

        return was_home and self.address != self._home
