"""Where a Redis server is, and how one gets in, as its URL says."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from svcready.config._kinds import TEXT, Kind

__all__ = ["REDIS_URL", "RedisAddress", "redis_address"]

_PORT = 6379
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_FORMS = "redis://, rediss:// or unix://"


class RedisAddress(NamedTuple):
    """One server; its repr tells no secret."""

    host: str
    """Its name or address; empty for a socket's path."""
    port: int
    path: str
    """Its Unix socket; empty for a host."""
    user: str
    """Empty: the default one."""
    password: str
    database: int
    tls: bool
    ca_file: str
    """Who must have signed its certificate; empty: whom the system trusts."""
    certificate_file: str
    """The client's own certificate; empty: none."""
    key_file: str

    @property
    def target(self) -> str:
        """Where it is, for people."""
        return self.path or f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"<Redis at {self.target}>"


def redis_address(url: str) -> RedisAddress:
    """
    Read `redis://user:password@host:port/database`, `rediss://` or `unix:///path?db=1`.

    As redis-py spells them; of the parameters there are `db`, `ssl_ca_certs`,
    `ssl_certfile` and `ssl_keyfile`.

    Raises:
        ValueError: It is none; the message holds nothing of it.
    """
    parts = urlsplit(url)
    given = parse_qs(parts.query, keep_blank_values=True, strict_parsing=False)
    if given.keys() - {"db", *_FILES} or parts.fragment:
        raise ValueError("unknown parameters")

    last = {name: values[-1] for name, values in given.items()}
    path = unquote(parts.path)
    is_socket = parts.scheme == "unix"
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("another scheme")

    if bool(parts.hostname) == is_socket or (is_socket and len(path) < 2):
        raise ValueError("no host, or no path of a socket")

    database = last.get("db") or ("" if is_socket else path.strip("/")) or "0"
    if not database.isdecimal():
        raise ValueError("no number of a database")

    tls = parts.scheme == "rediss"
    files = [last.get(name, "") for name in _FILES]
    if any(files) and not tls:
        raise ValueError("certificates without rediss://")

    return RedisAddress(
        host=parts.hostname or "",
        port=0 if is_socket else parts.port or _PORT,
        path=path if is_socket else "",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=int(database),
        tls=tls,
        ca_file=files[0],
        certificate_file=files[1],
        key_file=files[2],
    )


def _parse(raw: object) -> str:
    text = TEXT.parse(raw)
    if text:
        redis_address(text)

    return text


REDIS_URL: Kind[str] = Kind("url", _parse, f"a URL that begins with {_FORMS}")
