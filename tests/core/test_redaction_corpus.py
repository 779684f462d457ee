"""Redaction finds every secret of the corpus, and hardly anything innocent."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from svcready._core.redaction import Redactor
from tests.core.corpus_innocent import KNOWN, innocents
from tests.core.corpus_secrets import CARRIERS, FORMS, is_told, placed, secrets
from tests.core.redaction_figures import Figures, figures, markdown


@pytest.fixture(scope="module")
def made() -> Figures:
    """The figures of the built-in rules."""
    return figures()


def test_the_corpus_is_large() -> None:
    """At least 500 secrets in 12 forms, no two alike, and 2 000 innocent fields."""
    corpus = secrets()

    assert len({secret.value for secret in corpus}) == len(corpus) >= 500
    assert len(FORMS) >= 12
    assert len(CARRIERS) >= 8
    assert len(innocents()) >= 2000


def test_the_corpus_is_the_same_each_time() -> None:
    """The figures can be compared from one release to the next."""
    assert secrets() == secrets()
    assert innocents() == innocents()


def test_without_redaction_every_secret_is_told() -> None:
    """What looks for secrets in an output finds each of them in each carrier."""
    for secret in secrets()[::7]:
        for carrier, fields in placed(secret):
            assert is_told(secret, str(fields)), (secret.form, carrier)


def test_recall(made: Figures) -> None:
    """No part of any secret is left, in whichever way it travels."""
    assert dict(made.told) == {}
    assert made.recall == 1


def test_innocent_fields_stay(made: Figures) -> None:
    """At least 99.5 % of innocent fields stay; what doesn't is what the docs name."""
    assert made.specificity >= 0.995
    assert made.precision >= 0.995
    assert {innocent.kind for innocent in made.masked} == {
        "16-digit order number",
        *(kind for kind, _ in KNOWN),
    }


def test_twice_changes_nothing() -> None:
    """What was redacted once is left alone when it passes another sink."""
    redactor = Redactor()
    for secret in secrets()[::5]:
        for carrier, fields in placed(secret):
            once = redactor.fields(fields)
            assert redactor.fields(once) == once, (secret.form, carrier)


def test_the_marker_tells_nothing_but_the_rule() -> None:
    """Markers are words of a short list: no length, no letter of what they hide."""
    redactor = Redactor()
    rules = Counter(
        rule
        for secret in secrets()
        for rule in re.findall(
            r"\[redacted:([^]]*)\]", str(redactor.fields({"note": secret.text}))
        )
    )

    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", rule) for rule in rules)
    assert {"jwt", "card", "authorization", "private-key", "github-token"} < set(rules)
    assert len(rules) < 40


def test_the_table_names_every_form(made: Figures) -> None:
    """The documentation's table has a row for each form and each kind of error."""
    text = markdown(made)

    for form in FORMS:
        assert f"| {form} |" in text

    for innocent in made.masked:
        assert f"- {innocent.kind}: " in text


def test_an_operator_frees_a_number_that_looks_like_a_card() -> None:
    """Under a safe name a value stays that only chance makes look like a card's."""
    numbers = [
        {it.name: it.value} for it in innocents() if it.kind == "16-digit order number"
    ]
    masked = [fields for fields in numbers if Redactor().fields(fields) != fields]
    redactor = Redactor(safe_keys=["order_number"])

    assert masked
    assert all(redactor.fields(fields) == fields for fields in numbers)


def test_emails_on_demand() -> None:
    """Addresses are hidden if asked for, encoded ones too, and short values."""
    redactor = Redactor(emails=True)
    fields = {
        "user": "a@b.de",
        "note": "mail to jane.doe+x@shop.example.com, now",
        "url": "/u?mail=jane%40example.com&page=2",
    }

    assert redactor.fields(fields) == {
        "user": "[redacted:email]",
        "note": "mail to [redacted:email], now",
        "url": "/u?mail=[redacted:email]&page=2",
    }
    assert Redactor().fields(fields) is fields
    assert redactor.url("/u/jane@example.com?a=b") == "/u/[redacted:email]?a=b"
