"""AWS clients and secrets, against moto's server."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from svcready._transport import aws
from svcready._transport.aws import SecretResolver, make_client
from svcready.config import SecretError, load
from svcready.errors import MissingExtraError
from svcready.testing import FakeClock
from tests.moto_account import find_account, serve_account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from botocore.client import BaseClient

pytest.importorskip("moto.server")
pytest.importorskip("boto3")

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:botocore", "ignore::DeprecationWarning:moto"
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Run moto's server with a few secrets in it."""
    with serve_account() as url:
        yield url


@pytest.fixture(autouse=True)
def account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore find the server, as an operator's environment would."""
    find_account(endpoint, monkeypatch)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


def call(service: str, method: str, **arguments: object) -> dict[str, str]:
    """Call the server as an administrator."""
    answer: dict[str, str] = getattr(make_client(service, timeout_s=10), method)(
        **arguments
    )
    return answer


def secret(name: str, text: str) -> str:
    """Put a secret into Secrets Manager and return its ARN."""
    return call("secretsmanager", "create_secret", Name=name, SecretString=text)["ARN"]


def test_a_parameter_is_decrypted() -> None:
    """`ssm:/path` is the parameter's value in clear, resolved while loading."""
    call("ssm", "put_parameter", Name="/orders/token", Value="tok", Type="SecureString")
    settings = load(
        environ={"SVCREADY_ADMIN_TOKENS": "ssm:/orders/token"},
        resolve_secret=SecretResolver(10),
    )

    assert settings.admin.tokens == ("tok",)
    assert settings.problems == ()
    assert "tok'" not in repr(settings)


def test_a_secret_and_a_key_of_one() -> None:
    """`secretsmanager:name` is its text, `#key` a field of its JSON object."""
    secret("plain", "whole")
    arn = secret("fields", json.dumps({"token": "part", "number": 5}))
    resolve = SecretResolver(10)

    assert resolve("secretsmanager:plain") == "whole"
    assert resolve("secretsmanager:fields#token") == "part"
    assert resolve(f"secretsmanager:{arn}#token") == "part"


def test_the_region_is_the_one_that_all_sdks_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AWS_REGION, which botocore ignores, and above it what is given."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    assert make_client("ssm", timeout_s=1).meta.region_name == "eu-west-1"
    made = make_client("ssm", region="us-east-2", timeout_s=1)
    assert made.meta.region_name == "us-east-2"


def test_an_arn_names_its_own_region() -> None:
    """A secret of another region is asked for there."""
    regions = []

    def client(service: str, *, region: str, timeout_s: float) -> BaseClient:
        regions.append(region)
        return make_client(service, region=region, timeout_s=timeout_s)

    resolve = SecretResolver(10, region="eu-west-1", client=client)
    arn = "arn:aws:secretsmanager:us-east-2:1:secret:x"
    with pytest.raises(SecretError):
        resolve(f"secretsmanager:{arn}")

    assert regions == ["us-east-2"]


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("ssm:/missing", "AWS answers ParameterNotFound"),
        ("ssm:", "ParamValidationError"),
        ("secretsmanager:missing", "AWS answers ResourceNotFoundException"),
        ("secretsmanager:odd#key", "the secret is not a JSON object"),
        ("secretsmanager:list#key", "the secret has no such key"),
        ("secretsmanager:numbers#n", "the secret's key holds no text"),
        ("secretsmanager:binary", "the secret holds no text"),
    ],
)
def test_what_cannot_be_resolved_is_said_without_the_secret(
    reference: str, reason: str
) -> None:
    """The reason is AWS's code or a sentence of ours, never a quotation."""
    name = reference.partition(":")[2].partition("#")[0]
    texts = {"odd": "hunter2", "list": '["hunter2"]', "numbers": '{"n": 2}'}
    if name in texts:
        secret(name, texts[name])
    elif name == "binary":
        call("secretsmanager", "create_secret", Name=name, SecretBinary=b"\xff")

    with pytest.raises(SecretError) as caught:
        SecretResolver(10)(reference)

    assert str(caught.value) == reason


def test_one_deadline_for_all_references() -> None:
    """It starts with the first; when it is over, nothing more is asked."""
    clock = FakeClock()
    asked = []

    def client(service: str, *, region: str, timeout_s: float) -> BaseClient:
        asked.append(timeout_s)
        clock.advance(1.5)
        raise OSError

    resolve = SecretResolver(2.0, clock=clock, client=client)
    clock.advance(100.0)
    reasons = []
    for reference in ("ssm:/a", "ssm:/b", "ssm:/c"):
        with pytest.raises(SecretError) as caught:
            resolve(reference)

        reasons.append(str(caught.value))

    assert asked == [2.0, 0.5]
    assert reasons[:2] == ["OSError", "OSError"]
    assert reasons[2] == "no time is left before the start's deadline"


def test_a_server_that_never_answers_is_not_waited_for() -> None:
    """The caller goes on at the deadline, whatever the client still does."""
    release = threading.Event()

    def client(service: str, *, region: str, timeout_s: float) -> BaseClient:
        release.wait(10)
        raise OSError

    with pytest.raises(SecretError, match=r"no answer within 0\.05 s"):
        SecretResolver(0.05, client=client)("ssm:/a")

    release.set()


def test_a_silent_endpoint_ends_at_the_clients_own_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Botocore's attempts are bounded, so that no thread is left for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        client = make_client("ssm", timeout_s=0.05)
        with pytest.raises(Exception, match="Read timeout"):
            client.get_parameter(Name="x")  # type: ignore[attr-defined]


def test_a_reference_is_asked_for_once() -> None:
    """Several settings may refer to the same secret."""
    secret("shared", "text")
    made = []

    def client(service: str, *, region: str, timeout_s: float) -> BaseClient:
        made.append(service)
        return make_client(service, region=region, timeout_s=timeout_s)

    resolve = SecretResolver(10, client=client)

    assert [resolve("secretsmanager:shared") for _ in range(2)] == ["text", "text"]
    assert made == ["secretsmanager"]


def test_files_need_no_aws(tmp_path: Path) -> None:
    """`file:` is resolved without a client or a thread."""
    (tmp_path / "token").write_text("tok\n")

    def client(service: str, *, region: str, timeout_s: float) -> BaseClient:
        raise AssertionError

    assert SecretResolver(0.0, client=client)(f"file:{tmp_path}/token") == "tok"


def test_without_boto3_the_pip_command_is_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reference in the environment reports it; the service still starts."""

    def missing(module: str, **_: object) -> ModuleType:
        raise MissingExtraError('pip install "svcready[aws]"', name=module)

    monkeypatch.setattr(aws, "require", missing)
    settings = load(
        environ={"SVCREADY_ADMIN_TOKENS": "ssm:/x"}, resolve_secret=SecretResolver(5)
    )

    assert 'pip install "svcready[aws]"' in str(settings.problems[0])


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://s3.eu-west-1.amazonaws.com", False),
        ("https://dynamodb.cn-north-1.amazonaws.com.cn", False),
        ("https://sqs.eu-west-1.api.aws", False),
        ("https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com", True),
        ("http://localhost:4566", True),
    ],
)
def test_like_another_client(
    url: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client like the application's has its account and an endpoint of its own."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    import boto3

    theirs = boto3.client(
        "sqs",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="theirs",
        aws_secret_access_key="x",
    )
    made = make_client("sqs", timeout_s=0.5, attempts=1, like=theirs)
    assert made._request_signer._credentials.access_key == "theirs"  # type: ignore[attr-defined]
    assert made.meta.config.read_timeout == 0.5  # type: ignore[attr-defined]
    usual = "https://sqs.eu-west-1.amazonaws.com"
    assert made.meta.endpoint_url == (url if kept else usual)
    other = make_client("cloudwatch", timeout_s=0.5, like=theirs)
    assert other.meta.endpoint_url == "https://monitoring.eu-west-1.amazonaws.com"
    for each in (theirs, made, other):
        each.close()
