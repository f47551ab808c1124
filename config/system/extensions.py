"""Whether the parts of each extension can be loaded."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import resolve_name
from typing import Final

from django.apps import AppConfig
from django.utils.module_loading import import_string

from lib.extensions.installed import Installed, installed

# Where fields of `Extension` are read. Addresses, operations and sinks are read when they
# are first needed, because their readers load the pages and operations of all rooms, or their parts
# the reader.
_READERS: Final[Mapping[str, str]] = {
    "providers": "gateway.providers",
    "jobs": "config.jobs.schedule",
    "endpoints": "relay.endpoints.table",
    "pages": "config.shell.pages",
}


class ExtensionsConfig(AppConfig):
    """Loads the parts of each extension in every Django process, so that one of which a part fails
    is switched off before anything of it is used. It is the first app: others look into all apps
    when they are ready.

    Left out are `importers` and `service_pages`: only `weir import` and the API reference read
    them, when they are first needed.
    """

    name = "extensions"

    def ready(self) -> None:
        for one in installed():
            with one.guarded():
                _load_parts(one)


def _load_parts(one: Installed) -> None:
    for field, reader in _READERS.items():
        if one.state == "on" and getattr(one.extension, field):
            import_module(reader)
    if one.state == "on" and one.extension.jobs:
        for job in resolve_name(one.extension.jobs):
            import_string(job.task)
    parts = one.extension
    for name in (parts.urls, parts.operations, parts.usage_sink, parts.content_sink):
        if one.state == "on" and name:
            resolve_name(name)
