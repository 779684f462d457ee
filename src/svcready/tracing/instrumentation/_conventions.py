"""
OpenTelemetry's old names of attributes and their stable successors.

From the attribute registry of the semantic conventions 1.44.0, where each deprecated
attribute says what replaces it. Names of RPC (`rpc.system`, `rpc.service`) stay: their
successors are no more stable than they are, and what AWS' collector and ours make of
calls of AWS goes by the old ones.
"""

from __future__ import annotations

__all__ = [
    "DROPPED",
    "FAMILIES",
    "OLD",
    "OPERATION_TYPES",
    "RENAMED",
    "SPECIAL",
    "SQS_AND_SNS",
    "SYSTEMS",
    "TRANSPORTS",
]

RENAMED = {
    "aws.queue_url": "aws.sqs.queue.url",
    "code.column": "code.column.number",
    "code.filepath": "code.file.path",
    "code.lineno": "code.line.number",
    "db.cassandra.consistency_level": "cassandra.consistency.level",
    "db.cassandra.coordinator.dc": "cassandra.coordinator.dc",
    "db.cassandra.coordinator.id": "cassandra.coordinator.id",
    "db.cassandra.idempotence": "cassandra.query.idempotent",
    "db.cassandra.page_size": "cassandra.page.size",
    "db.cassandra.speculative_execution_count": (
        "cassandra.speculative_execution.count"
    ),
    "db.cassandra.table": "db.collection.name",
    "db.cosmosdb.container": "db.collection.name",
    "db.elasticsearch.cluster.name": "db.namespace",
    "db.elasticsearch.node.name": "elasticsearch.node.name",
    "db.mongodb.collection": "db.collection.name",
    "db.name": "db.namespace",
    "db.operation": "db.operation.name",
    "db.sql.table": "db.collection.name",
    "db.statement": "db.query.text",
    "http.client_ip": "client.address",
    "http.method": "http.request.method",
    "http.request_content_length_uncompressed": "http.request.body.size",
    "http.resend_count": "http.request.resend_count",
    "http.response_content_length_uncompressed": "http.response.body.size",
    "http.scheme": "url.scheme",
    "http.server_name": "server.address",
    "http.status_code": "http.response.status_code",
    "http.url": "url.full",
    "http.user_agent": "user_agent.original",
    "messaging.conversation_id": "messaging.message.conversation_id",
    "messaging.destination": "messaging.destination.name",
    "messaging.eventhubs.consumer.group": "messaging.consumer.group.name",
    "messaging.kafka.client_id": "messaging.client.id",
    "messaging.kafka.consumer.group": "messaging.consumer.group.name",
    "messaging.kafka.consumer_group": "messaging.consumer.group.name",
    "messaging.kafka.destination.partition": "messaging.destination.partition.id",
    "messaging.kafka.message.offset": "messaging.kafka.offset",
    "messaging.kafka.message_key": "messaging.kafka.message.key",
    "messaging.kafka.partition": "messaging.destination.partition.id",
    "messaging.kafka.tombstone": "messaging.kafka.message.tombstone",
    "messaging.message_id": "messaging.message.id",
    "messaging.message_payload_size_bytes": "messaging.message.body.size",
    "messaging.protocol": "network.protocol.name",
    "messaging.protocol_version": "network.protocol.version",
    "messaging.rabbitmq.routing_key": "messaging.rabbitmq.destination.routing_key",
    "messaging.servicebus.destination.subscription_name": (
        "messaging.destination.subscription.name"
    ),
    "messaging.temp_destination": "messaging.destination.temporary",
    "net.host.ip": "network.local.address",
    "net.peer.ip": "network.peer.address",
    "net.protocol.name": "network.protocol.name",
    "net.protocol.version": "network.protocol.version",
    "net.sock.host.addr": "network.local.address",
    "net.sock.host.port": "network.local.port",
    "net.sock.peer.addr": "network.peer.address",
    "net.sock.peer.port": "network.peer.port",
}
"""Old names whose successor has the same meaning."""

DROPPED = frozenset(
    (
        "db.connection_string",
        "db.instance.id",
        "db.jdbc.driver_classname",
        "db.mssql.instance_name",
        "db.redis.args_length",
        "db.user",
        "messaging.destination_kind",
        "messaging.url",
        "net.sock.peer.name",
    )
)
"""Old names without a successor, or whose content another one has."""

SPECIAL = frozenset(
    (
        "code.function",
        "code.namespace",
        "db.redis.database_index",
        "db.redis.pipeline_length",
        "db.system",
        "http.flavor",
        "http.host",
        "http.request_content_length",
        "http.response_content_length",
        "http.target",
        "messaging.operation",
        "net.host.name",
        "net.host.port",
        "net.peer.name",
        "net.peer.port",
        "net.sock.family",
        "net.transport",
    )
)
"""Old names whose successor depends on the span or on the value."""

OLD = frozenset((*RENAMED, *DROPPED, *SPECIAL))
"""All of them."""

SYSTEMS = {
    "adabas": "softwareag.adabas",
    "cache": "intersystems.cache",
    "cosmosdb": "azure.cosmosdb",
    "db2": "ibm.db2",
    "dynamodb": "aws.dynamodb",
    "firebird": "firebirdsql",
    "h2": "h2database",
    "hanadb": "sap.hana",
    "informix": "ibm.informix",
    "ingres": "actian.ingres",
    "intersystems_cache": "intersystems.cache",
    "maxdb": "sap.maxdb",
    "mssql": "microsoft.sql_server",
    "mssqlcompact": "microsoft.sql_server",
    "netezza": "ibm.netezza",
    "oracle": "oracle.db",
    "redshift": "aws.redshift",
    "spanner": "gcp.spanner",
    "aws.sqs": "aws_sqs",
}
"""Old values of `db.system` and `messaging.system`; the others are as they were."""

TRANSPORTS = {"ip_tcp": "tcp", "ip_udp": "udp", "pipe": "pipe", "unix": "unix"}
"""Old values of `net.transport`; others have no successor."""

FAMILIES = {"inet": "ipv4", "inet6": "ipv6"}
"""Old values of `net.sock.family` as `network.type`; `unix` is a transport."""

OPERATION_TYPES = {"deliver": "process", "publish": "send"}
"""Old values of `messaging.operation` as `messaging.operation.type`."""

SQS_AND_SNS = {
    "SendMessage": ("send", "send"),
    "SendMessageBatch": ("send", "send"),
    "ReceiveMessage": ("receive", "receive"),
    "DeleteMessage": ("delete", "settle"),
    "DeleteMessageBatch": ("delete", "settle"),
    "Publish": ("publish", "send"),
    "PublishBatch": ("publish", "send"),
}
"""`messaging.operation.name` and `.type` of AWS' calls."""
