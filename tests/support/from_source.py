"""The hub with its static files as they lie in the source: for `Hub(application=…)`, where pages
are looked at and nothing is asked of how files are served."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

settings.STATIC_ROOT = settings.BASE_DIR / "static"
settings.STORAGES = {
    **settings.STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

from config.asgi import application  # noqa: E402

__all__ = ["application"]
