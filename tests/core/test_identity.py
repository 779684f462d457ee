"""Who a process is, worked out without the network."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core.identity import Identity, parse_attributes, resolve_identity
from svcready._core.surroundings import platform_of, read_small_file
from tests.architecture.house import run_clean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "orders-fn",
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[7]abc",
    "AWS_REGION": "eu-west-1",
}
POD = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "POD_NAME": "orders-5d69f7b6c8-x2x7q",
    "POD_UID": "0a1b",
    "NODE_NAME": "node-1",
}
TASK = "cd189a933e5849daa93386466019ab50"
FARGATE = {
    "ECS_CONTAINER_METADATA_URI_V4": f"http://169.254.170.2/v4/{TASK}-2495160603"
}
BEANSTALK = "/var/elasticbeanstalk/xray/environment.conf"
NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
VENDOR = "/sys/class/dmi/id/sys_vendor"


def files(**contents: str) -> Callable[[str], str]:
    """Return a reader of files that exist only here; `files()` has none."""
    named = {"beanstalk": BEANSTALK, "namespace": NAMESPACE, "vendor": VENDOR}
    paths = {named[name]: text for name, text in contents.items()}
    return lambda path: paths.get(path, "")


def who(environ: dict[str, str], **given: object) -> Identity:
    """Resolve an identity on a host called `box`."""
    arguments: dict[str, object] = {"read_text": files(), "new_id": lambda: "new"}
    return resolve_identity(
        environ=environ,
        hostname="box",
        **{**arguments, **given},  # type: ignore[arg-type]
    )


def test_a_plain_host() -> None:
    """Without any platform: an honest unknown name, and the host."""
    identity = who({})

    assert (identity.service, identity.service_is_guess) == (
        "unknown_service:python",
        True,
    )
    assert (identity.instance, identity.host_instance) == ("new", "box")
    assert identity.platform == ""
    assert identity.environment == "production"
    assert identity.attributes == {"host.name": "box", "process.pid": os.getpid()}


def test_what_is_configured_wins_over_what_is_found() -> None:
    """The platform names only what nobody named."""
    identity = who(
        LAMBDA,
        service="orders",
        version="1.2",
        instance="mine",
        attributes={"cloud.region": "mars", "team": "core"},
    )

    assert (identity.service, identity.version, identity.instance) == (
        "orders",
        "1.2",
        "mine",
    )
    assert not identity.service_is_guess
    assert identity.attributes["cloud.region"] == "mars"
    assert identity.attributes["team"] == "core"


def test_lambda() -> None:
    """The function's variables say everything; memory is in bytes."""
    identity = who(LAMBDA)

    assert (identity.service, identity.version) == ("orders-fn", "7")
    assert identity.instance == identity.host_instance == "2026/01/01/[7]abc"
    assert identity.resource() == {
        "host.name": "box",
        "process.pid": os.getpid(),
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": "eu-west-1",
        "faas.name": "orders-fn",
        "faas.version": "7",
        "faas.instance": "2026/01/01/[7]abc",
        "faas.max_memory": 536870912,
        "service.name": "orders-fn",
        "service.version": "7",
        "service.instance.id": "2026/01/01/[7]abc",
        "deployment.environment.name": "production",
    }


def test_lambda_without_a_log_stream() -> None:
    """Under SnapStart there is none: the process gets an id of its own."""
    environ = {"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "x"}
    identity = who(environ)

    assert (identity.instance, identity.host_instance) == ("new", "box")
    assert "faas.max_memory" not in identity.attributes


def test_kubernetes() -> None:
    """Downward-API names, the account's namespace, and the deployment's name."""
    identity = who(POD, read_text=files(namespace="shop"))

    assert identity.service == "orders"
    assert identity.service_is_guess
    assert (identity.instance, identity.host_instance) == (
        "new",
        "orders-5d69f7b6c8-x2x7q",
    )
    assert identity.platform == "k8s"
    assert {k: v for k, v in identity.attributes.items() if k[:3] == "k8s"} == {
        "k8s.pod.name": "orders-5d69f7b6c8-x2x7q",
        "k8s.pod.uid": "0a1b",
        "k8s.node.name": "node-1",
        "k8s.namespace.name": "shop",
        "k8s.deployment.name": "orders",
    }
    assert "cloud.platform" not in identity.attributes


@pytest.mark.parametrize(
    ("pod", "service"),
    [
        ("my-orders-api-7f8c9d5b4-abcde", "unknown_service:python"),  # has vowels
        ("my-orders-api-7f8c9d5b4-bcdfg", "my-orders-api"),
        ("postgres-0", "unknown_service:python"),
        ("orders", "unknown_service:python"),
        ("-5d69f7b6c8-x2x7q", "unknown_service:python"),
        ("", "unknown_service:python"),
    ],
)
def test_only_a_deployments_pod_names_the_service(pod: str, service: str) -> None:
    """A stateful set's or a bare pod's name is not taken apart."""
    identity = who({"KUBERNETES_SERVICE_HOST": "x", "POD_NAME": pod})

    assert identity.service == service


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/eks.amazonaws.com/x/token"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1/credentials"},
    ],
)
def test_eks_is_known_by_its_credentials(environ: dict[str, str]) -> None:
    """A cluster on AWS is told apart without asking its API."""
    assert who({**POD, **environ}).attributes["cloud.platform"] == "aws_eks"
    assert platform_of({**POD, "AWS_ROLE_ARN": "arn:x"}, files()) == "k8s"


def test_fargate_knows_its_task_without_asking() -> None:
    """The metadata address begins with the task's id; elsewhere the host stands in."""
    other = {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/0a1b-uuid"}

    assert who(FARGATE).host_instance == TASK
    assert who(FARGATE).instance == "new"
    assert who(other).host_instance == "box"
    assert who(other).platform == "aws_ecs"


def test_beanstalk() -> None:
    """The file that its X-Ray integration writes."""
    text = '{"deployment_id": 3, "environment_name": "shop", "version_label": "v9"}'
    identity = who({}, read_text=files(beanstalk=text))

    assert (identity.namespace, identity.version) == ("shop", "v9")
    assert identity.attributes["aws.elasticbeanstalk.deployment.id"] == "3"
    for broken in ("{", "[]", "null"):
        assert who({}, read_text=files(beanstalk=broken)).version == ""


def test_ecs_comes_before_ec2() -> None:
    """A task on EC2 sees its host's marks too."""
    host = files(vendor="Amazon EC2")

    assert platform_of({}, host) == "aws_ec2"
    assert platform_of(FARGATE, host) == "aws_ecs"
    assert platform_of({}, files(vendor="LENOVO")) == ""


def test_a_forked_child_is_another_instance() -> None:
    """It gets a new id and its own pid, unless the operator fixed the instance."""
    free = who({}).in_child(lambda: "child")
    fixed = who({}, instance="mine").in_child(lambda: "child")

    assert (free.instance, free.host_instance) == ("child", "box")
    assert fixed.instance == "mine"
    assert who({}).in_child().instance != who({}).in_child().instance


INSTANCES = """
import json, os
from svcready._core.identity import process_instance
mine = process_instance()
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, process_instance().encode())
    os._exit(0)

os.wait()
print(json.dumps([mine, process_instance(), os.read(reader, 36).decode()]))
"""


def test_a_process_has_one_instance_of_its_own() -> None:
    """Whoever asks in it gets the same, and a forked child another."""
    first, second, childs = json.loads(run_clean(INSTANCES))

    assert first == second != childs
    assert len(first) == len(childs) == 36


def test_ids_are_unique_by_default() -> None:
    """Two processes never share an id by accident."""
    made = {
        resolve_identity(environ={}, hostname="box", read_text=files()).instance
        for _ in range(100)
    }

    assert len(made) == 100


def test_what_a_look_up_finds_goes_beneath() -> None:
    """It fills gaps: attributes, a guessed name, the host's place."""
    found = {"cloud.region": "eu-west-1", "host.name": "found"}
    guessed = who({}).with_found(found, "family", "task")
    named = who({}, service="orders").with_found({}, "family", "")

    assert (guessed.service, guessed.host_instance) == ("family", "task")
    assert guessed.attributes["cloud.region"] == "eu-west-1"
    assert guessed.attributes["host.name"] == "box"
    assert (named.service, named.host_instance) == ("orders", "box")


def test_the_services_own_attributes_are_fields() -> None:
    """What the attributes say of the service was resolved by the configuration."""
    attributes = {"service.name": "listed", "deployment.environment": "x", "team": "a"}
    identity = who({}, service="orders", namespace="shop", attributes=attributes)

    assert identity.resource()["service.name"] == "orders"
    assert identity.resource()["service.namespace"] == "shop"
    assert "deployment.environment" not in identity.resource()


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("a=1,b=2", {"a": "1", "b": "2"}, []),
        (" a = x%20y , ", {"a": "x y"}, []),
        ("a=b=c", {"a": "b=c"}, []),
        ("a=", {"a": ""}, []),
        ("a,=1,b=2", {"b": "2"}, ["a", "=1"]),
        ("a=%ff,b=%0a,c=%C3%A9", {"c": "é"}, ["a=%ff", "b=%0a"]),
        ('a="1"', {"a": "1"}, []),
        ("", {}, []),
    ],
)
def test_attributes_are_percent_decoded(
    text: str, good: dict[str, str], bad: list[str]
) -> None:
    """As the specification writes them; bad entries are returned, not raised."""
    assert parse_attributes(text) == (good, bad)


@given(st.text())
def test_no_attributes_raise(text: str) -> None:
    """Whatever the variable holds, each entry is either good or bad."""
    good, bad = parse_attributes(text)

    assert len(good) + len(bad) <= text.count(",") + 1


def test_attributes_are_bounded() -> None:
    """At most 128 are taken."""
    good, bad = parse_attributes(",".join(f"k{index}=v" for index in range(200)))

    assert (len(good), len(bad)) == (128, 72)


def test_small_files(tmp_path: Path) -> None:
    """A missing file is empty, a large one is cut, bad bytes are replaced."""
    (tmp_path / "f").write_bytes(b" x\xff" + b"y" * 20_000)

    assert read_small_file(str(tmp_path / "missing")) == ""
    assert read_small_file(str(tmp_path / "f")).startswith("x\ufffdy")
    assert len(read_small_file(str(tmp_path / "f"))) < 17_000
