"""What code tells the X-Ray SDK, by the names of the stable conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("aws_xray_sdk")

from aws_xray_sdk.core import xray_recorder

from tests.tracing.xray.sdk_support import request, spans

if TYPE_CHECKING:
    from svcready.tracing._pillar import TracePillar
    from svcready.tracing.view._records import SpanRecord


class TestData:
    """Data of HTTP, AWS and SQL calls, flags, annotations and metadata."""

    def made(self, pillar: TracePillar, namespace: str, **told: Any) -> SpanRecord:
        """Return the span of a subsegment that was told things."""
        with (
            request(pillar),
            xray_recorder.in_subsegment("svc", namespace=namespace) as made,
        ):
            for key, value in told.pop("http", {}).items():
                made.put_http_meta(key, value)

            for key, value in told.items():
                getattr(made, f"set_{key}")(value)

        return next(s for s in pillar.recent() if s.kind != "server")

    def test_http(self, pillar: TracePillar) -> None:
        """An HTTP call is a client's span; 4xx is a failure of it."""
        told = {
            "method": "POST",
            "url": "https://pay.example:8443/charge?x=1",
            "status": "429",
            "content_length": 12,
            "user_agent": "curl",
            "unknown": "x",
        }
        span = self.made(pillar, "remote", http=told)
        assert span.kind == "client"
        assert span.status == "error"
        assert span.attributes == {
            "peer.service": "svc",
            "http.request.method": "POST",
            "url.full": "https://pay.example:8443/charge?x=1",
            "server.address": "pay.example",
            "server.port": 8443,
            "http.response.status_code": 429,
            "http.response.body.size": 12,
            "user_agent.original": "curl",
        }

    def test_aws(self, pillar: TracePillar) -> None:
        """A call of AWS's API has the service, the operation and the resource."""
        told = {
            "operation": "PutItem",
            "region": "eu-west-1",
            "request_id": "r1",
            "table_name": "orders",
            "count": 2,
        }
        span = self.made(pillar, "aws", aws=told)
        assert (span.name, span.kind) == ("svc.PutItem", "client")
        assert span.attributes == {
            "rpc.system": "aws-api",
            "rpc.service": "svc",
            "rpc.method": "PutItem",
            "cloud.region": "eu-west-1",
            "aws.request_id": "r1",
            "aws.dynamodb.table_names": ("orders",),
            "aws.count": 2,
        }

    def test_sql(self, pillar: TracePillar) -> None:
        """A query has its system, text, database and server; a password is masked."""
        told = {
            "url": "postgresql://app:hunter2@db.example:5432/shop",
            "database_type": "PostgreSQL",
            "sanitized_query": "SELECT ?",
            "user": "app",
            "preparation": "statement",
            "driver_version": "psycopg2-2.9",
            "database_version": "16",
        }
        span = self.made(pillar, "remote", sql=told)
        assert span.attributes == {
            "peer.service": "svc",
            "db.system.name": "postgresql",
            "db.query.text": "SELECT ?",
            "db.user": "app",
            "db.version": "16",
            "db.driver.version": "psycopg2-2.9",
            "db.preparation": "statement",
            "server.address": "db.example",
            "server.port": 5432,
            "db.namespace": "shop",
        }

    def test_of_a_served_request(self, pillar: TracePillar) -> None:
        """A segment of a framework that svcready doesn't serve tells of the request."""
        with xray_recorder.in_segment("shop", traceid=None) as segment:
            segment.put_http_meta("url", "http://shop:80/a?b=1")
            segment.put_http_meta("status", 404)
            segment.put_http_meta("client_ip", "10.0.0.1")
            segment.put_http_meta("x_forwarded_for", True)

        span = spans(pillar)["shop"]
        assert span.status == "unset"  # a caller's mistake is none of the server's
        assert span.attributes == {
            "url.path": "/a",
            "url.scheme": "http",
            "url.query": "b=1",
            "server.address": "shop",
            "server.port": 80,
            "http.response.status_code": 404,
            "client.address": "10.0.0.1",
            "aws.xray.x_forwarded_for": True,
        }

    def test_flags(self, pillar: TracePillar) -> None:
        """A fault is a failure; so is an exception that is told as a text."""
        with request(pillar):
            with xray_recorder.in_subsegment("fault") as fault:
                fault.add_fault_flag()

            with xray_recorder.in_subsegment("text") as text:
                text.add_exception("no connection", [])

        found = spans(pillar)
        assert found["fault"].status == found["text"].status == "error"
        (event,) = found["text"].events
        assert event.attributes == {"exception.message": "no connection"}

    def test_is_redacted(self, pillar: TracePillar) -> None:
        """What is put in through the SDK is masked like everything else."""
        with request(pillar), xray_recorder.in_subsegment("hunter2") as made:
            made.put_annotation("password", "x")
            made.put_metadata("note", "hunter2", "ns")
            made.add_exception("no hunter2", [])

        span = spans(pillar)["***"]
        assert "hunter2" not in repr(span)
        assert span.attributes["password"] == "***"

    def test_can_be_read(self, pillar: TracePillar) -> None:
        """What was told can be read back, as tests of applications do."""
        with request(pillar), xray_recorder.in_subsegment("read") as made:
            made.put_annotation("a", 1)
            made.put_metadata("k", "v", "ns")
            made.put_http_meta("status", 503)
            assert made.annotations == {"a": 1}
            assert made.metadata == {"ns": {"k": "v"}}
            assert made.http == {"response": {"status": 503}}
            assert made.fault
            assert '"name": "read"' in made.serialize()
