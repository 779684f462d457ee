"""The check of a DynamoDB table."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready.health._result import CheckResult
from svcready.health.checks._adding import add
from svcready.health.checks._cloud._aws import aws_check, unhurried
from svcready.health.checks._named import name_for
from svcready.health.checks._subjects import check_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from botocore.client import BaseClient

    from svcready.health.checks._adding import Options
    from svcready.health.checks._cloud._aws import Call

__all__ = ["add_dynamodb_table"]

_USABLE = frozenset({"ACTIVE", "UPDATING"})
_MISSING = {"ResourceNotFoundException": "the table does not exist"}


def add_dynamodb_table(
    table: str,
    *,
    name: str | None = None,
    region: str = "",
    client: BaseClient | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a health check of a DynamoDB table: that it can be used.

    It passes while the table is active or being updated, warns while an index is not
    there yet, and fails otherwise. It reads the table's description once a minute,
    and no item. The role needs `dynamodb:DescribeTable`; without it the check warns.

    Args:
        table: The table's name or ARN.
        name: The check's; `dynamodb-` and the table's name if not given.
        region: Overrides that of the environment.
        client: A client of the application's whose account and endpoint are used; a
            client of the check's own makes the calls.
        options: As of `svcready.health.check`; `interval` 60 s and `timeout` 5 s if
            not given.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    check_text("add_dynamodb_table", "the table's name or ARN", table)
    ready = aws_check(
        "dynamodb",
        lambda call: _look(call, table),
        action="dynamodb:DescribeTable",
        target=f"dynamodb {table}",
        region=region,
        like=client,
        known=_MISSING,
    )
    short = table.rpartition("/")[2]
    add(name or name_for("dynamodb", short), ready, unhurried(options))


def _look(call: Call, table: str) -> CheckResult:
    answer = call("describe_table", TableName=table)
    found = cast("Mapping[str, object]", answer["Table"])
    status = str(found["TableStatus"])
    if status not in _USABLE:
        return CheckResult("fail", f"the table is {status}")

    indexes = cast(
        "Sequence[Mapping[str, str]]", found.get("GlobalSecondaryIndexes", ())
    )
    for index in indexes:
        state = index.get("IndexStatus", "ACTIVE")
        if state not in _USABLE:
            return CheckResult("warn", f"the index {index['IndexName']} is {state}")

    return CheckResult("pass")
