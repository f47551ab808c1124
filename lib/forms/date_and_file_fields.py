"""Date, time and file fields. The browser's own control does the work. With scripts, its value is
shown in the page's language: the browser would show it in the browser's own language.
"""

from typing import Any

from django import forms
from django.template.loader import render_to_string


class _Native(forms.Widget):
    """The browser's control within `component`, which shows its value."""

    component = ""

    def __init__(self, attrs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__({"class": "input", **(attrs or {})}, **kwargs)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        context = {"plain": super().render(name, value, attrs, renderer)}
        return render_to_string(self.component, context)


class DateInput(_Native, forms.DateInput):
    """A date, submitted in ISO 8601."""

    component = "components/date_field.html"
    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")


class MomentInput(_Native, forms.DateTimeInput):
    """A date with a time, in the zone that its label names. It is submitted without a zone."""

    component = "components/date_field.html"
    input_type = "datetime-local"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%dT%H:%M")


class FileInput(_Native, forms.FileInput):
    """One file."""

    component = "components/file_field.html"
