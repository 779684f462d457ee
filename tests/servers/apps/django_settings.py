"""The settings of the Django service under test."""

from __future__ import annotations

import svcready

for _ in range(3):  # once is all it takes; more must change nothing
    svcready.init(service="orders", version="1.2.3")

SECRET_KEY = "made-up"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["svcready.adapters.django"]
MIDDLEWARE = [
    "svcready.adapters.django.Middleware",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "tests.servers.apps.django_app"
DATABASES: dict[str, object] = {}
USE_TZ = True
# What projects have and many copy: it must not silence or double anything.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": True,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
