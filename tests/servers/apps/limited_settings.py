"""The settings of the Django service that limits its callers."""

from __future__ import annotations

from tests.servers.apps.django_settings import *  # noqa: F403 - settings are names
from tests.servers.apps.django_settings import MIDDLEWARE

MIDDLEWARE = [
    *MIDDLEWARE,
    "django.middleware.locale.LocaleMiddleware",
    "tests.servers.apps.limited_django.authenticates",
]
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]

ROOT_URLCONF = "tests.servers.apps.limited_django"
