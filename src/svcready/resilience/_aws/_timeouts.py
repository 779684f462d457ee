"""How long botocore waits for an answer: no longer than the deadline leaves."""

from __future__ import annotations

import math
from typing import Any

from svcready.resilience._timing import _deadline

__all__ = ["keep_to_deadline"]

_SHORTEST_S = 0.001


def keep_to_deadline(client: Any) -> None:
    """Have every attempt of a client's wait for its answer that long at most."""
    if not _follow_by_session(client):
        client.meta.events.register("before-call", _follow)


def _follow(context: dict[str, Any], **_: object) -> None:
    """Give botocore the time-out of one call, which it takes from the context."""
    left_s = _deadline.remaining()
    if left_s < math.inf:
        config = context.get("client_config")
        own_s = getattr(config, "read_timeout", None) or math.inf
        context["read_timeout"] = max(_SHORTEST_S, min(own_s, left_s))


def _follow_by_session(client: Any) -> bool:
    """
    Give botocore time-outs that look at the deadline whenever they are used.

    Releases that know no time-out of one call, which is most that are allowed, copy
    the client's for each request, by `urllib3.Timeout.clone`.

    Returns:
        False if botocore can be told of each call, or sends by something else.
    """
    from botocore.httpsession import URLLib3Session

    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if hasattr(URLLib3Session, "_get_request_timeout") or not isinstance(
        session, URLLib3Session
    ):
        return False

    from urllib3 import Timeout

    class Following(Timeout):
        """The client's time-outs, the second one cut to what the deadline leaves."""

        def clone(self) -> Timeout:
            """Return what a request that begins now has."""
            own: Any = self.read_timeout
            left_s = _deadline.remaining()
            if left_s < math.inf:
                own_s = own if isinstance(own, int | float) else math.inf
                own = max(_SHORTEST_S, min(own_s, left_s))

            return Timeout(connect=self.connect_timeout, read=own)

    kept = vars(session)
    own = kept["_timeout"]
    is_pair = isinstance(own, Timeout)
    following = Following(
        connect=own.connect_timeout if is_pair else own,
        read=own.read_timeout if is_pair else own,
    )
    kept["_timeout"] = following
    for manager in (kept["_manager"], *kept["_proxy_managers"].values()):
        manager.connection_pool_kw["timeout"] = following  # of pools made from now on

    return True
