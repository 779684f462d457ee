"""Who this process is: service, environment, instance, and where it runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "AttributeValue",
    "Identity",
    "parse_attributes",
    "platform_of",
    "read_small_file",
    "resolve_identity",
]

AttributeValue = str | int | tuple[str, ...]
"""What an attribute of the OpenTelemetry resource can hold here."""

_MOST_ATTRIBUTES = 128
_SMALL_FILE_BYTES = 16 * 1024
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"
_BEANSTALK = "/var/elasticbeanstalk/xray/environment.conf"
_UNKNOWN = "unknown_service"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """
    Who this process is.

    Attributes of the resource are OpenTelemetry's names; those of the service itself
    are fields here and are added by `resource`.
    """

    service: str
    """The service's name."""
    namespace: str = ""
    """The group of services that it belongs to; empty if none."""
    version: str = ""
    """The service's own version; empty if unknown."""
    environment: str = "production"
    """Where it runs: production, staging, development, ..."""
    instance: str
    """This process: fixed by the operator, or new in each process and forked child."""
    host_instance: str
    """The task, pod, function or host: never a process id or a new UUID."""
    platform: str = ""
    """`aws_lambda`, `aws_ecs`, `aws_eks`, `k8s`, `aws_elastic_beanstalk`, `aws_ec2`."""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    """The rest of the OpenTelemetry resource."""
    service_is_guess: bool = False
    """Nobody named the service; a look-up may find a better name."""
    instance_is_fixed: bool = False
    """The operator set `instance`, so a forked child keeps it."""

    def resource(self) -> dict[str, AttributeValue]:
        """Return all attributes of the OpenTelemetry resource; empty ones left out."""
        own: dict[str, AttributeValue] = {
            "service.name": self.service,
            "service.namespace": self.namespace,
            "service.version": self.version,
            "service.instance.id": self.instance,
            "deployment.environment.name": self.environment,
        }
        return {**self.attributes, **{key: own[key] for key in own if own[key]}}

    def in_child(self, new_id: Callable[[], str] | None = None) -> Identity:
        """Return the identity of a forked child: a new instance unless it is fixed."""
        pid = {"process.pid": _pid()}
        child = replace(self, attributes=MappingProxyType({**self.attributes, **pid}))
        if self.instance_is_fixed:
            return child

        return replace(child, instance=(new_id or _new_id)())

    def with_found(
        self, found: Mapping[str, AttributeValue], service: str, host_instance: str
    ) -> Identity:
        """
        Return the identity with what a look-up found beneath what is known.

        Args:
            found: Attributes; those that are known already win.
            service: A name for the service, used if nobody named it.
            host_instance: The task or host, used in place of a host's name.
        """
        guess = self.service_is_guess and bool(service)
        return replace(
            self,
            service=service if guess else self.service,
            host_instance=host_instance or self.host_instance,
            attributes=MappingProxyType({**found, **self.attributes}),
        )


def parse_attributes(text: str) -> tuple[dict[str, str], list[str]]:
    """
    Parse `key=value,key=value`, percent-encoded.

    Follows the OpenTelemetry specification, "Specifying resource information via an
    environment variable"; but one bad entry does not throw the others away.

    Returns:
        The attributes, and the entries that are none.
    """
    good: dict[str, str] = {}
    bad: list[str] = []
    for entry in text.split(","):
        key, equals, value = entry.partition("=")
        if not entry.strip():
            continue

        try:
            key = unquote(key.strip(), errors="strict")
            value = unquote(value.strip().strip('"'), errors="strict")
        except UnicodeError:
            equals = ""

        fits = equals and key and (key + value).isprintable()
        if fits and len(good) < _MOST_ATTRIBUTES:
            good[key] = value
        else:
            bad.append(entry.strip())

    return good, bad


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


def resolve_identity(
    *,
    service: str = "",
    namespace: str = "",
    version: str = "",
    environment: str = "production",
    instance: str = "",
    attributes: Mapping[str, str] | tuple[tuple[str, str], ...] = (),
    environ: Mapping[str, str],
    hostname: str,
    executable: str = "python",
    read_text: Callable[[str], str] = read_small_file,
    new_id: Callable[[], str] | None = None,
) -> Identity:
    """
    Work out who this process is, without asking the network.

    Args:
        service: The configured name; empty takes the function's, then the
            deployment's (a pod's name without its two suffixes), then
            `unknown_service:<executable>`.
        namespace: The configured group of services.
        version: The configured version; empty takes a function's.
        environment: The configured environment.
        instance: Fixes the instance; empty makes one per process.
        attributes: The operator's own, which win over what is found here.
        environ: The environment variables.
        hostname: The host's name, the last resort of `host_instance`.
        executable: The name of the running program.
        read_text: Reads a small file, empty if there is none.
        new_id: Makes an instance's id; a random UUID by default.
    """
    platform = platform_of(environ, read_text)
    found = _found(platform, environ, hostname, read_text)
    guess = ""
    if platform == "aws_lambda":
        guess = environ["AWS_LAMBDA_FUNCTION_NAME"]
        version = version or environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
    elif platform in {"k8s", "aws_eks"}:
        guess = _deployment(str(found.get("k8s.pod.name", "")))
    elif platform == "aws_elastic_beanstalk":
        said = _beanstalk(read_text(_BEANSTALK))
        namespace = namespace or said.get("environment_name", "")
        version = version or said.get("version_label", "")

    # A function's log stream is one process's own; pods and tasks run several.
    natural = str(found.get("faas.instance", ""))
    own = dict(attributes)
    for name in (
        "service.name",
        "service.namespace",
        "service.version",
        "service.instance.id",
        "deployment.environment",
        "deployment.environment.name",
    ):
        own.pop(name, None)  # these are fields, resolved by the configuration

    return Identity(
        service=service or guess or f"{_UNKNOWN}:{executable}",
        namespace=namespace,
        version=version,
        environment=environment,
        instance=instance or natural or (new_id or _new_id)(),
        host_instance=_host_instance(found, environ, hostname),
        platform=platform,
        attributes=MappingProxyType({**found, **own}),
        service_is_guess=not service,
        instance_is_fixed=bool(instance),
    )


def _found(
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

    numbers = {"process.pid": _pid()}
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
        deployment = _beanstalk(read_text(_BEANSTALK)).get("deployment_id", "")
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


def _beanstalk(text: str) -> dict[str, str]:
    import json

    try:
        said = json.loads(text)
    except ValueError:
        return {}

    if not isinstance(said, dict):
        return {}

    return {str(key): str(value) for key, value in said.items()}


def _host_instance(
    found: Mapping[str, AttributeValue], environ: Mapping[str, str], hostname: str
) -> str:
    for key in ("faas.instance", "k8s.pod.name"):
        if found.get(key):
            return str(found[key])

    # On Fargate the last part of this address begins with the task's id.
    tail = environ.get("ECS_CONTAINER_METADATA_URI_V4", "").rpartition("/")[2]
    task, _, container = tail.partition("-")
    if len(task) == 32 and container.isdigit() and set(task) <= set("0123456789abcdef"):
        return task

    return hostname


def _new_id() -> str:
    import uuid

    return str(uuid.uuid4())


def _pid() -> int:
    import os

    return os.getpid()
