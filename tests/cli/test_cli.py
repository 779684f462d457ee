"""The command line: `svcready` and `svcready config`."""

from __future__ import annotations

import io
import json
import logging.config
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

import svcready
from svcready.cli import COMMANDS, Command, _commands, main
from svcready.cli._style import style_for
from svcready.errors import DeclarationError
from svcready.logging import log_config
from svcready.testing import running


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the installed version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"svcready {version('svcready')}\n"


def test_python_m_and_the_script_are_the_same() -> None:
    """`python -m svcready` runs the same commands."""
    done = subprocess.run(
        [sys.executable, "-m", "svcready", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert done.stdout == f"svcready {version('svcready')}\n"


@pytest.mark.parametrize(("words", "code"), [([], 2), (["--help"], 0), (["help"], 0)])
def test_the_usage_lists_the_commands(
    words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a command it is an error, on request it is not."""
    assert main(words) == code
    usage = capsys.readouterr().out
    assert re.search(r"^  config +show every setting in force", usage, re.MULTILINE)


def test_the_logging_configuration_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What `svcready log-config` prints is what `dictConfig` takes."""
    assert main(["log-config"]) == 0
    printed = json.loads(capsys.readouterr().out)

    logging.config.DictConfigurator(printed)
    assert printed == log_config()
    assert printed["formatters"]["svcready"]["()"] == "svcready.logging.JsonFormatter"


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, with the ones that there are."""
    assert main(["confg"]) == 2
    error = capsys.readouterr().err
    assert "no command 'confg'" in error
    assert "config" in error


def test_a_command_is_imported_when_it_is_run() -> None:
    """Neither the version nor one command pays for another."""
    script = (
        "import sys; from svcready.cli import main; main(['--version']);"
        "print([m for m in sys.modules if m.startswith('svcready.c')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert done.stdout.splitlines()[1] == ("['svcready.cli', 'svcready.cli._commands']")


@pytest.mark.parametrize(
    ("error", "code"),
    [(DeclarationError("wrong"), 1), (KeyboardInterrupt(), 130)],
)
def test_how_a_command_ends(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error of ours is one line without a stack; Ctrl-C is 130."""

    class Module:
        @staticmethod
        def main(arguments: list[str]) -> int:
            raise error

    monkeypatch.setitem(COMMANDS, "fail", Command("fail_module", "fails"))
    monkeypatch.setattr(_commands, "import_module", lambda _: Module)

    assert main(["fail"]) == code
    assert capsys.readouterr().err == ("svcready: wrong\n" if code == 1 else "")


def test_config_prints_every_value_with_its_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Aligned columns: name, value with unit, origin; secrets are masked."""
    monkeypatch.setenv("SVCREADY_CORE_INIT_TIMEOUT_S", "250ms")
    monkeypatch.setenv("SVCREADY_ADMIN_TOKENS", "hunter2")
    monkeypatch.setenv("SVCREADY_CHECK__DATABASE__CRITICALITY", "critical")

    assert main(["config", "--check", "--all"]) == 0
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("  ")]

    assert "hunter2" not in out
    assert "\x1b" not in out
    assert re.search(
        r"^  SVCREADY_CORE_INIT_TIMEOUT_S +0\.25 s +SVCREADY_CORE_INIT_TIMEOUT_S$",
        out,
        re.MULTILINE,
    )
    assert re.search(
        r"^  SVCREADY_ADMIN_TOKENS +\*\*\* +SVCREADY_ADMIN_TOKENS$", out, re.MULTILINE
    )
    assert re.search(r"^  SVCREADY_CORE_STRICT +false +default$", out, re.MULTILINE)
    assert re.search(
        r"^  SVCREADY_CHECK__DATABASE__CRITICALITY +critical +SVCREADY_CHECK__",
        out,
        re.MULTILINE,
    )
    assert out.endswith("no problems\n")
    origin = rows[0].index("default")
    assert {row[origin - 2 : origin] for row in rows} == {"  "}
    assert " " not in {row[origin] for row in rows}


def test_config_shows_what_is_wrong_and_check_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--check` it is still only a print-out."""
    monkeypatch.setenv("SVCREADY_HTTP_TRUSTED_HOPS", "many")

    assert main(["config"]) == 0
    assert main(["config", "--check"]) == 1
    out = capsys.readouterr().out
    assert out.count("! SVCREADY_HTTP_TRUSTED_HOPS='many' is not allowed") == 2
    assert out.count("1 problem\n") == 2


def test_check_prints_what_is_wrong_and_the_count_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has to look for a problem in a table; `--all` prints that before it."""
    assert main(["config", "--check"]) == 0
    head, verdict = capsys.readouterr().out.splitlines()
    assert verdict == "no problems"

    monkeypatch.setenv("SVCREADY_HTTP_TRUSTED_HOPS", "many")
    monkeypatch.setenv("SVCREADY_LOG_LEVLE", "debug")
    monkeypatch.setenv("SVCREADY_LOG_REDACT_ENABLED", "no")
    assert main(["config", "--check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == head
    assert lines[1].endswith("(fails no check)")
    assert [line[:4] for line in lines[1:]] == ["  - ", "  ! ", "  ! ", "2 pr"]
    assert lines[-1] == "2 problems"

    assert main(["config", "--check", "--all"]) == 1
    whole = capsys.readouterr().out.splitlines()
    assert whole[0] == head
    assert whole[-4:] == lines[1:]
    assert len(whole) > 100
    assert main(["config"]) == 0
    assert capsys.readouterr().out.splitlines() == whole


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SVCREADY_METRICS_INSTRUMENT", "sqlalchmy", "did you mean sqlalchemy?"),
        ("SVCREADY_CLOUDWATCH_DIMENSIONS", "Enviroment", "(did you mean Environment?)"),
        ("SVCREADY_CLOUDWATCH_NAMESPACE", "AWS/Orders", "is no namespace"),
        ("SVCREADY_CLOUDWATCH_EMF_DESTINATION", "kafka://x", "is none of stdout, tcp:"),
        ("SVCREADY_CLOUDWATCH_EMF_DESTINATION", "/no/dir/x", "cannot be written: "),
        ("SVCREADY_OTLP_METRICS_ENDPOINT", "collector:4318", "which has no http://"),
    ],
)
def test_check_fails_on_what_metrics_cannot_do(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    said: str,
) -> None:
    """A deployment's check finds what the start line would report, in its words."""
    monkeypatch.setenv("SVCREADY_CLOUDWATCH_MODE", "emf")
    monkeypatch.setenv("SVCREADY_OTLP_METRICS", "yes")
    assert main(["config", "--check"]) == 0

    monkeypatch.setenv(variable, value)
    capsys.readouterr()
    assert main(["config", "--check"]) == 1
    _, problem, count = capsys.readouterr().out.splitlines()
    assert said in problem
    assert count == "1 problem"
    assert main(["config", "--check", "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert said in problem["text"]

    monkeypatch.setenv("SVCREADY_METRICS_ENABLED", "no")
    assert main(["config", "--check"]) == 0


CONTRADICTIONS = [
    "HTTP_RATE_LIMIT_STORE=redis",
    "RESILIENCE_SHARE_BREAKERS=yes",
    "HTTP_SHEDDING_MIN_LIMIT=50 HTTP_SHEDDING_MAX_LIMIT=10",
    "HTTP_SHEDDING_INITIAL_LIMIT=500",
    "POLICY__CLI__TIMEOUT_S=9 POLICY__CLI__DEADLINE_S=5",
    "POLICY__CLI__TIMEOUT_S=9 POLICY__CLI__BREAKER_WINDOW_S=10",
    "POLICY__CLI__RETRY_BASE_S=9 POLICY__DEFAULT__RETRY_MAX_S=5",
    "POLICY__CLI__BREAKER_OPEN_S=9 POLICY__CLI__BREAKER_OPEN_MAX_S=5",
    "POLICY__CLI__BULKHEAD_MAX_QUEUE=9 POLICY__CLI__BULKHEAD_MAX_WAIT_S=0",
]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "INITIAL_LIMIT=500",
            (
                "{}INITIAL_LIMIT=500, above {}MAX_LIMIT=200 (the default): "
                "the limit begins at 200"
            ),
        ),
        (
            "INITIAL_LIMIT=500 MAX_LIMIT=300",
            "{}INITIAL_LIMIT=500, above {}MAX_LIMIT=300: the limit begins at 300",
        ),
        (
            "INITIAL_LIMIT=2",
            (
                "{}INITIAL_LIMIT=2, below {}MIN_LIMIT=5 (the default): "
                "the limit begins at 5"
            ),
        ),
        (
            "MIN_LIMIT=50 MAX_LIMIT=10",
            "{}MIN_LIMIT=50, above {}MAX_LIMIT=10: the limit is 50 throughout",
        ),
    ],
)
def test_what_holds_a_limit_back_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: str,
    told: str,
) -> None:
    """Both variables and both numbers, so that the right one can be changed."""
    prefix = "SVCREADY_HTTP_SHEDDING_"
    for word in said.split():
        name, _, value = word.partition("=")
        monkeypatch.setenv(f"{prefix}{name}", value)

    assert main(["config", "--check"]) == 1
    _, problem, _ = capsys.readouterr().out.splitlines()
    assert problem == f"  ! {told.replace('{}', prefix)}"


@pytest.mark.parametrize("said", CONTRADICTIONS)
def test_check_and_the_start_find_the_same_contradictions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    """What several variables make wrong together fails a deployment's check too."""
    environ = {
        f"SVCREADY_{name}": value
        for name, _, value in (word.partition("=") for word in said.split())
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert main(["config", "--check", "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert next(iter(environ)) in problem["text"]
    svcready.policy(
        "cli",
        deadline=60,
        retry=ConnectionError,
        bulkhead=svcready.bulkhead(max_concurrent=2, max_queue=2, max_wait=2),
        breaker=svcready.circuit_breaker(window=120),
        timeout=2,
    )
    with running(environ=environ) as harness:
        told = harness.runtime.problems()

    assert [text for text in told if text.endswith(problem["text"])]


@pytest.mark.parametrize(
    "said",
    [
        "LOG_FILE=/no/dir/log",
        "AUDIT_FILE=/no/dir/audit AUDIT_DESTINATION=file",
        "OTLP_TRACES_ENDPOINT=collector:4318",
    ],
)
def test_check_fails_on_places_that_nothing_can_be_sent_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    """A missing directory and an address without a scheme."""
    for word in said.split():
        name, _, value = word.partition("=")
        monkeypatch.setenv(f"SVCREADY_{name}", value)

    assert main(["config", "--check", "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert said.partition(" ")[0].partition("=")[2] in problem["text"]


@pytest.mark.parametrize(
    "said",
    [
        "LOG_REDACT_ENABLED=no",
        "POLICY__CLI__TIMEOUT_S=9 POLICY__CLI__DEADLINE_S=5 POLICY__CLI__MODE=off",
        "POLICY__CLI__RETRY_BASE_S=9",
        "POLICY__CLI__BREAKER_WINDOW_S=10 POLICY__CLI__DEADLINE_S=0",
        "HTTP_SHEDDING_MIN_LIMIT=50",
    ],
)
def test_check_lets_pass_what_a_strict_start_does(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """A choice that is told of, and numbers that the code may fit, fail no check."""
    for word in said.split():
        name, _, value = word.partition("=")
        monkeypatch.setenv(f"SVCREADY_{name}", value)

    assert main(["config", "--check"]) == 0


def test_config_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same for machines, problems and what the file says in vain included."""
    monkeypatch.setenv("SVCREADY_HTTP_TRUSTED_HOP", "1")
    monkeypatch.setenv("SVCREADY_ADMIN_TOKENS", "hunter2")

    assert main(["config", "--json", "--check"]) == 1
    out = capsys.readouterr().out
    report = json.loads(out)

    assert "hunter2" not in out
    assert report["environment"] == "production"
    assert report["settings"]["admin.tokens"] == {
        "value": "***",
        "unit": "",
        "origin": "SVCREADY_ADMIN_TOKENS",
    }
    assert report["settings"]["core.init_timeout_s"]["unit"] == "s"
    assert report["pinned"] == []
    (problem,) = report["problems"]
    assert (problem["kind"], problem["nearest"]) == (
        "unknown",
        "SVCREADY_HTTP_TRUSTED_HOPS",
    )


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
    ],
)
def test_when_colours_are_used(
    stream: io.StringIO, environ: dict[str, str], coloured: bool
) -> None:
    """On terminals, unless NO_COLOR says no; never in pipes by default."""
    text = style_for(stream, environ)("x", "bold", "red")

    assert text == ("\x1b[1;31mx\x1b[0m" if coloured else "x")
