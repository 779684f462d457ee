"""The declarations themselves, and the table that the documentation shows."""

from __future__ import annotations

import dataclasses

import pytest

from svcready._core.redaction import default_redactor
from svcready.config import ReferenceRow, Settings, describe, load, reference
from svcready.config import reference_markdown as markdown
from svcready.config._named import KINDS
from svcready.config._sections import SECTIONS
from svcready.config._sections.resilience import POLICY_FIELDS
from svcready.config._table import Entry, entries
from svcready.resilience._config import BreakerConfig, RetryConfig

every_setting = pytest.mark.parametrize("entry", entries(), ids=lambda e: e.key)
ROWS = {row.variable: row for row in reference()}


def test_every_field_of_every_section_is_in_the_table() -> None:
    """No field was made without `setting`, and each has its row."""
    fields = {
        f"SVCREADY_{section.section}_{field.name.upper()}"
        for section in SECTIONS
        for field in dataclasses.fields(section)
    }

    assert fields <= ROWS.keys()
    assert {"<NAME>" in name for name in ROWS.keys() - fields} == {True}


def test_every_section_is_an_attribute_of_the_settings() -> None:
    """`settings.log` is the section LOG, for each of them."""
    settings = Settings()

    assert [type(getattr(settings, s.section.lower())) for s in SECTIONS] == [*SECTIONS]


@every_setting
def test_every_setting_has_one_line_of_help(entry: Entry) -> None:
    """It is short, starts with a capital and has no full stop."""
    text = entry.declared.help

    assert text
    assert text[0].isupper() or not text[0].isalpha()
    assert not text.endswith(".")
    assert "\n" not in text


@every_setting
def test_units_are_in_the_names(entry: Entry) -> None:
    """Durations end in `_s`, sizes in `_bytes`, and nothing else does."""
    kind = entry.declared.kind.name

    # "..._per_s" is a rate, not a duration.
    ends_in_s = entry.field.endswith("_s") and not entry.field.endswith("_per_s")
    assert (kind == "duration") == ends_in_s
    assert (kind == "size") == entry.field.endswith("_bytes")


@every_setting
def test_defaults_are_allowed(entry: Entry) -> None:
    """What a default is shown as can be set, and gives that default."""
    declared = entry.declared
    for default in (declared.default, declared.relaxed):
        shown = "" if default is None else declared.kind.show(default)
        if shown:
            settings = load(environ={entry.variable: shown})
            section = getattr(settings, entry.key.partition(".")[0])
            assert {problem.kind for problem in settings.problems} <= {"inert"}
            assert getattr(section, entry.field) == default


@every_setting
def test_what_sounds_secret_is_declared_secret(entry: Entry) -> None:
    """A setting whose name hints at a secret is masked, or known to hold none."""
    innocent = {
        "http.request_id_header",
        "http.correlation_id_header",
        "http.response_headers",
    }
    if default_redactor().is_secret_key(entry.field) and entry.key not in innocent:
        assert entry.declared.secret or entry.declared.kind.name in {"flag", "size"}


def test_a_row_says_everything() -> None:
    """Type, unit, both defaults, standards and help are there."""
    assert ROWS["SVCREADY_ADMIN_HOST"] == ReferenceRow(
        section="ADMIN",
        variable="SVCREADY_ADMIN_HOST",
        key="admin.host",
        type="text",
        allowed="an address or a host's name",
        unit="",
        default="0.0.0.0",
        development="127.0.0.1",
        standards=(),
        help="The address that SVCREADY_ADMIN_PORT is opened on",
    )
    assert ROWS["SVCREADY_SERVICE_NAME"].standards == (
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES (service.name)",
    )
    assert ROWS["SVCREADY_CORE_INIT_TIMEOUT_S"].unit == "s"
    assert ROWS["SVCREADY_ADMIN_TOKENS"].secret


_UNPREFIXED = ("deadline_s", "budget_ratio", "budget_reserve_per_s")


def test_the_defaults_of_policies_are_those_of_the_code() -> None:
    """What the table says holds is what the decorators' numbers are."""
    for prefix, numbers, others in (
        ("breaker", BreakerConfig(), {}),
        ("retry", RetryConfig(), {each: each for each in _UNPREFIXED}),
    ):
        for field, value in numbers._asdict().items():
            name = field if field == "mode" else f"{prefix}_{field}"
            name = others.get(field, name)
            shown = ROWS[f"SVCREADY_POLICY__<NAME>__{name.upper()}"].default
            assert POLICY_FIELDS[name].kind.parse(shown) == (value or 0), name


def test_what_is_without_effect_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a version lacks says so in its rows; this one lacks nothing."""
    assert not any(row.inert for row in ROWS.values())
    lacking = KINDS["LIMIT"]._replace(inert=True)
    monkeypatch.setitem(KINDS, "LIMIT", lacking)
    inert = [row for row in reference() if row.inert]

    assert {row.section for row in inert} == {"LIMIT"}
    assert markdown().count("No effect in this version") == len(inert)


def test_the_markdown_has_a_row_for_each_variable() -> None:
    """Each section is a heading with a table, and no cell breaks the table."""
    text = markdown()
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    rows = [line for line in text.splitlines() if line.startswith("| `")]

    assert headings == list(dict.fromkeys(row.section for row in reference()))
    assert [row.split("`")[1] for row in rows] == list(ROWS)
    assert {row.replace("\\|", "").count("|") for row in rows} == {5}


def test_a_description_has_every_value_with_origin_and_unit() -> None:
    """Each setting in force, then what is said by names."""
    settings = load(
        environ={
            "SVCREADY_CORE_INIT_TIMEOUT_S": "500ms",
            "SVCREADY_CHECK__DATABASE__TIMEOUT_S": "1",
        },
        service="orders",
    )
    rows = {row.key: tuple(row)[2:] for row in describe(settings)}

    assert rows.keys() == {entry.key for entry in entries()} | {
        "check.database.timeout_s"
    }
    assert rows["service.name"] == ("orders", "", "init(service.name)", False)
    assert rows["core.init_timeout_s"] == (
        "0.5",
        "s",
        "SVCREADY_CORE_INIT_TIMEOUT_S",
        False,
    )
    assert rows["core.strict"] == ("false", "", "default", True)
    assert rows["check.database.timeout_s"] == (
        "1",
        "s",
        "SVCREADY_CHECK__DATABASE__TIMEOUT_S",
        False,
    )


def test_credentials_in_an_address_are_not_described() -> None:
    """A user and password in a URL are masked, in values and in problems."""
    address = "http://user:hunter2@host/path"
    settings = load(
        environ={"SVCREADY_SERVICE_NAME": address, "SVCREADY_HTTP_PATH_PREFIX": address}
    )

    assert "hunter2" not in repr(describe(settings))
    assert "hunter2" not in repr(settings.problems)
    assert settings.service.name == address
