"""The pieces that OTLP's protobuf messages are written of, for every signal."""

# A field's tag is its number times 8 plus its wire type: 0 varint, 1 eight bytes,
# 2 length and content, 5 four bytes. Names are those of opentelemetry/proto.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct

__all__ = [
    "DOUBLE",
    "FIXED32",
    "FIXED64",
    "SMALL",
    "attributes",
    "field",
    "number_field",
    "text_field",
    "utf8",
    "varint",
]

FIXED64, FIXED32, DOUBLE = Struct("<Q").pack, Struct("<I").pack, Struct("<d").pack
_MAX_KEYS = 4096
_MAX_PAIRS = 2048
_MAX_PAIR_BYTES = 128
_UINT64 = 1 << 64

_FEW = 1000

_keys: dict[str, bytes] = {}
_pairs: dict[tuple[str, str], bytes] = {}
_numbers: dict[tuple[str, object, type], bytes] = {}
_doubles: dict[str, bytes] = {}


def attributes(tag: int, given: Mapping[str, object] | None) -> bytes:
    """Return *given* as fields *tag*, each a KeyValue."""
    if not given:
        return b""

    # The SDK's mapping takes its lock for each item; these spans have ended.
    plain: Mapping[str, object] = getattr(given, "_dict", given)
    parts: list[bytes] = []
    mark = SMALL[tag]
    for key, value in plain.items():
        if value.__class__ is str:
            pair = _pairs.get((key, value)) or _text_pair(key, value)
        elif value.__class__ is bool or (value.__class__ is int and 0 <= value < _FEW):
            kind = value.__class__  # True is 1, and has another encoding
            pair = _numbers.get((key, value, kind)) or _number_pair(key, value, kind)
        elif value.__class__ is float:
            pair = (_doubles.get(key) or _double_head(key)) + DOUBLE(value)
        else:
            pair = _pair(key, _value(value))

        parts += (mark, pair)

    return b"".join(parts)


def _text_pair(key: str, value: str) -> bytes:
    """Return a KeyValue with its length and keep it, for most come again."""
    pair = _pair(key, field(0x0A, utf8(value)))
    if len(pair) <= _MAX_PAIR_BYTES:
        if len(_pairs) >= _MAX_PAIRS:
            _pairs.clear()

        _pairs[key, value] = pair

    return pair


def _number_pair(key: str, value: object, kind: type) -> bytes:
    """Return a KeyValue with its length and keep it: statuses, counts and flags."""
    pair = _pair(key, _value(value))
    if len(_numbers) >= _MAX_PAIRS:
        _numbers.clear()

    _numbers[key, value, kind] = pair
    return pair


def _double_head(key: str) -> bytes:
    """Return what comes before the eight bytes of a KeyValue's double, and keep it."""
    head = _pair(key, b"\x21" + bytes(8))[:-8]
    if len(_doubles) < _MAX_KEYS:
        _doubles[key] = head

    return head


def _pair(key: str, content: bytes) -> bytes:
    # KeyValue: 1 key, 2 value
    pair = (_keys.get(key) or _key(key)) + field(0x12, content)
    size = len(pair)
    return (SMALL[size] if size < 128 else varint(size)) + pair


def _value(value: object) -> bytes:
    # AnyValue: 1 string, 2 bool, 3 int, 4 double, 5 array, 6 key-value list, 7 bytes
    if isinstance(value, str):
        return field(0x0A, utf8(value))

    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"

    if isinstance(value, int):
        return b"\x18" + varint(value % _UINT64)

    if isinstance(value, float):
        return b"\x21" + DOUBLE(value)

    if value is None:
        return b""

    if isinstance(value, bytes):
        return field(0x3A, value)

    if isinstance(value, Mapping):
        return field(0x32, attributes(0x0A, value))

    if isinstance(value, Sequence):
        items = (field(0x0A, _value(item)) for item in value)
        return field(0x2A, b"".join(items))

    return field(0x0A, utf8(str(value)))


def _key(key: str) -> bytes:
    encoded = field(0x0A, utf8(key))
    if len(_keys) < _MAX_KEYS:
        _keys[key] = encoded

    return encoded


def utf8(text: str) -> bytes:
    """Return *text* as UTF-8; what it cannot write becomes `?`."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def text_field(tag: int, text: str | None) -> bytes:
    """Return *text* as field *tag*; nothing if it is empty."""
    return field(tag, utf8(text)) if text else b""


def number_field(tag: int, number: int) -> bytes:
    """Return *number* as varint field *tag*; nothing if it is 0."""
    return SMALL[tag] + varint(number) if number else b""


def field(tag: int, content: bytes) -> bytes:
    """Return *content* with its tag and length before it."""
    size = len(content)
    return SMALL[tag] + (SMALL[size] if size < 128 else varint(size)) + content


def varint(number: int) -> bytes:
    """Return *number* in groups of seven bits."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7

    out.append(number)
    return bytes(out)


SMALL = tuple(bytes((number,)) for number in range(128))
"""Numbers below 128, as varints and as tags."""
