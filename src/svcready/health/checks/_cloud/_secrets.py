"""The check of a secret in AWS Secrets Manager, whose value it never reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from svcready.health._result import CheckResult
from svcready.health.checks._adding import add
from svcready.health.checks._cloud._aws import aws_check, unhurried
from svcready.health.checks._named import name_for
from svcready.health.checks._subjects import check_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from botocore.client import BaseClient

    from svcready.health.checks._adding import Options
    from svcready.health.checks._cloud._aws import Call

__all__ = ["add_secret", "look"]

_MISSING = {"ResourceNotFoundException": "the secret does not exist"}


def add_secret(
    secret: str,
    *,
    name: str | None = None,
    region: str = "",
    client: BaseClient | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a health check of a secret: that it is there, and stays.

    It warns when the secret is scheduled for deletion, and when its rotation is
    overdue, which means that it failed. It reads the description once a minute and
    never the value. The role needs `secretsmanager:DescribeSecret`, and not
    `GetSecretValue`; without it the check warns.

    Args:
        secret: The secret's name or ARN.
        name: The check's; `secret-` and the secret's name if not given.
        region: Overrides that of the ARN or the environment.
        client: A client of the application's whose account and endpoint are used; a
            client of the check's own makes the calls.
        options: As of `svcready.health.check`; `interval` 60 s and `timeout` 5 s if
            not given.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    check_text("add_secret", "the secret's name or ARN", secret)
    parts = secret.split(":")
    is_arn = secret.startswith("arn:") and len(parts) > 6
    ready = aws_check(
        "secretsmanager",
        lambda call: look(call, secret),
        action="secretsmanager:DescribeSecret",
        target=f"secret {secret}",
        kind="component",
        region=region or (parts[3] if is_arn and client is None else ""),
        like=client,
        known=_MISSING,
    )
    short = parts[6] if is_arn else secret
    add(name or name_for("secret", short), ready, unhurried(options))


def look(
    call: Call,
    secret: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> CheckResult:
    """Look at the secret's description; *now* is the wall clock."""
    found = call("describe_secret", SecretId=secret)
    deleted = found.get("DeletedDate")
    if isinstance(deleted, datetime):
        day = deleted.astimezone(UTC).date()
        return CheckResult("warn", f"the secret is scheduled for deletion on {day}")

    due = found.get("NextRotationDate")
    if found.get("RotationEnabled") and isinstance(due, datetime) and due < now():
        day = due.astimezone(UTC).date()
        return CheckResult("warn", f"the secret's rotation is overdue, since {day}")

    return CheckResult("pass")
