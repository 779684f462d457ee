"""X-Ray's segment documents as a JSON Schema, written from their published tables."""

from __future__ import annotations

from jsonschema import Draft202012Validator

_ID = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
_TRACE_ID = {"type": "string", "pattern": "^1-[0-9a-f]{8}-[0-9a-f]{24}$"}
_TEXT = {"type": "string", "maxLength": 250}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_TIME = {"type": "number", "exclusiveMinimum": 1_000_000_000, "maximum": 10_000_000_000}
_NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "pattern": r"^[\w\s.:/%&#=+\\\-@]+$",
}


def _object(
    required: list[str] | None = None, /, **fields: object
) -> dict[str, object]:
    return {
        "type": "object",
        "properties": fields,
        "required": required or [],
        "additionalProperties": False,
    }


def _texts(*names: str) -> dict[str, object]:
    return dict.fromkeys(names, _TEXT)


_EXCEPTION = _object(
    ["id"],
    id=_ID,
    message=_TEXT,
    type=_TEXT,
    remote=_FLAG,
    truncated=_COUNT,
    skipped=_COUNT,
    cause=_ID,
    stack={
        "type": "array",
        "items": _object(path=_TEXT, line=_COUNT, label=_TEXT),
    },
)
_CAUSE = {
    "oneOf": [
        _ID,
        _object(
            working_directory=_TEXT,
            paths={"type": "array", "items": _TEXT},
            exceptions={"type": "array", "items": _EXCEPTION, "minItems": 1},
        ),
    ]
}
_RESPONSE = _object(status={"type": "integer"}, content_length=_COUNT)
_REQUEST = _texts("method", "url", "user_agent", "client_ip")
_ANNOTATIONS = {
    "type": "object",
    "maxProperties": 50,
    "propertyNames": {"pattern": "^[A-Za-z0-9_]{1,500}$"},
    "additionalProperties": {
        "anyOf": [
            {"type": "string", "maxLength": 1000},
            {"type": "number"},
            {"type": "boolean"},
        ]
    },
}
_METADATA = {
    "type": "object",
    "propertyNames": {"not": {"pattern": r"^AWS\."}},
    "additionalProperties": {"type": "object"},
}
_LINKS = {
    "type": "array",
    "maxItems": 20,
    "items": _object(
        ["trace_id", "id"], trace_id=_TRACE_ID, id=_ID, attributes={"type": "object"}
    ),
}
_BOTH = {
    "name": _NAME,
    "id": _ID,
    "trace_id": _TRACE_ID,
    "start_time": _TIME,
    "end_time": _TIME,
    "in_progress": {"const": True},
    "parent_id": _ID,
    "error": _FLAG,
    "throttle": _FLAG,
    "fault": _FLAG,
    "cause": _CAUSE,
    "annotations": _ANNOTATIONS,
    "metadata": _METADATA,
    # The tables have links in segments; the collector writes them in both.
    "links": _LINKS,
}
_ENDED_OR_NOT = [{"required": ["end_time"]}, {"required": ["in_progress"]}]

SEGMENT = {
    **_object(
        ["name", "id", "trace_id", "start_time"],
        **_BOTH,
        origin={
            "enum": [
                "AWS::EC2::Instance",
                "AWS::ECS::Container",
                "AWS::ECS::EC2",
                "AWS::ECS::Fargate",
                "AWS::EKS::Container",
                "AWS::ElasticBeanstalk::Environment",
                "AWS::AppRunner::Service",
                "AWS::Lambda::Function",
            ]
        },
        service=_object(
            **_texts(
                *("version", "compiler", "compiler_version"),
                *("runtime", "runtime_version"),
            )
        ),
        user=_TEXT,
        resource_arn=_TEXT,
        http=_object(
            request=_object(**_REQUEST, x_forwarded_for=_FLAG), response=_RESPONSE
        ),
        aws=_object(
            account_id=_TEXT,
            cloudwatch_logs={
                "type": "array",
                "items": _object(["log_group"], **_texts("log_group", "arn")),
            },
            ec2=_object(
                **_texts("instance_id", "instance_size", "ami_id", "availability_zone")
            ),
            ecs=_object(
                **_texts(
                    *("container", "container_id", "container_arn", "task_arn"),
                    *("task_family", "cluster_arn", "availability_zone"),
                    "launch_type",
                )
            ),
            eks=_object(**_texts("pod", "cluster_name", "container_id")),
            elastic_beanstalk=_object(
                **_texts("environment_name", "version_label"),
                deployment_id={"type": "integer"},
            ),
            xray=_object(
                **_texts("sdk", "sdk_version", "sampling_rule_name"),
                auto_instrumentation=_FLAG,
            ),
        ),
    ),
    "oneOf": _ENDED_OR_NOT,
}

SUBSEGMENT = {
    **_object(
        ["name", "id", "trace_id", "start_time", "parent_id", "type"],
        **_BOTH,
        type={"const": "subsegment"},
        namespace={"enum": ["aws", "remote", "local"]},
        http=_object(request=_object(**_REQUEST, traced=_FLAG), response=_RESPONSE),
        sql=_object(
            **_texts(
                *("connection_string", "url", "sanitized_query", "database_type"),
                *("database_version", "driver_version", "user"),
            ),
            preparation={"enum": ["call", "statement"]},
        ),
        aws=_object(
            **_texts(
                *("operation", "account_id", "region", "request_id", "queue_url"),
                "table_name",
            ),
            table_names={"type": "array", "items": _TEXT},
            retries=_COUNT,
        ),
        precursor_ids={"type": "array", "items": _ID},
    ),
    "oneOf": _ENDED_OR_NOT,
}

_SEGMENT = Draft202012Validator(SEGMENT)
_SUBSEGMENT = Draft202012Validator(SUBSEGMENT)


def check(document: dict[str, object]) -> None:
    """
    Hold *document*, as it was read back from JSON, to the schema.

    Raises:
        ValidationError: It is none that X-Ray takes.
    """
    sort = _SUBSEGMENT if document.get("type") == "subsegment" else _SEGMENT
    sort.validate(document)
