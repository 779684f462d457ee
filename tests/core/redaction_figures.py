"""
What redaction finds of the corpus, and what it hides in error, as tables.

`python -m tests.core.redaction_figures` prints them; the documentation has them too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from svcready._core.redaction import Redactor
from tests.core.corpus_innocent import Innocent, innocents
from tests.core.corpus_secrets import Secret, is_told, placed, secrets

__all__ = ["Figures", "figures", "markdown"]


@dataclass
class Figures:
    """What was measured."""

    secrets: Counter[str] = field(default_factory=Counter)
    """How many secrets there are, by form."""
    places: Counter[str] = field(default_factory=Counter)
    """In how many fields, messages, arguments they stand."""
    told: dict[str, list[tuple[Secret, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Which of them stayed, and in what."""
    innocent: int = 0
    """How many innocent fields there are."""
    masked: list[Innocent] = field(default_factory=list)
    """Which of them were changed."""

    @property
    def recall(self) -> float:
        """The share of the places in which no part of the secret is left."""
        told = sum(map(len, self.told.values()))
        return 1 - told / self.places.total()

    @property
    def specificity(self) -> float:
        """The share of the innocent fields that are as they were."""
        return 1 - len(self.masked) / self.innocent

    @property
    def precision(self) -> float:
        """The share of secrets in all that was hidden."""
        hidden = self.places.total() * self.recall
        return hidden / (hidden + len(self.masked))


def figures(redactor: Redactor | None = None) -> Figures:
    """Run the corpus through *redactor*, by default one with the built-in rules."""
    redactor = redactor or Redactor()
    made = Figures()
    for secret in secrets():
        made.secrets[secret.form] += 1
        for carrier, fields in placed(secret):
            made.places[secret.form] += 1
            if is_told(secret, str(redactor.fields(fields))):
                made.told[secret.form].append((secret, carrier))

    for innocent in innocents():
        made.innocent += 1
        fields = {innocent.name: innocent.value}
        if redactor.fields(fields) != fields:
            made.masked.append(innocent)

    return made


def markdown(made: Figures | None = None) -> str:
    """Return the figures as the documentation shows them."""
    made = made or figures()
    lines = ["| Form | Secrets | Places | Found |", "| --- | ---: | ---: | ---: |"]
    for form, count in made.secrets.items():
        places = made.places[form]
        found = 1 - len(made.told[form]) / places
        lines.append(f"| {form} | {count} | {places} | {found:.1%} |")

    row = f"| **all {len(made.secrets)} forms** | {made.secrets.total()} "
    lines.append(f"{row}| {made.places.total()} | {made.recall:.1%} |")
    hidden = (
        f"Of {made.innocent} innocent fields, {len(made.masked)} are hidden in error"
    )
    shares = f"{made.specificity:.2%} stay, precision {made.precision:.2%}"
    lines += ["", f"{hidden} ({shares}):", ""]
    kinds = Counter(innocent.kind for innocent in made.masked)
    lines += [f"- {kind}: {count}" for kind, count in kinds.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown())
