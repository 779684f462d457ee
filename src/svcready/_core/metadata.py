"""Look-ups of where the process runs, by asking the platform's metadata service."""

from __future__ import annotations

import json
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.surroundings import platform_of, read_small_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from socket import socket

    from _typeshed import WriteableBuffer

    from svcready._core.clock import Clock
    from svcready._core.surroundings import AttributeValue

__all__ = ["Fetch", "Found", "fetch_local", "look_up"]

_MOST_BYTES = 1024 * 1024
_EC2 = "http://169.254.169.254"
_EC2_IPV6 = "http://[fd00:ec2::254]"
_SHORTEST_S = 0.01


class Found(NamedTuple):
    """What the look-ups found; empty where the platform has no such service."""

    attributes: Mapping[str, AttributeValue]
    """By OpenTelemetry's names."""
    service: str = ""
    """A name for a service that nobody named: the task's family."""
    host_instance: str = ""
    """The task's or the host's id."""


class Fetch(Protocol):
    """Makes one HTTP request without any proxy."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], timeout_s: float, /
    ) -> bytes | None:
        """Return the body of a 200, or None on any other answer or fault."""
        ...


def fetch_local(
    method: str,
    url: str,
    headers: Mapping[str, str],
    timeout_s: float,
    /,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> bytes | None:
    """
    Ask a service on this host; `HTTP_PROXY` does not count, redirects are not followed.

    Args:
        method: GET or PUT.
        url: An http URL.
        headers: Sent as they are.
        timeout_s: For the whole of it, however slowly the answer drips in.
        clock: Measures it.
    """
    from http.client import HTTPConnection, HTTPException, HTTPResponse

    end_s = clock.monotonic() + timeout_s
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            return None

        connection = HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
        try:
            connection.request(method, parts.path or "/", headers=dict(headers))
            # A socket's timeout is for each piece that it reads.
            timed: socket = _Timed(connection.sock, end_s, clock)  # type: ignore[assignment]
            with HTTPResponse(timed, method=method) as answer:
                answer.begin()
                body = answer.read(_MOST_BYTES + 1)
                fits = answer.status == 200 and len(body) <= _MOST_BYTES
                return body if fits else None
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError):
        return None


class _Timed(RawIOBase):
    """What is read from a socket until a moment; later reads raise TimeoutError."""

    def __init__(self, sock: socket, end_s: float, clock: Clock) -> None:
        self._sock = sock
        self._end_s = end_s
        self._now = clock.monotonic

    def makefile(self, mode: str) -> BufferedReader:
        """Return the stream that a response reads."""
        del mode
        return BufferedReader(self)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read a piece within the time that is left."""
        left_s = self._end_s - self._now()
        if left_s <= 0:
            raise TimeoutError

        self._sock.settimeout(left_s)
        return self._sock.recv_into(buffer)


def look_up(
    environ: Mapping[str, str],
    *,
    fetch: Fetch = fetch_local,
    deadline_s: float = 2.0,
    clock: Clock = SYSTEM_CLOCK,
    read_text: Callable[[str], str] = read_small_file,
) -> Found:
    """
    Ask the metadata service of ECS or EC2; for a background thread.

    Only the platform whose marks are there is asked: nothing is sent from a laptop
    or another cloud, nor from Lambda, whose variables say everything.

    Args:
        environ: The environment variables.
        fetch: Makes the requests.
        deadline_s: For all requests together, in seconds.
        clock: Measures it.
        read_text: Reads a small file, empty if there is none.
    """
    end_s = clock.monotonic() + deadline_s

    def ask(method: str, url: str, headers: Mapping[str, str]) -> bytes | None:
        left_s = end_s - clock.monotonic()
        return fetch(method, url, headers, left_s) if left_s > _SHORTEST_S else None

    platform = platform_of(environ, read_text)
    if platform == "aws_ecs":
        return _ask_ecs(environ["ECS_CONTAINER_METADATA_URI_V4"], ask)

    named = bool(environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"))
    disabled = environ.get("AWS_EC2_METADATA_DISABLED", "").strip().lower() == "true"
    if not disabled and (platform == "aws_ec2" or (named and not platform)):
        return _ask_ec2(_ec2_endpoint(environ), ask)

    return Found({})


def _ask_ecs(
    base: str, ask: Callable[[str, str, Mapping[str, str]], bytes | None]
) -> Found:
    container = _Document(ask("GET", base, {}))
    task = _Document(ask("GET", f"{base.rstrip('/')}/task", {}))
    arn = task.text("TaskARN") or container.within("Labels").text(
        "com.amazonaws.ecs.task-arn"
    )
    cluster = task.text("Cluster")
    if cluster and not cluster.startswith("arn:") and ":task/" in arn:
        cluster = f"{arn.partition(':task/')[0]}:cluster/{cluster}"

    texts = {
        "aws.ecs.container.arn": container.text("ContainerARN"),
        "aws.ecs.cluster.arn": cluster,
        "aws.ecs.launchtype": task.text("LaunchType").lower(),
        "aws.ecs.task.arn": arn,
        "aws.ecs.task.id": arn.rpartition("/")[2],
        "aws.ecs.task.family": task.text("Family"),
        "aws.ecs.task.revision": task.text("Revision"),
        "cloud.availability_zone": task.text("AvailabilityZone"),
        "container.id": container.text("DockerId"),
        "container.name": container.text("Name"),
    }
    parts = arn.split(":")
    if len(parts) >= 6:
        texts["cloud.region"], texts["cloud.account.id"] = parts[3], parts[4]

    logs = container.within("LogOptions")
    lists = {
        "aws.log.group.names": logs.text("awslogs-group"),
        "aws.log.stream.names": logs.text("awslogs-stream"),
    }
    attributes: dict[str, AttributeValue] = {k: v for k, v in texts.items() if v}
    attributes |= {key: (text,) for key, text in lists.items() if text}
    service = task.text("Family") or task.text("ServiceName")
    return Found(attributes, service, texts["aws.ecs.task.id"])


def _ec2_endpoint(environ: Mapping[str, str]) -> str:
    named = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").strip()
    if named:
        return named.rstrip("/")

    mode = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "")
    return _EC2_IPV6 if mode.strip().lower() == "ipv6" else _EC2


def _ask_ec2(
    base: str, ask: Callable[[str, str, Mapping[str, str]], bytes | None]
) -> Found:
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = ask("PUT", f"{base}/latest/api/token", ttl)
    if not token or not token.isascii() or not token.decode().isprintable():
        return Found({})

    headers = {"X-aws-ec2-metadata-token": token.decode()}
    document = _Document(
        ask("GET", f"{base}/latest/dynamic/instance-identity/document", headers)
    )
    texts = {
        "cloud.account.id": document.text("accountId"),
        "cloud.availability_zone": document.text("availabilityZone"),
        "cloud.region": document.text("region"),
        "host.id": document.text("instanceId"),
        "host.image.id": document.text("imageId"),
        "host.type": document.text("instanceType"),
    }
    attributes: dict[str, AttributeValue] = {k: v for k, v in texts.items() if v}
    if attributes:
        attributes |= {"cloud.provider": "aws", "cloud.platform": "aws_ec2"}

    return Found(attributes, "", texts["host.id"])


class _Document:
    """A JSON object of an answer; whatever else the answer is counts as empty."""

    def __init__(self, body: bytes | None) -> None:
        self._fields: Mapping[str, object] = {}
        try:
            said = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            return

        if isinstance(said, dict):
            self._fields = said

    def text(self, name: str) -> str:
        """Return the field's text if it is a short printable one, else nothing."""
        value = self._fields.get(name)
        fits = isinstance(value, str) and len(value) <= 2048 and value.isprintable()
        return value if isinstance(value, str) and fits else ""

    def within(self, name: str) -> _Document:
        """Return the object that the field holds."""
        inner = _Document(None)
        value = self._fields.get(name)
        if isinstance(value, dict):
            inner._fields = value

        return inner
