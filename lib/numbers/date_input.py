"""The browser's own field for a date."""

from typing import Any

from django import forms


class DateInput(forms.DateInput):
    """It shows a date as its reader writes it, but takes it in ISO 8601 alone, whatever the
    language of the page."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")
