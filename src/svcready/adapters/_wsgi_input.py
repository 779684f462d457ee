"""A body that is read over WSGI: whoever waits for it has no place meanwhile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from svcready.resilience._limiting._inbound import Inbound

__all__ = ["WaitedFor", "comes_with_body"]

_READING = {"read", "read1", "readinto", "readline", "readlines"}


class WaitedFor:
    """
    Stands before a server's input, and pauses what admitted a request while it reads.

    A thread can't tell whether a read will wait, so all of them pause. What goes on
    afterwards is let go on: there are no more of them than threads.

    Args:
        given: The input.
        request: The request whose body it is.
    """

    def __init__(self, given: Any, request: Inbound) -> None:
        self._given = given
        self._request = request

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._given, name)
        return partial(self._wait, found) if name in _READING else found

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _wait(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        admitted = self._request.admitted
        for one in admitted:
            one.pause()

        try:
            return read(*args, **kwargs)
        finally:
            for one in admitted:
                one.resume()


def comes_with_body(environ: Mapping[str, Any]) -> bool:
    """Tell whether a request has a body, as far as its headers say."""
    length = environ.get("CONTENT_LENGTH") or "0"
    return length != "0" or "HTTP_TRANSFER_ENCODING" in environ
