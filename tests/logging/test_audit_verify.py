"""Verifying: what was done to a log is found, and a log as written is clean."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core import fork
from svcready.config._sections.audit import AuditSettings
from svcready.logging._audit._lines import entries_of
from svcready.logging._audit._verify import KeyNeededError, Verifier
from tests.logging.audit_support import hash_of, make_audit, verified

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = b"correct horse battery"
ORDINARY = (
    b'{"schema":1,"level":"INFO","message":"\\"log_type\\":\\"audit\\"","context":{}}\n'
    b"Traceback (most recent call last):\n"
    b'{"schema":1,"message":"x","context":{"log_type":"audit","hash":"0"},"hash":"1"}\n'
    b"\n"
    b"[1, 2]\n"
)
SIGNED = "entries are altered, or signed with another key"


def chain(entries: int, *, key: bytes = b"", closed: bool = True) -> list[bytes]:
    """Write a chain of its own."""
    made, lines = make_audit(AuditSettings(key=key.decode()))
    for number in range(entries):
        details = {"number": number, "text": 'ä\u2028\\"'}
        made.record("order.cancel", f"order/{number}", "alice", "success", details)

    if closed:
        made.end_chain(0.0)

    return lines.lines


def mixed(chains: Sequence[list[bytes]], order: Sequence[int]) -> list[bytes]:
    """Interleave chains as *order* says, the rest behind."""
    left = [list(each) for each in chains]
    turns = [left[turn % len(left)] for turn in order]
    return [each.pop(0) for each in turns if each] + [
        line for each in left for line in each
    ]


def test_a_log_as_written_is_clean() -> None:
    """Every hash is that of the line's own bytes in front of it, tied to the last."""
    lines = chain(3)

    assert verified(b"".join(lines), closed=True).problems == []
    parsed = [json.loads(line) for line in lines]
    assert [entry["hash"] for entry in parsed] == [hash_of(line) for line in lines]
    before = [entry["hash"] for entry in parsed[:-1]]
    assert [entry["previous_hash"] for entry in parsed[1:]] == before


logs = st.builds(
    mixed,
    st.lists(st.integers(1, 6).map(chain), min_size=1, max_size=3),
    st.lists(st.integers(0, 2), max_size=12),
)


@given(logs, st.data())
def test_untouched_is_always_clean(lines: list[bytes], data: st.DataObject) -> None:
    """Chains of several processes, between ordinary lines, verify without a word."""
    at = data.draw(st.integers(0, len(lines)))
    log = b"".join((*lines[:at], ORDINARY, *lines[at:]))

    found = verified(log, closed=True)

    assert (found.problems, found.entries) == ([], len(lines))


@given(logs, st.data())
def test_tampering_is_always_found(lines: list[bytes], data: st.DataObject) -> None:
    """One entry taken away, moved, doubled or changed in any byte is a problem."""
    at = data.draw(st.integers(0, len(lines) - 1), label="entry")
    how = data.draw(st.sampled_from(["delete", "swap", "double", "alter"]), label="how")
    touched = list(lines)
    if how == "delete":
        del touched[at]
    elif how == "double":
        again = data.draw(st.integers(at, len(lines) - 1), label="again")
        touched.insert(again + 1, lines[at])
    elif how == "swap":
        mine = json.loads(lines[at])["chain"]
        own = [n for n, line in enumerate(lines) if json.loads(line)["chain"] == mine]
        if len(own) < 2:
            return

        other = data.draw(st.sampled_from([n for n in own if n != at]), label="other")
        touched[at], touched[other] = touched[other], touched[at]
    else:
        line = bytearray(lines[at])
        byte = data.draw(st.integers(0, len(line) - 2), label="byte")
        value = data.draw(st.integers(0, 255), label="value")
        if line[byte] == value:
            return

        line[byte] = value
        touched[at] = bytes(line)

    assert verified(b"".join(touched), closed=True).found


@given(st.integers(1, 6), st.data())
def test_truncation_is_found_if_an_end_is_expected(
    entries: int, data: st.DataObject
) -> None:
    """Without its last entries a chain is whole in itself, and open."""
    lines = chain(entries)
    kept = data.draw(st.integers(1, len(lines) - 1))
    log = b"".join(lines[:kept])

    assert not verified(log).found
    (problem,) = verified(log, closed=True).problems
    assert (problem.kind, problem.where) == ("open", f"log:{kept}")
    assert problem.text == f"ends open after entry {kept}"


def kinds(lines: list[bytes], *, key: bytes = b"") -> list[tuple[str, str]]:
    """Verify and return what was found, and where."""
    found = verified(b"".join(lines), key=key)
    return [(problem.kind, problem.where) for problem in found.problems]


def test_each_kind_has_its_name() -> None:
    """Missing, reordered, doubled, altered, broken, each at its line."""
    lines = chain(5)
    assert kinds([*lines[:1], *lines[3:]]) == [("missing", "log:2")]
    assert kinds([lines[0], lines[2], lines[1], *lines[3:]]) == [
        ("missing", "log:2"),
        ("reordered", "log:3"),
    ]
    assert kinds([lines[0], lines[0], *lines[1:]]) == [("doubled", "log:2")]
    altered = lines[1].replace(b"alice", b"mary!")
    assert kinds([lines[0], altered, *lines[2:]]) == [("altered", "log:2")]
    assert kinds([*lines[:2], lines[2][:200] + b"\n", *lines[3:]]) == [
        ("unreadable", "log:3"),
        ("missing", "log:4"),
    ]


def test_an_entry_made_anew_breaks_the_chain_behind_it() -> None:
    """Its own hash fits, but the next one was tied to another."""
    lines = chain(3)
    data = lines[1][: lines[1].rindex(b',"hash":"')].replace(b"alice", b"mallory")
    forged = b'%b,"hash":"%b"}\n' % (data, hash_of(data + b',"hash":"').encode())

    assert kinds([lines[0], forged, *lines[2:]]) == [("broken", "log:3")]


def test_an_altered_number_takes_nothing_else_along() -> None:
    """What an altered entry says of its place is not believed."""
    lines = chain(4)
    lines[1] = lines[1].replace(b'"sequence":2', b'"sequence":9')

    assert kinds(lines) == [("altered", "log:2"), ("missing", "log:3")]


def test_nothing_follows_a_closed_chain() -> None:
    """An entry behind the closing one is a problem, even if it is tied to it."""
    made, lines = make_audit()
    made.record("a", "r", "me", "success", {})
    made.end_chain(0.0)
    made._chain.at = made._chain._parent  # type: ignore[assignment]
    made.record("a", "r", "me", "success", {})

    assert kinds(lines.lines) == [("broken", "log:3")]


def test_a_fork_tells_how_far_its_parent_was() -> None:
    """If the parent's chain ends before the child says it was, that is found."""
    made, lines = make_audit()
    made.record("a", "r", "me", "success", {})
    made.record("b", "r", "me", "success", {})
    made._after_fork()  # as `os.fork` has it called in the child
    made.record("c", "r", "me", "success", {})
    assert callable(fork.reset_in_child)

    assert kinds(lines.lines) == []
    assert kinds([lines.lines[0], lines.lines[2]]) == [("missing", "log:1")]
    found = verified(lines.data)
    first, second = found.chains.values()
    assert second.parent == (first.id, 2, json.loads(lines.lines[1])["hash"])


def test_a_chain_whose_parent_is_gone_or_another_is_found() -> None:
    """A child keeps number and hash of where it came from, and testifies to both."""
    made, lines = make_audit()
    made.record("a", "r", "me", "success", {})
    made._after_fork()  # as `os.fork` has it called in the child
    made.record("b", "r", "me", "success", {})
    first, second = lines.lines

    assert kinds([second]) == [("missing", "log:1")]
    data = first[: first.rindex(b',"hash":"')].replace(b"me", b"he")
    anew = b'%b,"hash":"%b"}\n' % (data, hash_of(data + b',"hash":"').encode())
    assert kinds([anew, second]) == [("broken", "log:2")]
    part = Verifier(partial=True)
    part.read("log", io.BytesIO(second))
    part.finish()
    assert part.problems == []


FORGED = b'"action":"order.refund","actor":{"id":"bob"},"outcome":"success"}'


@pytest.mark.parametrize(
    "start",
    [
        b'{"schema": 1, "log_type": "audit", ',
        b'{"log_type" :\t"audit",',
        rb'{"schema":1,"log\u005ftype":"\u0061udit",',
        b'{"x":1} {"schema": 1, "log_type": "audit", ',
        rb'{"log":"nothing\n","log_type":"audit",',
    ],
    ids=["spaced", "tabbed", "escaped", "second", "wrapper"],
)
def test_an_entry_spelt_otherwise_is_no_entry(start: bytes) -> None:
    """Any reader of JSON would show it, so it is not passed over as of another kind."""
    lines = chain(2, key=KEY)
    forged = start + FORGED

    alone = kinds([lines[0], forged + b"\n", *lines[1:]], key=KEY)
    assert alone == [("unreadable", "log:2")]
    if start[:6] != b'{"log"':
        before = kinds([lines[0], forged + b" " + lines[1], *lines[2:]], key=KEY)
        assert before == [("unreadable", "log:2")]


def test_a_wrapper_that_says_more_than_its_entry_is_no_wrapper() -> None:
    """Docker's JSON holds a line, and is no entry of its own."""
    (line, _) = chain(1)
    wrapped = json.dumps({"log": line.decode()}).replace(": ", ":")[:-1].encode()

    assert kinds([wrapped + b"}\n"]) == []
    said = wrapped + b',"log_type":"audit",' + FORGED + b"\n"
    assert kinds([said]) == [("unreadable", "log:1")]


def test_an_entry_behind_a_torn_one_is_read() -> None:
    """A process killed within a line takes no other process's entry along."""
    whole, torn = chain(2), chain(1, closed=False)[0][:200]

    found = verified(torn + b"".join(whole), closed=True)

    assert [(each.kind, each.where) for each in found.problems] == [
        ("unreadable", "log:1")
    ]
    assert [state.sequence for state in found.chains.values()] == [3]


def test_an_entry_that_quotes_another_is_one() -> None:
    """Its details may hold an entry as it was, as an object."""
    quoted = json.loads(chain(1)[0])
    made, lines = make_audit()
    made.record("audit.read", "log", "me", "success", {"entry": quoted})

    assert kinds([b"prefix " + lines.lines[0]]) == []


def test_the_middle_of_a_log_verifies_as_a_part() -> None:
    """With `partial`, a chain may begin before the file does; gaps still count."""
    lines = chain(5)
    part = Verifier(partial=True)
    part.read("log", io.BytesIO(b"".join(lines[2:])))
    part.finish(expect_closed=True)
    assert part.problems == []

    part = Verifier(partial=True)
    part.read("log", io.BytesIO(b"".join((lines[2], *lines[4:]))))
    assert [problem.kind for problem in part.problems] == ["missing"]
    assert kinds(lines[2:]) == [("missing", "log:1")]


def test_chains_go_on_from_file_to_file() -> None:
    """Rotated files are read in order, and each problem names its file."""
    lines = chain(4)
    verifier = Verifier()
    verifier.read("old", io.BytesIO(b"".join(lines[:2])))
    verifier.read("new", io.BytesIO(b"".join(lines[3:])))

    (problem,) = verifier.problems
    assert (problem.kind, problem.where) == ("missing", "new:1")
    assert problem.text == "entry 3 before entry 4"


def test_a_key_is_asked_for_and_insisted_on() -> None:
    """A keyed log needs it; with it an unkeyed one does not pass."""
    keyed, plain = chain(2, key=KEY), chain(2)

    assert kinds(keyed, key=KEY) == []
    with pytest.raises(KeyNeededError):
        verified(b"".join(keyed))

    assert {kind for kind, _ in kinds(plain, key=KEY)} == {"unkeyed"}
    assert {kind for kind, _ in kinds(keyed, key=b"another")} == {"altered"}
    other = [line.replace(b"hmac-sha256", b"hmac-md5xxx") for line in keyed]
    assert {kind for kind, _ in kinds(other, key=KEY)} == {"altered"}


def test_another_key_is_one_problem_of_each_chain() -> None:
    """Where no entry fits the key it may be the wrong one; where one does it is not."""
    one, other = chain(3, key=KEY), chain(1, key=KEY)
    found = verified(b"".join((*one, *other)), key=b"another")

    assert found.found == 2
    assert [state.problems for state in found.chains.values()] == [1, 1]
    assert [(each.kind, each.where, each.text) for each in found.problems] == [
        ("altered", "log:1", f"all {len(one)} {SIGNED}"),
        ("altered", f"log:{len(one) + 1}", f"all {len(other)} {SIGNED}"),
    ]

    forged = [line.replace(b"alice", b"mary!") for line in one[:-1]] + one[-1:]
    part = verified(b"".join(forged), key=KEY)
    assert part.found == len(one) - 1
    assert {each.text for each in part.problems} == {"is not what its hash says"}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda line: b"2026-11-22T07:00:00.000000000Z stdout F " + line,
        lambda line: b"orders-1  | {x} " + line,
        lambda line: (
            json.dumps({"log": line.decode(), "stream": "stdout"}).replace(": ", ":")
            + "\n"
        ).encode(),
        lambda line: (
            json.dumps({"message": line.decode()}).replace(": ", ":") + "\n"
        ).encode(),
        lambda line: line[:-1] + b"\r\n",
    ],
    ids=["cri", "compose", "docker", "message", "crlf"],
)
def test_what_shippers_put_around_is_taken_off(wrap: object) -> None:
    """Prefixes of container runtimes and Docker's JSON don't matter."""
    assert callable(wrap)
    lines = [wrap(line) for line in chain(3)]

    found = verified(b"".join(lines), closed=True)

    assert (found.problems, found.entries) == ([], 4)
    damaged = [lines[0], lines[1].replace(b"alice", b"mary!"), *lines[2:]]
    assert [kind for kind, _ in kinds(damaged)] == ["altered"]


def test_a_broken_wrapper_is_found() -> None:
    """Docker's JSON that can't be read any more is a problem if an entry is in it."""
    line = json.dumps({"log": chain(1)[0].decode()}).replace(": ", ":").encode()

    assert kinds([line.replace(b"\\n", b"\\x"), b"\n"]) == [("unreadable", "log:1")]
    assert kinds([b'{"log":"something else\n']) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"chain":"', b'"chain":"x'),
        (b'"sequence":1', b'"sequence":true'),
        (b'"sequence":1', b'"sequence":0'),
        (b'"previous_hash":"0', b'"previous_hash":"x'),
        (b',"hash":"', b',"hash":"x'),
        (b'"algorithm"', b'"lost":-1,"algorithm"'),
        (b'"log_type":"audit"', b'"log_type":"other"'),
    ],
)
def test_an_entry_without_its_ties_is_unreadable(old: bytes, new: bytes) -> None:
    """What has the marks of an entry and no place in a chain is a problem."""
    (line, _) = chain(1)

    assert kinds([line.replace(old, new, 1)]) == [("unreadable", "log:1")]


def test_endless_lines_do_not_fill_the_memory() -> None:
    """A line is read in pieces; numbers go by lines, and marks are seen in any."""
    filler = b"x" * (9 * 1024 * 1024)
    log = filler + b"\n" + b"".join(chain(1)) + b'"log_type":"audit"' + filler + b"\n"

    found = [
        (entry.line, entry.members is None) for entry in entries_of(io.BytesIO(log))
    ]

    assert found == [(2, False), (3, False), (4, True)]


def test_problems_and_gaps_are_bounded() -> None:
    """Memory does not grow with what is wrong, and all of it is counted."""
    lines = chain(3000)
    found = verified(b"".join(lines[::2]))

    (state,) = found.chains.values()
    assert found.found == 1500
    assert len(found.problems) == len(state.gaps) == 1000
