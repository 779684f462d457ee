"""B3 in requests: read where it is named, not looked at where it is not."""

from __future__ import annotations

import asyncio

import svcready
from svcready._runtime import PlanCell
from svcready.adapters._inbound import Headers
from svcready.adapters._plan import build_plan
from svcready.testing import running
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope
from tests.adapters.test_asgi import hello as hello_asgi
from tests.adapters.test_wsgi import hello as hello_wsgi

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SINGLE = {"b3": f"{TRACE}-{SPAN}-1"}
SEVERAL = {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-flags": "1"}
NAMED = {"SVCREADY_TRACING_PROPAGATORS": "tracecontext,b3"}


def ask_both(sent: dict[str, str]) -> None:
    """Send headers over ASGI and over WSGI."""
    pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
    names = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in sent}
    asyncio.run(ask_asgi(svcready.wrap(hello_asgi), http_scope(headers=pairs)))
    ask_wsgi(svcready.wrap(hello_wsgi), **{names[name]: sent[name] for name in sent})


def test_both_kinds_of_servers_hand_it_over() -> None:
    """In one header and in several, each request's span is the caller's child."""
    with running(environ=NAMED) as harness:
        ask_both(SINGLE)
        ask_both(SEVERAL)

        assert [(it.trace_id, it.parent_id) for it in harness.spans] == [
            (TRACE, SPAN)
        ] * 4


def test_a_header_that_comes_twice_is_none() -> None:
    """Two callers cannot both be right."""
    pair = (b"b3", SINGLE["b3"].encode())
    with running(environ=NAMED) as harness:
        app = svcready.wrap(hello_asgi)
        asyncio.run(ask_asgi(app, http_scope(headers=[pair, pair])))

        (span,) = harness.spans
        assert span.parent_id is None
        assert span.trace_id != TRACE


def test_where_it_is_not_named_nobody_looks() -> None:
    """No header of it is among those that an adapter takes from a request."""
    with running() as harness:
        ask_both(SINGLE)
        plan = PlanCell(build_plan).take()

        assert plan is not None
        assert not [name for name in plan.wanted if b"b3" in name]
        assert plan.new_headers is Headers
        assert all(it.trace_id != TRACE for it in harness.spans)
