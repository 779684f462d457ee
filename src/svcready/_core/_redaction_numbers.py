"""Secrets that only arithmetic tells from other text: card numbers; e-mail addresses."""

from __future__ import annotations

import re

from svcready._core._redaction_pairs import marker

__all__ = ["LEAST_CARD", "is_card", "may_have_card", "replace_cards", "replace_emails"]

LEAST_CARD = 10**13
"""No card number is less; the 13 digits of old Visa cards need a word beside them."""

_CARD = marker("card")
_SAMPLE = 4
_SAMPLED = re.compile("[0-9](?:[0-9][0-9 +\\-]?[0-9]|[ +\\-][0-9]{2})")
"""
What every fourth character of a card number looks like, wherever the first of them is:
three digits, with at most one of the signs that stand between groups. To search these
alone costs a fourth.
"""
_MAY = re.compile(
    r"[2-6][0-9]{3}(?:[0-9]{9}|[ +\-][0-9]{4}[ +\-][0-9]{4}|[ +\-][0-9]{6}[ +\-][0-9]{4}"
    r"|[0-9]{2}[ +\-][0-9]{13})"
)
_DIGITS = re.compile(
    r"(?:(?<![0-9A-Za-z.])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
    r"[0-9](?:[ +\-]?[0-9]){12,}+"
)
_BEFORE_IBAN = re.compile(r"[A-Z]{2}[0-9]{2} ?\Z")
_GROUPS = (
    *((4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (6, 13)),
    *((4, 4, 4, 4, 2), (4, 4, 4, 4, 1)),
)
_ISSUERS = (
    ((4, 4), (13, 16, 19)),  # Visa
    *((pair, (16,)) for pair in ((51, 55), (2221, 2720))),  # Mastercard
    *((pair, (15,)) for pair in ((34, 34), (37, 37))),  # American Express
    *((pair, (14, 15, 16, 17, 18, 19)) for pair in ((300, 305), (3095, 3095))),
    *((pair, (14, 15, 16, 17, 18, 19)) for pair in ((36, 36), (38, 39))),  # Diners
    *((pair, (16, 17, 18, 19)) for pair in ((3528, 3589), (2200, 2204))),  # JCB, Mir
    *((pair, (16, 17, 18, 19)) for pair in ((6011, 6011), (644, 649), (65, 65))),
    ((62, 62), (16, 17, 18, 19)),  # UnionPay
    *((pair, (16, 17, 18, 19)) for pair in ((5018, 5018), (5020, 5020), (5038, 5038))),
    *((pair, (16, 17, 18, 19)) for pair in ((5893, 5893), (6304, 6304), (6759, 6763))),
)
"""First digits, from and to, and how many there are in all (ISO/IEC 7812)."""
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_EMAIL = re.compile(
    r"(?<![\w.+\-])[\w.+\-]++(?:@|%40)[A-Za-z0-9\-]++(?:\.[A-Za-z0-9\-]++)++"
)


def may_have_card(text: str) -> bool:
    """Tell whether *text* has digits enough in one place."""
    return bool(_SAMPLED.search(text[::_SAMPLE]) and _MAY.search(text))


def is_card(digits: str) -> bool:
    """Tell whether *digits* are a card's: its issuer's, its length, its check digit."""
    count = len(digits)
    for (low, high), counts in _ISSUERS:
        if count in counts and low <= int(digits[: len(str(low))]) <= high:
            return _luhn(digits)

    return False


def replace_cards(text: str, *, short: bool) -> str:
    """
    Hide card numbers, whole or in the groups in which cards print them.

    Args:
        text: What to search.
        short: Whether the 13 digits of old Visa cards count, which an article number
            may have as well.
    """

    def hide(match: re.Match[str]) -> str:
        start, end = match.span()
        before = text[max(0, start - 5) : start]
        if _BEFORE_IBAN.search(before):
            return match[0]

        return _hide(match[0], before[-1:], text[end : end + 2], short=short)

    return _DIGITS.sub(hide, text)


def _hide(run: str, before: str, after: str, *, short: bool) -> str:
    parts = re.split(r"([ +\-])", run)
    groups = parts[::2]
    usable = len(groups)
    if after[:1].isalnum() or (after[:1] == "." and after[1:].isdigit()):
        usable -= 1  # the last one goes on: an identifier or a decimal

    shown: list[str] = []
    place = 0
    while place < len(groups):
        count = _cards_groups(groups[place : min(usable, place + 5)], short=short)
        phone = before == "+" and not place and len(groups[0]) <= 15
        if count and not (phone and count == 1):
            shown.append(_CARD)
            place += count
        else:
            shown.append(groups[place])
            place += 1

        if place < len(groups):
            shown.append(parts[2 * place - 1])

    return "".join(shown)


def _cards_groups(groups: list[str], *, short: bool) -> int:
    """Return how many of the first *groups* are a card's number."""
    if not groups:
        return 0

    if 13 <= len(groups[0]) <= 19:
        fits = len(groups[0]) > 13 or short
        return 1 if fits and is_card(groups[0]) else 0

    lengths = tuple(map(len, groups))
    for shape in _GROUPS:
        if lengths[: len(shape)] == shape and is_card("".join(groups[: len(shape)])):
            return len(shape)

    return 0


def _luhn(digits: str) -> bool:
    """Tell whether the last digit is the check digit of ISO/IEC 7812-1."""
    numbers = [ord(digit) - 48 for digit in reversed(digits)]
    doubled = sum(_DOUBLED[number] for number in numbers[1::2])
    return (sum(numbers[::2]) + doubled) % 10 == 0


def replace_emails(text: str) -> str:
    """Hide e-mail addresses."""
    return _EMAIL.sub(marker("email"), text)
