"""The fields `sql` and `aws` of a subsegment: which database, which AWS resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.trace import SpanKind

from tests.tracing.xray.support import REMOTE, document_of, make_span, part

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    Attributes = dict[str, AttributeValue]

CLIENT = SpanKind.CLIENT
SYSTEMS = (
    *("db2", "derby", "hive", "mariadb", "mssql", "mysql", "oracle", "postgresql"),
    *("sqlite", "teradata", "other_sql"),
)


def sql_of(attributes: Attributes) -> dict[str, object]:
    """Return the field `sql` of a call."""
    return part(document_of(make_span(CLIENT, attributes, name="SELECT orders")), "sql")


@pytest.mark.parametrize("key", ["db.system", "db.system.name"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_sql_databases(key: str, system: str) -> None:
    """Each SQL database is one, by the old attribute and the stable one."""
    assert sql_of({key: system})["database_type"] == system


@pytest.mark.parametrize(
    ("stable", "kind"),
    [
        ("microsoft.sql_server", "mssql"),
        ("oracle.db", "oracle"),
        ("ibm.db2", "db2"),
    ],
)
def test_databases_with_a_new_name(stable: str, kind: str) -> None:
    """Stable names that differ are given back as X-Ray knows the databases."""
    assert sql_of({"db.system.name": stable})["database_type"] == kind


@pytest.mark.parametrize("system", ["redis", "mongodb", "dynamodb", "aws.dynamodb"])
def test_other_databases_have_no_sql(system: str) -> None:
    """What asks no SQL keeps its attributes as metadata."""
    document = document_of(
        make_span(CLIENT, {"db.system": system, "db.statement": "x"})
    )

    assert "sql" not in document
    assert part(document, "metadata", "default")["db.statement"] == "x"


OLD: Attributes = {
    "db.system": "postgresql",
    "db.connection_string": "postgresql://db.local:5432",
    "db.name": "shop",
    "db.statement": "SELECT 1",
    "db.user": "app",
}
STABLE: Attributes = {
    "db.system.name": "postgresql",
    "db.namespace": "shop",
    "db.query.text": "SELECT 1",
    "server.address": "db.local",
    "server.port": 5432,
}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            OLD,
            {
                "connection_string": "postgresql://db.local:5432/shop",
                "sanitized_query": "SELECT 1",
                "user": "app",
            },
        ),
        (
            STABLE,
            {
                "connection_string": "db.local:5432/shop",
                "sanitized_query": "SELECT 1",
            },
        ),
        (
            {"db.system": "mysql", "net.peer.name": "db", "net.peer.port": 3306},
            {"connection_string": "db:3306/"},
        ),
        (
            {"db.system": "sqlite", "db.name": "x.db"},
            {"connection_string": "localhost/x.db"},
        ),
    ],
)
def test_the_fields_of_sql(attributes: Attributes, expected: dict[str, object]) -> None:
    """The URL is the span's name, as the collector has it."""
    kind = attributes.get("db.system") or attributes["db.system.name"]

    assert sql_of(attributes) == {
        "url": "SELECT orders",
        "database_type": kind,
        **expected,
    }


def test_a_long_query_stays_whole_in_the_metadata() -> None:
    """250 characters are in the field, all of them beside it."""
    query = "SELECT " + "x, " * 200
    document = document_of(
        make_span(CLIENT, {"db.system": "mysql", "db.query.text": query})
    )

    assert part(document, "sql")["sanitized_query"] == query[:250]
    assert part(document, "metadata", "default") == {"db.query.text": query}


def test_a_long_place_stays_whole_in_the_metadata() -> None:
    """The same is true of where the database is."""
    place = "mysql://" + "h" * 300
    document = document_of(
        make_span(CLIENT, {"db.system": "mysql", "db.connection_string": place})
    )

    assert part(document, "sql")["connection_string"] == place[:250]
    assert part(document, "metadata", "default") == {"db.connection_string": place}


@pytest.mark.parametrize(
    ("attributes", "field", "value"),
    [
        ({"aws.operation": "PutItem", "rpc.method": "m"}, "operation", "PutItem"),
        ({"rpc.method": "PutItem"}, "operation", "PutItem"),
        ({"aws.account_id": "123456789012"}, "account_id", "123456789012"),
        ({"aws.region": "eu-west-1"}, "region", "eu-west-1"),
        ({"cloud.region": "eu-west-1"}, "region", "eu-west-1"),
        ({"aws.request_id": "r1"}, "request_id", "r1"),
        ({"aws.requestId": "r1"}, "request_id", "r1"),
        ({"aws.queue_url": "https://q"}, "queue_url", "https://q"),
        ({"aws.queue.url": "https://q"}, "queue_url", "https://q"),
        ({"messaging.url": "https://q"}, "queue_url", "https://q"),
        ({"aws.sqs.queue.url": "https://q"}, "queue_url", "https://q"),
        ({"aws.table_name": "t"}, "table_name", "t"),
        ({"aws.table.name": "t"}, "table_name", "t"),
        ({"aws.dynamodb.table_names": "t"}, "table_name", "t"),
        ({"aws.dynamodb.table_names": ["t"]}, "table_name", "t"),
        ({"aws.dynamodb.table_names": ["t", "u"]}, "table_names", ["t", "u"]),
        ({"aws.xray.retries": 2}, "retries", 2),
        ({"retry_attempts": 2}, "retries", 2),
    ],
)
def test_the_fields_of_a_call_to_aws(
    attributes: Attributes, field: str, value: object
) -> None:
    """Each by every name that instrumentation packages give it."""
    document = document_of(make_span(CLIENT, {"rpc.system": "aws-api", **attributes}))

    assert document["aws"] == {field: value}


def test_a_segment_calls_nobody() -> None:
    """What a server was asked for is no call of its own."""
    attributes: Attributes = {"rpc.method": "Check", "db.system": "mysql"}
    document = document_of(make_span(SpanKind.SERVER, attributes, parent=REMOTE))

    assert "operation" not in part(document, "aws")
    assert "sql" not in document
    assert part(document, "metadata", "default").items() >= attributes.items()
