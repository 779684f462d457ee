"""`svcready healthcheck`: 0 or 1, in time, whatever it asks."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from svcready.cli import main
from svcready.cli._healthcheck_target import from_environ, from_url
from tests.health.checks.asked import SOON_S, drip, serving
from tests.health.checks.certificates import save
from tests.servers.harness import Service, free_port
from tests.servers.relay import Relay

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

SCRIPT = Path(sys.executable).with_name("svcready")
BOTH = pytest.mark.parametrize(
    "command",
    [[str(SCRIPT)], [sys.executable, "-m", "svcready"]],
    ids=["script", "module"],
)


def answering(head: str, body: str = "") -> Callable[[socket.socket], None]:
    """Answer once, as told."""

    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        text = f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        connection.sendall(text.encode())

    return handle


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    """Run a real service on a port and on a Unix socket."""
    directory = tmp_path_factory.mktemp("service")
    path = directory / "service.sock"
    command = ["gunicorn", "--bind", "127.0.0.1:{port}", "--bind", f"unix:{path}"]
    command += ["--no-control-socket", "tests.servers.apps.flask_app:app"]
    with Service(command, directory) as running:
        yield running, path


@BOTH
def test_a_service_that_is_up_and_gone(
    command: list[str], service: tuple[Service, Path]
) -> None:
    """As a container's platform runs it: by its exit code."""
    running, path = service

    def check(*words: str, **variables: str) -> tuple[int, str]:
        done = subprocess.run(
            [*command, "healthcheck", *words],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
            timeout=30,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    assert check(f"{running.url}/health/readiness") == (0, "")
    assert check("--port", str(running.port)) == (0, "")
    assert check(f"--socket={path}", "--probe=startup") == (0, "")
    assert check(GUNICORN_CMD_ARGS=f"--bind unix:{path}") == (0, "")
    assert check(PORT=str(running.port)) == (0, "")

    code, said = check(f"{running.url}/nowhere")
    assert code == 1
    assert said.startswith(f"svcready healthcheck: {running.url}/nowhere answers 404: ")
    assert said.count("\n") == 1
    gone = free_port()
    code, said = check("--port", str(gone))
    assert code == 1
    assert said == (
        f"svcready healthcheck: http://127.0.0.1:{gone}/health/liveness has nothing "
        "that listens (connection refused)\n"
    )
    assert check("--socket", f"{path}-not")[0] == 1


def test_a_probe_that_fails_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, whatever the body holds."""
    body = '{"status":\n"fail"}\x1b[2J' + "x" * 300
    with serving(answering("503 Service Unavailable", body)) as port:
        assert main(["healthcheck", "--port", str(port)]) == 1

    said = capsys.readouterr().err
    assert 'liveness answers 503: {"status": "fail"} [2Jxxx' in said
    assert said.endswith("x…\n")
    assert said.count("\n") == 1
    assert len(said) < 300


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answering("200 OK"), 0),
        (answering("204 No Content"), 0),
        (answering("301 Moved Permanently"), 1),
        (answering("404 Not Found"), 1),
        (lambda c: c.sendall(b"SSH-2.0-OpenSSH\r\n"), 1),
        (lambda c: c.sendall(b"HTTP/1.1\r\n"), 1),
        (lambda c: c.sendall(b"x" * 10_000), 1),
        (lambda _: None, 1),
    ],
    ids=["200", "204", "301", "404", "ssh", "no status", "flood", "nothing"],
)
def test_only_a_success_passes(
    answer: Callable[[socket.socket], None], code: int
) -> None:
    """Not a redirect to a login page, nor another protocol."""
    with serving(answer) as port:
        assert main(["healthcheck", "--port", str(port)]) == code


@pytest.mark.parametrize(
    "handle",
    [
        drip(b""),
        drip(b"HTTP/1.1 503 No\r\n"),
        drip(b"", b""),
    ],
    ids=["drips", "drips a body", "says nothing"],
)
def test_a_server_that_hangs_or_drips_ends_at_the_time_out(
    handle: Callable[[socket.socket], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is one for everything, not for each read."""
    with serving(handle) as port:
        began = perf_counter()
        assert main(["healthcheck", "--port", str(port), "--timeout", "300ms"]) == 1
        assert perf_counter() - began < SOON_S

    assert capsys.readouterr().err.count("\n") == 1


def test_a_relay_that_swallows(capsys: pytest.CaptureFixture[str]) -> None:
    """The peer takes the connection and all bytes, and nothing comes."""
    with serving(answering("200 OK")) as port, Relay(port) as relay:
        words = ["healthcheck", "--port", str(relay.port), "--timeout", "0.3"]
        assert main(words) == 0
        relay.swallow()
        assert main(words) == 1
        assert "gave no answer within 0.3 s" in capsys.readouterr().err
        relay.refuse()
        assert main(words) == 1


def test_it_waits_until_the_service_passes() -> None:
    """Through refusals, silence and failures, for as long as it was told."""
    answers = iter(["503 Not Yet", "503 Not Yet", "200 OK"])
    later = threading.Event()

    def handle(connection: socket.socket) -> None:
        answering(next(answers))(connection)

    with serving(handle) as port, Relay(port) as relay:
        relay.refuse()

        def begin() -> None:
            relay.through()
            later.set()

        timer = threading.Timer(0.4, begin)
        timer.start()
        words = ["healthcheck", "--port", str(relay.port), "--wait", "30"]
        assert main(words) == 0
        timer.join()

    assert later.is_set()
    assert next(answers, None) is None


def test_it_waits_no_longer_than_it_was_told() -> None:
    """The last attempt included."""
    began = perf_counter()
    words = ["healthcheck", "--port", str(free_port()), "--wait", "500ms"]
    assert main(words) == 1
    assert perf_counter() - began < SOON_S

    with serving(drip(b"", b"")) as port:
        began = perf_counter()
        words = ["healthcheck", "--port", str(port), "--wait=0.6", "--timeout=0.2"]
        assert main(words) == 1
        assert 0.3 < perf_counter() - began < SOON_S


def test_what_is_sent() -> None:
    """A request of HTTP/1.1 that names its host and itself."""
    seen = []

    def handle(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

    with serving(handle) as port:
        assert main(["healthcheck", f"http://localhost:{port}/h?deep=1#x"]) == 0

    assert seen == [
        b"GET /h?deep=1 HTTP/1.1\r\n"
        b"Host: localhost:%d\r\n"
        b"User-Agent: svcready-healthcheck\r\n"
        b"Accept: */*\r\n"
        b"Connection: close\r\n\r\n" % port
    ]


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers inherit proxies that know nothing of 127.0.0.1."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with serving(answering("200 OK")) as port:
        assert main(["healthcheck", "--port", str(port)]) == 0


def test_https(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verified, unless any certificate will do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(save(tmp_path, days=9, names=("api.example",)))

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            answering("200 OK")(secured)

    with serving(handle) as port:
        url = f"https://127.0.0.1:{port}/"
        assert main(["healthcheck", url]) == 1
        assert "failed: " in capsys.readouterr().err
        assert main(["healthcheck", url, "--insecure"]) == 0

    with serving(drip(b"\x16\x03\x03\x40\x00", b"\x02")) as port:
        url = f"https://127.0.0.1:{port}/"
        assert main(["healthcheck", url, "--insecure", "--timeout", "0.3"]) == 1
        assert "gave no answer within 0.3 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, "http://127.0.0.1:8000/health/liveness"),
        ({"PORT": "9"}, "http://127.0.0.1:9/health/liveness"),
        ({"PORT": "no"}, "http://127.0.0.1:8000/health/liveness"),
        (
            {"PORT": "9", "UVICORN_PORT": "10", "UVICORN_HOST": "::"},
            "http://[::1]:10/health/liveness",
        ),
        ({"UVICORN_UDS": "/run/u.sock"}, "unix:/run/u.sock /health/liveness"),
        (
            {"GUNICORN_CMD_ARGS": "--workers 2 --bind=0.0.0.0:11 -b :12"},
            "http://127.0.0.1:11/health/liveness",
        ),
        (
            {"GUNICORN_CMD_ARGS": "-b[::]:11"},
            "http://[::1]:11/health/liveness",
        ),
        (
            {"GUNICORN_CMD_ARGS": "--name 'a b' -b 'unix:/run/g h.sock'"},
            "unix:/run/g h.sock /health/liveness",
        ),
        (
            {"GUNICORN_CMD_ARGS": "-b fd://3 --name 'open", "PORT": "9"},
            "http://127.0.0.1:9/health/liveness",
        ),
        (
            {"SVCREADY_ADMIN_PORT": "9090", "PORT": "9"},
            "http://127.0.0.1:9090/health/liveness",
        ),
        (
            {"SVCREADY_ADMIN_PORT": "9090", "SVCREADY_ADMIN_HOST": "10.0.0.7"},
            "http://10.0.0.7:9090/health/liveness",
        ),
        (
            {"SVCREADY_ADMIN_PORT": "9090", "SVCREADY_ADMIN_HOST": "::"},
            "http://[::1]:9090/health/liveness",
        ),
        ({"SVCREADY_ADMIN_PORT": "0"}, "http://127.0.0.1:8000/health/liveness"),
        ({"SVCREADY_ADMIN_PORT": "70000"}, "http://127.0.0.1:8000/health/liveness"),
        (
            {"SVCREADY_ADMIN_SOCKET": "/run/o.sock", "SVCREADY_ADMIN_PORT": "9090"},
            "unix:/run/o.sock /health/liveness",
        ),
        (
            {
                "SVCREADY_HTTP_PATH_PREFIX": "/ops",
                "SVCREADY_HEALTH_LIVENESS_PATH": "/alive",
            },
            "http://127.0.0.1:8000/ops/alive",
        ),
        (
            {"SVCREADY_HEALTH_LIVENESS_PATH": "/a b"},
            "http://127.0.0.1:8000/health/liveness",
        ),
    ],
)
def test_where_the_service_listens_is_read_from_its_variables(
    variables: dict[str, str], shown: str
) -> None:
    """The operator's port first; what listens everywhere is asked on this machine."""
    assert from_environ(variables, "liveness").shown == shown


def test_each_probe_has_its_path() -> None:
    """A group's is made of its name."""
    variables = {
        "SVCREADY_HTTP_PATH_PREFIX": "/ops",
        "SVCREADY_HEALTH_READINESS_PATH": "/ready",
    }
    paths = [
        from_environ(variables, probe).path
        for probe in ("readiness", "startup", "canary.eu-1")
    ]
    assert paths == ["/ops/ready", "/ops/health/startup", "/ops/health/canary.eu-1"]


def test_the_configuration_file_counts(tmp_path: Path) -> None:
    """Beneath variables, its environment's table above the default one."""
    file = tmp_path / "svcready.toml"
    file.write_text(
        "[default.admin]\nport = 9091\nhost = '10.0.0.7'\n"
        "[default.http]\npath_prefix = '/ops'\n"
        "[staging.admin]\nport = '9092'\n"
    )
    variables = {"SVCREADY_CORE_CONFIG_FILE": str(file)}
    base = from_environ(variables, "liveness")
    assert base.shown == "http://10.0.0.7:9091/ops/health/liveness"

    variables |= {
        "SVCREADY_SERVICE_ENVIRONMENT": "staging",
        "SVCREADY_ADMIN_HOST": "0.0.0.0",
    }
    staging = from_environ(variables, "liveness")
    assert staging.shown == "http://127.0.0.1:9092/ops/health/liveness"

    file.write_text("= broken")
    assert from_environ(variables, "liveness").port == 8000
    file.unlink()
    assert from_environ(variables, "liveness").port == 8000


@pytest.mark.parametrize(
    ("url", "shown", "host"),
    [
        ("http://a", "http://a/", "a"),
        ("http://a/x?token=s", "http://a/x", "a"),
        ("http://a?x", "http://a/", "a"),
        ("https://a:443/x", "https://a/x", "a"),
        ("http://0.0.0.0:80/x", "http://127.0.0.1/x", "127.0.0.1"),
        ("http://[::]:81/x", "http://[::1]:81/x", "::1"),
        ("http://[fe80::1]/x", "http://[fe80::1]/x", "fe80::1"),
    ],
)
def test_urls(url: str, shown: str, host: str) -> None:
    """As browsers read them; a query is sent but not shown."""
    target = from_url(url)
    assert (target.shown, target.host) == (shown, host)


@pytest.mark.parametrize(
    "words",
    [
        ["--port", "0"],
        ["--port", "65536"],
        ["--port"],
        ["--port", "1", "--socket", "/x"],
        ["http://a", "--port", "1"],
        ["http://a", "--probe", "readiness"],
        ["http://a", "http://b"],
        ["ftp://a"],
        ["http://"],
        ["http://a:x/"],
        ["http://::1/"],
        ["http://[::1/"],
        ["http://joe:hunter2@a/"],
        ["http://a/\r\nX: y"],
        ["http://bücher/"],
        ["--probe", "a/b"],
        ["--timeout", "0"],
        ["--timeout", "soon"],
        ["--timeout", "nan"],
        ["--wait", "-1"],
        ["--wait", "2h"],
        ["--verbose"],
        ["http://a..b/"],
    ],
)
def test_a_wrong_command_line_is_no_sign_of_health(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 1, as Docker and ECS reserve 2; no credential is repeated."""
    assert main(["healthcheck", *words]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "hunter2" not in said


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what there is."""
    assert main(["healthcheck", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: svcready healthcheck [URL]")


def loaded(*words: str) -> set[str]:
    """Return the modules that a process of Python imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        check=False,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("COV")},
        timeout=30,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import ")]
    assert lines
    return {line.rpartition("|")[2].strip() for line in lines}


def test_it_imports_next_to_nothing() -> None:
    """It runs every few seconds beside the service, on the service's CPU."""
    bare = loaded("-c", "pass")
    with serving(answering("200 OK")) as port:
        words = ("healthcheck", "--port", str(port))
        ours = loaded(str(SCRIPT), *words) - bare
        by_module = loaded("-m", "svcready", *words) - bare

    mine = {name for name in ours if name.startswith("svcready")}
    assert mine == {
        "svcready",
        "svcready.cli",
        "svcready.cli.healthcheck",
        "svcready.cli._healthcheck_request",
        "svcready.cli._healthcheck_target",
    }
    assert ours - mine <= {"__future__", "_socket"}
    runners = loaded("-c", "import runpy, importlib.machinery, importlib.util") - bare
    assert by_module - ours <= runners | {"svcready.__main__"}
