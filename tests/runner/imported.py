"""All that a web process imports, for the forkserver (forks.py). It reads the settings too,
which are read again behind the fork, in the environment of each process. And it has read the
vocabulary that each process would read: two thirds of what starting one costs."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.urls import get_resolver  # noqa: E402

from relay.counting.tokenizer import read_vocabulary  # noqa: E402

assert get_resolver().url_patterns
read_vocabulary()
