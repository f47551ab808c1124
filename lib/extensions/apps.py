"""The Django apps of extensions."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.apps import AppConfig, apps

from lib.extensions.installed import ContributionRefused, Installed, installed


def add_apps(labels: set[str]) -> list[AppConfig]:
    """Return the apps of the extensions for INSTALLED_APPS, which has others with these labels. If
    the models or `ready` of one raise an error, its extension is switched off, and the app is taken
    away again."""
    added: list[AppConfig] = []
    for one in installed():
        if one.state == "on" and one.extension.app:
            with one.guarded():
                app = AppConfig.create(one.extension.app)
                if app.label in labels:
                    raise ContributionRefused(f"app: the label {app.label} exists already")
                for step in ("import_models", "ready"):
                    setattr(app, step, partial(_run_guarded, one, getattr(app, step)))
                one.undo.append(partial(_remove, app))
                labels.add(app.label)
                added.append(app)
    return added


def _run_guarded(one: Installed, step: Callable[[], None]) -> None:
    if one.state == "on":
        with one.guarded():
            step()


def _remove(app: Any) -> None:
    # The registry may be walking through these while it calls the app.
    apps.app_configs = {
        label: other for label, other in apps.app_configs.items() if other is not app
    }
    apps.all_models.pop(app.label, None)
    apps.clear_cache()
