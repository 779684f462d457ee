"""One question to a probe over a raw socket, over within its time as a whole."""

from __future__ import annotations

# What `socket` is made of. It would double the time of the whole command, with enums
# and selectors that a single connection has no use for.
import _socket as sockets
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssl import SSLSocket

    from svcready.cli._healthcheck_target import Target

__all__ = ["ask"]

_MOST_BYTES = 4096
_MOST_SHOWN = 200


def ask(target: Target, timeout_s: float) -> str:
    """
    Send a GET and read the answer.

    Args:
        target: Whom.
        timeout_s: For all of it: a server that drips bytes ends here, too.

    Returns:
        Why it does not pass; empty if the status is one of 200 to 299.
    """
    end_s = time.monotonic() + timeout_s
    sock = None
    try:
        sock = _connect(target, end_s)
        sock.settimeout(_left_s(end_s))
        sock.sendall(_request(target))
        return _judge(sock, end_s)
    except TimeoutError:
        return f"gave no answer within {timeout_s:.3g} s"
    except UnicodeError:
        return "has a name that cannot be resolved"
    except OSError as error:
        return _in_words(error)
    finally:
        if sock is not None:
            sock.close()


def _connect(target: Target, end_s: float) -> sockets.socket:
    if target.socket:
        return _dial(sockets.AF_UNIX, target.socket, _left_s(end_s))

    # As bytes: text would load the codec of international names.
    host = target.host.encode("ascii")
    found = sockets.getaddrinfo(host, target.port, type=sockets.SOCK_STREAM)
    failed = OSError("has no address")
    for number, (family, _, _, _, address) in enumerate(found):
        try:
            # One that swallows what it gets must leave time for the others.
            most_s = _left_s(end_s) / (len(found) - number)
            sock = _dial(family, address, most_s)
        except OSError as error:
            failed = error
        else:
            return _secure(sock, target, end_s) if target.is_secure else sock

    raise failed


def _dial(
    family: int, address: str | tuple[object, ...], most_s: float
) -> sockets.socket:
    sock = sockets.socket(family, sockets.SOCK_STREAM)
    try:
        sock.settimeout(most_s)
        sock.connect(address)
    except OSError:
        sock.close()
        raise

    return sock


def _secure(sock: sockets.socket, target: Target, end_s: float) -> SSLSocket:
    import socket
    import ssl

    context = ssl.create_default_context()
    if target.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    plain = socket.socket(fileno=sock.detach())
    try:
        plain.settimeout(_left_s(end_s))
        return context.wrap_socket(plain, server_hostname=target.host)
    except OSError:
        plain.close()
        raise


def _request(target: Target) -> bytes:
    return (
        f"GET {target.path} HTTP/1.1\r\n"
        f"Host: {target.authority}\r\n"
        "User-Agent: svcready-healthcheck\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n\r\n"
    ).encode("ascii")


def _judge(sock: sockets.socket, end_s: float) -> str:
    data = b""
    while b"\n" not in data and len(data) < _MOST_BYTES:
        chunk = _receive(sock, end_s)
        if not chunk:
            break

        data += chunk

    words = data.partition(b"\n")[0].split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return "answers nothing" if not data else "answers something that is not HTTP"

    status = int(words[1])
    if 200 <= status <= 299:
        return ""

    said = _text(data, sock, end_s)
    return f"answers {status}: {said}" if said else f"answers {status}"


def _text(data: bytes, sock: sockets.socket, end_s: float) -> str:
    """Return what the body says, as far as it comes."""
    try:
        while len(data) < _MOST_BYTES and (chunk := _receive(sock, end_s)):
            data += chunk
    except OSError:  # what has come will do
        pass

    body = data.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in body).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def _receive(sock: sockets.socket, end_s: float) -> bytes:
    sock.settimeout(_left_s(end_s))
    return sock.recv(_MOST_BYTES)


def _left_s(end_s: float) -> float:
    left_s = end_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError

    return left_s


def _in_words(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "has nothing that listens (connection refused)"

    if isinstance(error, FileNotFoundError):
        return "is no socket: nothing is there"

    if isinstance(error, ConnectionError):
        return "broke the connection off"

    if isinstance(error, sockets.gaierror):
        return f"has a name that cannot be resolved ({error.strerror})"

    reason = getattr(error, "verify_message", "") or getattr(error, "reason", "")
    return f"failed: {reason or error.strerror or error}"
