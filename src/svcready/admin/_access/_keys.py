"""The public keys by which an issuer's web tokens are verified, fetched and kept."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from svcready._core import fork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from jwt import PyJWK

__all__ = ["ALGORITHMS", "Keys", "fetch_keys"]

ALGORITHMS = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA"),
    }
)
"""Those with a public key: with a secret one, what is public could sign as well."""
_FRESH_S = 300.0
_KEPT_S = 3600.0
_UNKNOWN_AGAIN_S = 60.0
_FAILED_AGAIN_S = 5.0
_WAIT_S = 2.0
_MOST_WAIT = 4
_FETCH_S = 5.0
_MOST_BYTES = 256 * 1024
_MOST_KEYS = 64


class Keys:
    """
    Keeps an issuer's keys, by their ids.

    They are fetched by one thread at a time, which nobody has to wait for: a key that
    is known is used while newer ones are fetched, every 5 minutes at most. A key that
    is unknown has them fetched once a minute at most, and who asks for it waits 2
    seconds at most, on an event loop not at all. No more than 4 wait at once, so that
    made-up ids don't take all threads: to others the key is unknown still. While the
    issuer can't be reached the last keys stay for an hour, then there are none.

    Args:
        fetch: Fetches them.
        now: A monotonic clock, in seconds.
        told: Told that they can't be fetched, with the reason, and once they can be
            again, with an empty one.
    """

    def __init__(
        self,
        fetch: Callable[[], Mapping[str, PyJWK]],
        now: Callable[[], float],
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._told = told
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_s = self._asked_s = float("-inf")
        self._failing = False
        self._reset()
        fork.reset_in_child(self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._flight: threading.Event | None = None
        self._seats = threading.Semaphore(_MOST_WAIT)

    def get(self, kid: str, *, wait: bool) -> PyJWK | None:
        """
        Return the key that is called *kid*.

        Args:
            kid: Its id.
            wait: Whether there is time to wait for it to be fetched, if not too many
                do.
        """
        found, flight = self._look(kid)
        if found is not None or flight is None or not wait:
            return found

        if not self._seats.acquire(blocking=False):
            return None

        try:
            flight.wait(_WAIT_S)
        finally:
            self._seats.release()

        return self._look(kid)[0]

    def are_there(self) -> bool:
        """Tell whether any are known."""
        return bool(self._keys) and self._now() - self._fetched_s < _KEPT_S

    def _look(self, kid: str) -> tuple[PyJWK | None, threading.Event | None]:
        now_s = self._now()
        with self._lock:
            found = self._keys.get(kid) if self.are_there() else None
            since_s = now_s - self._asked_s
            if found is not None:
                due = now_s - self._fetched_s >= _FRESH_S and since_s >= _FAILED_AGAIN_S
            elif self._fetched_s == self._asked_s:
                due = since_s >= _UNKNOWN_AGAIN_S
            else:
                due = since_s >= _FAILED_AGAIN_S

            if due and self._flight is None:
                self._asked_s = now_s
                self._flight = self._take_off(now_s)

            return found, self._flight

    def _take_off(self, now_s: float) -> threading.Event | None:
        landed = threading.Event()
        thread = threading.Thread(
            target=self._run,
            args=(now_s, landed),
            name="svcready-admin-keys",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:  # there are too many
            return None

        return landed

    def _run(self, now_s: float, landed: threading.Event) -> None:
        reason = ""
        try:
            keys = self._fetch()
        except Exception as error:  # noqa: BLE001 - the keys that there are stay
            reason = f"{type(error).__name__}: {error}"
        else:
            with self._lock:
                self._keys, self._fetched_s = keys, now_s

        with self._lock:
            self._flight = None
            news = bool(reason) != self._failing
            self._failing = bool(reason)

        landed.set()
        if news:
            self._told(reason)


def fetch_keys(
    url: str, quiet: Callable[[], AbstractContextManager[object]]
) -> Mapping[str, PyJWK]:
    """
    Fetch a JSON Web Key Set, RFC 7517, without following redirects.

    Args:
        url: Where it is.
        quiet: Keeps the request out of traces and metrics of the application's.

    Returns:
        Those of its keys that verify signatures, by their ids.

    Raises:
        OSError: It can't be had within 5 seconds.
        ValueError: It is none, or has no such key.
    """
    import json
    from urllib.request import Request, build_opener

    from jwt import PyJWK, PyJWTError

    ends_s = time.monotonic() + _FETCH_S
    opener = build_opener(_no_redirects())
    asked = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked
    body = b""
    with quiet(), opener.open(asked, timeout=_WAIT_S) as answer:
        while part := answer.read1(64 * 1024):
            body += part
            if len(body) > _MOST_BYTES:
                raise ValueError("it is longer than 256 KiB")

            if time.monotonic() > ends_s:
                raise TimeoutError("it takes longer than 5 seconds")

    said = json.loads(body)
    listed = said.get("keys") if isinstance(said, dict) else None
    keys: dict[str, PyJWK] = {}
    for each in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        try:
            key = PyJWK(each)
        except (PyJWTError, AttributeError, TypeError):  # of a kind that is unknown
            continue

        fits = key.algorithm_name in ALGORITHMS and key.public_key_use in {None, "sig"}
        if fits and isinstance(key.key_id, str):
            keys[key.key_id] = key

    if not keys:
        raise ValueError("it has no key that verifies signatures and has an id")

    return keys


def _no_redirects() -> type:
    from urllib.request import HTTPRedirectHandler

    class NoRedirects(HTTPRedirectHandler):
        """Follows none: what was configured is where the keys are."""

        def redirect_request(self, *_: object) -> None:
            return None

    return NoRedirects
