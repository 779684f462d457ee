"""The settings of the Django service with a route of each class."""

from __future__ import annotations

from tests.servers.apps.django_settings import *  # noqa: F403 - settings are names

ROOT_URLCONF = "tests.servers.apps.classes_django"
