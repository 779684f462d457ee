"""The settings of the Django service that limits its callers."""

from __future__ import annotations

from tests.servers.apps.django_settings import *  # noqa: F403 - settings are names
from tests.servers.apps.django_settings import MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "tests.servers.apps.limited_django.authenticates"]

ROOT_URLCONF = "tests.servers.apps.limited_django"
