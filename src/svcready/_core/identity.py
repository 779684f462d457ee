"""Who this process is: service, environment, instance, and what is found around it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from svcready._core.surroundings import (
    beanstalk_of,
    find_attributes,
    host_instance_of,
    platform_of,
    read_small_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._core.surroundings import AttributeValue

__all__ = ["Identity", "parse_attributes", "process_instance", "resolve_identity"]

_MOST_ATTRIBUTES = 128
_UNKNOWN = "unknown_service"
# Attributes that are fields of the identity, resolved by the configuration.
_FIELDS = frozenset(
    {
        "service.name",
        "service.namespace",
        "service.version",
        "service.instance.id",
        "deployment.environment",
        "deployment.environment.name",
    }
)

_process = 0, ""


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
        pid = {"process.pid": os.getpid()}
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
    found = find_attributes(platform, environ, hostname, read_text)
    guess = str(found.get("faas.name") or found.get("k8s.deployment.name", ""))
    version = version or str(found.get("faas.version", ""))
    if platform == "aws_elastic_beanstalk":
        said = beanstalk_of(read_text)
        namespace = namespace or said.get("environment_name", "")
        version = version or said.get("version_label", "")

    # A function's log stream is one process's own; pods and tasks run several.
    natural = str(found.get("faas.instance", ""))
    given = dict(attributes)
    own = {name: given[name] for name in given if name not in _FIELDS}
    return Identity(
        service=service or guess or f"{_UNKNOWN}:{executable}",
        namespace=namespace,
        version=version,
        environment=environment,
        instance=instance or natural or (new_id or _new_id)(),
        host_instance=host_instance_of(found, environ, hostname),
        platform=platform,
        attributes=MappingProxyType({**found, **own}),
        service_is_guess=not service,
        instance_is_fixed=bool(instance),
    )


def process_instance() -> str:
    """Return this process's id: whoever asks, before `init()` or after, gets one."""
    global _process  # noqa: PLW0603 - there is one process
    if _process[0] != os.getpid():
        _process = os.getpid(), _new_id()

    return _process[1]


def _new_id() -> str:
    import uuid

    return str(uuid.uuid4())
