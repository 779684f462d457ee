"""The verifier of AWS signatures: it works each out again, as AWS describes it."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

__all__ = ["verify"]


def verify(
    headers: dict[str, str],
    body: bytes,
    *,
    url: str,
    path: str,
    scope: str,
    secret: str,
) -> None:
    """
    Fail if the signature of a POST is not what its parts and *secret* give.

    Args:
        headers: As they were received.
        body: As it travelled.
        url: Where to; its host is among what is signed.
        path: The part of the URL behind the host.
        scope: Region, service and the last word: `eu-west-1/xray/aws4_request`.
        secret: The secret key of AKIDEXAMPLE.
    """
    given = {name.lower(): value for name, value in headers.items()}
    fields = dict(
        part.strip().split("=", 1)
        for part in given["authorization"].split(" ", 1)[1].split(",")
    )
    signed = fields["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "content-type"} <= set(signed)
    assert given["host"] == urlsplit(url).netloc
    lines = [f"{name}:{given[name].strip()}\n" for name in signed]
    payload = hashlib.sha256(body).hexdigest()
    request = "\n".join(
        ("POST", path, "", "".join(lines), ";".join(signed), payload)
    ).encode()
    stamp = given["x-amz-date"]
    dated = f"{stamp[:8]}/{scope}"
    assert fields["Credential"] == f"AKIDEXAMPLE/{dated}"
    key = f"AWS4{secret}".encode()
    for part in dated.split("/"):
        key = _sign(key, part)

    text = "\n".join(
        ("AWS4-HMAC-SHA256", stamp, dated, hashlib.sha256(request).hexdigest())
    )
    assert fields["Signature"] == _sign(key, text).hex()


def _sign(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
