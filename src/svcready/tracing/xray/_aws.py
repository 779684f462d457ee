"""The field `aws` of a subsegment: which operation of which resource was called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready.tracing.xray._reading import Given

__all__ = ["CALL_NAMES", "call_of"]

_TEXTS = {
    "operation": ("aws.operation", "rpc.method"),
    "account_id": ("aws.account_id", "aws.account.id", "cloud.account.id"),
    "region": ("aws.region", "cloud.region"),
    "request_id": ("aws.request_id", "aws.requestId"),
    "queue_url": (
        "messaging.url",
        "aws.sqs.queue.url",
        "aws.queue_url",
        "aws.queue.url",
    ),
}
_TABLES = ("aws.dynamodb.table_names", "aws.table_name", "aws.table.name")
_RETRIES = ("aws.xray.retries", "retry_attempts")
_ALL = frozenset({name for names in _TEXTS.values() for name in names})
CALL_NAMES = _ALL | frozenset({*_TABLES, *_RETRIES})


def call_of(given: Given) -> dict[str, object]:
    """Return what a call's attributes say about it, by X-Ray's names."""
    if given.values.keys().isdisjoint(CALL_NAMES):
        return {}

    aws: dict[str, object] = {}
    for field, names in _TEXTS.items():
        text = given.text(*names)
        if text:
            aws[field] = text

    tables = given.values.get(_TABLES[0])
    if isinstance(tables, list | tuple) and len(tables) > 1:
        given.take(_TABLES[0])
        aws["table_names"] = [str(table) for table in tables]
    elif isinstance(tables, list | tuple) and tables:
        given.take(_TABLES[0])
        aws["table_name"] = str(tables[0])
    else:
        table = given.text(*_TABLES)
        if table:
            aws["table_name"] = table

    retries = given.number(*_RETRIES)
    if retries is not None:
        aws["retries"] = retries

    return aws
