"""The settings of the Django service that limits its callers."""

from __future__ import annotations

from tests.servers.apps.django_settings import *  # noqa: F403 - settings are names

ROOT_URLCONF = "tests.servers.apps.limited_django"
