"""The checks of AWS resources: up, down, hanging, missing, refused and throttled."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, NamedTuple

import pytest

import svcready
from svcready.errors import DeclarationError
from svcready.health import CheckResult
from svcready.health._check import CHECKS
from svcready.health.checks._cloud._secrets import look as look_at_secret
from tests.health.checks.looking import close, look
from tests.moto_account import find_account, serve_account
from tests.servers.harness import eventually, free_port
from tests.servers.relay import Relay

pytest.importorskip("boto3")
pytest.importorskip("moto.server")

import boto3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PASS = CheckResult("pass")
LIMIT_S = 5.0
DOWN_S = 0.3


@pytest.fixture(scope="module")
def account_port() -> Iterator[int]:
    """Run an account of moto's with one resource of each kind; give its port."""
    with serve_account() as endpoint, pytest.MonkeyPatch.context() as patch:
        find_account(endpoint, patch)
        sqs = boto3.client("sqs")
        for queue in ("orders", "failed", "some", "old"):
            sqs.create_queue(QueueName=queue)

        boto3.client("s3").create_bucket(
            Bucket="orders",
            CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
        )
        boto3.client("dynamodb").create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        boto3.client("secretsmanager").create_secret(Name="orders", SecretString="x")
        yield int(endpoint.rpartition(":")[2])


@pytest.fixture
def account(account_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """Stand before the account, which botocore finds by its environment."""
    with Relay(account_port) as relay:
        find_account(f"http://127.0.0.1:{relay.port}", monkeypatch)
        yield relay
        for name in CHECKS.names():
            close(name)


def queue(relay: Relay, name: str = "orders") -> str:
    """Return the URL of a queue."""
    return f"http://127.0.0.1:{relay.port}/123456789012/{name}"


def add_all(relay: Relay) -> tuple[str, ...]:
    """Declare a check of each kind."""
    svcready.health.add_sqs_queue(queue(relay))
    svcready.health.add_dlq(queue(relay, "failed"))
    svcready.health.add_dynamodb_table("orders")
    svcready.health.add_s3_bucket("orders")
    svcready.health.add_secret("orders")
    return CHECKS.names()


NAMES = (
    *("sqs-orders", "dlq-failed", "dynamodb-orders", "s3-orders", "secret-orders"),
)


def test_pass_once_a_minute(account: Relay) -> None:
    """Every resource that is there passes, and is asked no more often than needed."""
    assert add_all(account) == NAMES
    for name in NAMES:
        assert look(name, LIMIT_S).status == "pass"
        assert look(name, LIMIT_S).status == "pass"
        found = CHECKS.get(name)
        assert found is not None
        assert (found.interval_s, found.timeout_s) == (60.0, 5.0)
        assert found.criticality == "degraded"

    assert account.most_connections <= len(NAMES)  # one each, which is kept
    for name in NAMES:
        close(name)


def test_down_and_hanging(account: Relay) -> None:
    """Refused and swallowed, each fails within its time and leaves nothing behind."""
    for name in add_all(account):
        assert look(name, DOWN_S * 10).status == "pass"
        account.swallow()
        for _ in range(3):
            result = look(name, DOWN_S)
            assert (result.status, result.output) == ("fail", "ReadTimeoutError")

        # The account runs in this process, with a thread for each connection.
        eventually(lambda: account.connections <= 1, "no connection is left")
        account.refuse()
        result = look(name, DOWN_S)
        assert (result.status, result.output) == ("fail", "EndpointConnectionError")
        eventually(lambda: account.connections == 0, "no connection is left")
        account.through()
        assert look(name, DOWN_S * 10).status == "pass"


def test_missing(account: Relay) -> None:
    """A resource that does not exist fails, and says so."""
    svcready.health.add_sqs_queue(queue(account, "none"), name="queue")
    svcready.health.add_dynamodb_table("none", name="table")
    svcready.health.add_s3_bucket("none", name="bucket")
    svcready.health.add_secret("none", name="secret")
    for name in CHECKS.names():
        expected = CheckResult("fail", f"the {name} does not exist")
        assert look(name, LIMIT_S) == expected


def test_depth_of_a_queue(account: Relay) -> None:
    """Messages are counted against both limits, and a dead letter is a warning."""
    sqs = boto3.client("sqs")
    url, failed = queue(account, "some"), queue(account, "failed")
    svcready.health.add_sqs_queue(url, name="some", warn_above=1, fail_above=2)
    svcready.health.add_dlq(failed)
    seen = []
    for _ in range(3):
        sqs.send_message(QueueUrl=url, MessageBody="order")
        seen.append(look("some", LIMIT_S))

    assert seen == [
        CheckResult("pass", "", 1, "1"),
        CheckResult("warn", "messages that wait: 2", 2, "1"),
        CheckResult("fail", "messages that wait: 3", 3, "1"),
    ]
    assert look("dlq-failed", LIMIT_S) == CheckResult("pass", "", 0, "1")
    sqs.send_message(QueueUrl=failed, MessageBody="order")
    assert look("dlq-failed", LIMIT_S) == CheckResult(
        "warn", "messages that could not be processed: 1", 1, "1"
    )
    sqs.close()


def test_age_of_a_queue(account: Relay) -> None:
    """CloudWatch is asked how old the oldest message is, if that is wanted."""
    sqs, cloudwatch = boto3.client("sqs"), boto3.client("cloudwatch")
    url = queue(account, "old")
    sqs.send_message(QueueUrl=url, MessageBody="order")
    svcready.health.add_sqs_queue(url, name="old", warn_age="10m")
    assert look("old", LIMIT_S) == CheckResult("pass", "", 1, "1")  # nothing known
    now = datetime.now(UTC)
    for minutes, age_s in ((3, 900), (1, 720)):
        cloudwatch.put_metric_data(
            Namespace="AWS/SQS",
            MetricData=[
                {
                    "MetricName": "ApproximateAgeOfOldestMessage",
                    "Dimensions": [{"Name": "QueueName", "Value": "old"}],
                    "Timestamp": now - timedelta(minutes=minutes),
                    "Value": age_s,
                }
            ],
        )

    result = look("old", LIMIT_S)
    assert result == CheckResult("warn", "the oldest message is 720 s old", 1, "1")
    sqs.close()
    cloudwatch.close()


def test_a_secret_to_be_deleted(account: Relay) -> None:
    """A secret that goes away warns, with the day, before it is gone."""
    manager = boto3.client("secretsmanager")
    manager.create_secret(Name="old", SecretString="hunter2")
    svcready.health.add_secret("old")
    assert look("secret-old", LIMIT_S) == PASS
    manager.delete_secret(SecretId="old", RecoveryWindowInDays=7)
    result = look("secret-old", LIMIT_S)
    assert result.status == "warn"
    assert "is scheduled for deletion on 20" in result.output
    manager.close()


class TestRotation:
    """A secret's rotation."""

    DUE = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("enabled", "later", "expected"),
        [
            (True, timedelta(days=-1), PASS),
            (
                True,
                timedelta(days=1),
                CheckResult(
                    "warn", "the secret's rotation is overdue, since 2026-03-01"
                ),
            ),
            (False, timedelta(days=1), PASS),
        ],
    )
    def test_overdue(
        self, enabled: bool, later: timedelta, expected: CheckResult
    ) -> None:
        """A date of rotation that has passed is a warning while rotation is on."""

        def call(operation: str, **arguments: object) -> Mapping[str, object]:
            assert (operation, arguments) == ("describe_secret", {"SecretId": "orders"})
            return {"RotationEnabled": enabled, "NextRotationDate": self.DUE}

        assert look_at_secret(call, "orders", lambda: self.DUE + later) == expected

    def test_value_is_never_read(self, account: Relay) -> None:
        """The only call is DescribeSecret."""
        with Answering({"Name": "orders"}) as peer:
            client = boto3.client("secretsmanager", endpoint_url=peer.url)
            svcready.health.add_secret("orders", client=client)
            assert look("secret-orders", LIMIT_S) == PASS
            assert peer.asked == ["secretsmanager.DescribeSecret"]
            client.close()


class Said(NamedTuple):
    """What a peer answers."""

    status: int
    body: object


class Answering:
    """A service of AWS that answers whatever it is told."""

    def __init__(self, body: object, status: int = 200) -> None:
        self.said = Said(status, body)
        self.asked: list[str] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                peer.asked.append(str(self.headers.get("X-Amz-Target")))
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(json.dumps(peer.said.body).encode())

            def do_HEAD(self) -> None:
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(peer.said.status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Answering:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """Run a service that answers as it is told."""
    with Answering({}) as made:
        find_account(made.url, monkeypatch)
        yield made
        for name in CHECKS.names():
            close(name)


REFUSED = Said(400, {"__type": "com.amazon#AccessDeniedException", "message": "no"})
THROTTLED = Said(400, {"__type": "com.amazon#ThrottlingException", "message": "no"})
ADD: dict[str, Callable[[], None]] = {
    "sqs:GetQueueAttributes": lambda: svcready.health.add_sqs_queue(
        "https://sqs.eu-west-1.amazonaws.com/1/orders", name="it"
    ),
    "dynamodb:DescribeTable": lambda: svcready.health.add_dynamodb_table(
        "orders", name="it"
    ),
    "secretsmanager:DescribeSecret": lambda: svcready.health.add_secret(
        "orders", name="it"
    ),
}


@pytest.mark.parametrize("action", ADD)
def test_without_permission(peer: Answering, action: str) -> None:
    """A role that may not ask is a warning that names what is missing."""
    peer.said = REFUSED
    ADD[action]()
    assert look("it", LIMIT_S) == CheckResult(
        "warn", f"not allowed: the role needs {action} (AccessDeniedException)"
    )


def test_a_bucket_without_permission(peer: Answering) -> None:
    """403 of a bucket is a warning; 404 would be a failure."""
    svcready.health.add_s3_bucket("orders")
    peer.said = Said(403, {})
    expected = CheckResult("warn", "not allowed: the role needs s3:ListBucket (403)")
    assert look("s3-orders", LIMIT_S) == expected
    peer.said = Said(404, {})
    assert look("s3-orders", LIMIT_S).output == "the bucket does not exist"


def test_throttled(peer: Answering) -> None:
    """Asking too often fails nothing, ends no failure, and is one call per run."""
    svcready.health.add_dynamodb_table("orders", name="it")
    peer.said = THROTTLED
    throttled = CheckResult("warn", "AWS asks to call less often (ThrottlingException)")
    assert look("it", LIMIT_S) == throttled
    assert len(peer.asked) == 1
    peer.said = Said(200, {"Table": {"TableStatus": "DELETING"}})
    failed = CheckResult("fail", "the table is DELETING")
    assert look("it", LIMIT_S) == failed
    peer.said = THROTTLED
    assert look("it", LIMIT_S) == failed
    peer.said = Said(200, {"Table": {"TableStatus": "ACTIVE"}})
    assert look("it", LIMIT_S) == PASS
    peer.said = THROTTLED
    assert look("it", LIMIT_S) == throttled


@pytest.mark.parametrize(
    ("status", "index", "expected"),
    [
        ("ACTIVE", "ACTIVE", "pass"),
        ("UPDATING", "UPDATING", "pass"),
        ("ACTIVE", "CREATING", "warn"),
        ("CREATING", "ACTIVE", "fail"),
        ("DELETING", "ACTIVE", "fail"),
        ("ARCHIVED", "ACTIVE", "fail"),
        ("INACCESSIBLE_ENCRYPTION_CREDENTIALS", "ACTIVE", "fail"),
    ],
)
def test_states_of_a_table(
    peer: Answering, status: str, index: str, expected: str
) -> None:
    """A table that cannot be used fails; an index that is not there yet warns."""
    by_day = {"IndexName": "by-day", "IndexStatus": index}
    table = {"TableStatus": status, "GlobalSecondaryIndexes": [by_day]}
    peer.said = Said(200, {"Table": table})
    svcready.health.add_dynamodb_table("orders", name="it")
    result = look("it", LIMIT_S)
    assert result.status == expected
    if expected == "warn":
        assert result.output == "the index by-day is CREATING"


def test_the_applications_client(account: Relay) -> None:
    """Account, region and endpoint are its; its time-outs and connections are not."""
    elsewhere = boto3.client(
        "s3", region_name="eu-central-1", endpoint_url=f"http://127.0.0.1:{free_port()}"
    )
    svcready.health.add_s3_bucket("orders", client=elsewhere, name="elsewhere")
    assert look("elsewhere", DOWN_S).output == "EndpointConnectionError"
    here = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{account.port}")
    svcready.health.add_s3_bucket("orders", client=here, name="here")
    account.swallow()
    assert look("here", DOWN_S).output == "ReadTimeoutError"  # its own is 60 s
    elsewhere.close()
    here.close()


def test_names_and_mistakes() -> None:
    """Names come from what is checked, ARNs included; mistakes raise at once."""
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders/db-AbCdEf"
    svcready.health.add_secret(arn)
    svcready.health.add_dynamodb_table(
        "arn:aws:dynamodb:eu-west-1:123456789012:table/Orders"
    )
    assert CHECKS.names() == ("secret-orders-db-abcdef", "dynamodb-orders")
    with pytest.raises(DeclarationError, match="the URL of a queue ends with its name"):
        svcready.health.add_sqs_queue("https://sqs.eu-west-1.amazonaws.com/")

    url = "https://sqs.eu-west-1.amazonaws.com/1/orders"
    with pytest.raises(DeclarationError, match="warn_above=-1"):
        svcready.health.add_dlq(url, warn_above=-1)

    with pytest.raises(DeclarationError, match="warn_age='soon'"):
        svcready.health.add_sqs_queue(url, warn_age="soon")
