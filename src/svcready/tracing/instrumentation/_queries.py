"""What the stable conventions of databases want and the old ones say otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svcready.tracing.instrumentation._conventions import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

__all__ = ["complete"]

_COMMENT = re.compile(r"\s*/\*.*?\*/", re.DOTALL)
_LONGEST_WORD = 64
_REDIS = "redis"
_AWS = "aws-api"


def complete(
    new: dict[str, AttributeValue], old: Mapping[str, AttributeValue], name: str
) -> str:
    """
    Add to *new* what the old attributes of a query say in another way.

    Args:
        new: The attributes so far.
        old: Those that the package set.
        name: The span's.

    Returns:
        The span's name: `{db.operation.name} {target}`.
    """
    system = str(new["db.system.name"])
    new["db.system.name"] = SYSTEMS.get(system, system)
    index = old.get("db.redis.database_index")
    if index is not None:
        new.setdefault("db.namespace", str(index))

    batch = old.get("db.redis.pipeline_length")
    if isinstance(batch, int) and batch > 1:
        new.setdefault("db.operation.batch.size", batch)

    operation = _operation(new, old)
    if operation:
        new["db.operation.name"] = operation

    # Calls of AWS are named `DynamoDB.PutItem`, as the conventions of AWS' SDKs say.
    if not operation or new.get("rpc.system") == _AWS:
        return name

    summary = new.get("db.query.summary")
    if summary:
        return str(summary)

    return f"{operation} {_target(new)}".rstrip()


def _operation(
    new: Mapping[str, AttributeValue], old: Mapping[str, AttributeValue]
) -> str:
    said = new.get("db.operation.name")
    text = str(new.get("db.query.text") or "")
    if "db.redis.pipeline_length" in old:
        commands = {_first_word(line) for line in text.splitlines()}
        return f"PIPELINE {commands.pop()}" if len(commands) == 1 else "PIPELINE"

    # The package for SQLAlchemy says the database's name as well.
    return _first_word(str(said) if said else text)


def _first_word(text: str) -> str:
    words = _COMMENT.sub("", text, count=1).split(None, 1)
    return words[0][:_LONGEST_WORD] if words else ""


def _target(new: Mapping[str, AttributeValue]) -> str:
    names = ["db.collection.name", "db.stored_procedure.name"]
    if new["db.system.name"] != _REDIS:  # a number, which says nothing in a name
        names.append("db.namespace")

    for name in names:
        if new.get(name):
            return str(new[name])

    address, port = new.get("server.address"), new.get("server.port")
    return f"{address}:{port}" if address and port else str(address or "")
