"""How a connection to Redis begins: the first commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._transport.redis._resp import RedisError, RedisRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready._transport.redis._resp import Command, Reply
    from svcready.config._redis_address import RedisAddress

__all__ = ["check_greeted", "greeting"]


def greeting(address: RedisAddress) -> list[Command]:
    """Return the commands that a connection begins with; the last one is a PING."""
    commands: list[Command] = []
    if address.user:
        commands.append(("AUTH", address.user, address.password))
    elif address.password:
        commands.append(("AUTH", address.password))

    if address.database:
        commands.append(("SELECT", address.database))

    commands.append(("PING",))
    return commands


def check_greeted(replies: Sequence[Reply]) -> None:
    """
    Check the replies to the greeting.

    Raises:
        RedisError: One of them is not as it has to be.
    """
    for reply in replies:
        if isinstance(reply, RedisRefused):
            # What the server says of a password may hold it.
            text = f"the server answers {reply.code or 'an error'}"
            raise RedisError("refused", text, reply.code)

    if replies[-1] != b"PONG":
        raise RedisError("garbage", "the server does not answer a PING")
