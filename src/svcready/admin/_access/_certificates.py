"""The way in by a client certificate that a trusted proxy has verified."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svcready.admin._access._gate import Grant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.admin._access._networks import Proxies
    from svcready.admin._exchange import OpsRequest

__all__ = ["CertificateWay", "names_of"]

_XFCC = "x-forwarded-client-cert"
_LONGEST = 16 * 1024
_LONGEST_NAME = 128
_PAIR = re.compile(
    r"""[ \t]*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"[ \t]*|([^",;]*))(?:;|\Z)"""
)
"""A key with a value; only within quotes a backslash means anything."""


class CertificateWay:
    """
    Admits whom a proxy of ours says it has verified by their certificate.

    The header has the subject as RFC 4514 writes it (nginx's `$ssl_client_s_dn`, the
    load balancer's `X-Amzn-Mtls-Clientcert-Subject`), or is Envoy's
    `X-Forwarded-Client-Cert`, of which the last element counts: the one that our own
    proxy added. It is looked for from the end, so that nothing before it, which a
    client may have written, has a say in how it is read; one that is not well formed
    admits nobody.

    Args:
        header: The header's name.
        subjects: `CN=...`, `URI=...` or a whole subject, as it is written.
        proxies: Tells whether the peer is one of ours.
    """

    def __init__(
        self, header: str, subjects: tuple[str, ...], proxies: Proxies
    ) -> None:
        self._header = header
        # What is not printable stands for a malformed list, and is nobody's name.
        self._subjects = frozenset(filter(str.isprintable, subjects))
        self._proxies = proxies

    def __call__(self, request: OpsRequest) -> Grant | str:
        """Say whose certificate *request* came with."""
        value = request.header(self._header)
        if not value:
            return ""

        if not self._proxies.sent(request):
            return "untrusted_certificate"

        for name in names_of(self._header, value):
            if name in self._subjects:
                return Grant(f"certificate {name[:_LONGEST_NAME]}", writes=True)

        return "wrong_certificate"


def names_of(header: str, value: str) -> tuple[str, ...]:
    """
    Return what a certificate is called: its subject, `CN=...`, and each `URI=...`.

    Args:
        header: The header's name, which tells how its value is written.
        value: The value.
    """
    if len(value) > _LONGEST:
        return ()

    if header.lower() != _XFCC:
        return tuple(_of_subject(value.strip()))

    names: list[str] = []
    for key, said in _pairs(_last(value)):
        if key == "subject":
            names += _of_subject(said)
        elif key == "uri" and said:
            names.append(f"URI={said}")

    return tuple(names)


def _of_subject(subject: str) -> Iterator[str]:
    if subject:
        yield subject

    # Written with slashes, a value's own slash can't be told from one between two.
    if subject.startswith("/"):
        return

    parts = [
        part.strip() for each in _split(subject, ",") for part in _split(each, "+")
    ]
    common = [part[3:] for part in parts if part[:3].upper() == "CN="]
    if len(common) == 1:  # of several, none says who it is
        name = re.sub(r"\\(.)", r"\1", common[0])
        yield f"CN={name}"


def _split(text: str, mark: str) -> list[str]:
    """Split at each *mark* that is neither quoted nor escaped."""
    parts, start, quoted, position = [], 0, False, 0
    while position < len(text):
        each = text[position]
        if each == "\\":
            position += 1
        elif each == '"':
            quoted = not quoted
        elif each == mark and not quoted:
            parts.append(text[start:position])
            start = position + 1

        position += 1

    return [*parts, text[start:]]


def _last(value: str) -> str:
    """Return what is after the last comma outside quotes, as read from the end."""
    quoted = False
    for position in reversed(range(len(value))):
        if value[position] == '"':
            before = position
            while before and value[before - 1] == "\\":
                before -= 1

            quoted ^= (position - before) % 2 == 0
        elif value[position] == "," and not quoted:
            return value[position + 1 :]

    return value


def _pairs(element: str) -> list[tuple[str, str]]:
    """Return an element's keys, in lower case, and values; none if it is malformed."""
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(element):
        found = _PAIR.match(element, position)
        if found is None:
            return []

        key, quoted, bare = found.groups()
        said = bare.rstrip(" \t") if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        pairs.append((key.lower(), said))
        position = found.end()

    return pairs
