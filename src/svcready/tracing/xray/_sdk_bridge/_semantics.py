"""What code tells the X-Ray SDK, by the names of OpenTelemetry's conventions."""

# The stable names; what has none keeps the name that AWS's collector reads. The keys on
# the X-Ray side are those of segment documents (http.request, http.response, aws, sql).

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["aws_attributes", "http_attributes", "sql_attributes"]

_HTTP = {
    "method": "http.request.method",
    "status": "http.response.status_code",
    "content_length": "http.response.body.size",
    "user_agent": "user_agent.original",
    "client_ip": "client.address",
    "x_forwarded_for": "aws.xray.x_forwarded_for",
}
_NUMBERS = frozenset(("status", "content_length"))

_AWS = {
    "operation": "rpc.method",
    "region": "cloud.region",
    "account_id": "cloud.account.id",
    "request_id": "aws.request_id",
    "id_2": "aws.extended_request_id",
    "bucket_name": "aws.s3.bucket",
    "key": "aws.s3.key",
    "queue_url": "aws.sqs.queue.url",
    "topic_arn": "aws.sns.topic.arn",
    "retries": "aws.xray.retries",
}
_LISTS = {
    "table_name": "aws.dynamodb.table_names",
    "table_names": "aws.dynamodb.table_names",
}

_SYSTEMS = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "psycopg": "postgresql",
    "psycopg2": "postgresql",
    "pg8000": "postgresql",
    "mysql": "mysql",
    "pymysql": "mysql",
    "mysqldb": "mysql",
    "mariadb": "mariadb",
    "sqlite": "sqlite",
    "sqlite3": "sqlite",
    "mssql": "microsoft.sql_server",
    "sql server": "microsoft.sql_server",
    "oracle": "oracle.db",
    "db2": "ibm.db2",
}
_SQL = {
    "sanitized_query": "db.query.text",
    "user": "db.user",
    "database_version": "db.version",
    "driver_version": "db.driver.version",
    "preparation": "db.preparation",
}


def http_attributes(key: str, value: object, *, served: bool) -> dict[str, object]:
    """
    Return the attributes for one item of a segment's `http`.

    Args:
        key: As `put_http_meta` takes it.
        value: Its value.
        served: The span is a server's, whose URL is told in parts.
    """
    if key == "url":
        return _url(str(value), served=served)

    name = _HTTP.get(key)
    if name is None:
        return {}

    if key in _NUMBERS:
        text = str(value)
        return {name: int(text)} if text.isdigit() else {}

    return {name: value}


def _url(url: str, *, served: bool) -> dict[str, object]:
    made: dict[str, object] = {} if served else {"url.full": url}
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return made

    if served:
        made["url.path"] = parts.path or "/"
        if parts.scheme:
            made["url.scheme"] = parts.scheme

        if parts.query:
            made["url.query"] = parts.query

    if parts.hostname:
        made["server.address"] = parts.hostname
        if port:
            made["server.port"] = port

    return made


def aws_attributes(service: str, aws: Mapping[str, object]) -> dict[str, object]:
    """
    Return the attributes for a subsegment's `aws`.

    Args:
        service: The subsegment's name, which is the service's: `dynamodb`.
        aws: As `set_aws` takes it.
    """
    made: dict[str, object] = {"rpc.system": "aws-api", "rpc.service": service}
    for key, value in aws.items():
        if value is None or key == "xray":
            continue

        if key in _LISTS:
            several = value if isinstance(value, list | tuple) else [value]
            made[_LISTS[key]] = [str(each) for each in several]
        else:
            made[_AWS.get(key, f"aws.{key}")] = value

    return made


def sql_attributes(sql: Mapping[str, object]) -> dict[str, object]:
    """Return the attributes for a subsegment's `sql`, as `set_sql` takes it."""
    kind = str(sql.get("database_type") or "").lower()
    system = kind.split("+")[0].strip()
    made: dict[str, object] = {"db.system.name": _SYSTEMS.get(system, system)}
    if not system:
        made["db.system.name"] = "other_sql"

    for key, name in _SQL.items():
        value = sql.get(key)
        if value:
            made[name] = str(value)

    place = str(sql.get("url") or sql.get("connection_string") or "")
    made.update(_database(place))
    return made


def _database(place: str) -> dict[str, object]:
    try:
        parts = urlsplit(place if "//" in place else f"//{place}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return {}

    made: dict[str, object] = {}
    if host:
        made["server.address"] = host

    if port:
        made["server.port"] = port

    name = parts.path.strip("/")
    if name:
        made["db.namespace"] = name

    return made
