from __future__ import annotations

import asyncio
import json
import re

from hypothesis import given
from hypothesis import strategies as st

import svcready
from svcready.testing import running
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope
from tests.adapters.test_asgi import hello as hello_asgi
from tests.adapters.test_wsgi import hello as hello_wsgi

NAMES: tuple[str, ...] = (
    "x-request-id",
    "x-correlation-id",
    "traceparent",
    "tracestate",
    "baggage",
)
NAMES += ("x-amzn-trace-id", "content-length", "user-agent", "x-forwarded-for")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+=@~-]{0,127}")

half_right = st.sampled_from(
    [
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        b"a=1,b=2",
        b"12",
    ]
)
garbage = st.binary(max_size=300)
bent = st.builds(
    lambda text, at, more: text[:at] + more + text[at:],
    half_right,
    st.integers(0, 60),
    st.binary(max_size=4),
)
values = st.one_of(
    garbage, half_right, bent, st.binary(max_size=2).map(lambda b: b * 3000)
)
headers = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=12)


def test_no_header_breaks_a_request() -> None:
    """
    Whatever the headers hold, however often, a request is answered with valid ids,
    the answer's headers hold no other bytes than they may, and every line is JSON.
    """
    asgi, wsgi = svcready.wrap(hello_asgi), svcready.wrap(hello_wsgi)

    @given(headers)
    def check(sent: list[tuple[str, bytes]]) -> None:
        pairs = [(name.encode(), value) for name, value in sent]
        environ = {
            "HTTP_" + name.upper().replace("-", "_"): value.decode("latin-1")
            for name, value in sent
            if name != "content-length"
        }
        harness._written.clear()
        replies = [
            asyncio.run(ask_asgi(asgi, http_scope(headers=pairs))),
            ask_wsgi(wsgi, **environ),
        ]

        assert len(harness.access_lines) == 2
        for reply, line in zip(replies, harness.access_lines, strict=True):
            assert reply.status == 200
            assert reply.headers["x-request-id"] == line["request_id"]
            assert ID.fullmatch(str(line["request_id"]))
            assert ID.fullmatch(str(line["correlation_id"]))
            assert re.fullmatch(r"[0-9a-f]{32}", str(line["trace_id"]))
            assert "".join(reply.headers.values()).isprintable()
            json.dumps(line)

    # One start for all: each takes long where many libraries are loaded.
    with running(environ={"SVCREADY_HTTP_TRUSTED_HOPS": "1"}) as harness:
        check()
