"""The headers' grammars, read character by character, as the parsers must."""

from __future__ import annotations

LOWER_HEX = "0123456789abcdef"
UPPER_HEX = "0123456789ABCDEF"
BLANK = " \t"
TOKEN = "!#$%&'*+-.^_`|~" + "".join(
    chr(code) for code in range(128) if chr(code).isalnum()
)


def is_hex(text: str, length: int, digits: str = LOWER_HEX) -> bool:
    """Tell whether *text* is so many hex digits."""
    return len(text) == length and all(char in digits for char in text)


def trimmed(text: str) -> str:
    """Return *text* without blanks around."""
    while text and text[0] in BLANK:
        text = text[1:]

    while text and text[-1] in BLANK:
        text = text[:-1]

    return text


def traceparent(header: str) -> tuple[str, str, int] | None:
    """Read W3C's traceparent, level 2."""
    text = trimmed(header)
    if len(text) < 55 or (text[2], text[35], text[52]) != ("-", "-", "-"):
        return None

    version, trace_id, span_id, flags = text[:2], text[3:35], text[36:52], text[53:55]
    parts = ((version, 2), (trace_id, 32), (span_id, 16), (flags, 2))
    if not all(is_hex(part, length) for part, length in parts) or version == "ff":
        return None

    rest = text[55:]
    if rest and (version == "00" or rest[0] != "-"):
        return None

    if int(trace_id, 16) == 0 or int(span_id, 16) == 0:
        return None

    return trace_id, span_id, int(flags, 16)


def tracestate(header: str) -> dict[str, str]:
    """Read W3C's tracestate, level 2; empty if anything in it is not allowed."""
    members: dict[str, str] = {}
    for part in header.split(","):
        member = trimmed(part)
        if not member:
            continue

        if member.count("=") != 1:
            return {}

        key, value = member.split("=")
        first = "abcdefghijklmnopqrstuvwxyz0123456789"
        if not key or key[0] not in first or len(key) > 256:
            return {}

        if any(char not in first + "_-*/@" for char in key):
            return {}

        if not value or len(value) > 256 or value[-1] == " ":
            return {}

        if any(not " " <= char <= "~" for char in value) or key in members:
            return {}

        members[key] = value

    return members if len(members) <= 32 else {}


def baggage(header: str) -> dict[str, tuple[str, str]]:
    """Read W3C's baggage: key to value, decoded, and the member as it was written."""
    found: dict[str, tuple[str, str]] = {}
    for part in header.split(","):
        member = trimmed(part)
        pair, *properties = member.split(";")
        if "=" not in pair:
            continue

        key, value = (trimmed(side) for side in pair.split("=", 1))
        allowed = [chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\']
        if not key or any(char not in TOKEN for char in key):
            continue

        if any(char not in allowed for char in value):
            continue

        blanks = [*allowed, *BLANK]
        if any(char not in blanks for prop in properties for char in prop):
            continue

        found[key] = percent_decoded(value), member

    return found


def percent_decoded(text: str) -> str:
    """Return *text* with its %XX as UTF-8; what is no %XX stays."""
    octets = bytearray()
    at = 0
    while at < len(text):
        pair = text[at + 1 : at + 3]
        if text[at] == "%" and is_hex(pair, 2, LOWER_HEX + UPPER_HEX):
            octets.append(int(pair, 16))
            at += 3
        else:
            octets.append(ord(text[at]))
            at += 1

    return octets.decode("utf-8", "replace")


def xray(header: str) -> tuple[str, str | None, bool | None, bool, list[str]] | None:
    """Read X-Amzn-Trace-Id: root, parent, decision, whether asked, what goes on."""
    root = parent = None
    sampled: bool | None = None
    asked = False
    passed: list[str] = []
    for part in header.split(";"):
        pair = trimmed(part)
        key, equals, value = pair.partition("=")
        digits = LOWER_HEX + UPPER_HEX
        if not equals:
            continue

        if key == "Root":
            version, *ids = value.split("-")
            is_root = version == "1" and [len(part) for part in ids] == [8, 24]
            root = "".join(ids).lower() if is_root else None
            if root is not None and not is_hex(root, 32):
                root = None
        elif key == "Parent":
            parent = value.lower() if is_hex(value, 16, digits) else None
        elif key == "Sampled":
            sampled = {"1": True, "0": False}.get(value)
            asked = value == "?"
        elif key != "Self":
            passed.append(pair)

    if root is None or int(root, 16) == 0:
        return None

    if parent is not None and int(parent, 16) == 0:
        parent = None

    return root, parent, sampled, asked, passed


B3Seen = tuple[str | None, str | None, bool | None, bool]


def b3_single(header: str) -> B3Seen | None:
    """Read the header b3: trace id, span id, decision, debug."""
    states = {"0": (False, False), "1": (True, False), "d": (True, True)}
    parts = trimmed(header).split("-")
    if len(parts) == 1:
        return (None, None, *states[parts[0]]) if parts[0] in states else None

    ids = b3_ids(parts[0], parts[1])
    if ids is None or len(parts) > 4:
        return None

    decision: tuple[bool | None, bool] = (None, False)
    if len(parts) > 2:
        if parts[2] not in states:
            return None

        decision = states[parts[2]]

    if len(parts) == 4 and not is_hex(parts[3], 16, LOWER_HEX + UPPER_HEX):
        return None

    return (*ids, *decision)


def b3_multi(
    trace_id: str | None, span_id: str | None, sampled: str | None, flags: str | None
) -> B3Seen | None:
    """Read the headers X-B3-*."""
    words = {"1": True, "true": True, "0": False, "false": False}
    debug = flags is not None and trimmed(flags) == "1"
    decision = True if debug else words.get(trimmed(sampled or "").lower())
    ids = b3_ids(trimmed(trace_id or ""), trimmed(span_id or ""))
    if ids is None and decision is None:
        return None

    return (*(ids or (None, None)), decision, debug)


def b3_ids(trace_id: str, span_id: str) -> tuple[str, str] | None:
    """Return both ids in the lengths of W3C."""
    digits = LOWER_HEX + UPPER_HEX
    fits = is_hex(trace_id, 16, digits) or is_hex(trace_id, 32, digits)
    if not fits or not is_hex(span_id, 16, digits):
        return None

    if int(trace_id, 16) == 0 or int(span_id, 16) == 0:
        return None

    padding = "0" * (32 - len(trace_id))
    return padding + trace_id.lower(), span_id.lower()
