"""Verifying an audit log: what is missing, altered, out of order, doubled or open."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, NamedTuple

from svcready.logging._audit._chain import (
    ALGORITHMS,
    CLOSED,
    HASH_MEMBER,
    NO_HASH,
    digest,
)
from svcready.logging._audit._lines import entries_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["ChainState", "KeyNeededError", "Problem", "Verifier"]

_MOST_PROBLEMS = 1000
_MOST_GAPS = 1000
_HASH_BYTES = 75
_CHAIN = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{64}")


class KeyNeededError(Exception):
    """The log was made with a key, and there is none to verify it with."""


class Problem(NamedTuple):
    """One thing that is wrong, and where."""

    kind: str
    """`altered`, `broken`, `doubled`, `lost`, `missing`, `open`, `reordered`,
    `unkeyed` or `unreadable`."""
    where: str
    """File and line."""
    chain: str
    """The chain's id; empty if the line can't be read."""
    text: str
    """What is wrong, in words."""


class _Tie(NamedTuple):
    """What ties an entry to its chain."""

    chain: str
    sequence: int
    previous: str
    hash: str
    lost: int
    closes: bool
    parent: tuple[str, int, str] | None
    said: str
    """Who said it and when."""


class ChainState:
    """What is known of one chain so far; it doesn't grow with its length."""

    __slots__ = (
        "altered",
        "closed",
        "entries",
        "first",
        "gaps",
        "hash",
        "id",
        "last",
        "parent",
        "problems",
        "sequence",
        "where",
    )

    def __init__(self, chain: str) -> None:
        self.id = chain
        self.entries = self.altered = 0
        self.first = self.last = ""
        self.sequence = 0
        self.hash = NO_HASH
        self.closed = False
        self.parent: tuple[str, int, str] | None = None
        self.gaps: list[tuple[int, int]] = []
        self.problems = 0
        self.where = ""


class Verifier:
    """
    Reads audit logs entry by entry and keeps what it found.

    Several chains may be interleaved, as those of several processes are. Memory is
    bounded by the number of chains.

    Args:
        key: The key that the log was made with; empty if it was made with none.
        partial: The files may begin in the middle of chains.
    """

    def __init__(self, key: bytes = b"", *, partial: bool = False) -> None:
        self._key = key
        self._partial = partial
        self.chains: dict[str, ChainState] = {}
        """Every chain that was met, by its id."""
        self.problems: list[Problem] = []
        """The first problems, in the order in which they were met."""
        self.found = 0
        """How many problems there are in all."""
        self.entries = 0
        """How many entries were read."""

    def read(self, name: str, stream: BinaryIO) -> None:
        """
        Read one file; chains go on from file to file.

        Args:
            name: What the file is called in the report.
            stream: Its lines.

        Raises:
            KeyNeededError: It was made with a key.
        """
        for line, data, members in entries_of(stream):
            where = f"{name}:{line}"
            self.entries += 1
            tie = None if members is None else _tie_of(members)
            if tie is None or members is None:
                self._add("unreadable", where, "", "an entry that can't be read")
                continue

            state = self.chains.get(tie.chain)
            if state is None:
                state = self.chains[tie.chain] = ChainState(tie.chain)

            state.entries += 1
            state.first = state.first or tie.said
            state.last = tie.said
            state.where = where
            whole = self._check_hash(where, state, data, members.get("algorithm"))
            # What an altered entry says of its place is believed only if it fits.
            if whole or tie.sequence == state.sequence + 1:
                self._place(where, state, tie)

    def finish(self, *, expect_closed: bool = False) -> None:
        """
        Judge how the chains ended.

        Args:
            expect_closed: Every chain must have ended in good order, which a process
                that still runs, or was killed, has not.
        """
        for state in self.chains.values():
            if self._key and state.altered == state.entries:
                self._merge_altered(state)

            if expect_closed and not state.closed:
                text = f"ends open after entry {state.sequence}"
                self._add("open", state.where, state.id, text)

            if state.parent is not None:
                self._judge_parent(state, *state.parent)

    def _merge_altered(self, state: ChainState) -> None:
        """Make one problem of a chain in which no entry is what its hash says."""
        mine = [p for p in self.problems if (p.kind, p.chain) == ("altered", state.id)]
        more = state.altered - 1
        self.found -= more
        state.problems -= more
        state.altered = 0  # they are told of now
        if mine:
            of = f"all {more + 1} entries are" if more else "the entry is"
            text = f"{of} altered, or signed with another key"
            self.problems[self.problems.index(mine[0])] = mine[0]._replace(text=text)
            gone = set(mine[1:])
            self.problems[:] = [each for each in self.problems if each not in gone]

    def _judge_parent(
        self, state: ChainState, parent: str, sequence: int, _: str
    ) -> None:
        known = self.chains.get(parent)
        if known is None:
            if not self._partial:
                text = f"nothing of {parent} is here, which it came from at {sequence}"
                self._add("missing", state.where, state.id, text)
        elif known.sequence < sequence:
            self._add(
                "missing",
                known.where,
                parent,
                f"ends at {known.sequence}, but {state.id} came from it at {sequence}",
            )

    def _add(self, kind: str, where: str, chain: str, text: str) -> None:
        self.found += 1
        if chain:
            self.chains[chain].problems += 1

        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(kind, where, chain, text))

    def _check_hash(
        self, where: str, state: ChainState, data: bytes, algorithm: object
    ) -> bool:
        if algorithm == ALGORITHMS[1] and not self._key:
            raise KeyNeededError

        if algorithm == ALGORITHMS[0] and self._key:
            self._add("unkeyed", where, state.id, "was made without the key")
            return True

        found = HASH_MEMBER.fullmatch(data, max(len(data) - _HASH_BYTES, 0))
        made = digest(data[:-_HASH_BYTES], self._key)
        if (
            found is not None
            and hmac.compare_digest(found[1].decode(), made)
            and algorithm in ALGORITHMS
        ):
            return True

        state.altered += 1
        self._add("altered", where, state.id, "is not what its hash says")
        return False

    def _place(self, where: str, state: ChainState, tie: _Tie) -> None:
        number = tie.sequence
        if tie.lost:
            text = f"{tie.lost} before entry {number} could not be taken when recorded"
            self._add("lost", where, state.id, text)

        if number <= state.sequence:
            self._add(*_belated(where, state, number))
            return

        for problem in self._problems_of_next(where, state, tie):
            self._add(*problem)

        state.sequence, state.hash, state.closed = number, tie.hash, tie.closes
        if tie.parent is not None:
            state.parent = tie.parent
            parent, at, made = tie.parent
            known = self.chains.get(parent)
            if known is not None and known.sequence == at and known.hash != made:
                text = f"did not come from entry {at} of {parent} as it is here"
                self._add("broken", where, state.id, text)

    def _problems_of_next(
        self, where: str, state: ChainState, tie: _Tie
    ) -> Iterator[tuple[str, str, str, str]]:
        number = tie.sequence
        begins_here = state.entries == 1 and self._partial
        if state.closed:
            yield (
                "broken",
                where,
                state.id,
                f"entry {number} after the chain was closed",
            )

        if number == state.sequence + 1:
            if tie.previous != state.hash:
                text = f"entry {number} does not follow from the one before it"
                yield "broken", where, state.id, text
        elif not begins_here:
            gap = (state.sequence + 1, number - 1)
            if len(state.gaps) < _MOST_GAPS:
                state.gaps.append(gap)

            yield "missing", where, state.id, f"{_span(*gap)} before entry {number}"


def _belated(where: str, state: ChainState, number: int) -> tuple[str, str, str, str]:
    """Return the problem of an entry that comes after one with a higher number."""
    for index, (low, high) in enumerate(state.gaps):
        if low <= number <= high:
            rest = [(low, number - 1), (number + 1, high)]
            state.gaps[index : index + 1] = [gap for gap in rest if gap[0] <= gap[1]]
            return "reordered", where, state.id, f"entry {number} is out of order"

    return "doubled", where, state.id, f"entry {number} is there again"


def _span(low: int, high: int) -> str:
    return f"entry {low}" if low == high else f"entries {low} to {high}"


def _tie_of(members: dict[str, object]) -> _Tie | None:
    chain, sequence = members.get("chain"), members.get("sequence")
    previous, made = members.get("previous_hash"), members.get("hash")
    lost, parent = members.get("lost", 0), members.get("parent")
    if (
        members.get("log_type") != "audit"
        or not (isinstance(chain, str) and _CHAIN.fullmatch(chain))
        or not (type(sequence) is int and sequence > 0)
        or not (isinstance(previous, str) and _HASH.fullmatch(previous))
        or not (isinstance(made, str) and _HASH.fullmatch(made))
        or not (type(lost) is int and lost >= 0)
    ):
        return None

    came_from = None
    if isinstance(parent, dict):
        above, at, last = (parent.get(key) for key in ("chain", "sequence", "hash"))
        if isinstance(above, str) and type(at) is int and isinstance(last, str):
            came_from = (above, at, last)

    names = ("timestamp", "service", "instance")
    said = " ".join(str(members[name]) for name in names if name in members)
    closes = members.get("action") == CLOSED
    return _Tie(chain, sequence, previous, made, lost, closes, came_from, said)
