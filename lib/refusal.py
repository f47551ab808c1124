"""What a person or a program asked, and does not get: told at the input that must change."""

from django.core.exceptions import ValidationError
from django.forms import BaseForm, CharField


class Refused(ValueError):
    """It cannot be so; `field` is the input to correct, the text says why. `already_exists`: there
    is one of that name, or for the same thing, which the API says by 409."""

    def __init__(self, field: str, message: str, *, already_exists: bool = False) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.already_exists = already_exists

    def tell(self, form: BaseForm) -> None:
        """Say it at its field of a form, above all fields where the form has it not."""
        form.add_error(self.field if self.field in form.fields else None, self.message)


def check_text(field: str, text: str, length_max: int) -> str:
    """A text of people without the spaces at its ends, as a field of a form takes it. Raises
    Refused for a zero byte, and for one that is too long: nothing is left out of it unsaid."""
    try:
        return str(CharField(required=False, max_length=length_max).clean(text))
    except ValidationError as error:
        raise Refused(field, error.messages[0]) from error
