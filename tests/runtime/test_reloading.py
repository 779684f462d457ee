"""A file that is changed while the service runs, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import httpx

import svcready
from svcready._runtime._background import _reload
from svcready.resilience.clients.httpx import PolicyTransport
from svcready.testing import running

if TYPE_CHECKING:
    from pathlib import Path

    from svcready.testing import Harness


def told(harness: Harness, file: Path, text: str) -> list[str]:
    """Write the file, have it read again, and return the problems on the line."""
    file.write_text(text)
    _reload(harness.runtime)
    line = harness.logged("configuration file read again")[-1]
    problems: list[str] = cast("Any", line["context"])["problems"]
    assert line["level"] == ("WARN" if problems else "INFO")
    return problems


def test_a_reload_tells_what_a_start_would(tmp_path: Path) -> None:
    """Misspelt policies and fields, idle ones and contradictions, each once."""
    svcready.policy("reloading", timeout=2, deadline=5)
    file = tmp_path / "svcready.toml"
    file.write_text("")
    table = f"{file} [default.policy"
    with running(environ={"SVCREADY_CORE_CONFIG_FILE": str(file)}) as harness:
        harness.runtime.ready()
        assert harness.runtime.problems() == ()

        text = "[default.policy.reloadin]\ntimeout_s = 1\n"
        (problem,) = told(harness, file, text)
        assert problem == (
            f"{table}.reloadin] timeout_s names nothing that the service declares; "
            "did you mean reloading?"
        )
        text += "[default.policy.reloading]\ntimeot_s = 1\n"
        (problem,) = told(harness, file, f"{text}timeout_s = 1\n")
        assert problem.startswith(f"{table}.reloading] timeot_s is not known")

        text += "bulkhead_max_queue = 1\ntimeout_s = 9\n"
        (clash, idle) = told(harness, file, text)
        assert clash == (
            "policy reloading: an attempt may take 9 s, but the whole call, its "
            f"deadline, 5 s: {table}.reloading] timeout_s is left as declared"
        )
        assert idle.startswith(f"{table}.reloading] bulkhead_max_queue has no effect")
        assert len(harness.runtime.problems()) == 4

        assert told(harness, file, "[default.policy.reloading]\ntimeout_s = 1") == []
        assert harness.runtime.problems() == ()


def test_what_is_not_in_force_has_not_changed(tmp_path: Path) -> None:
    """A key is among the changed ones or in a problem of the same line, not both."""
    svcready.policy("reloading.vain", timeout=2, deadline=5)
    file = tmp_path / "svcready.toml"
    file.write_text("")
    with running(environ={"SVCREADY_CORE_CONFIG_FILE": str(file)}) as harness:
        harness.runtime.ready()
        text = (
            "[default.policy.reloading_vain]\ntimeout_s = 9\nbreaker_probes = 2\n"
            "[default.policy.nobodys]\ntimeout_s = 3\n"
        )
        assert len(told(harness, file, text)) == 3
        assert changed(harness) == []
        told(harness, file, text.replace("timeout_s = 9", "timeout_s = 4"))
        assert changed(harness) == ["policy.reloading_vain.timeout_s"]
        told(harness, file, text)  # what was in force is not any more
        assert changed(harness) == ["policy.reloading_vain.timeout_s"]


def test_what_contradicts_all_hosts_is_told_once(tmp_path: Path) -> None:
    """Of the policy that the file speaks of, and not of each host besides."""
    svcready.policy("reloading-hosts", timeout=2, deadline=5)
    file = tmp_path / "svcready.toml"
    file.write_text("")
    inner = httpx.MockTransport(lambda _: httpx.Response(200))
    transport = PolicyTransport("reloading-hosts", inner, per_host=True)
    with running(environ={"SVCREADY_CORE_CONFIG_FILE": str(file)}) as harness:
        harness.runtime.ready()
        with httpx.Client(transport=transport) as client:
            for host in ("one", "two", "three"):
                client.get(f"http://{host}.example/")

        text = "[default.policy.reloading-hosts]\ntimeout_s = 9\n"
        (problem,) = told(harness, file, text)
        assert problem.startswith("policy reloading-hosts: an attempt may take 9 s")
        text += '[default.policy."reloading-hosts.two-example"]\ntimeout_s = 8\n'
        (problem,) = told(harness, file, text)
        assert problem.startswith("policy reloading-hosts.two-example: ")


def changed(harness: Harness) -> list[str]:
    """Return what the last line says has changed."""
    line = harness.logged("configuration file read again")[-1]
    keys: list[str] = cast("Any", line["context"])["changed"]
    return keys


def test_what_a_variable_overrides_is_named_with_it(tmp_path: Path) -> None:
    """A restart would change nothing: the line says which variable decides."""
    svcready.policy("reloading.pinned", timeout=2)
    file = tmp_path / "svcready.toml"
    file.write_text("")
    variable = "SVCREADY_POLICY__RELOADING_PINNED__TIMEOUT_S"
    environ = {
        "SVCREADY_CORE_CONFIG_FILE": str(file),
        "SVCREADY_ADMIN_TOKENS": "a" * 32,
        variable: "3",
    }
    with running(environ=environ) as harness:
        harness.runtime.ready()
        table = "default.policy.reloading_pinned"
        text = f"[{table}]\ntimeout_s = 1\nretry_attempts = 2\n"
        text += f"[default.admin]\ntokens = ['{'b' * 32}']\n"
        told(harness, file, text)
        line = harness.logged("configuration file read again")[-1]

    said = cast("Any", line["context"])
    assert said["overridden"] == [
        "admin.tokens is overridden by SVCREADY_ADMIN_TOKENS",
        f"{file} [{table}] timeout_s is overridden by {variable}",
    ]
    assert "not_reloadable" not in said
    assert not any("restart" in problem for problem in said["problems"])
