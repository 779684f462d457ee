"""What sampling rules ask of the service itself: its name, its type, its ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Service", "service_of"]

_KINDS = {
    "aws_app_runner": "AWS::AppRunner::Service",
    "aws_ec2": "AWS::EC2::Instance",
    "aws_ecs": "AWS::ECS::Container",
    "aws_eks": "AWS::EKS::Container",
    "aws_elastic_beanstalk": "AWS::ElasticBeanstalk::Environment",
    "aws_lambda": "AWS::Lambda::Function",
}
_ARNS = ("aws.ecs.container.arn", "cloud.resource_id", "faas.id")


class Service(NamedTuple):
    """What rules ask of the service itself."""

    name: str
    """The service's, on X-Ray."""
    kind: str = ""
    """Its type as X-Ray has it, such as `AWS::ECS::Container`; else empty."""
    resource_arn: str = ""
    """The ARN of what it runs in; else empty."""


def service_of(name: str, resource: Mapping[str, object]) -> Service:
    """
    Return what rules ask of a service.

    Args:
        name: The service's on X-Ray; empty takes that of *resource*.
        resource: Attributes of OpenTelemetry's resource.
    """

    def said(key: str) -> str:
        return str(resource.get(key) or "")

    arns = (text for key in _ARNS if (text := said(key)))
    return Service(
        name or said("service.name"),
        _KINDS.get(said("cloud.platform"), ""),
        next(arns, ""),
    )
