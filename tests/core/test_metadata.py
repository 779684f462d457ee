"""Look-ups at metadata services, against a real HTTP server."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from svcready._core.metadata import fetch_local, look_up
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TASK_ARN = (
    "arn:aws:ecs:eu-west-1:111122223333:task/shop/158d1c8083dd49d6b527399fd6414f5c"
)
CONTAINER = {
    "DockerId": "158d1c8083dd49d6b527399fd6414f5c-2495160603",
    "Name": "orders",
    "Labels": {"com.amazonaws.ecs.task-arn": TASK_ARN},
    "ContainerARN": "arn:aws:ecs:eu-west-1:111122223333:container/x",
    "LogOptions": {"awslogs-group": "/ecs/orders", "awslogs-stream": "ecs/orders/1"},
}
TASK = {
    "Cluster": "shop",
    "TaskARN": TASK_ARN,
    "Family": "orders",
    "Revision": "7",
    "AvailabilityZone": "eu-west-1a",
    "LaunchType": "FARGATE",
}
INSTANCE = {
    "accountId": "111122223333",
    "availabilityZone": "eu-west-1a",
    "imageId": "ami-1",
    "instanceId": "i-0123",
    "instanceType": "m7g.large",
    "region": "eu-west-1",
}
DOCUMENT = "/latest/dynamic/instance-identity/document"


class Metadata:
    """What a metadata service answers, by method and path."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], bytes | int] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.url = ""


@pytest.fixture
def service() -> Iterator[Metadata]:
    """Run a metadata service on this machine."""
    metadata = Metadata()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers.get("X-aws-ec2-metadata-token")
            metadata.asked.append((self.command, self.path, token))
            answer = metadata.answers.get((self.command, self.path), 404)
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"" if isinstance(answer, int) else answer)

        def do_PUT(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with running(Handler) as url:
        metadata.url = url
        yield metadata


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve *handler* on a free port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def no_files(path: str) -> str:
    """Stand for a host without any platform's files."""
    return ""


def on_ec2(path: str) -> str:
    """Stand for a host whose firmware says that it is an EC2 instance."""
    return "Amazon EC2" if path.endswith("sys_vendor") else ""


def test_a_task_on_ecs(service: Metadata) -> None:
    """Container and task give the resource, the family a name, the task its id."""
    service.answers = {
        ("GET", "/v4/x"): json.dumps(CONTAINER).encode(),
        ("GET", "/v4/x/task"): json.dumps(TASK).encode(),
    }
    found = look_up(
        {"ECS_CONTAINER_METADATA_URI_V4": f"{service.url}/v4/x"}, read_text=on_ec2
    )

    assert found.service == "orders"
    assert found.host_instance == "158d1c8083dd49d6b527399fd6414f5c"
    assert found.attributes == {
        "aws.ecs.container.arn": CONTAINER["ContainerARN"],
        "aws.ecs.cluster.arn": "arn:aws:ecs:eu-west-1:111122223333:cluster/shop",
        "aws.ecs.launchtype": "fargate",
        "aws.ecs.task.arn": TASK_ARN,
        "aws.ecs.task.id": "158d1c8083dd49d6b527399fd6414f5c",
        "aws.ecs.task.family": "orders",
        "aws.ecs.task.revision": "7",
        "cloud.availability_zone": "eu-west-1a",
        "cloud.region": "eu-west-1",
        "cloud.account.id": "111122223333",
        "container.id": CONTAINER["DockerId"],
        "container.name": "orders",
        "aws.log.group.names": ("/ecs/orders",),
        "aws.log.stream.names": ("ecs/orders/1",),
    }


def test_a_task_that_tells_little(service: Metadata) -> None:
    """Labels stand in for a missing task document; nothing is invented."""
    service.answers = {("GET", "/v4/x"): json.dumps(CONTAINER).encode()}
    found = look_up({"ECS_CONTAINER_METADATA_URI_V4": f"{service.url}/v4/x"})

    assert found.service == ""
    assert found.attributes["aws.ecs.task.arn"] == TASK_ARN
    assert "aws.ecs.cluster.arn" not in found.attributes


def test_an_instance_on_ec2(service: Metadata) -> None:
    """A token first, then the identity document with it."""
    service.answers = {
        ("PUT", "/latest/api/token"): b"tok",
        ("GET", DOCUMENT): json.dumps(INSTANCE).encode(),
    }
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{service.url}/"}
    found = look_up(environ, read_text=on_ec2)

    assert service.asked == [
        ("PUT", "/latest/api/token", None),
        ("GET", DOCUMENT, "tok"),
    ]
    assert found.host_instance == "i-0123"
    assert found.attributes == {
        "cloud.provider": "aws",
        "cloud.platform": "aws_ec2",
        "cloud.account.id": "111122223333",
        "cloud.availability_zone": "eu-west-1a",
        "cloud.region": "eu-west-1",
        "host.id": "i-0123",
        "host.image.id": "ami-1",
        "host.type": "m7g.large",
    }


@pytest.mark.parametrize("token", [b"", b"bad\r\nHost: x", b"\xff", 403])
def test_without_a_good_token_nothing_more_is_asked(
    service: Metadata, token: bytes | int
) -> None:
    """What is no token never becomes a header."""
    service.answers = {("PUT", "/latest/api/token"): token}
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url}

    assert look_up(environ, read_text=on_ec2) == ({}, "", "")
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"instanceId": 5}', b"[" * 100_000]
)
def test_what_is_no_document_counts_as_empty(service: Metadata, body: bytes) -> None:
    """Another service at that address does no harm."""
    service.answers = {
        ("PUT", "/latest/api/token"): b"tok",
        ("GET", DOCUMENT): body,
    }
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url}

    assert look_up(environ, read_text=on_ec2) == ({}, "", "")


def test_nobody_is_asked_without_a_mark() -> None:
    """A laptop, another cloud, Lambda, a pod and a disabled host send nothing."""

    def fetch(
        method: str, url: str, headers: Mapping[str, str], timeout_s: float, /
    ) -> bytes | None:
        raise AssertionError(url)

    disabled = {"AWS_EC2_METADATA_DISABLED": "TRUE"}

    assert not look_up({}, fetch=fetch, read_text=no_files).attributes
    assert not look_up(disabled, fetch=fetch, read_text=on_ec2).attributes
    for mark in ("AWS_LAMBDA_FUNCTION_NAME", "KUBERNETES_SERVICE_HOST"):
        assert not look_up({mark: "x"}, fetch=fetch, read_text=on_ec2).attributes


@pytest.mark.parametrize(
    ("mode", "host"), [("", "169.254.169.254"), ("IPv6", "[fd00:ec2::254]")]
)
def test_the_address_of_the_instances_service(mode: str, host: str) -> None:
    """IPv4 by default, IPv6 where the mode says so."""
    asked = []

    def fetch(
        method: str, url: str, headers: Mapping[str, str], timeout_s: float, /
    ) -> bytes | None:
        asked.append(url)
        return None

    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": mode}
    look_up(environ, fetch=fetch, read_text=on_ec2)

    assert asked == [f"http://{host}/latest/api/token"]


def test_one_deadline_for_all_requests() -> None:
    """Each request gets what is left; when nothing is, none is sent."""
    clock = FakeClock()
    given: list[float] = []

    def fetch(
        method: str, url: str, headers: Mapping[str, str], timeout_s: float, /
    ) -> bytes | None:
        given.append(timeout_s)
        clock.advance(timeout_s)
        return b"tok"

    look_up({}, fetch=fetch, deadline_s=1.5, clock=clock, read_text=on_ec2)

    assert given == [1.5]


def test_proxies_are_bypassed(
    service: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link-local address must not be asked for at a proxy."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    service.answers = {("GET", "/x"): b"here"}

    assert fetch_local("GET", f"{service.url}/x", {}, 5.0) == b"here"


@pytest.mark.parametrize("status", [301, 404, 500])
def test_only_a_200_counts(service: Metadata, status: int) -> None:
    """Redirects are not followed, errors are no answers."""
    service.answers = {("GET", "/x"): status, ("GET", "/elsewhere"): b"no"}

    assert fetch_local("GET", f"{service.url}/x", {}, 5.0) is None
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "http://",
        "file:///etc/passwd",
        "http://127.0.0.1:1/",
        "http://127.0.0.1:99999/",
        "http://[/",
        "http://127.0.0.1/a b",
    ],
)
def test_an_address_that_cannot_be_asked_gives_nothing(url: str) -> None:
    """Closed ports and malformed addresses raise nothing."""
    assert fetch_local("GET", url, {}, 1.0) is None


def test_an_answer_that_is_too_large_is_none(service: Metadata) -> None:
    """No more than a mebibyte is taken in."""
    service.answers = {("GET", "/x"): b"x" * (1024 * 1024 + 1)}

    assert fetch_local("GET", f"{service.url}/x", {}, 5.0) is None


def test_a_service_that_never_answers_ends_at_the_timeout() -> None:
    """The caller's thread comes back, and the address was really connected to."""
    asked = threading.Event()
    done = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            done.wait(10)

        def log_message(self, *_: object) -> None:
            pass

    with running(Silent) as url:
        assert fetch_local("GET", f"{url}/x", {}, 0.05) is None
        assert asked.wait(5)
        done.set()


def test_an_answer_that_drips_in_ends_at_the_timeout() -> None:
    """Each byte of it comes in time, and the whole does not."""
    clock = FakeClock()
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"

    def drip(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.recv(4096)
            client.sendall(said)
            for _ in range(20_000):  # more than is read at once
                clock.advance(1)
                try:
                    client.sendall(b"a")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        body = fetch_local("GET", url, {}, 5.0, clock=clock)
        thread.join()

    assert body is None
