"""The project's settings; svcready is an app, a middleware and one call of `init`."""

from __future__ import annotations

import os
from pathlib import Path

import svcready

svcready.init(service="orders", version="1.0.0")

BASE_DIR = Path(__file__).resolve().parent.parent

# A real project reads its key from the environment only.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only-for-the-example")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["svcready.adapters.django", "orders"]
MIDDLEWARE = [
    "svcready.adapters.django.Middleware",  # first, so that it sees everything
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ASGI_APPLICATION = "project.asgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("ORDERS_DATABASE", BASE_DIR / "orders.db"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
