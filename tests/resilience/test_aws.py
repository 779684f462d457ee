"""What AWS's errors mean, and policies around botocore's calls to a real server."""

from __future__ import annotations

import asyncio
import io
import time
from typing import TYPE_CHECKING, Any

import boto3
import botocore
import botocore.exceptions
import botocore.session
import pytest
from botocore.config import Config

import svcready
from svcready.errors import CircuitOpen
from svcready.resilience import aws, circuit_breaker, get_breaker, policy
from svcready.resilience import retry as retried
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.architecture.house import run_clean_json
from tests.moto_account import find_account, serve_account
from tests.resilience.aws_service import Reply, Service, serve_aws, throttled
from tests.resilience.peers import breaker_of, judged, retrier_of, run_on

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = {"id": {"S": "1"}}


@pytest.fixture(scope="module")
def _server() -> Iterator[Service]:
    with serve_aws() as service:
        yield service


@pytest.fixture
def service(_server: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service that has been asked nothing."""
    find_account(_server.url, monkeypatch)
    _server.replies.clear()
    _server.bodies.clear()
    _server.headers.clear()
    return _server


def client(name: str = "dynamodb", **config: Any) -> Any:
    """Return a client of boto3's."""
    return boto3.client(name, config=Config(**config))  # type: ignore[call-overload]


def failed(code: str, status: int = 400, **response: Any) -> Exception:
    """Return what botocore raises for an answer."""
    metadata = {"HTTPStatusCode": status, **response.pop("metadata", {})}
    return botocore.exceptions.ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": metadata, **response},  # type: ignore[typeddict-item]
        "GetItem",
    )


@pytest.mark.parametrize(
    ("error", "transient", "outcome", "overloaded"),
    [
        (failed("ThrottlingException"), True, "failure", True),
        (failed("ProvisionedThroughputExceededException"), True, "failure", True),
        (failed("SlowDown", 503), True, "failure", True),
        (failed("TooMany", 429), True, "failure", True),
        (failed("RequestTimeout"), True, "success", False),
        (failed("InternalServerError", 500), True, "failure", False),
        (failed("ServiceUnavailable", 503), True, "failure", False),
        (failed("NotImplemented", 501), False, "failure", False),
        (failed("TransactionConflictException"), True, "success", False),
        (failed("ConditionalCheckFailedException"), False, "success", False),
        (failed("ResourceNotFoundException"), False, "success", False),
        (failed("AccessDeniedException"), False, "success", False),
        (failed("NoSuchKey", 404), False, "success", False),
        (
            botocore.exceptions.ConnectTimeoutError(endpoint_url=""),
            *(True, "failure", False),
        ),
        (
            botocore.exceptions.ReadTimeoutError(endpoint_url=""),
            *(True, "failure", False),
        ),
        (
            botocore.exceptions.EndpointConnectionError(endpoint_url=""),
            *(True, "failure", False),
        ),
        (
            botocore.exceptions.ParamValidationError(report=""),
            *(False, "inconclusive", False),
        ),
        (botocore.exceptions.NoCredentialsError(), False, "inconclusive", False),
        (KeyError(), False, "ignored", False),
    ],
)
def test_what_an_error_means(
    error: Exception, *, transient: bool, outcome: str, overloaded: bool
) -> None:
    """A no is an answer; throttling, failing and silence are not."""
    assert aws.transient(error) is transient
    assert judged(aws, error) == outcome
    assert aws.overloaded(error) is overloaded


@pytest.mark.parametrize(
    ("reasons", "transient"),
    [
        (["None", "TransactionConflict"], True),
        (["ThrottlingError", "TransactionConflict"], True),
        (["TransactionConflict", "ConditionalCheckFailed"], False),
    ],
)
def test_a_cancelled_transaction(reasons: list[str], *, transient: bool) -> None:
    """It may be repeated if no item was refused for good."""
    told = [{"Code": reason} for reason in reasons]
    error = failed("TransactionCanceledException", CancellationReasons=told)
    assert aws.transient(error) is transient


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("1500", 1.5),
        ("0", 0.0),
        ("-1", None),
        ("x", None),
        ("", None),
        ("9" * 9, 86400),
    ],
)
def test_retry_after(told: str, seconds: float | None) -> None:
    """The hint is in milliseconds; nonsense is none."""
    headers = {"HTTPHeaders": {"x-amz-retry-after": told}}
    assert aws.retry_after(failed("ThrottlingException", metadata=headers)) == seconds
    assert aws.retry_after(KeyError()) is None


def test_attempts_of_botocores_own_do_not_multiply(service: Service) -> None:
    """A retry around an unguarded client leaves alone what botocore gave up on."""
    service.replies += [throttled(), Reply(500), Reply(500)]
    table = client(retries={"total_max_attempts": 3, "mode": "standard"})
    call = retried("orders-table", on=aws.transient)(table.get_item)
    with pytest.raises(botocore.exceptions.ClientError):
        call(TableName="orders", Key=KEY)

    assert service.asked == 3


@pytest.mark.parametrize("mode", ["standard", "legacy", "adaptive"])
def test_a_guarded_client_retries_by_its_policy(service: Service, mode: str) -> None:
    """Three attempts are three requests, in whichever mode botocore's own would be."""
    table = client(retries={"mode": mode})
    assert aws.guard(table, "orders-table") is table
    aws.guard(table, "orders-table")
    service.replies += [Reply(500)] * 9
    policy("orders-table", preset="aws")
    run_on(FakeClock())
    with pytest.raises(botocore.exceptions.ClientError):
        table.get_item(TableName="orders", Key=KEY)

    assert service.asked == 3
    assert breaker_of("orders-table").counts()["failure"] == 3
    assert retrier_of("orders-table").counts()["attempts"] == 1


def test_a_guarded_client_recovers(service: Service) -> None:
    """The service's hint sets the wait, and the answer is botocore's own."""
    table = aws.guard(client(), "orders-table")
    service.replies += [throttled(x_amz_retry_after="20")]
    assert table.get_item(TableName="orders", Key=KEY)["ResponseMetadata"]
    assert service.asked == 2
    assert retrier_of("orders-table").retries() == {"hint": 1}


def test_an_open_breaker_asks_nothing(service: Service) -> None:
    """A table whose breaker is open gets no request; its 400s had not opened it."""
    table = aws.guard(client(), "orders-table")
    service.replies += [
        Reply(400, b'{"__type": "ConditionalCheckFailedException"}') for _ in range(30)
    ]
    for _ in range(30):
        with pytest.raises(botocore.exceptions.ClientError):
            table.get_item(TableName="orders", Key=KEY)

    assert get_breaker("orders-table").state == "closed"
    get_breaker("orders-table").force_open()
    with pytest.raises(CircuitOpen):
        table.get_item(TableName="orders", Key=KEY)

    assert service.asked == 30


def test_botocores_retries_stay_without_one_of_ours(service: Service) -> None:
    """A policy of a breaker alone takes no retry away."""
    policy(
        "orders-table",
        breaker=circuit_breaker(success=aws.answered, ignore=aws.unrelated),
    )
    table = aws.guard(client(retries={"mode": "standard"}), "orders-table")
    service.replies += [Reply(500)]
    table.get_item(TableName="orders", Key=KEY)
    assert service.asked == 2


def test_an_idempotency_token_is_the_same_in_every_attempt(service: Service) -> None:
    """A write that is repeated is one write to the service, and the next another."""
    table = aws.guard(client(), "orders-table")
    service.replies += [Reply(500)]
    for _ in range(2):
        table.transact_write_items(
            TransactItems=[{"Put": {"TableName": "orders", "Item": KEY}}]
        )

    first, second, third = service.bodies
    assert b"ClientRequestToken" in first
    assert first == second != third


class OnceOnly(io.RawIOBase):
    """A body that can't be read again."""

    def __init__(self) -> None:
        super().__init__()
        self.left = [b"orders"]

    def readable(self) -> bool:
        """Say yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Give all of it, and then nothing."""
        return self.left.pop() if self.left else b""


def test_a_body_is_sent_whole_or_once(service: Service) -> None:
    """A file is read from where it stood each time, a pipe not a second time."""
    option = "request_checksum_calculation"  # which botocore has since 1.36
    config = {option: "when_required"} if option in Config.OPTION_DEFAULTS else {}
    unsigned = client("s3", signature_version=botocore.UNSIGNED, **config)
    bucket = aws.guard(unsigned, "s3")
    file = io.BytesIO(b"skipped:orders")
    file.seek(8)
    service.replies += [Reply(503), Reply(503), Reply(body=b"")]
    bucket.put_object(Bucket="b", Key="k", Body=file)
    assert service.bodies == [b"orders"] * 3
    service.replies += [Reply(503)]
    with pytest.raises(botocore.exceptions.ClientError):
        bucket.put_object(
            Bucket="b",
            Key="k",
            Body=OnceOnly(),
            ContentLength=6,
            ContentMD5="EsUA7Qt4eRBftGrw8ka+hw==",  # else botocore 1.35 reads it twice
        )

    assert service.asked == 4


def test_an_answer_is_waited_for_until_the_deadline(service: Service) -> None:
    """A silent service is left when the deadline is over, and not blamed for it."""
    policy(
        "orders-table",
        breaker=circuit_breaker(success=aws.answered, ignore=aws.unrelated),
    )
    config: dict[str, Any] = {"read_timeout": 30, "retries": {"total_max_attempts": 1}}
    table = aws.guard(client(**config), "orders-table")
    service.replies += [Reply(after_s=2.0)]
    token = _deadline.put(time.monotonic() + 0.2)
    started_s = time.monotonic()
    try:
        with pytest.raises(botocore.exceptions.ReadTimeoutError):
            table.get_item(TableName="orders", Key=KEY)
    finally:
        _deadline.lift(token)

    assert time.monotonic() - started_s < 1.5
    assert breaker_of("orders-table").counts() == {"success": 0, "ignored": 1}
    service.replies += [Reply(after_s=0.3)]
    table.get_item(TableName="orders", Key=KEY)  # on the same connections, in its time


def test_policies_by_operation(service: Service) -> None:
    """A function chooses by service and operation, names of its own included."""
    asked = []

    def choose(operation: str) -> str:
        asked.append(operation)
        return "reads" if "Get" in operation else "writes"

    table = aws.guard(client(), choose)
    for _ in range(2):
        table.get_item(TableName="orders", Key=KEY)

    table.put_item(TableName="orders", Item=KEY)
    assert asked == ["dynamodb.GetItem", "dynamodb.PutItem"]
    assert breaker_of("reads").counts()["success"] == 2
    assert breaker_of("writes").counts()["success"] == 1


@pytest.mark.parametrize("kind", ["boto3", "botocore"])
def test_a_sessions_clients(service: Service, kind: str) -> None:
    """Every client that the session makes is guarded, by service, and no other one."""
    session: Any = boto3.Session() if kind == "boto3" else botocore.session.Session()
    assert aws.guard(session) is session
    aws.guard(session)
    make = session.client if kind == "boto3" else session.create_client
    service.replies += [Reply(500), Reply(500)]
    make("dynamodb").get_item(TableName="orders", Key=KEY)
    make("dynamodb").get_item(TableName="orders", Key=KEY)
    make("sqs").list_queues()
    client("sqs").list_queues()
    assert retrier_of("aws.dynamodb").counts() == {"success": 1, "recovered": 1}
    assert breaker_of("aws.sqs").counts() == {"success": 1}


def test_an_async_client(service: Service) -> None:
    """A client whose calls are awaited, as aiobotocore's, is guarded alike."""
    made = client()
    plain = made._make_api_call

    async def call(operation: str, params: dict[str, object]) -> object:
        return await asyncio.to_thread(plain, operation, params)

    made._make_api_call = call
    table = aws.guard(made, "orders-table")
    service.replies += [Reply(500)]
    asyncio.run(table.get_item(TableName="orders", Key=KEY))
    assert service.asked == 2
    assert retrier_of("orders-table").counts()["recovered"] == 1


def test_dynamodb_of_motos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, conditions, waiters, paginators and resources work as ever."""
    with serve_account() as url:
        find_account(url, monkeypatch)
        resource = boto3.resource("dynamodb")
        table = aws.guard(resource.meta.client, "orders-table")
        table.create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        table.get_waiter("table_exists").wait(TableName="orders")
        orders = resource.Table("orders")
        for number in range(5):
            orders.put_item(Item={"id": str(number)})

        with pytest.raises(table.exceptions.ConditionalCheckFailedException):
            orders.put_item(
                Item={"id": "1"}, ConditionExpression="attribute_not_exists(id)"
            )

        pages = table.get_paginator("scan").paginate(
            TableName="orders", PaginationConfig={"PageSize": 2}
        )
        assert sum(len(page["Items"]) for page in pages) == 5
        assert "failure" not in breaker_of("orders-table").counts()


def test_what_is_no_client_is_refused() -> None:
    """A mistake in the code is told at once."""
    with pytest.raises(TypeError, match="neither client nor session"):
        aws.guard(object(), "orders-table")

    with pytest.raises(svcready.errors.DeclarationError):
        aws.guard(object(), "Not A Name")


def test_nothing_is_imported() -> None:
    """Judging an error loads no AWS library."""
    program = """
import json, sys
from svcready.resilience import aws
aws.transient(ConnectionError()), aws.answered(ValueError())
print(json.dumps([name for name in ("boto3", "botocore") if name in sys.modules]))
"""
    assert run_clean_json(program) == []
