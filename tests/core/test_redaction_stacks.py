"""A stack's source lines keep their code, and no secret that is in them."""

from __future__ import annotations

import keyword
import sys
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core.redaction import Redactor, names_behind, names_in
from svcready.logging._lines._errors import ErrorTexts
from tests.core.corpus_secrets import is_told, placed, secrets

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = {"auth", "token", "password", "self", "client", "api_key", "tokens", "get"}
SECRET_NAMES = ("auth", "password", "api_key", "access_token", "client_secret")
VALUES = st.from_regex(r"[A-Za-z0-9_+/.-]{1,40}", fullmatch=True)


def frame(code: str) -> str:
    """Return what `traceback` prints of a line of source."""
    return f'  File "/srv/app.py", line 12, in charge\n    {code}\n'


def send(**given: object) -> None:
    """Fail as a client does."""
    raise ConnectionError(f"refused {len(given)}")


def charge(auth: str, token: str) -> None:
    """Call with what is secret by its name."""
    send(auth=auth, token=token)


def literal(auth: str) -> None:
    """Call with a secret in the source beside what is none."""
    send(auth=auth, password="hunter2")


def members(auth: str) -> None:
    """Raise a group, whose text `traceback` makes at once."""
    try:
        charge(auth, "t")
    except ConnectionError as error:
        raise ExceptionGroup("password=hunter2, auth=auth", [error]) from None


def caught(function: Callable[..., object], *given: str) -> Exception:
    """Return what *function* raises."""
    try:
        function(*given)
    except Exception as error:  # noqa: BLE001
        return error

    pytest.fail("nothing was raised")


def test_names_are_no_secrets() -> None:
    """A name that is handed on under a secret's name is shown in a stack."""
    stack = ErrorTexts(Redactor(), 100).fields(caught(charge, "a", "b"))["stack"]

    assert "    send(auth=auth, token=token)\n" in stack
    assert "redacted" not in stack


def test_literals_beside_names() -> None:
    """A secret in the source itself is hidden, whatever stands beside it."""
    stack = ErrorTexts(Redactor(), 100).fields(caught(literal, "a"))["stack"]

    assert "send(auth=auth, password=[redacted:key]" in stack
    assert "hunter2" not in stack


def test_groups() -> None:
    """So it is in the text of a group, whose message is no source."""
    error = caught(members, "a")
    stack = ErrorTexts(Redactor(), 100).fields(error)["stack"]

    assert "send(auth=auth, token=token)\n" in stack
    assert "hunter2" not in stack
    assert "auth=auth (1 sub" not in stack  # of the message


@pytest.mark.parametrize(
    "code",
    [
        *("send(auth=auth)", "self.token = token", "send(auth=self.auth, x=1)"),
        *("body = {'token': token}", "session['token'] = token", "token=token,"),
        *("f(auth = auth , token=client.token)", "with f(auth=auth):", "auth: get,"),
        "f(auth=auth,token=token)",
    ],
)
def test_forms_of_code(code: str) -> None:
    """A name of the code's own is shown in every form of pairs that source has."""
    names = {*NAMES, "send", "body", "session", "f"}

    assert Redactor().text(frame(code)) != frame(code)
    assert Redactor().stack(frame(code), names) == frame(code)


@pytest.mark.parametrize(
    "code",
    [
        *("f(auth='hunter2')", 'f(auth=auth, token="hunter2")', "f(token=b'hunter2')"),
        *("token = hunter2", "auth=hunter2,", "{'password': 'hunter2', 'a': auth}"),
        *("'auth=hunter2, password=auth'", "f('https://auth:hunter2@db/', auth=auth)"),
        *(
            "f(auth=auth.hunter2)",
            "f(password=f'hunter2{auth}')",
            "auth=hunter2 if auth",
        ),
    ],
)
def test_what_is_no_name(code: str) -> None:
    """A literal, or a word that the code doesn't use as a name, is hidden."""
    assert "hunter2" not in Redactor().stack(frame(code), NAMES)


@given(st.sampled_from(SECRET_NAMES), VALUES, st.sampled_from(["'", '"']), st.data())
def test_any_literal_is_hidden(
    name: str, value: str, quote: str, data: st.DataObject
) -> None:
    """Whatever a literal says, and whatever names the code has, it is hidden."""
    names = data.draw(st.sets(st.just(value), max_size=1)) | NAMES
    code = f"f(auth=auth, {name}={quote}{value}{quote}, token=token)"
    shown = Redactor().stack(frame(code), names)

    assert shown == frame(
        f"f(auth=auth, {name}=[redacted:key] token=token)"
    ) or shown.startswith(frame(f"f(auth=auth, {name}=[redacted:key]")[:-1])
    assert f"{quote}{value}{quote}" not in shown


@given(st.sampled_from(SECRET_NAMES), VALUES)
def test_any_message_is_no_source(name: str, value: str) -> None:
    """What an error says is searched as ever, though the code has that very name."""
    said = f"ValueError: {name}={value}, retried\n"
    stack = frame("f(auth=auth)") + said
    shown = Redactor().stack(stack, {*NAMES, value, *value.split(".")})

    assert shown == frame("f(auth=auth)") + Redactor().text(said)


def test_the_corpus_in_stacks() -> None:
    """No secret of any form shows in a stack that doesn't show in other text."""
    redactor = Redactor()
    names = {*NAMES, *(it for it in dir(traceback) if not keyword.iskeyword(it))}
    tried = 0
    for secret in secrets():
        for _, fields in placed(secret):
            for value in fields.values():
                if not isinstance(value, str):
                    continue

                for text in (f"f({value!r}, auth=auth)", f"x = '{value}'"):
                    source = frame(text)
                    tried += 1
                    if not is_told(secret, redactor.text(source)):
                        assert not is_told(secret, redactor.stack(source, names))

                stack = f"{frame('f(auth=auth)')}ValueError: {value}\n"
                if not is_told(secret, redactor.text(stack)):
                    assert not is_told(secret, redactor.stack(stack, names))

    assert tried > 1000


def test_patterns_of_ones_own() -> None:
    """An operator's pattern hides what it matches in source, names or not."""
    redactor = Redactor(patterns=[r"auth=\w+"])

    assert "auth=auth" not in redactor.stack(frame("f(auth=auth)"), NAMES)


def test_private_characters() -> None:
    """Source that has the characters which stand for signs is searched as text is."""
    code = frame("f(auth=auth, x='\ue000')")

    assert Redactor().stack(code, NAMES) == Redactor().text(code)


def test_nothing_is_copied_without_a_secret() -> None:
    """A stack without secrets' names is returned as it is."""
    code = frame("f(x=y)")

    assert Redactor().stack(code, NAMES) is code


def test_names_behind() -> None:
    """The names are those of all code that an error and its causes passed."""
    try:
        try:
            charge("a", "b")
        except ConnectionError as error:
            error.__context__ = error.__cause__  # no circle
            raise LookupError from error
    except LookupError as outer:
        found = names_behind(outer)
        outer.__context__ = None

    assert {"auth", "token", "send", "charge"} <= found
    assert set(names_in(sys._getframe().f_code)) <= found
