"""What a segment says of the process: its platform, version, SDK and log groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.tracing.xray._reading import TEXT_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Place", "log_groups_of", "place_of"]

_ORIGINS = {
    "aws_app_runner": "AWS::AppRunner::Service",
    "aws_ec2": "AWS::EC2::Instance",
    "aws_ecs": "AWS::ECS::Container",
    "aws_eks": "AWS::EKS::Container",
    "aws_elastic_beanstalk": "AWS::ElasticBeanstalk::Environment",
}
_ECS_ORIGINS = {"ec2": "AWS::ECS::EC2", "fargate": "AWS::ECS::Fargate"}
_EC2 = {
    "instance_id": "host.id",
    "instance_size": "host.type",
    "ami_id": "host.image.id",
    "availability_zone": "cloud.availability_zone",
}
_ECS = {
    "container": "container.name",
    "container_id": "container.id",
    "container_arn": "aws.ecs.container.arn",
    "task_arn": "aws.ecs.task.arn",
    "task_family": "aws.ecs.task.family",
    "cluster_arn": "aws.ecs.cluster.arn",
    "availability_zone": "cloud.availability_zone",
    "launch_type": "aws.ecs.launchtype",
}
_EKS = {
    "pod": "k8s.pod.name",
    "cluster_name": "k8s.cluster.name",
    "container_id": "container.id",
}
_BEANSTALK = {
    "environment_name": "service.namespace",
    "version_label": "service.version",
}
_DEPLOYMENTS = ("aws.elasticbeanstalk.deployment.id", "service.instance.id")


class Place(NamedTuple):
    """What all segments of one resource have in common."""

    origin: str
    """X-Ray's name of the platform; empty outside AWS."""
    service: dict[str, object]
    aws: dict[str, object]
    """With `xray` in it."""
    xray: dict[str, object]


def place_of(resource: Mapping[str, object], log_groups: Sequence[str]) -> Place:
    """
    Return what segments say about where *resource* runs.

    Args:
        resource: The resource's attributes.
        log_groups: The CloudWatch log groups, if the resource names none.
    """
    service = _some({"version": "service.version"}, resource)
    service |= _some(
        {"runtime": "process.runtime.name", "runtime_version": _RUNTIME_VERSION},
        resource,
    )
    xray: dict[str, object] = {"sdk": _sdk_of(resource)}
    xray |= _some({"sdk_version": "telemetry.sdk.version"}, resource)
    xray["auto_instrumentation"] = bool(resource.get("telemetry.auto.version"))

    aws: dict[str, object] = {}
    if resource.get("cloud.provider", "aws") == "aws":
        aws = _platform(resource)
        groups = log_groups_of(resource, log_groups)
        if groups:
            aws["cloudwatch_logs"] = groups

    return Place(_origin(resource), service, {**aws, "xray": xray}, xray)


_RUNTIME_VERSION = "process.runtime.version"


def log_groups_of(
    resource: Mapping[str, object], configured: Sequence[str]
) -> list[dict[str, str]]:
    """Return the log groups: the resource's by ARN, else by name, else configured."""
    arns = _several(resource.get("aws.log.group.arns"))
    if arns:
        return [{"log_group": _group_of(arn), "arn": arn} for arn in arns]

    names = _several(resource.get("aws.log.group.names")) or list(configured)
    return [{"log_group": name} for name in names]


def _several(value: object) -> list[str]:
    if isinstance(value, str):  # as OTEL_RESOURCE_ATTRIBUTES has to say it
        value = value.split("&")

    if not isinstance(value, list | tuple):
        return []

    return [str(item) for item in value if item]


def _group_of(arn: str) -> str:
    parts = arn.split(":")
    return parts[6] if len(parts) > 6 else arn


def _origin(resource: Mapping[str, object]) -> str:
    if resource.get("cloud.provider", "aws") != "aws":
        return ""

    platform = str(resource.get("cloud.platform", ""))
    origin = _ORIGINS.get(platform, "")
    if platform == "aws_ecs":
        launched = str(resource.get("aws.ecs.launchtype", "")).lower()
        origin = _ECS_ORIGINS.get(launched, origin)

    return origin


def _platform(resource: Mapping[str, object]) -> dict[str, object]:
    platform = resource.get("cloud.platform")
    aws: dict[str, object] = _some({"account_id": "cloud.account.id"}, resource)
    if platform == "aws_ec2" or resource.get("host.id"):
        aws["ec2"] = _some(_EC2, resource)

    if platform == "aws_ecs":
        aws["ecs"] = _some(_ECS, resource)

    if platform == "aws_eks" or resource.get("k8s.cluster.name"):
        aws["eks"] = _some(_EKS, resource)

    if platform == "aws_elastic_beanstalk":
        beanstalk = _some(_BEANSTALK, resource)
        for name in _DEPLOYMENTS:
            number = str(resource.get(name, ""))
            if number.isascii() and number.isdigit():
                beanstalk["deployment_id"] = int(number[:18])
                break

        aws["elastic_beanstalk"] = beanstalk

    return {name: part for name, part in aws.items() if part}


def _sdk_of(resource: Mapping[str, object]) -> str:
    name = str(resource.get("telemetry.sdk.name") or "opentelemetry")
    language = str(resource.get("telemetry.sdk.language") or "python")
    return f"{name} for {language}"[:TEXT_CHARS]


def _some(
    fields: Mapping[str, str], resource: Mapping[str, object]
) -> dict[str, object]:
    return {
        field: str(resource[name])[:TEXT_CHARS]
        for field, name in fields.items()
        if resource.get(name)
    }
