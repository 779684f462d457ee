"""Where this process runs, by its variables and files and without the network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "AttributeValue",
    "beanstalk_of",
    "find_attributes",
    "host_instance_of",
    "platform_of",
    "read_small_file",
]

AttributeValue = str | int | tuple[str, ...]
"""What an attribute of the OpenTelemetry resource can hold here."""

_SMALL_FILE_BYTES = 16 * 1024
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"
_BEANSTALK = "/var/elasticbeanstalk/xray/environment.conf"


def read_small_file(path: str) -> str:
    """Return the text of a small file of the platform; empty if there is none."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up time
            return file.read(_SMALL_FILE_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def platform_of(
    environ: Mapping[str, str], read_text: Callable[[str], str] = read_small_file
) -> str:
    """
    Name the platform by its marks, without asking the network.

    ECS comes before EC2, because a task on EC2 sees the marks of its host too.

    Returns:
        OpenTelemetry's `cloud.platform`, `k8s` for a cluster outside AWS, or empty.
    """
    if environ.get("AWS_LAMBDA_FUNCTION_NAME"):
        return "aws_lambda"

    if environ.get("ECS_CONTAINER_METADATA_URI_V4"):
        return "aws_ecs"

    if environ.get("KUBERNETES_SERVICE_HOST"):
        token = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", "")
        address = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
        on_eks = "eks.amazonaws.com" in token or any(
            host in address for host in ("//169.254.170.23", "//[fd00:ec2::23]")
        )
        return "aws_eks" if on_eks else "k8s"

    if read_text(_BEANSTALK):
        return "aws_elastic_beanstalk"

    vendor = read_text("/sys/class/dmi/id/sys_vendor")  # Nitro; Xen has the other
    if vendor == "Amazon EC2" or read_text("/sys/hypervisor/uuid").startswith("ec2"):
        return "aws_ec2"

    return ""


def find_attributes(
    platform: str,
    environ: Mapping[str, str],
    hostname: str,
    read_text: Callable[[str], str],
) -> dict[str, AttributeValue]:
    """Return what environment variables and files say, by OpenTelemetry's names."""
    texts = {"host.name": hostname, "cloud.platform": platform}
    if platform.startswith("aws"):
        texts["cloud.provider"] = "aws"
        texts["cloud.region"] = environ.get("AWS_REGION") or environ.get(
            "AWS_DEFAULT_REGION", ""
        )

    numbers = {"process.pid": os.getpid()}
    if platform == "aws_lambda":
        texts["faas.name"] = environ["AWS_LAMBDA_FUNCTION_NAME"]
        texts["faas.version"] = environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        texts["faas.instance"] = environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        megabytes = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        if megabytes.isascii() and megabytes.isdigit() and len(megabytes) <= 9:
            numbers["faas.max_memory"] = int(megabytes) * 1024 * 1024
    elif platform in {"k8s", "aws_eks"}:
        texts |= _kubernetes(environ, hostname, read_text)
        texts["cloud.platform"] = "" if platform == "k8s" else platform
    elif platform == "aws_elastic_beanstalk":
        deployment = beanstalk_of(read_text).get("deployment_id", "")
        texts["aws.elasticbeanstalk.deployment.id"] = deployment

    return {**{key: text for key, text in texts.items() if text}, **numbers}


def _kubernetes(
    environ: Mapping[str, str], hostname: str, read_text: Callable[[str], str]
) -> dict[str, str]:
    prefix = "OTEL_RESOURCE_ATTRIBUTES_"  # the OpenTelemetry operator's own names
    pod = environ.get("POD_NAME") or environ.get(f"{prefix}POD_NAME") or hostname
    node = environ.get("NODE_NAME") or environ.get(f"{prefix}NODE_NAME", "")
    return {
        "k8s.pod.name": pod,
        "k8s.pod.uid": environ.get("POD_UID", ""),
        "k8s.node.name": node,
        "k8s.namespace.name": environ.get("POD_NAMESPACE")
        or read_text(f"{_ACCOUNT}namespace"),
        "k8s.deployment.name": _deployment(pod),
    }


def _deployment(pod: str) -> str:
    """Guess a deployment's name: `orders-5d69f7b6c8-x2x7q` is of `orders`."""
    name, _, replica = pod.rpartition("-")
    name, _, template = name.rpartition("-")
    # Replica suffixes have 5 characters; templates' hashes 5 to 10, with a digit or
    # without vowels. A StatefulSet's `orders-db-0` has neither.
    alphabet = set("bcdfghjklmnpqrstvwxz2456789")
    fits = len(replica) == 5 and 5 <= len(template) <= 10
    return name if fits and set(replica + template) <= alphabet else ""


def beanstalk_of(read_text: Callable[[str], str]) -> dict[str, str]:
    """Return what Elastic Beanstalk's X-Ray integration wrote down, or nothing."""
    import json

    try:
        said = json.loads(read_text(_BEANSTALK))
    except ValueError:
        return {}

    if not isinstance(said, dict):
        return {}

    return {str(key): str(value) for key, value in said.items()}


def host_instance_of(
    found: Mapping[str, AttributeValue], environ: Mapping[str, str], hostname: str
) -> str:
    """Return the function's, pod's or task's id, or the host's name."""
    for key in ("faas.instance", "k8s.pod.name"):
        if found.get(key):
            return str(found[key])

    # On Fargate the last part of this address begins with the task's id.
    tail = environ.get("ECS_CONTAINER_METADATA_URI_V4", "").rpartition("/")[2]
    task, _, container = tail.partition("-")
    if len(task) == 32 and container.isdigit() and set(task) <= set("0123456789abcdef"):
        return task

    return hostname
