"""What is known of the servers that a process runs in, and how they are made to end."""

from __future__ import annotations

import os
import sys
from typing import Protocol

__all__ = [
    "GunicornWorker",
    "OtherServer",
    "Server",
    "ServerLike",
    "UvicornServer",
    "WorkerLike",
    "describe_conflicts",
]


class Server(Protocol):
    """A server that this process runs in."""

    reloads: bool
    """Whether it is restarted at every save of a file."""
    kills_after_s: float | None
    """How long after SIGTERM its master kills this process; None if it does not."""
    blocks: bool
    """Whether it serves nothing while one request is answered."""
    waits_s: float | None
    """How long it waits itself for what is in flight, where somebody said so."""

    def limit(self, seconds: float) -> None:
        """Have its own wait for what is in flight take no longer."""
        ...

    def close_connections(self) -> None:
        """Have it close each connection after its response, if nobody else can."""
        ...

    def keep_connections(self) -> None:
        """Have it keep connections again."""
        ...


class _Config(Protocol):
    timeout_graceful_shutdown: float | None

    @property
    def should_reload(self) -> bool: ...


class ServerLike(Protocol):
    """A `uvicorn.Server`, as far as it is needed."""

    config: _Config


class _Cfg(Protocol):
    reload: bool
    graceful_timeout: int
    threads: int

    def set(self, name: str, value: object) -> None: ...


class WorkerLike(Protocol):
    """A worker of gunicorn's, as far as it is needed."""

    cfg: _Cfg

    def run(self) -> None:
        """Serve until it is told to end."""
        ...


class UvicornServer:
    """
    uvicorn, which waits for what is in flight without end unless told otherwise.

    Args:
        server: The one that runs in this process.
    """

    kills_after_s: float | None = None
    blocks = False

    def __init__(self, server: ServerLike) -> None:
        self._config = server.config
        self.waits_s = server.config.timeout_graceful_shutdown
        self.reloads = bool(server.config.should_reload)

    def limit(self, seconds: float) -> None:
        """Cancel what is left after that; uvicorn then ends in good order."""
        own_s = self._config.timeout_graceful_shutdown
        self._config.timeout_graceful_shutdown = (
            seconds if own_s is None else min(own_s, seconds)
        )

    def close_connections(self) -> None:
        """Do nothing: the responses' header does it."""

    def keep_connections(self) -> None:
        """Do nothing, as before."""


class GunicornWorker:
    """
    A worker of gunicorn's, whose master kills it when the graceful timeout is over.

    Args:
        worker: The one that this process is.
    """

    def __init__(self, worker: WorkerLike) -> None:
        self.worker = worker
        self.reloads = bool(worker.cfg.reload)
        self.blocks = type(worker).__name__ == "SyncWorker"
        self.kills_after_s: float | None = float(worker.cfg.graceful_timeout)
        self.waits_s: float | None = None
        self._kept: int | None = None

    def limit(self, seconds: float) -> None:
        """Have the worker wait no longer itself; the master has its own copy."""
        own_s = self.worker.cfg.graceful_timeout
        self.worker.cfg.set("graceful_timeout", min(own_s, max(1, round(seconds))))

    def close_connections(self) -> None:
        """
        Have a threaded worker close each connection after its response.

        It drops a `Connection` header of the application's, and says its own where it
        keeps more connections than it may.
        """
        kept = getattr(self.worker, "max_keepalived", None)
        if isinstance(kept, int) and self._kept is None:
            self._kept = kept
            self.worker.max_keepalived = -1  # type: ignore[attr-defined]

    def keep_connections(self) -> None:
        """Keep as many again as before."""
        if self._kept is not None:
            self.worker.max_keepalived = self._kept  # type: ignore[attr-defined]
            self._kept = None


class OtherServer:
    """A server of which is known only whether it reloads."""

    kills_after_s: float | None = None
    waits_s: float | None = None
    blocks = False

    def __init__(self) -> None:
        # Werkzeug and Django mark the child that they restart.
        marked = ("WERKZEUG_RUN_MAIN", "RUN_MAIN")
        self.reloads = "--reload" in sys.argv or any(
            os.environ.get(name) == "true" for name in marked
        )

    def limit(self, seconds: float) -> None:
        """Do nothing: it is not known how."""

    def close_connections(self) -> None:
        """Do nothing: it is not known how."""

    def keep_connections(self) -> None:
        """Do nothing, as before."""


def describe_conflicts(
    delay_s: float,
    timeout_s: float,
    flush_s: float,
    *,
    grace_s: float,
    kills_after_s: float | None,
    server_waits_s: float | None = None,
) -> tuple[str, ...]:
    """
    Return what the settings of the end contradict, in words and with the arithmetic.

    Args:
        delay_s: SVCREADY_LIFECYCLE_DRAIN_DELAY_S.
        timeout_s: SVCREADY_LIFECYCLE_DRAIN_TIMEOUT_S.
        flush_s: SVCREADY_LIFECYCLE_FLUSH_TIMEOUT_S.
        grace_s: SVCREADY_LIFECYCLE_GRACE_S.
        kills_after_s: gunicorn's graceful timeout, under gunicorn.
        server_waits_s: uvicorn's own graceful timeout, if it has one.
    """
    total_s = delay_s + timeout_s + flush_s
    parts = (
        f"the end may take {delay_s:g} (SVCREADY_LIFECYCLE_DRAIN_DELAY_S) + "
        f"{timeout_s:g} (_DRAIN_TIMEOUT_S) + {flush_s:g} (_FLUSH_TIMEOUT_S) = "
        f"{total_s:g} s"
    )
    said = []
    if total_s > grace_s:
        said.append(
            f"{parts}, and the platform kills after {grace_s:g} s "
            "(SVCREADY_LIFECYCLE_GRACE_S): requests and telemetry would be lost; "
            "shorten the parts, or lengthen the platform's grace and say so there"
        )

    if kills_after_s is not None and total_s > kills_after_s:
        left_s = max(0.0, kills_after_s - delay_s - flush_s)
        said.append(
            f"{parts}, and gunicorn kills its workers {kills_after_s:g} s after "
            f"SIGTERM (--graceful-timeout): requests in flight have {left_s:g} s "
            f"instead; --graceful-timeout {total_s:.0f} gives them all"
        )

    if server_waits_s is not None and server_waits_s < timeout_s:
        said.append(
            f"uvicorn's --timeout-graceful-shutdown {server_waits_s:g} is shorter than "
            f"SVCREADY_LIFECYCLE_DRAIN_TIMEOUT_S {timeout_s:g}, which counts: requests "
            "in flight are waited for before uvicorn is told to stop"
        )

    return tuple(said)
