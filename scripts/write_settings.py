"""Writes the tables of docs/configuration.md, which are read from the code."""

from __future__ import annotations

from pathlib import Path

from svcready.config import reference_markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
BEGIN, END = "<!-- begin settings -->", "<!-- end settings -->"


def written(text: str) -> str:
    """Return the page's *text* with the tables as the code has them now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{reference_markdown()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
