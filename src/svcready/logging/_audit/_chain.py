"""The chain of a process's audit entries: numbers, and hashes of what came before."""

from __future__ import annotations

import hmac
import os
import re
from hashlib import sha256
from typing import NamedTuple

__all__ = [
    "ALGORITHMS",
    "CLOSED",
    "HASH_MEMBER",
    "NO_HASH",
    "Chain",
    "Link",
    "digest",
    "new_chain_id",
]

NO_HASH = "0" * 64
"""Stands for the hash before the first entry's."""
CLOSED = "svcready.audit.closed"
"""The action of the entry with which a chain ends in good order."""
ALGORITHMS = ("sha256", "hmac-sha256")
"""How the hash is made: without a key, with one."""
HASH_MEMBER = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
"""How every entry ends; the hash is of the bytes in front of it."""


class Link(NamedTuple):
    """Where a chain stands: its last entry."""

    chain: str
    sequence: int
    hash: str


def digest(data: bytes, key: bytes) -> str:
    """Return the hash of an entry's bytes in front of its member `hash`."""
    if key:
        return hmac.digest(key, data, "sha256").hex()

    return sha256(data).hexdigest()


def new_chain_id() -> str:
    """Return a random id of a chain."""
    return os.urandom(16).hex()


class Chain:
    """
    Numbers entries and ties each to the one before it.

    It has no lock: one thread at a time uses it. Where it stands is one tuple that is
    replaced whole, so that a fork at any moment finds a state that was true.

    Args:
        key: The secret of HMAC-SHA256; empty for plain SHA-256.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._algorithm = ALGORITHMS[bool(key)]
        self._parent: Link | None = None
        self.at = Link(new_chain_id(), 0, NO_HASH)
        """The last entry; its number is 0 if there is none yet."""

    def link(self, head: bytes, members: bytes, *, lost: int) -> tuple[bytes, Link]:
        """
        Return the next entry as a line, and where the chain stands once it is out.

        Assigning that to `at` is the caller's, if the line was taken.

        Args:
            head: The object's beginning, without its brace at the end.
            members: Its further members, behind a comma.
            lost: How many entries before this one could not be taken.
        """
        chain, sequence, previous = self.at
        sequence += 1
        more = ""
        if self._parent is not None and sequence == 1:
            parent, number, last = self._parent
            more = (
                f',"parent":{{"chain":"{parent}","sequence":{number},"hash":"{last}"}}'
            )

        if lost:
            more += f',"lost":{lost}'

        tie = (
            f',"chain":"{chain}","sequence":{sequence},"previous_hash":"{previous}",'
            f'"algorithm":"{self._algorithm}"{more}'
        )
        data = b"".join((head, tie.encode(), members))
        made = digest(data, self._key)
        line = b'%b,"hash":"%b"}\n' % (data, made.encode())
        return line, Link(chain, sequence, made)

    def part(self) -> None:
        """Begin anew, naming where this chain ends as where the new one comes from."""
        if self.at.sequence:
            self._parent = self.at

        self.at = Link(new_chain_id(), 0, NO_HASH)
