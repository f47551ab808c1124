"""The browser's own field for a date."""

from typing import Any

from django import forms


class DateInput(forms.DateInput):
    """Shows a date in the reader's format, but always submits ISO 8601."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")
