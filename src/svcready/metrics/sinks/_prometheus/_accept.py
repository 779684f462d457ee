"""What a scraper accepts: which format, and whether compressed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import prometheus_client.registry

    Encoder = Callable[[prometheus_client.registry.Collector], bytes]

__all__ = ["accepts_gzip", "choose_format"]

# prometheus_client writes names and TYPE lines in different spellings under these two
# schemes; every name of ours is legal without escaping, so we answer with underscores.
_ESCAPING = re.compile(r"escaping=(dots|values)\b")
_NOT_AT_ALL = re.compile(r"q=0(\.0*)?")
_OLDEST = "version=0.0.4"


def choose_format(accept: str | None) -> tuple[Encoder, str]:
    """
    Let prometheus_client choose among what *accept* prefers.

    It takes the first that it knows and reads no weights (RFC 9110, 12.4.2), so it is
    asked about one after the other, the heaviest first.

    Args:
        accept: The request's Accept header; what cannot be read means plain text.

    Returns:
        prometheus_client's encoder, and its Content-Type.
    """
    from prometheus_client.exposition import choose_encoder

    for wanted in _by_weight(accept or ""):
        try:
            encode, content_type = choose_encoder(wanted)
        except Exception:  # noqa: BLE001, S112 - it stumbles over `version=x`
            continue

        if _OLDEST not in content_type or _is_oldest(wanted):
            return encode, content_type

    return choose_encoder("")


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Tell whether an Accept-Encoding header takes gzip; `q=0` refuses it."""
    for part in (accept_encoding or "").lower().split(","):
        coding, *parameters = [word.strip() for word in part.split(";")]
        if coding == "gzip":
            return _NOT_AT_ALL.fullmatch("".join(parameters).replace(" ", "")) is None

    return False


def _by_weight(accept: str) -> Iterator[str]:
    weighed = [
        (_weight(part), _ESCAPING.sub("escaping=underscores", part))
        for part in accept.split(",")
    ]
    for weight, part in sorted(weighed, key=lambda pair: -pair[0]):
        if weight > 0:
            yield part


def _weight(part: str) -> float:
    found = re.search(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", part)
    return float(found[1]) if found else 1.0


def _is_oldest(wanted: str) -> bool:
    kind, *parameters = [word.strip() for word in wanted.split(";")]
    versions = [word for word in parameters if word.startswith("version=")]
    return kind in {"text/plain", "text/*", "*/*"} and versions in ([], [_OLDEST])
