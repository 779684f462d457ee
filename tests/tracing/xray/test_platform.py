"""What a segment says of where it runs, who is served, and what sampled it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

from svcready.tracing.xray._document import Documents
from tests.tracing.xray.support import LOCAL, REMOTE, document_of, make_span, part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

    Attributes = Mapping[str, AttributeValue]


def segment_of(resource: Attributes, **options: object) -> dict[str, object]:
    """Return the document of a request to a service that runs there."""
    made = Resource({"service.name": "orders", **resource})
    span = make_span(SpanKind.SERVER, parent=REMOTE, resource=made)
    return document_of(span, **options)


@pytest.mark.parametrize(
    ("resource", "origin"),
    [
        ({"cloud.platform": "aws_app_runner"}, "AWS::AppRunner::Service"),
        ({"cloud.platform": "aws_eks"}, "AWS::EKS::Container"),
        (
            {"cloud.platform": "aws_elastic_beanstalk"},
            "AWS::ElasticBeanstalk::Environment",
        ),
        ({"cloud.platform": "aws_ecs"}, "AWS::ECS::Container"),
        (
            {"cloud.platform": "aws_ecs", "aws.ecs.launchtype": "ec2"},
            "AWS::ECS::EC2",
        ),
        (
            {"cloud.platform": "aws_ecs", "aws.ecs.launchtype": "FARGATE"},
            "AWS::ECS::Fargate",
        ),
        (
            {"cloud.platform": "aws_ecs", "aws.ecs.launchtype": "external"},
            "AWS::ECS::Container",
        ),
        ({"cloud.platform": "aws_ec2"}, "AWS::EC2::Instance"),
        ({"cloud.platform": "aws_lambda"}, None),
        ({"cloud.platform": "azure_vm"}, None),
        ({"cloud.provider": "gcp", "cloud.platform": "aws_ec2"}, None),
        ({}, None),
    ],
)
def test_the_origin(resource: Attributes, origin: str | None) -> None:
    """The platform by X-Ray's name, on AWS only."""
    assert segment_of(resource).get("origin") == origin


EC2 = {
    "host.id": "i-1",
    "host.type": "m7g.large",
    "host.image.id": "ami-1",
    "cloud.availability_zone": "eu-west-1a",
}
ECS = {
    "container.name": "app",
    "container.id": "c1",
    "aws.ecs.container.arn": "arn:c",
    "aws.ecs.task.arn": "arn:t",
    "aws.ecs.task.family": "f",
    "aws.ecs.cluster.arn": "arn:k",
    "cloud.availability_zone": "eu-west-1a",
    "aws.ecs.launchtype": "fargate",
}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"cloud.account.id": "123456789012"}, {"account_id": "123456789012"}),
        (
            {"cloud.platform": "aws_ec2", **EC2},
            {
                "ec2": {
                    "instance_id": "i-1",
                    "instance_size": "m7g.large",
                    "ami_id": "ami-1",
                    "availability_zone": "eu-west-1a",
                }
            },
        ),
        ({"host.id": "i-1"}, {"ec2": {"instance_id": "i-1"}}),
        (
            {"cloud.platform": "aws_ecs", **ECS},
            {
                "ecs": {
                    "container": "app",
                    "container_id": "c1",
                    "container_arn": "arn:c",
                    "task_arn": "arn:t",
                    "task_family": "f",
                    "cluster_arn": "arn:k",
                    "availability_zone": "eu-west-1a",
                    "launch_type": "fargate",
                }
            },
        ),
        (
            {
                "cloud.platform": "aws_eks",
                "k8s.pod.name": "p",
                "k8s.cluster.name": "k",
                "container.id": "c",
            },
            {"eks": {"pod": "p", "cluster_name": "k", "container_id": "c"}},
        ),
        ({"k8s.cluster.name": "k"}, {"eks": {"cluster_name": "k"}}),
        (
            {
                "cloud.platform": "aws_elastic_beanstalk",
                "service.namespace": "shop-prod",
                "service.version": "v7",
                "service.instance.id": "32",
            },
            {
                "elastic_beanstalk": {
                    "environment_name": "shop-prod",
                    "version_label": "v7",
                    "deployment_id": 32,
                }
            },
        ),
        (
            {
                "cloud.platform": "aws_elastic_beanstalk",
                "aws.elasticbeanstalk.deployment.id": "33",
                "service.instance.id": "32",
            },
            {"elastic_beanstalk": {"deployment_id": 33}},
        ),
        (
            {
                "cloud.platform": "aws_elastic_beanstalk",
                "service.instance.id": "not-a-number",
                "service.version": "v7",
            },
            {"elastic_beanstalk": {"version_label": "v7"}},
        ),
        ({"cloud.provider": "azure", "host.id": "i-1", "cloud.account.id": "1"}, {}),
    ],
)
def test_the_platform(resource: Attributes, expected: dict[str, object]) -> None:
    """Each platform's own part of `aws`, which only AWS has."""
    aws = part(segment_of(resource), "aws")
    aws.pop("xray")

    assert aws == expected


@pytest.mark.parametrize(
    ("resource", "configured", "expected"),
    [
        ({}, (), None),
        ({}, ("g1", "g2"), [{"log_group": "g1"}, {"log_group": "g2"}]),
        (
            {"aws.log.group.names": ("a", "b")},
            ("g1",),
            [{"log_group": "a"}, {"log_group": "b"}],
        ),
        (
            {"aws.log.group.names": "a&b&"},
            (),
            [{"log_group": "a"}, {"log_group": "b"}],
        ),
        (
            {
                "aws.log.group.arns": (
                    "arn:aws:logs:eu-west-1:123456789012:log-group:shop:*",
                ),
                "aws.log.group.names": ("other",),
            },
            (),
            [
                {
                    "log_group": "shop",
                    "arn": "arn:aws:logs:eu-west-1:123456789012:log-group:shop:*",
                }
            ],
        ),
        (
            {"aws.log.group.arns": "odd"},
            (),
            [{"log_group": "odd", "arn": "odd"}],
        ),
        ({"aws.log.group.names": 5}, ("g1",), [{"log_group": "g1"}]),
    ],
)
def test_the_log_groups(
    resource: Attributes,
    configured: tuple[str, ...],
    expected: list[dict[str, str]] | None,
) -> None:
    """The resource's by ARN, else by name (also joined by `&`), else the setting's."""
    document = segment_of(resource, log_groups=configured)

    assert part(document, "aws").get("cloudwatch_logs") == expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (
            {
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.version": "1.45.1",
                "telemetry.auto.version": "0.66b1",
            },
            {
                "sdk": "opentelemetry for python",
                "sdk_version": "1.45.1",
                "auto_instrumentation": True,
            },
        ),
        ({}, {"sdk": "opentelemetry for python", "auto_instrumentation": False}),
    ],
)
def test_the_sdk(resource: Attributes, expected: dict[str, object]) -> None:
    """What made the trace, and whether code was needed for it."""
    assert part(segment_of(resource), "aws", "xray") == expected


def test_the_service() -> None:
    """Its version, and what runs it."""
    resource = {
        "service.version": "1.4.2",
        "process.runtime.name": "cpython",
        "process.runtime.version": "3.12.1",
    }

    assert segment_of(resource)["service"] == {
        "version": "1.4.2",
        "runtime": "cpython",
        "runtime_version": "3.12.1",
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("enduser.id", ("user",)),
        ("aws.xray.resource_arn", ("resource_arn",)),
        ("aws.xray.sampling_rule", ("aws", "xray", "sampling_rule_name")),
    ],
)
def test_what_only_segments_have(name: str, path: tuple[str, ...]) -> None:
    """User, resource and rule are a segment's; of others they stay metadata."""
    segment = document_of(make_span(SpanKind.SERVER, {name: "x"}, parent=REMOTE))
    inner = document_of(make_span(attributes={name: "x"}, parent=LOCAL))

    assert part(segment, *path[:-1])[path[-1]] == "x"
    assert name not in part(segment, "metadata", "default")
    assert part(inner, "metadata", "default") == {name: "x"}
    assert not {"origin", "service", "user", "aws", "resource_arn"} & set(inner)


def test_a_rule_of_one_request_does_not_stay_for_the_next() -> None:
    """What is kept of a place is the place's alone."""
    documents = Documents()
    rules = [
        documents.of(make_span(SpanKind.SERVER, attributes, parent=REMOTE))[0]
        for attributes in ({"aws.xray.sampling_rule": "r"}, {})
    ]

    assert part(rules[0], "aws", "xray")["sampling_rule_name"] == "r"
    assert "sampling_rule_name" not in part(rules[1], "aws", "xray")


def test_many_resources_do_not_stay_for_ever() -> None:
    """A process has one resource; if it has many, the first are forgotten."""
    documents = Documents()
    for number in range(50):
        resource = Resource({"service.name": f"s{number}"})
        span = make_span(SpanKind.SERVER, parent=REMOTE, resource=resource)
        assert documents.of(span)[0]["name"] == f"s{number}"

    assert len(documents._places) <= 16
