"""AWS Signature Version 4 for requests that botocore does not send itself."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.optional import require

if TYPE_CHECKING:
    from botocore.credentials import Credentials

__all__ = ["NoCredentialsError", "NoRegionError", "SigV4Signer", "region_of"]

_URL = r"https://{}\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?(?::443)?(?:/v1/[a-z]+)?"


class NoCredentialsError(Exception):
    """Nothing that botocore asks has credentials for AWS, now."""


class NoRegionError(Exception):
    """Nobody says which region a request is for."""


def region_of(url: str, service: str) -> str:
    """Return the region of AWS' own OTLP endpoint of *service*; empty if it is none."""
    found = re.fullmatch(_URL.format(service), url)
    return found[1] if found else ""


class SigV4Signer:
    """
    Signs bodies that are posted to an AWS service; for one thread at a time.

    Credentials and region are found at the first signature, which can take seconds,
    and credentials that end are renewed by botocore.

    Args:
        service: As the signature names it: `monitoring`, `xray`, `logs`.
        region: Empty takes AWS_REGION, then what botocore finds.
    """

    def __init__(self, service: str, region: str = "") -> None:
        self._service = service
        self._region = region
        self._credentials: Credentials | None = None
        fork.reset_in_child(self._after_fork)

    def __call__(self, url: str, body: bytes) -> dict[str, str]:
        """
        Return the headers that sign a POST of *body*, as protobuf, to *url*.

        Raises:
            MissingExtraError: botocore is not installed.
            NoCredentialsError: There are none; asked for again the next time.
            NoRegionError: There is none.
        """
        wanted = f"signing for AWS {self._service}"
        auth = require("botocore.auth", extra="aws", needed_for=wanted)
        request_of = require("botocore.awsrequest", extra="aws", needed_for=wanted)
        self._find(wanted)
        request = request_of.AWSRequest(
            "POST", url, headers={"Content-Type": "application/x-protobuf"}, data=body
        )
        auth.SigV4Auth(self._credentials, self._service, self._region).add_auth(request)
        return dict(request.headers.items())

    def _find(self, wanted: str) -> None:
        if self._credentials is not None:
            return

        session = require(
            "botocore.session", extra="aws", needed_for=wanted
        ).get_session()
        region = self._region or os.environ.get("AWS_REGION", "")
        self._region = region or session.get_config_variable("region") or ""
        if not self._region:
            raise NoRegionError

        self._credentials = session.get_credentials()
        if self._credentials is None:
            raise NoCredentialsError

    def _after_fork(self) -> None:
        # Those that are renewed have a lock, which a thread of the parent may hold.
        self._credentials = None
