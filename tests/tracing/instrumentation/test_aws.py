"""Calls of AWS by boto3, against moto's server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from opentelemetry.baggage import set_baggage
from opentelemetry.context import attach, detach

import svcready
from svcready.testing import running
from tests.moto_account import find_account, serve_account
from tests.tracing.instrumentation.support import made_by

pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.testing import Harness
    from svcready.tracing.view._records import SpanRecord

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:botocore", "ignore::DeprecationWarning:moto"
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Run moto's server."""
    with serve_account() as url:
        yield url


@pytest.fixture(autouse=True)
def account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore find the server, as an operator's environment would."""
    find_account(endpoint, monkeypatch)


class Calls:
    """A client of a service, and the headers that its calls had on the wire."""

    def __init__(self, service: str) -> None:
        self.api = boto3.Session().client(service)
        self.headers: list[dict[str, str]] = []
        self.api.meta.events.register("before-send", self._note)

    def _note(self, request: object, **_: object) -> None:
        found = dict(request.headers)  # type: ignore[attr-defined]
        self.headers.append(
            {
                key.lower(): value.decode() if isinstance(value, bytes) else str(value)
                for key, value in found.items()
            }
        )


@pytest.fixture
def name() -> str:
    """Name a queue that no other test has."""
    return f"orders-{uuid4().hex[:8]}"


@pytest.fixture
def queue(account: None, name: str) -> str:
    """Make the queue and return its URL."""
    url: str = boto3.Session().client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return url


def named(harness: Harness, name: str) -> SpanRecord:
    """Return the one span called *name*."""
    (found,) = [span for span in made_by(harness, "botocore") if span.name == name]
    return found


def test_a_call_has_the_attributes_of_the_conventions(harness: Harness) -> None:
    """A call of DynamoDB is one of a database; the status is a number."""
    calls = Calls("dynamodb")
    with svcready.span("work"), pytest.raises(calls.api.exceptions.ClientError):
        calls.api.get_item(TableName="none", Key={"id": {"S": "1"}})

    made = named(harness, "DynamoDB.GetItem")
    assert (made.kind, made.status) == ("client", "error")
    assert made.attributes["db.system.name"] == "aws.dynamodb"
    assert made.attributes["db.operation.name"] == "GetItem"
    assert made.attributes["rpc.system"] == "aws-api"
    assert made.attributes["http.response.status_code"] == 400
    assert made.attributes["error.type"] == "400"
    assert made.attributes["server.address"] == "127.0.0.1"


def test_calls_carry_the_header_that_aws_reads(harness: Harness) -> None:
    """X-Ray's, with the call's own span as parent; and one span for one call."""
    calls = Calls("dynamodb")
    calls.api.list_tables()

    (made,) = made_by(harness, "")
    assert f"Parent={made.span_id};Sampled=1" in calls.headers[0]["x-amzn-trace-id"]


def test_without_xray_no_header_of_xray_is_sent(queue: str) -> None:
    """The setting says which formats are written, to AWS as well."""
    pytest.importorskip("opentelemetry.instrumentation.instrumentor")
    with running(settings={"tracing.propagators": "tracecontext"}):
        calls = Calls("sqs")
        calls.api.send_message(QueueUrl=queue, MessageBody="{}")
        got = calls.api.receive_message(
            QueueUrl=queue, MessageSystemAttributeNames=["All"]
        )["Messages"]

    assert all("x-amzn-trace-id" not in headers for headers in calls.headers)
    assert "AWSTraceHeader" not in got[0]["Attributes"]


def test_a_message_to_sqs_carries_the_trace(
    harness: Harness, queue: str, name: str
) -> None:
    """As message attributes and as the system attribute; the span is a producer's."""
    api = Calls("sqs").api
    own = {"shop": {"DataType": "String", "StringValue": "north"}}
    api.send_message(QueueUrl=queue, MessageBody="{}", MessageAttributes=own)
    (message,) = api.receive_message(QueueUrl=queue)["Messages"]

    made = named(harness, f"send {name}")
    assert made.kind == "producer"
    assert made.attributes["messaging.system"] == "aws_sqs"
    assert made.attributes["messaging.destination.name"] == name
    assert made.attributes["messaging.operation.name"] == "send"
    assert made.attributes["messaging.operation.type"] == "send"
    assert made.attributes["messaging.message.id"] == message["MessageId"]
    assert made.attributes["aws.sqs.queue.url"] == queue
    assert set(own) == {"shop"}
    traceparent = message["MessageAttributes"]["traceparent"]["StringValue"]
    assert traceparent == f"00-{made.trace_id}-{made.span_id}-03"
    header = message["Attributes"]["AWSTraceHeader"]
    assert f"Parent={made.span_id};Sampled=1" in header


def test_every_message_of_a_batch_carries_the_trace(
    harness: Harness, queue: str, name: str
) -> None:
    """The application's own entries are left as they are."""
    api = Calls("sqs").api
    entries = [{"Id": str(number), "MessageBody": "{}"} for number in range(2)]
    api.send_message_batch(QueueUrl=queue, Entries=entries)
    got = api.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]

    made = named(harness, f"send {name}")
    assert entries == [
        {"Id": "0", "MessageBody": "{}"},
        {"Id": "1", "MessageBody": "{}"},
    ]
    assert len(got) == 2
    for message in got:
        header = message["MessageAttributes"]["traceparent"]["StringValue"]
        assert made.span_id in header


def test_what_is_received_is_linked_to_its_senders(
    harness: Harness, queue: str, name: str
) -> None:
    """One link for each sender's span, of which there may be several."""
    api = Calls("sqs").api
    for _ in range(2):
        api.send_message(QueueUrl=queue, MessageBody="{}")

    api.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)

    made = named(harness, f"receive {name}")
    senders = [s for s in made_by(harness, "botocore") if s.name == f"send {name}"]
    assert made.kind == "client"
    assert made.attributes["messaging.operation.type"] == "receive"
    assert set(made.links) == {(s.trace_id, s.span_id) for s in senders}


def test_a_receiver_that_asks_for_attributes_gets_what_it_asked_for(
    harness: Harness, queue: str
) -> None:
    """Its own names stay, in the parameters that it uses."""
    api = Calls("sqs").api
    own = {
        "shop": {"DataType": "String", "StringValue": "north"},
        "till": {"DataType": "Number", "StringValue": "3"},
    }
    api.send_message(QueueUrl=queue, MessageBody="{}", MessageAttributes=own)
    (message,) = api.receive_message(
        QueueUrl=queue, MessageAttributeNames=["shop"], AttributeNames=["SentTimestamp"]
    )["Messages"]

    assert {"shop", "traceparent"} <= message["MessageAttributes"].keys()
    assert "till" not in message["MessageAttributes"]
    assert {"SentTimestamp", "AWSTraceHeader"} == message["Attributes"].keys()


@pytest.mark.parametrize(
    ("attributes", "size", "carried"),
    [(9, 10, True), (10, 10, False), (0, 256 * 1024 - 10, False), (0, 300_000, True)],
)
def test_no_message_fails_for_its_trace(
    harness: Harness,
    queue: str,
    attributes: int,
    size: int,
    carried: bool,
) -> None:
    """Ten attributes are the most, and 256 KiB or 1 MiB; a full one stays as it is."""
    sent: list[dict[str, object]] = []
    api = Calls("sqs").api
    api.meta.events.register(
        "before-parameter-build.sqs.SendMessage",
        lambda params, **_: sent.append(dict(params)),
    )
    own = {
        f"a{n}": {"DataType": "String", "StringValue": "x"} for n in range(attributes)
    }
    try:
        api.send_message(QueueUrl=queue, MessageBody="x" * size, MessageAttributes=own)
    except api.exceptions.ClientError:
        pass  # moto's limit may be the older one

    asked = sent[0].get("MessageAttributes")
    assert isinstance(asked, dict)
    assert ("traceparent" in asked) is carried
    assert len(asked) <= 10


def test_no_message_fails_for_its_baggage(harness: Harness, queue: str) -> None:
    """What goes along can be 8 KiB, which a message of 252 KiB has no room for."""
    sent: list[dict[str, object]] = []
    api = Calls("sqs").api
    api.meta.events.register(
        "before-parameter-build.sqs.SendMessage",
        lambda params, **_: sent.append(dict(params)),
    )
    context = set_baggage("b", "y" * 3000, set_baggage("a", "x" * 3000))
    token = attach(context)
    for size in (10, 252 * 1024):
        api.send_message(QueueUrl=queue, MessageBody="x" * size)

    detach(token)
    small, large = sent
    assert isinstance(small["MessageAttributes"], dict)
    assert len(small["MessageAttributes"]["baggage"]["StringValue"]) > 6000
    assert "MessageAttributes" not in large


def test_a_message_to_sns_carries_the_trace(harness: Harness, queue: str) -> None:
    """The package's own work: a subscribed queue has it in the notification."""
    sns, sqs = Calls("sns").api, Calls("sqs").api
    topic = sns.create_topic(Name="news")["TopicArn"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
    )
    sns.publish(TopicArn=topic, Message="hello")
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]

    made = named(harness, "publish news")
    notification = json.loads(message["Body"])
    header = notification["MessageAttributes"]["traceparent"]["Value"]
    assert made.kind == "producer"
    assert made.attributes["messaging.system"] == "aws.sns"
    assert made.attributes["messaging.destination.name"] == "news"
    assert made.attributes["messaging.operation.name"] == "publish"
    assert made.attributes["aws.sns.topic.arn"] == topic
    assert header == f"00-{made.trace_id}-{made.span_id}-03"
