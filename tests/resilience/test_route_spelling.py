"""Templates of several frameworks: which of them mean the same route."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import include, path, re_path
from django.urls.resolvers import RegexPattern, URLResolver
from hypothesis import given
from hypothesis import strategies as st

from svcready.adapters.django._routes import _declared
from svcready.resilience._limiting._spelling import Spellings

ONE = [
    "/o/{oid}",
    "/o/{oid:int}",
    "/o/<oid>",
    "/o/<int:oid>/",
    "/o/<any('a', b):oid>",
    "/o/:oid",
    "/o/*",
    r"/^o/(?P<oid>[0-9]{4})/$",
    r"/o/(\d+)/?$",
    r"/^o/(?P<oid>(a|[)(]\)|\w{1,2}))/\Z",
    r"/^o/\d+/$",
    "/o/[0-9]+",
]


def meant(path: str, templates: list[str]) -> tuple[str, bool] | None:
    """Return the first of the templates that are meant, and if it is the same."""
    found = Spellings(templates).meant(path)
    return None if found is None else (found[0][0], found[1])


@pytest.mark.parametrize("asked", ONE)
@pytest.mark.parametrize("there", ONE)
def test_a_parameter_is_one_however_it_is_spelt(asked: str, there: str) -> None:
    """Starlette's, Flask's, Django's, and groups of regular expressions."""
    assert meant(asked, ["/orders", "/o", there]) == (there, True)


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("/o/{oid}/lines", "/en/o/<int:oid>/lines/"),  # a language before it
        ("/order/{oid}", "/orders/<oid>"),
        ("/v1/orders", "/v2/orders"),
        ("/orders/7", "/orders/{oid}"),
        (r"/files/{name}.json", r"/^files/(?P<name>\w+)\.jsn$"),
    ],
)
def test_what_is_near_is_named(asked: str, there: str) -> None:
    """A letter, a version, a language, a path where a template belongs."""
    assert meant(asked, ["/", "/health", there, "/{path}"]) == (there, False)


@pytest.mark.parametrize("asked", ["/customers/{id}", "/x", "/reports", "/a/b/c/d"])
def test_what_is_far_is_not(asked: str) -> None:
    """Nothing is better than what misleads."""
    assert meant(asked, ["/o/<int:oid>", "/orders", "/static/<path:filename>"]) is None
    assert meant(asked, []) is None


def test_django_writes_them_so() -> None:
    """What its own URL configuration says, by `path`, `re_path` and included ones."""

    def view(_: object) -> HttpResponse:
        return HttpResponse()

    inner = [path("<int:line>", view), re_path(r"^n-(?P<n>[a-z]{2,3})\.txt$", view)]
    urls: list[Any] = [path("o/<int:oid>/", include(inner))]
    urls.append(re_path(r"^year/([0-9]{4})/$", view))
    resolver = URLResolver(RegexPattern(r"^/"), urls)
    templates = [route.template for route in _declared(resolver, "")]
    for asked, index in [
        ("/o/{oid}/{line}", 0),
        ("/o/{oid}/n-{n}.txt", 1),
        ("/year/{year}", 2),
    ]:
        assert meant(asked, templates) == (templates[index], True)


@given(st.text("/\\\\()[]{}<>:*+?^$abdwZ", max_size=30))
def test_any_text_has_a_spelling(text: str) -> None:
    """Brackets that nothing closes end with the text; it always comes to an end."""
    found = meant(text, ["/a/{b}", text])
    assert found is not None
    assert found[1]


def test_so_many_are_compared_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many wrong paths the first have a hint; another spelling is always known."""
    compared: list[int] = []
    compare = difflib.get_close_matches

    def count(asked: str, templates: dict[str, object], *more: Any) -> list[str]:
        compared.append(len(templates))
        return compare(asked, templates, *more)

    monkeypatch.setattr(difflib, "get_close_matches", count)
    spellings = Spellings(f"/orders/{index}" for index in range(7_000))
    told = [spellings.meant(f"/x/{index}/y/z/nothing/near") for index in range(50)]
    assert told == [None] * 50
    assert compared == [7_000] * 3
    assert spellings.meant("/orders/7/") == (["/orders/7"], True)
