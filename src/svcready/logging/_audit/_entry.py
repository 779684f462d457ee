"""One entry of the audit log: what code may say, and how it is written as JSON."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import orjson

from svcready._core.context import current
from svcready.errors import DeclarationError
from svcready.logging._lines._request import ids_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.logging._lines._values import Values

__all__ = ["LEAST_BYTES", "OUTCOMES", "Entry", "EntryTexts", "make_entry"]

OUTCOMES = ("success", "failure", "denied", "error")
"""How what was tried can have ended."""
LEAST_BYTES = 4096
"""No limit on an entry's size is lower: who did what must fit."""

_ACTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_OURS = "svcready."
_ENVELOPE_BYTES = 1024
_MARKER_BYTES = 128
_CUT_ORDER = ("details", "changes", "resource", "actor")
_SIDES = ({"from"}, {"to"}, {"from", "to"})
_MILLION = 1_000_000_000


class Entry(NamedTuple):
    """What is to be recorded, judged and in order, before secrets are hidden."""

    action: str
    resource: Mapping[str, object]
    actor: Mapping[str, object]
    outcome: str
    changes: Mapping[str, object] | None
    details: Mapping[str, object]
    time_ns: int
    ids: str
    """The ids of request and trace as members of a line, behind a comma."""


def make_entry(
    action: object,
    resource: object,
    actor: object,
    outcome: object,
    changes: object,
    details: Mapping[str, object],
    *,
    time_ns: int,
    span_ids: Callable[[], tuple[str, str] | None] = lambda: None,
    ours: bool = False,
) -> Entry:
    """
    Return an entry of what code said.

    Args:
        action: What was done.
        resource: To what.
        actor: By whom.
        outcome: How it ended.
        changes: What is different now.
        details: Anything else.
        time_ns: When, in nanoseconds since the epoch.
        span_ids: Returns the current span's trace and span id in hex.
        ours: The library itself records; it has names that code may not use.

    Raises:
        DeclarationError: The code says it wrongly.
    """
    if not isinstance(action, str) or not _ACTION.fullmatch(action):
        raise _refusal("action", action, "1 to 128 of A-Z a-z 0-9 _ . : / -")

    if action.startswith(_OURS) and not ours:
        raise _refusal("action", action, f"a name that does not begin with {_OURS}")

    if not isinstance(outcome, str) or outcome not in OUTCOMES:
        raise _refusal("outcome", outcome, f"one of {', '.join(OUTCOMES)}")

    if not isinstance(changes, Mapping) and changes is not None:
        raise _refusal("changes", type(changes), "a mapping of fields")

    record = current()
    trace_id, span_id = span_ids() or (None, None)
    if record is None:
        ids = ids_text(None, None, trace_id, span_id)
    else:
        ids = ids_text(
            record.request_id,
            record.correlation_id,
            trace_id or record.trace_id,
            span_id or record.span_id,
        )

    return Entry(
        action,
        _identified("resource", resource),
        _identified("actor", actor),
        outcome,
        changes and {field: _change(field, pair) for field, pair in changes.items()},
        details,
        time_ns,
        ids,
    )


def _identified(name: str, given: object) -> Mapping[str, object]:
    if isinstance(given, str):
        return {"id": given}

    if not isinstance(given, Mapping) or not given:
        shown = given if given is None or given == {} else type(given)
        raise _refusal(name, shown, "a text or a mapping with type, id and the like")

    return given


def _change(field: str, pair: object) -> Mapping[str, object]:
    if isinstance(pair, Mapping) and set(pair) in _SIDES:
        return pair

    if isinstance(pair, tuple | list) and len(pair) == 2:
        return {"from": pair[0], "to": pair[1]}

    raise _refusal(
        f"changes[{field!r}]",
        type(pair),  # the value may be what is to be hidden
        'a pair (before, after), or a mapping with "from" and "to"',
    )


def _refusal(name: str, given: object, allowed: str) -> DeclarationError:
    shown = f"{given!r:.200}"
    if isinstance(given, type):
        shown = f"of type {given.__name__}"

    return DeclarationError(f"{name} {shown} is not allowed: use {allowed}")


class EntryTexts:
    """
    Writes entries as the members of a JSON object, without secrets.

    What is longer than the destination takes is cut, and says so: in place of the
    largest values stands how many bytes they had, and the SHA-256 of them.

    Args:
        values: Renders fields and hides secrets.
        max_bytes: The longest line.
    """

    def __init__(self, values: Values, max_bytes: int) -> None:
        self._values = values
        self._room = max(max_bytes, LEAST_BYTES) - _ENVELOPE_BYTES
        self._second = (0, "")

    def timestamp(self, time_ns: int) -> bytes:
        """Return a time as ISO 8601 in UTC with microseconds."""
        second, rest_ns = divmod(time_ns, _MILLION)
        cached = self._second
        if cached[0] != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = cached = (second, text)

        return f"{cached[1]}.{rest_ns // 1000:06d}Z".encode()

    def members(self, entry: Entry) -> bytes:
        """Return what *entry* says, as members behind a comma."""
        fields = self._values.fields
        parts = {"resource": fields(entry.resource), "actor": fields(entry.actor)}
        if entry.changes:
            parts["changes"] = fields(entry.changes)

        if entry.details:
            parts["details"] = fields(entry.details)

        if sum(map(len, parts.values())) > self._room:
            parts = _shorten(parts, self._room)

        action = self._values.text(entry.action)
        head = b',"action":%b,"resource":%b' % (action, parts.pop("resource"))
        outcome = f',"outcome":"{entry.outcome}"'
        return b"".join(
            (
                head,
                b',"actor":%b' % parts.pop("actor"),
                outcome.encode(),
                *(b',"%b":%b' % (name.encode(), text) for name, text in parts.items()),
                entry.ids.encode(),
            )
        )

    def identity(self, named: Mapping[str, str]) -> bytes:
        """Return who the service is, as members behind a comma."""
        shown = {key: self._values.redacted(text)[:256] for key, text in named.items()}
        return b"," + self._values.of_json(shown)[1:-1]

    def snapshot(self, entry: Entry) -> tuple[int, Entry]:
        """Return how many bytes *entry* has, and it as it is now, of plain values."""
        said = (entry.resource, entry.actor, entry.changes or {}, entry.details)
        texts = [self._values.fields(mapping) for mapping in said]
        resource, actor, changes, details = map(orjson.loads, texts)
        return sum(map(len, texts)), entry._replace(
            resource=resource, actor=actor, changes=changes, details=details
        )


def _shorten(parts: dict[str, bytes], room: int) -> dict[str, bytes]:
    """Return *parts* with their largest values, or themselves, replaced by markers."""
    trees: dict[str, dict[str, object]] = {k: orjson.loads(v) for k, v in parts.items()}
    sizes = [
        (len(text), name, key)
        for name, tree in trees.items()
        for key, value in tree.items()
        if len(text := orjson.dumps(value)) > _MARKER_BYTES
    ]
    size = sum(map(len, parts.values()))
    for found, name, key in sorted(sizes, reverse=True):
        if size <= room:
            break

        trees[name][key] = _marker(orjson.dumps(trees[name][key]))
        size -= found - _MARKER_BYTES

    short = {name: orjson.dumps(tree) for name, tree in trees.items()}
    for name in _CUT_ORDER:
        if sum(map(len, short.values())) > room and name in short:
            short[name] = orjson.dumps(_marker(parts[name]))

    return short


def _marker(text: bytes) -> dict[str, object]:
    return {"_cut_bytes": len(text), "_sha256": sha256(text).hexdigest()}
