"""Where a health check asks: a URL's parts, or what the service's variables say."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Target", "from_environ", "from_url"]

_DEFAULT_PORT = 8000  # of uvicorn, gunicorn, hypercorn and Django
_PROBES = ("liveness", "readiness", "startup")


class Target:
    """
    What is asked.

    Args:
        path: The path, with a query if there is one.
        host: A name or an address.
        port: Its port.
        socket: The path of a Unix socket, in place of both.
        is_secure: Whether TLS is spoken.
        insecure: Whether any certificate will do.
    """

    __slots__ = ("host", "insecure", "is_secure", "path", "port", "socket")

    def __init__(
        self,
        path: str,
        *,
        host: str = "127.0.0.1",
        port: int = _DEFAULT_PORT,
        socket: str = "",
        is_secure: bool = False,
        insecure: bool = False,
    ) -> None:
        self.path = path
        self.host = host
        self.port = port
        self.socket = socket
        self.is_secure = is_secure
        self.insecure = insecure

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        if self.socket:
            return "localhost"

        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.is_secure else 80
        return host if self.port == usual else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """All of it for people, without a query, which may hold a secret."""
        path = self.path.partition("?")[0]
        if self.socket:
            return f"unix:{self.socket} {path}"

        return f"http{'s' if self.is_secure else ''}://{self.authority}{path}"


def from_url(url: str, *, insecure: bool = False) -> Target:
    """
    Read a URL.

    Args:
        url: Begins with http:// or https://.
        insecure: Whether any certificate will do.

    Raises:
        ValueError: It is none; its text is not in the message.
    """
    scheme, _, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    place = _place(rest[:end])
    path = rest[end:].partition("#")[0]
    fits = url.isascii() and url.isprintable() and " " not in url and "@" not in rest
    if scheme not in {"http", "https"} or place is None or not fits:
        msg = "a URL begins with http:// or https:// and holds no credentials"
        raise ValueError(msg)

    is_secure = scheme == "https"
    host, port = place
    return Target(
        path if path.startswith("/") else f"/{path}",
        host=_reachable(host),
        port=port or (443 if is_secure else 80),
        is_secure=is_secure,
        insecure=insecure,
    )


def from_environ(
    environ: Mapping[str, str], probe: str, *, port: str = "", socket: str = ""
) -> Target:
    """
    Find where the service listens, as it finds it itself.

    The operator's own socket or port comes first, then what gunicorn, uvicorn and
    platforms are told: GUNICORN_CMD_ARGS, UVICORN_UDS, UVICORN_PORT, PORT; else 8000.
    A value that makes no sense is passed over, as the service does.

    Args:
        environ: The variables.
        probe: `liveness`, `readiness`, `startup` or a group.
        port: Said on the command line.
        socket: Said on the command line.

    Raises:
        ValueError: Port or probe make no sense.
    """
    settings = _settings(environ)
    path = _path(settings, probe)
    if port:
        if not _port(port):
            msg = f"--port={port} is not allowed: use a number from 1 to 65535"
            raise ValueError(msg)

        return Target(path, port=_port(port))

    for kind, at in _places(environ, settings, socket):
        if kind == "socket" and at:
            return Target(path, socket=at)

        place = _place(at) if kind == "place" else None
        if place is not None and place[1]:
            return Target(path, host=_reachable(place[0]), port=place[1])

    return Target(path)


def _places(
    environ: Mapping[str, str], settings: Mapping[str, str], socket: str
) -> Iterator[tuple[str, str]]:
    yield "socket", socket
    yield "socket", settings["admin.socket"]
    yield "place", f"{_bracketed(settings['admin.host'])}:{settings['admin.port']}"
    bind = _gunicorns(environ.get("GUNICORN_CMD_ARGS", ""))
    if bind.startswith("unix:"):
        yield "socket", bind.removeprefix("unix:")

    yield "place", bind if ":" in bind else ""
    yield "socket", environ.get("UVICORN_UDS", "")
    host = _bracketed(environ.get("UVICORN_HOST", ""))
    yield "place", f"{host}:{environ.get('UVICORN_PORT', '')}"
    yield "place", f":{environ.get('PORT', '')}"


_KEYS = (
    *("admin.socket", "admin.host", "admin.port", "http.path_prefix"),
    *(f"health.{probe}_path" for probe in _PROBES),
)


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the service that matter here, empty if not set."""
    found = dict.fromkeys(_KEYS, "")
    file = environ.get("SVCREADY_CORE_CONFIG_FILE", "")
    if file:
        environment = environ.get("SVCREADY_SERVICE_ENVIRONMENT") or "production"
        for table in ("default", environment.lower()):
            found |= _from_file(file, table)

    for key in _KEYS:
        said = environ.get(f"SVCREADY_{key.replace('.', '_').upper()}", "").strip()
        found[key] = said or found[key]

    return found


def _from_file(file: str, table: str) -> dict[str, str]:
    import tomllib

    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - pathlib costs start-up time
            tree = tomllib.load(opened)
    except (OSError, ValueError):  # the service itself reports it
        return {}

    found = {}
    for key in _KEYS:
        section, _, field = key.partition(".")
        value = _table(_table(tree, table), section).get(field)
        if isinstance(value, str | int):
            found[key] = str(value)

    return found


def _table(tree: Mapping[str, object], name: str) -> Mapping[str, object]:
    inner = tree.get(name)
    return inner if isinstance(inner, dict) else {}


def _path(settings: Mapping[str, str], probe: str) -> str:
    if not probe.replace("-", "").replace("_", "").replace(".", "").isalnum():
        msg = f"--probe={probe} is not allowed: use liveness or the name of a group"
        raise ValueError(msg)

    said = settings.get(f"health.{probe}_path", "")
    path = settings["http.path_prefix"] + (said or f"/health/{probe}")
    fits = path.startswith("/") and path.isascii() and path.isprintable()
    return path if fits and " " not in path else f"/health/{probe}"


def _gunicorns(arguments: str) -> str:
    """Return the first address that gunicorn is told to bind."""
    if "'" in arguments or '"' in arguments:
        import shlex

        try:
            words = shlex.split(arguments)
        except ValueError:
            return ""
    else:
        words = arguments.split()

    rest = iter(words)
    for word in rest:
        if word in {"-b", "--bind"}:
            return next(rest, "")

        for start in ("--bind=", "-b"):
            if word.startswith(start):
                return word.removeprefix(start)

    return ""


def _place(text: str) -> tuple[str, int] | None:
    """Read `host:port`, `[::1]:port`, `:port` or `host`; 0 is no port."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        fits = bool(bracket) and colon in {"", ":"}
    else:
        host, colon, port = text.partition(":")
        fits = ":" not in port

    if not fits or (colon and not _port(port)) or (not colon and not host):
        return None

    return host, _port(port)


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return number if number <= 65535 else 0


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _reachable(host: str) -> str:
    """Return where one that listens on all addresses can be asked."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
