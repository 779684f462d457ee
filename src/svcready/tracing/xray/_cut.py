"""Makes a document fit into a datagram, and says what that took."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

import orjson

if TYPE_CHECKING:
    from svcready.tracing.xray._document import Document

__all__ = ["MAX_BYTES", "encode", "fit"]

MAX_BYTES = 65_507 - 30
"""What UDP carries in one datagram, without the header line before a document."""

_KEPT_CHARS = 256
_KEPT_ANNOTATION_CHARS = 100
_KEPT_FRAMES = 20
_KEPT_EXCEPTIONS = 4
_OPTIONAL = (
    "metadata",
    "links",
    "sql",
    "http",
    "cause",
    "annotations",
    "service",
    "aws",
)
_OPTIONS = orjson.OPT_NON_STR_KEYS
_NONE: Counter[str] = Counter()  # never changed


def encode(document: Document) -> bytes:
    """Return *document* as JSON; what JSON cannot say becomes text."""
    try:
        return orjson.dumps(document, default=_text_of, option=_OPTIONS)
    except (TypeError, ValueError):  # half a surrogate pair, a number beyond 64 bits
        return orjson.dumps(_plain(document), option=_OPTIONS)


def fit(document: Document, most: int = MAX_BYTES) -> tuple[bytes, Counter[str]]:
    """
    Return *document* as JSON of at most so many bytes, cut where it has to be.

    What is cut first matters least: metadata, the largest value first, then frames in
    the middle of stacks, exceptions far down a chain, links, annotations. Ids, times
    and flags always stay.

    Args:
        document: Is changed.
        most: Bytes.

    Returns:
        The JSON, and how many things were cut, by reason.
    """
    encoded = encode(document)
    if len(encoded) <= most:
        return encoded, _NONE

    cuts: Counter[str] = Counter()
    document = cast("Document", _plain(document))
    for shorten in (_metadata, _stacks, _exceptions, _links, _annotations):
        excess = len(encoded) - most
        shorten(document, excess, cuts)
        encoded = encode(document)
        if len(encoded) <= most:
            return encoded, cuts

    for field in _OPTIONAL:
        if document.pop(field, None) is not None:
            cuts["cut_fields"] += 1
            encoded = encode(document)
            if len(encoded) <= most:
                return encoded, cuts

    return encoded, cuts


def _metadata(document: Document, excess: int, cuts: Counter[str]) -> None:
    """Replace the largest values by their beginnings, until enough is saved."""
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return

    sized = [
        (_size(value), namespace, key)
        for namespace, content in metadata.items()
        for key, value in content.items()
    ]
    for size, namespace, key in sorted(sized, reverse=True):
        if excess <= 0:
            return

        content = metadata[namespace]
        value = content[key]
        text = value if isinstance(value, str) else encode({"": value})[4:-1].decode()
        content[key] = f"{text[:_KEPT_CHARS]} … ({size} bytes, cut)"
        saved = size - _size(content[key])
        if saved <= 0:  # and the others are smaller still
            content[key] = value
            break

        excess -= saved
        cuts["cut_metadata"] += 1

    for content in metadata.values():  # thousands of small ones
        while content and excess > 0:
            key, value = content.popitem()
            excess -= len(encode({key: value})) - 1
            cuts["cut_metadata"] += 1


def _stacks(document: Document, excess: int, cuts: Counter[str]) -> None:
    """Keep each stack's newest and oldest frames."""
    for exception in _exceptions_in(document):
        stack = exception.get("stack")
        if isinstance(stack, list) and len(stack) > _KEPT_FRAMES and excess > 0:
            half = _KEPT_FRAMES // 2
            left_out = stack[half:-half]
            exception["stack"] = stack[:half] + stack[-half:]
            before = exception.get("truncated", 0)
            exception["truncated"] = cast("int", before) + len(left_out)
            excess -= _size(left_out)
            cuts["cut_frames"] += len(left_out)


def _exceptions(document: Document, excess: int, cuts: Counter[str]) -> None:
    """Keep the first exceptions; the last of them says how many were skipped."""
    exceptions = _exceptions_in(document)
    left_out = exceptions[_KEPT_EXCEPTIONS:]
    if not left_out or excess <= 0:
        return

    del exceptions[_KEPT_EXCEPTIONS:]
    last = exceptions[-1]
    last["skipped"] = cast("int", last.get("skipped", 0)) + len(left_out)
    kept = {exception["id"] for exception in exceptions}
    for exception in exceptions:
        if exception.get("cause") not in kept:
            exception.pop("cause", None)

    cuts["cut_exceptions"] += len(left_out)


def _links(document: Document, excess: int, cuts: Counter[str]) -> None:
    """Take the attributes from links."""
    links = document.get("links")
    if isinstance(links, list) and excess > 0:
        for link in links:
            if link.pop("attributes", None) is not None:
                cuts["cut_links"] += 1


def _annotations(document: Document, excess: int, cuts: Counter[str]) -> None:
    """Shorten the texts of annotations, the longest first."""
    annotations = document.get("annotations")
    if not isinstance(annotations, dict):
        return

    texts = [(_size(v), k) for k, v in annotations.items() if _long(v)]
    for size, key in sorted(texts, reverse=True):
        if excess <= 0:
            return

        annotations[key] = annotations[key][:_KEPT_ANNOTATION_CHARS]
        excess -= size - _size(annotations[key])
        cuts["cut_annotations"] += 1


def _size(value: object) -> int:
    """Return how many bytes *value* takes as JSON."""
    return len(encode({"": value})) - 5


def _long(value: object) -> bool:
    return isinstance(value, str) and len(value) > _KEPT_ANNOTATION_CHARS


def _exceptions_in(document: Document) -> list[Document]:
    cause = document.get("cause")
    return cause["exceptions"] if isinstance(cause, dict) else []


def _plain(value: object) -> object:
    """Return a copy that JSON can say, and that is nobody else's."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()

    if isinstance(value, dict):
        return {str(_plain(str(key))): _plain(item) for key, item in value.items()}

    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]

    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)

    if value is None or isinstance(value, bool | int | float):
        return value

    return _plain(_text_of(value))


def _text_of(value: object) -> str:
    return str(value)
