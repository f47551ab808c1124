"""The Django apps of extensions."""

import sys
from functools import partial
from typing import Any, Final

from django.apps import AppConfig, apps

from lib.extensions.installed import Installed, InvalidContribution, installed

_HERE: Final = sys.modules[__name__]


def add_apps(labels: set[str]) -> list[str]:
    """Return the apps of the extensions for INSTALLED_APPS, which has others with these labels. If
    the models or `ready` of one raise an error, its extension is switched off, and the app is taken
    away again."""
    added = []
    for one in installed():
        if one.state == "on" and one.extension.app:
            with one.guarded():
                app = AppConfig.create(one.extension.app)
                if app.label in labels:
                    raise InvalidContribution(f"app: the label {app.label} exists already")
                name = f"{app.label}_guarded"
                # Settings hold names alone, so Django gets it from this module.
                setattr(_HERE, name, _guarded(one, app))
                labels.add(app.label)
                added.append(f"{__name__}.{name}")
    return added


def _guarded(one: Installed, app: AppConfig) -> type[AppConfig]:
    of: Any = type(app)

    class Guarded(of):  # type: ignore[misc]
        name, label = app.name, app.label

        def import_models(self) -> None:
            one.undo.append(partial(_remove, self))
            with one.guarded():
                super().import_models()
            # It may have been switched off since the settings were read.
            if one.state == "failed":
                _remove(self)

        def ready(self) -> None:
            if one.state == "on":
                with one.guarded():
                    super().ready()

    return Guarded


def _remove(app: Any) -> None:
    # The registry may be walking through these while it calls the app.
    apps.app_configs = {
        label: other for label, other in apps.app_configs.items() if other is not app
    }
    apps.all_models.pop(app.label, None)
    apps.clear_cache()
