"""The configuration file: what is read, and what is said of a bad one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from svcready.config import Settings, load, read_regular_file, watch_file

if TYPE_CHECKING:
    from pathlib import Path


def of(text: str | bytes, environment: str = "production") -> Settings:
    """Load a file that holds *text*."""
    content = text.encode() if isinstance(text, str) else text
    return load(
        environ={"SVCREADY_CORE_CONFIG_FILE": "/f"},
        environment=environment,
        read_file=lambda _: content,
    )


def problems_of(text: str | bytes) -> list[tuple[str, str, str]]:
    """Return kind, name and nearest name of each problem of a file."""
    return [(each.kind, each.name, each.nearest) for each in of(text).problems]


def test_the_environments_table_lies_over_the_default() -> None:
    """Each environment gets its own values and the shared ones beneath."""
    text = (
        "[default.http]\ntrusted_hops = 1\naccess_log = false\n"
        "[staging.http]\ntrusted_hops = 2\n[production.http]\ntrusted_hops = 3\n"
    )
    staging, production = of(text, "staging"), of(text)

    assert staging.problems == production.problems == ()
    assert (staging.http.trusted_hops, staging.http.access_log) == (2, False)
    assert production.http.trusted_hops == 3


def test_native_values_and_texts_are_both_read() -> None:
    """TOML's own types count, and so does the text that a variable would hold."""
    settings = of(
        '[default.core]\nstrict = true\nconfig_reload_s = "1m"\n'
        '[default.admin]\ntokens = ["a", "b"]\n'
        '[default.service.attributes]\nteam = "core"\n'
    )

    assert settings.problems == ()
    assert settings.core.strict is True
    assert settings.core.config_reload_s == 60.0
    assert settings.admin.tokens == ("a", "b")
    assert settings.service.attributes == (("team", "core"),)


def test_a_byte_order_mark_is_no_problem() -> None:
    """Some editors leave one at the start."""
    settings = of(b"\xef\xbb\xbf[default.http]\ntrusted_hops = 1")

    assert settings.http.trusted_hops == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[default.http]\ntrusted_hop = 1",
            [("unknown", "/f [default.http] trusted_hop", "http.trusted_hops")],
        ),
        ("[default.htpt]\nx = 1", [("unknown", "/f [default.htpt]", "http")]),
        ("[default]\nhttp = 1", [("unknown", "/f [default.http]", "http")]),
        ("default = 1", [("unknown", "/f [default]", "")]),
        (
            "[prodution.http]\ntrusted_hops = 1",
            [("unknown", "/f [prodution]", "[production]")],
        ),
        (
            "[http]\ntrusted_hops = 1",
            [("unknown", "/f [http]", "[default.http]")],
        ),
        (
            "[default.policy.payments]\nxyz = 1",
            [("unknown", "/f [default.policy.payments] xyz", "")],
        ),
        (
            "[default.policy]\nretry_attempts = 1",
            [("unknown", "/f [default.policy] retry_attempts", "")],
        ),
        ("[default.policy.payments]", []),
        ("[eu-west-1.http]\ntrusted_hops = 99", []),
        ("[staging2.http]\ntrusted_hops = 99", []),
        (
            "[prod.policy.pay]\ntimeout_s = 1",
            [("unknown", "/f [prod]", "[production]")],
        ),
        ("[prod.http]\ntrusted_hops = 1\n[production]", []),
        (
            "[product.http]\ntrusted_hops = 1",
            [("unknown", "/f [product]", "[production]")],
        ),
        ("[preprod.http]\ntrusted_hops = 1", []),
        ("[test.http]\ntrusted_hops = 1", []),
    ],
)
def test_unknown_tables_and_keys(
    text: str, expected: list[tuple[str, str, str]]
) -> None:
    """A name that means nothing is reported; other environments' tables are theirs."""
    assert expected == problems_of(text)


def test_a_wrong_value_names_file_table_and_key() -> None:
    """The report leads to the place, and the default is used."""
    settings = of("[production.http]\ntrusted_hops = 99")

    assert settings.http.trusted_hops == 0
    assert str(settings.problems[0]) == (
        "/f [production.http] trusted_hops=99 is not allowed: use a whole number from "
        "0 to 32; 0 (the default) is used"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[default", "it is not TOML"),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (b"a = 1\na = 2", "it is not TOML"),
        (b"x = " + b"[" * 5000, ""),
    ],
)
def test_a_file_that_is_no_toml_is_one_problem(content: bytes, reason: str) -> None:
    """Nothing of it is used, the rest of the configuration is."""
    settings = of(content)

    (problem,) = settings.problems
    assert problem.kind == "unreadable"
    assert reason in problem.allowed
    named = "SVCREADY_CORE_CONFIG_FILE='/f' cannot be read: "
    assert str(problem).startswith(named)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, a pipe, too large: each is said in words, and none waits."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (1024 * 1024 + 1))
    reasons = {}
    for name in ("missing", "pipe", "large", ""):
        environ = {"SVCREADY_CORE_CONFIG_FILE": str(tmp_path / name)}
        (problem,) = load(environ=environ).problems
        reasons[name] = problem.allowed

    assert reasons == {
        "missing": "No such file or directory",
        "pipe": "it is not a regular file",
        "large": "it is larger than 1048576 bytes",
        "": "Is a directory",
    }


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    """Up to its bound, and through links, as mounted ConfigMaps are."""
    (tmp_path / "data").write_bytes(b"x" * 10)
    (tmp_path / "link").symlink_to("data")

    assert read_regular_file(str(tmp_path / "link"), 10) == b"x" * 10


def test_the_watcher_sees_each_change_once(tmp_path: Path) -> None:
    """A rewrite, an exchange by rename, a removal and a return are each one change."""
    path = tmp_path / "f"
    path.write_text("a")
    changed = watch_file(str(path))
    seen = [changed(), changed()]

    path.write_text("bb")
    seen += [changed(), changed()]

    (tmp_path / "new").write_text("cc")
    (tmp_path / "new").rename(path)
    seen += [changed(), changed()]

    path.unlink()
    seen += [changed(), changed()]

    path.write_text("dd")
    seen += [changed(), changed()]

    assert seen == [True, False] * 5
