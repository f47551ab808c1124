"""All that a web process imports, for the forkserver (forks.py). It reads the settings too,
which are read again behind the fork, in the environment of each process. And it has read the
vocabulary that each process would read: two thirds of what starting one costs."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.urls import get_resolver  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

# What else config.asgi and uvicorn import.
from config.jobs import sweeping  # noqa: E402, F401
from config.server import allocator, database_watch, event_loop, protocol  # noqa: E402, F401
from relay.counting.tokenizer import read_vocabulary  # noqa: E402

assert get_resolver().url_patterns
assert all(map(import_string, settings.MIDDLEWARE))
read_vocabulary()
