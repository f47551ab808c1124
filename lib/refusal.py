"""A refused request of a person or a program, with the input to correct."""

from django.core.exceptions import ValidationError
from django.forms import BaseForm, CharField


class Refused(ValueError):
    """The request cannot be fulfilled. `field` is the input to correct; the text says why. With
    `already_exists` an object with that name or purpose exists, and the API answers 409.
    """

    def __init__(self, field: str, message: str, *, already_exists: bool = False) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.already_exists = already_exists

    def add_to(self, form: BaseForm) -> None:
        """Add the message to its form field, or above all fields if the form lacks it."""
        form.add_error(self.field if self.field in form.fields else None, self.message)


def check_text(field: str, text: str, length_max: int) -> str:
    """Return a text without surrounding spaces, like a form field. Raises Refused for a zero byte
    and for a text that is too long. Nothing is truncated.
    """
    try:
        return str(CharField(required=False, max_length=length_max).clean(text))
    except ValidationError as error:
        raise Refused(field, error.messages[0]) from error
