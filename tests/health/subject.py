"""A check whose answers a test changes."""

from __future__ import annotations

from svcready import health


class Subject:
    """What a check looks at: answers with what it is told to."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.calls = 0

    def __call__(self) -> object:
        """Answer, or raise the answer if it is an error."""
        self.calls += 1
        if isinstance(self.answer, BaseException):
            raise self.answer

        return self.answer


def check(answer: object = None, name: str = "db", **arguments: object) -> Subject:
    """Declare a check whose answers can be changed."""
    subject = Subject(answer)
    health.check(name, **arguments)(subject)  # type: ignore[call-overload]
    return subject
