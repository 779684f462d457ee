"""Metrics of AWS calls, against moto's server."""

from __future__ import annotations

import json
from math import isnan
from typing import TYPE_CHECKING

import pytest

from svcready._transport.aws import make_client
from svcready.metrics import instrument_botocore, instrument_queue
from tests.metrics.clients.support import Page
from tests.moto_account import find_account, serve_account
from tests.servers.harness import eventually

pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")

import botocore.session  # noqa: E402
from botocore.awsrequest import AWSResponse  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError, EndpointConnectionError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.client import BaseClient

    from svcready.metrics._pillar import MetricsPillar
    from tests.conftest import Faults

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:botocore", "ignore::DeprecationWarning:moto"
)

DURATION = "rpc.client.call.duration"
QUICK = Config(retries={"mode": "legacy", "max_attempts": 3})
"""Three retries, of which DynamoDB's wait 50 ms and more each."""

ONCE = Config(retries={"mode": "standard", "total_max_attempts": 1})


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Run moto's server."""
    with serve_account() as url:
        yield url


@pytest.fixture(autouse=True)
def account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore find the server, as an operator's environment would."""
    find_account(endpoint, monkeypatch)


def client(service: str, config: Config | None = None) -> BaseClient:
    """Make a client of a session of its own, as applications do."""
    made: BaseClient = boto3.Session().client(service, config=config)
    return made


def call(client: BaseClient, method: str, **arguments: object) -> dict[str, object]:
    """Call an operation."""
    answer: dict[str, object] = getattr(client, method)(**arguments)
    return answer


def queue(sqs: BaseClient, name: str) -> str:
    """Make a queue and return its URL."""
    return str(call(sqs, "create_queue", QueueName=name)["QueueUrl"])


def answer_first(client: BaseClient, times: int, status: int, code: str) -> None:
    """Have the first attempts answered by an error of AWS, the others by moto."""
    left = [None] * times

    def answer(request: object, **_: object) -> AWSResponse | None:
        if not left:
            return None

        left.pop()
        body = json.dumps({"__type": f"com.amazonaws#{code}", "message": "no"})

        class Raw:
            """A body, as urllib3 hands it over."""

            def stream(self, **_: object) -> Iterator[bytes]:
                yield body.encode()

        headers = {"Content-Type": "application/x-amz-json-1.0"}
        return AWSResponse("http://aws", status, headers, Raw())  # type: ignore[arg-type]

    client.meta.events.register("before-send", answer)  # type: ignore[arg-type]


def test_calls_are_timed_by_operation_and_error(page: Page) -> None:
    """Each call is one duration; what AWS refuses has its code."""
    ssm = client("ssm")
    instrument_botocore(ssm)
    call(ssm, "put_parameter", Name="/a", Value="hunter2", Type="String")
    call(ssm, "get_parameter", Name="/a")
    with pytest.raises(ClientError):
        call(ssm, "get_parameter", Name="/missing")

    def count(operation: str, error: str) -> int:
        return page.count(DURATION, rpc_method=f"SSM/{operation}", error_type=error)

    assert count("PutParameter", "") == 1
    assert count("GetParameter", "") == 1
    assert count("GetParameter", "ParameterNotFound") == 1
    assert page.count(DURATION, rpc_system_name="aws-api") == 3
    assert "hunter2" not in page.text()


def test_a_call_without_an_answer_has_its_exceptions_class(page: Page) -> None:
    """Who cannot connect is told by the class of its exception."""
    ssm = boto3.Session().client("ssm", endpoint_url="http://127.0.0.1:1", config=ONCE)
    instrument_botocore(ssm)
    with pytest.raises(EndpointConnectionError):
        call(ssm, "get_parameter", Name="/a")

    assert page.count(DURATION, error_type="EndpointConnectionError") == 1
    assert page.value("aws.client.retries") == 0


def test_throttled_attempts_and_retries_are_counted(page: Page) -> None:
    """A call that succeeds after two throttled attempts is one, with two retries."""
    db = client("dynamodb", QUICK)
    instrument_botocore(db)
    answer_first(db, 2, 400, "ProvisionedThroughputExceededException")
    call(db, "list_tables")

    assert page.count(DURATION, rpc_method="DynamoDB/ListTables", error_type="") == 1
    assert page.value("aws.client.throttles", rpc_method="DynamoDB/ListTables") == 2
    assert page.value("aws.client.retries", rpc_method="DynamoDB/ListTables") == 2


def test_a_call_throttled_to_the_end_is_an_error(page: Page) -> None:
    """Four throttled attempts are three retries and one error with the code."""
    db = client("dynamodb", QUICK)
    instrument_botocore(db)
    answer_first(db, 9, 400, "ThrottlingException")
    with pytest.raises(ClientError):
        call(db, "list_tables")

    assert page.count(DURATION, error_type="ThrottlingException") == 1
    assert page.value("aws.client.throttles") == 4
    assert page.value("aws.client.retries") == 3


def test_dynamodbs_capacity_is_counted_by_table(page: Page) -> None:
    """What DynamoDB says that a call consumed is added up."""
    db = client("dynamodb")
    call(
        db,
        "create_table",
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    instrument_botocore(db)
    said = 0.0
    for number in range(3):
        answer = call(
            db,
            "put_item",
            TableName="orders",
            Item={"id": {"S": str(number)}},
            ReturnConsumedCapacity="TOTAL",
        )
        said += answer["ConsumedCapacity"]["CapacityUnits"]  # type: ignore[index]

    call(db, "put_item", TableName="orders", Item={"id": {"S": "x"}})

    assert said > 0
    assert page.value(
        "aws.dynamodb.consumed_capacity",
        rpc_method="DynamoDB/PutItem",
        aws_dynamodb_table_name="orders",
    ) == pytest.approx(said)


def test_sqs_messages_are_counted_by_queue(page: Page) -> None:
    """Sent, received and deleted, in batches and one by one."""
    sqs = client("sqs")
    url = queue(sqs, "orders")
    instrument_botocore(sqs)
    call(sqs, "send_message", QueueUrl=url, MessageBody="one")
    entries = [{"Id": str(n), "MessageBody": "x"} for n in range(3)]
    call(sqs, "send_message_batch", QueueUrl=url, Entries=entries)
    answer = call(sqs, "receive_message", QueueUrl=url, MaxNumberOfMessages=10)
    messages: list[dict[str, str]] = answer["Messages"]  # type: ignore[assignment]
    for message in messages[:2]:
        call(
            sqs, "delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]
        )

    call(
        sqs,
        "delete_message_batch",
        QueueUrl=url,
        Entries=[{"Id": "a", "ReceiptHandle": messages[2]["ReceiptHandle"]}],
    )
    here = {
        "messaging_system": "aws_sqs",
        "messaging_destination_name": "orders",
        "error_type": "",
    }

    assert page.value("messaging.client.sent.messages", **here) == 4
    assert page.value("messaging.client.consumed.messages", **here) == len(messages)
    assert page.value("messaging.client.settled.messages", **here) == 3
    durations = "messaging.client.operation.duration"
    assert page.count(durations, messaging_operation_name="send") == 2
    assert page.count(durations, messaging_operation_name="receive") == 1
    assert page.count(durations, messaging_operation_name="delete") == 3
    assert page.count(DURATION) == 6


def test_what_sqs_refuses_of_a_batch_is_a_failure(page: Page) -> None:
    """Entries that come back as failed count by their code, the others as sent."""
    sqs = client("sqs")
    url = queue(sqs, "orders")
    instrument_botocore(sqs)

    def refuse(parsed: dict[str, object], **_: object) -> None:
        parsed["Failed"] = [{"Id": "1", "Code": "InternalError", "SenderFault": False}]

    sqs.meta.events.register_first("after-call.sqs.SendMessageBatch", refuse)
    entries = [{"Id": str(n), "MessageBody": "x"} for n in range(3)]
    call(sqs, "send_message_batch", QueueUrl=url, Entries=entries)
    sent = "messaging.client.sent.messages"

    assert page.value(sent, error_type="") == 2
    assert page.value(sent, error_type="InternalError") == 1


def test_a_failed_send_counts_all_its_messages(page: Page) -> None:
    """A queue that is not there fails the call, and so the messages."""
    sqs = client("sqs")
    url = queue(sqs, "orders").replace("orders", "missing")
    instrument_botocore(sqs)
    entries = [{"Id": str(n), "MessageBody": "x"} for n in range(3)]
    with pytest.raises(ClientError) as caught:
        call(sqs, "send_message_batch", QueueUrl=url, Entries=entries)

    code = caught.value.response["Error"]["Code"]
    sent = "messaging.client.sent.messages"
    assert page.value(sent, error_type=code) == 3
    assert page.value(sent, error_type="") == 0


def test_sns_messages_are_counted_by_topic(page: Page) -> None:
    """A topic has its name, a telephone number and a device none of their own."""
    sns = client("sns")
    arn = str(call(sns, "create_topic", Name="shipped")["TopicArn"])
    instrument_botocore(sns)
    call(sns, "publish", TopicArn=arn, Message="x")
    entries = [{"Id": str(n), "Message": "x"} for n in range(2)]
    call(sns, "publish_batch", TopicArn=arn, PublishBatchRequestEntries=entries)
    call(sns, "publish", PhoneNumber="+4912345678", Message="x")
    with pytest.raises(ClientError):
        call(sns, "publish", TargetArn=DEVICE, Message="x")

    sent = "messaging.client.sent.messages"
    assert page.value(sent, messaging_destination_name="shipped") == 3
    assert page.value(sent, messaging_destination_name="") == 1
    assert page.value(sent, messaging_destination_name="endpoint") == 1
    assert "12345678" not in page.text()


DEVICE = "arn:aws:sns:eu-west-1:123456789012:endpoint/GCM/app/12345678"


def test_counted_once_however_often_instrumented(page: Page) -> None:
    """By the session, by the client, and twice: a call is one."""
    session = boto3.Session()
    undo = instrument_botocore(session)
    ssm = session.client("ssm")
    own = instrument_botocore(ssm)

    assert instrument_botocore(session) is undo
    assert instrument_botocore(ssm) is own
    call(ssm, "describe_parameters")
    assert page.count(DURATION) == 1
    own()
    call(ssm, "describe_parameters")
    assert page.count(DURATION) == 2
    undo()
    call(ssm, "describe_parameters")
    assert page.count(DURATION) == 2
    instrument_botocore(ssm)
    call(ssm, "describe_parameters")
    assert page.count(DURATION) == 3


def test_a_session_of_botocore_is_instrumented_too(page: Page) -> None:
    """The clients that it makes later are measured; what is neither is refused."""
    session = botocore.session.get_session()
    instrument_botocore(session)
    call(session.create_client("ssm"), "describe_parameters")

    assert page.count(DURATION) == 1
    with pytest.raises(TypeError, match="no client or session"):
        instrument_botocore(Page)  # type: ignore[arg-type]


def test_by_name_every_client_but_ours_is_measured(
    make_pillar: Callable[..., MetricsPillar],
) -> None:
    """Clients of any session, made after the start, until the pillar ends."""
    create = vars(botocore.session.Session)["create_client"]
    pillar = make_pillar(instrument=("botocore",))
    page = Page(pillar)
    ssm = client("ssm")
    call(ssm, "describe_parameters")
    call(make_client("ssm", timeout_s=10), "describe_parameters")

    assert page.count(DURATION) == 1
    pillar.close()
    assert vars(botocore.session.Session)["create_client"] is create
    call(ssm, "describe_parameters")
    call(client("ssm"), "describe_parameters")
    assert page.count(DURATION) == 1


DEPTH = "messaging.queue.messages"


def test_a_queues_depth_is_observed(
    make_pillar: Callable[..., MetricsPillar],
) -> None:
    """What is ready and in flight, asked at once and again, until it is ended."""
    pillar = make_pillar()
    page = Page(pillar)
    sqs = client("sqs")
    url = queue(sqs, "depth")
    for _ in range(3):
        call(sqs, "send_message", QueueUrl=url, MessageBody="x")

    end = instrument_queue(url, interval=0.02)
    assert instrument_queue(url) is end
    assert page.labels(DEPTH) == []  # nobody is asked before the runtime is awake
    pillar.wake()
    here = {"messaging_destination_name": "depth"}
    eventually(lambda: page.value(DEPTH, state="ready", **here) == 3, "a first answer")
    call(sqs, "receive_message", QueueUrl=url, MaxNumberOfMessages=1)
    eventually(lambda: page.value(DEPTH, state="in_flight") == 1, "another answer")
    assert page.value(DEPTH, state="ready") == 2
    end()
    eventually(lambda: isnan(page.value(DEPTH, state="ready")), "its end")


def test_a_queue_that_is_not_told_is_not_known(
    make_pillar: Callable[..., MetricsPillar], faults: Faults
) -> None:
    """A refused question is a fault of ours, and leaves no number behind."""
    pillar = make_pillar()
    page = Page(pillar)
    pillar.wake()
    sqs = client("sqs", ONCE)
    url = queue(sqs, "gone")
    end = instrument_queue(url.replace("gone", "missing"), sqs, interval=60)
    eventually(lambda: page.labels(DEPTH), "an answer")
    end()

    assert isnan(page.value(DEPTH, state="ready"))
    pillar.close()
    assert isinstance(faults.claim("worker.queues"), ClientError)
