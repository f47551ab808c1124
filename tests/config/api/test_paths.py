"""A start serves its first page without loading the management API."""

import subprocess
import sys

from tests.runner.databases import ROOT

# In a process of its own: here everything is loaded.
PAGES = """
import sys
import django
django.setup()
from django.urls import resolve, reverse
resolve(reverse("root"))
resolve(reverse("health"))
assert reverse("api_description") == "/api/v1/openapi.json"
assert resolve("/api/v1/docs").view_name == "api_reference"
loaded = {name for name in ("config.api.api", "ninja") if name in sys.modules}
assert loaded == set(), loaded
assert resolve("/api/v1/system").view_name == "api:read_system"
assert "config.api.api" in sys.modules
"""


def test_pages_are_resolved_and_named_without_the_api() -> None:
    command = [sys.executable, "-c", PAGES]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
