"""Secrets that settings refer to instead of holding them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.config import SecretError, describe, load, resolve_file_secret
from svcready.config._sections.admin import NOBODY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_holds_the_secret(tmp_path: Path, end: str) -> None:
    """One line break at its end does not belong to the secret."""
    (tmp_path / "token").write_bytes(b"s3cr3t" + end.encode())
    settings = load(environ={"SVCREADY_ADMIN_TOKENS": f"file:{tmp_path}/token"})

    assert settings.admin.tokens == ("s3cr3t",)
    assert settings.problems == ()


def test_each_entry_of_a_list_can_be_a_reference(tmp_path: Path) -> None:
    """Plain tokens and references stand side by side, in text and in the file."""
    (tmp_path / "old").write_text("old")
    (tmp_path / "more").write_text("m1,m2\n")
    text = f"file:{tmp_path}/old, plain, file:{tmp_path}/more"
    by_variable = load(environ={"SVCREADY_ADMIN_TOKENS": text})
    by_argument = load(
        environ={}, arguments={"admin.tokens": [f"file:{tmp_path}/old", "plain"]}
    )

    assert by_variable.admin.tokens == ("old", "plain", "m1", "m2")
    assert by_argument.admin.tokens == ("old", "plain")


def test_a_reference_that_cannot_be_resolved_closes(tmp_path: Path) -> None:
    """Every reason is a problem without the secret, and nobody is admitted."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "huge").write_bytes(b"x" * 70_000)
    reasons = {}
    for reference in (
        f"file:{tmp_path}/missing",
        f"file:{tmp_path}/empty",
        f"file:{tmp_path}/binary",
        f"file:{tmp_path}/huge",
        "file:relative",
        "ssm:/token",
    ):
        settings = load(environ={"SVCREADY_ADMIN_TOKENS": reference})
        (problem,) = settings.problems
        reasons[reference.removeprefix(f"file:{tmp_path}/")] = problem.allowed
        assert settings.admin.tokens == NOBODY
        assert str(problem) == (
            "SVCREADY_ADMIN_TOKENS=*** cannot be resolved: "
            f"{problem.allowed}; it fails closed"
        )

    assert reasons == {
        "missing": "No such file or directory",
        "empty": "the file is empty",
        "binary": "the file is not UTF-8 text",
        "huge": "it is larger than 65536 bytes",
        "file:relative": "the path must be absolute: file:/run/secrets/name",
        "ssm:/token": "nothing here resolves ssm: references",
    }


def test_a_resolvers_own_fault_is_told_by_its_kind_only() -> None:
    """An unknown error's message could quote the secret."""

    def resolve(reference: str) -> str:
        raise RuntimeError("hunter2")

    settings = load(environ={"SVCREADY_ADMIN_TOKENS": "ssm:/x"}, resolve_secret=resolve)

    assert settings.problems[0].allowed == "RuntimeError"
    assert "hunter2" not in repr(settings.problems)


def test_a_reference_that_fails_in_code_is_no_bug_in_the_code() -> None:
    """It is reported like one from the environment; nothing is raised."""
    settings = load(environ={}, arguments={"admin.tokens": "ssm:/x"})

    assert [problem.kind for problem in settings.problems] == ["secret"]


def test_nothing_is_fetched_in_vain() -> None:
    """A weaker source's reference is not resolved, nor one of a plain setting."""

    def resolve(reference: str) -> str:
        raise AssertionError(reference)

    settings = load(
        environ={"SVCREADY_ADMIN_TOKENS": "t", "SVCREADY_SERVICE_NAME": "file:/x"},
        arguments={"admin.tokens": "ssm:/x"},
        resolve_secret=resolve,
    )

    assert settings.admin.tokens == ("t",)
    assert settings.service.name == "file:/x"


def test_a_resolved_secret_is_never_described(tmp_path: Path) -> None:
    """The print-out has a mask for it and nothing for a secret that is not set."""
    (tmp_path / "token").write_text("s3cr3t")
    settings = load(environ={"SVCREADY_ADMIN_TOKENS": f"file:{tmp_path}/token"})
    rows = {row.key: row for row in describe(settings)}

    assert rows["admin.tokens"].value == "***"
    assert "s3cr3t" not in repr(rows)
    assert {row.key: row for row in describe(load(environ={}))}[
        "admin.tokens"
    ].value == ""


def test_other_schemes_are_not_files() -> None:
    """The file resolver refuses what needs AWS."""
    with pytest.raises(SecretError, match="secretsmanager"):
        resolve_file_secret("secretsmanager:x")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("secretmanager", "secretsmanager"), ("smm", "ssm"), ("File", "file")],
)
def test_a_misspelt_reference_is_no_token(word: str, meant: str) -> None:
    """It is reported with the word that was meant, and nobody is admitted."""
    settings = load(environ={"SVCREADY_ADMIN_TOKENS": f"first,{word}:orders#token"})
    (problem,) = settings.problems

    assert settings.admin.tokens == NOBODY
    assert problem.allowed.endswith(f"did you mean {meant}:?")
    assert "orders" not in repr(problem)


@pytest.mark.parametrize("token", ["user:password", "s3cr3t:", "a:b:c"])
def test_a_token_with_a_colon_is_a_token(token: str) -> None:
    """Only what begins with nearly a known word is refused."""
    assert load(environ={"SVCREADY_ADMIN_TOKENS": token}).admin.tokens == (token,)
