"""What is read from a certificate's bytes, against a library that reads them all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from svcready.health.checks._network._der import Certificate, is_for, read_certificate
from tests.health.checks.certificates import make

times = st.datetimes(
    datetime(1950, 1, 1),  # noqa: DTZ001 - hypothesis wants naive ones
    datetime(9999, 12, 30),  # noqa: DTZ001
).map(lambda time: time.replace(microsecond=0, tzinfo=UTC))
hosts = st.from_regex(r"(\*\.)?[a-z][a-z0-9-]{0,20}(\.[a-z]{2,9}){1,4}", fullmatch=True)


@cache
def plain() -> bytes:
    """Return a certificate like most."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = make(now, now + timedelta(days=90), names=("a.example",))
    return made.public_bytes(Encoding.DER)


@given(
    st.tuples(times, times).map(sorted),
    st.lists(hosts, max_size=40).map(tuple),
    st.lists(st.ip_addresses().map(str), max_size=4).map(tuple),
    st.booleans(),
)
def test_it_reads_what_the_library_reads(
    valid: list[datetime],
    names: tuple[str, ...],
    addresses: tuple[str, ...],
    authority: bool,
) -> None:
    """Both forms of times, both of lengths, with and without alternative names."""
    made = make(
        valid[0],
        valid[1] + timedelta(seconds=1),
        names=names,
        addresses=addresses,
        authority=authority,
    )
    read = read_certificate(made.public_bytes(Encoding.DER))

    assert read.not_before == made.not_valid_before_utc
    assert read.not_after == made.not_valid_after_utc
    assert (read.names, len(read.addresses)) == (names, len(addresses))
    if names or addresses:
        told = made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found = told.value.get_values_for_type(x509.IPAddress)
        assert [ip_address(packed) for packed in read.addresses] == found


@given(st.binary(max_size=300))
def test_other_bytes_are_no_certificate(data: bytes) -> None:
    """Whatever a peer sends, it is a ValueError and nothing else."""
    with pytest.raises(ValueError, match="no certificate"):
        read_certificate(data)


@given(st.data())
def test_a_broken_certificate_is_read_or_refused(data: st.DataObject) -> None:
    """One byte changed, or the end cut off: no other error, and it always ends."""
    der = bytearray(plain())
    at = data.draw(st.integers(0, len(der) - 1))
    if data.draw(st.booleans()):
        del der[at:]
    else:
        der[at] = data.draw(st.integers(0, 255))

    try:
        read = read_certificate(bytes(der))
    except ValueError:
        return

    assert isinstance(read, Certificate)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.example", True),
        ("A.Example.", True),
        ("x.b.example", True),
        ("b.example", False),
        ("y.x.b.example", False),
        ("bücher.example", True),
        ("10.0.0.7", True),
        ("::1", True),
        ("10.0.0.8", False),
        ("a.example.evil", False),
    ],
)
def test_a_certificate_is_for_its_hosts(host: str, expected: bool) -> None:
    """A wildcard is one whole label; case and a final dot say nothing."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = Certificate(
        now,
        now,
        ("a.example", "*.B.example", "xn--bcher-kva.example"),
        (b"\x0a\0\0\x07", b"\0" * 15 + b"\x01"),
    )
    assert is_for(certificate, host) is expected
