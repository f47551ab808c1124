"""What a person or a program asked, and does not get: told at the input that must change."""

from django.forms import BaseForm


class Refused(ValueError):
    """It cannot be so; `field` is the input to correct, the text says why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message

    def tell(self, form: BaseForm) -> None:
        """Say it at its field of a form, above all fields where the form has it not."""
        form.add_error(self.field if self.field in form.fields else None, self.message)
