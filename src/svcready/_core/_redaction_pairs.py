"""Secrets that stand beside their names in text: pairs, items, flags, elements."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["marker", "replace_named"]

_START = r"(?:(?<![\w.\-\\])|(?<=\\[nrt])|(?<=\\)(?![nrt]))"  # or a printed line's
_KEY_AND_SIGN = re.compile(
    _START + r"(?!(?<=[0-9]:)secret:)"  # an ARN of AWS Secrets Manager
    r"([\w.\-]++)(?:\[\])?\\{0,8}+[\"']?\]?\s*+(?::=|=>|[:=])\s*+"
)
_ESCAPED = r"(\\++)([\"'])(?:(?!(?<!\\)\{0}?\{1}).)*+(?:\{0}\{1})?"  # \"a\"
_QUOTED = r"(?:\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?)"
_SCHEMES = "bearer|basic|token|negotiate|apikey|ntlm"
_WHOLE_LINE = "digest|aws4-hmac-sha256|hawk|signature|oauth"
_VALUE = re.compile(
    _ESCAPED.format(1, 2) + rf"|[bBuUrRfF]?{_QUOTED}"
    rf"|(?:{_WHOLE_LINE})\s[^\r\n]++"
    rf"|(?:(?:{_SCHEMES})\s+)?(?:[^\s&\"']|(?<![,{{\[(:=\s])[\"'](?=\w))++",
    re.IGNORECASE | re.DOTALL,
)
_OPEN = re.compile(r"(?:[A-Za-z_][\w.]{0,64})?[(\[{]")
_BRACKETS = re.compile(r"[()\[\]{}]")
_BRACKETS_AND_TEXTS = re.compile(
    rf"[()\[\]{{}}]|{_ESCAPED.format(1, 2)}|{_QUOTED}", re.DOTALL
)
_FIRST_TEXT = re.compile(r"\s*+(?:[\w.]{1,64}\s{0,4}[=:]\s{0,4})?[bBuU]?\\*+[\"']")
_NOTHING = re.compile(r"(?:None|null|true|false)(?!\w)", re.IGNORECASE)
_MARKERS = re.compile(r"\\*+[\"']?(?:\[redacted:[\w\-]{1,40}\]\W{0,8}+)++")
_ITEM_KEY = re.compile(
    r"[(\[]\s*+[bBuU]?\\{0,8}+[\"']([\w.\-]++)\\{0,8}+[\"']\s*+,\s*+"
)
_ITEM_VALUE = re.compile(
    rf"(?:{_ESCAPED.format(1, 2)}|[bBuUrR]?{_QUOTED}"
    r"|[^\s,()\[\]\"']++)(?=\s*+(?:[)\]]|\Z))",
    re.DOTALL,
)
_FLAG = re.compile(
    r"(?<![\w\-])--([\w\-]++)(?:[\s+]{1,4}|[\"'],\s{0,4}(?=[\"']))(?!--)"
)
_ELEMENT = re.compile(r"<(?:[\w.\-]{1,64}:)?([\w.\-]++)(?:\s[^<>]{0,256})?>(?=[^<\s])")
_ELEMENT_VALUE = re.compile(r"[^<]++")
_SQL = re.compile(
    r"\b((?:with|encrypted|set)\s{1,4}password|identified\s{1,4}by)\s{0,4}"
    rf"(?:=\s{{0,4}})?{_QUOTED}",
    re.IGNORECASE | re.DOTALL,
)


def marker(rule: str) -> str:
    """Return what stands in a secret's place: it names the rule, not the secret."""
    return f"[redacted:{rule}]"


_KEY = marker("key")


def replace_named(text: str, low: str, is_secret: Callable[[str], bool]) -> str:
    """
    Hide the values of names that are secret, in every form in which text pairs them.

    Pairs (`password=x`, `"token": "x"`), items of a printed list of pairs (`('token',
    'x')`), command-line flags, XML elements, SQL's passwords.

    Args:
        text: What to search.
        low: The same in lower case, before anything was replaced.
        is_secret: Tells whether a name's value must not be shown.
    """
    text = _replace(text, _KEY_AND_SIGN, _VALUE, is_secret)
    if "'," in low or '",' in low:
        text = _replace(text, _ITEM_KEY, _ITEM_VALUE, is_secret)

    if "--" in low:
        text = _replace(text, _FLAG, _VALUE, is_secret)

    if "</" in low:
        text = _replace(text, _ELEMENT, _ELEMENT_VALUE, is_secret)

    if "'" in low or '"' in low:
        text = _SQL.sub(rf"\1 {_KEY}", text)

    return text


def _replace(
    text: str,
    keys: re.Pattern[str],
    values: re.Pattern[str],
    is_secret: Callable[[str], bool],
) -> str:
    parts: list[str] = []
    start = 0
    cut = 0
    escaped = "\\" in text
    search = keys.search
    while match := search(text, start):
        start = match.end()
        if not is_secret(match[1]) and not (
            escaped and _is_escaped_secret(text, match.start(), match[1], is_secret)
        ):
            continue

        end = _end_of_value(text, match, values)
        if end <= start or _is_hidden(text, start, end):
            continue

        parts += (text[cut:start], _KEY)
        start = cut = end

    return "".join((*parts, text[cut:])) if parts else text


def _is_hidden(text: str, start: int, end: int) -> bool:
    hidden = _MARKERS.match(text, start)
    return hidden is not None and (hidden.end() >= end or text[hidden.end() - 1] == '"')


def _is_escaped_secret(
    text: str, start: int, name: str, is_secret: Callable[[str], bool]
) -> bool:
    # In `C:\token` what looks like an escaped tab is the name's first letter.
    return text[max(0, start - 2) : start - 1] == "\\" and is_secret(
        text[start - 1] + name
    )


def _end_of_value(text: str, key: re.Match[str], values: re.Pattern[str]) -> int:
    """Return where the value behind *key* ends: at its start if there is none."""
    start = key.end()
    if values is not _VALUE:
        found = values.match(text, start)
        return found.end() if found else start

    if _NOTHING.match(text, start):
        return start

    found = values.match(text, start)
    end = found.end() if found else start
    if not text.startswith("[redacted:", start) and (
        opened := _OPEN.match(text, start)
    ):
        # A password may hold brackets: what goes on behind them belongs to it.
        return max(end, _end_of_bracket(text, opened.end()))

    return end


def _end_of_bracket(text: str, start: int) -> int:
    """Return where the bracket that opens before *start* closes, else the text's end."""
    quoted = _FIRST_TEXT.match(text, start) is not None
    depth = 1
    for place, sign in _signs(text, start, quoted=quoted):
        if sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if depth == 0:
                return place + 1

    return len(text)


def _signs(text: str, start: int, *, quoted: bool) -> Iterator[tuple[int, str]]:
    # A bracket in a printed text is no bracket; an apostrophe in prose is no quote.
    signs = _BRACKETS_AND_TEXTS if quoted else _BRACKETS
    for found in signs.finditer(text, start):
        if len(found[0]) == 1:
            yield found.start(), found[0]
