"""The check of an S3 bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.health._result import CheckResult
from svcready.health.checks._adding import add
from svcready.health.checks._cloud._aws import aws_check, unhurried
from svcready.health.checks._named import name_for
from svcready.health.checks._subjects import check_text

if TYPE_CHECKING:
    from typing import Unpack

    from botocore.client import BaseClient

    from svcready.health.checks._adding import Options
    from svcready.health.checks._cloud._aws import Call

__all__ = ["add_s3_bucket"]

# The answer to a HEAD has no body, so these are numbers.
_MISSING = {
    "404": "the bucket does not exist",
    "NoSuchBucket": "the bucket does not exist",
    "301": "the bucket is in another region",
}


def add_s3_bucket(
    bucket: str,
    *,
    name: str | None = None,
    region: str = "",
    client: BaseClient | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a health check of an S3 bucket: that it is there.

    It sends one HEAD once a minute and reads no object. The role needs
    `s3:ListBucket`; without it, or if the bucket is another account's, the check
    warns.

    Args:
        bucket: The bucket's name.
        name: The check's; `s3-` and the bucket's name if not given.
        region: Overrides that of the environment.
        client: A client of the application's whose account and endpoint are used; a
            client of the check's own makes the calls.
        options: As of `svcready.health.check`; `interval` 60 s and `timeout` 5 s if
            not given.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    check_text("add_s3_bucket", "the bucket's name", bucket)
    ready = aws_check(
        "s3",
        lambda call: _look(call, bucket),
        action="s3:ListBucket",
        target=f"s3 {bucket}",
        region=region,
        like=client,
        known=_MISSING,
    )
    add(name or name_for("s3", bucket), ready, unhurried(options))


def _look(call: Call, bucket: str) -> CheckResult:
    call("head_bucket", Bucket=bucket)
    return CheckResult("pass")
