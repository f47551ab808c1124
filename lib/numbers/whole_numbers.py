"""Parse whole numbers strictly. Python's int() also accepts `1_000`, `5.0`, `true` and digits of
other scripts; these are refused."""

import re
from typing import Annotated, Any, Final

from django import forms
from pydantic import BeforeValidator, Strict
from pydantic_core import PydanticCustomError

_DIGITS: Final = re.compile(r"-?[0-9]{1,18}")


def _read(text: Any) -> Any:
    if isinstance(text, str) and not _DIGITS.fullmatch(text):
        raise PydanticCustomError("int_parsing", "it is a whole number, in digits alone")
    return text


Whole = Annotated[int, Strict()]
"""A number in a body: a JSON number without a decimal point, not in quotes."""

TypedWhole = Annotated[int, BeforeValidator(_read)]
"""A number in a query."""


class WholeNumberField(forms.IntegerField):
    """A form field for a whole number. Surrounding spaces are ignored."""

    def to_python(self, value: Any) -> int | None:
        if isinstance(value, str) and value.strip() and not _DIGITS.fullmatch(value.strip()):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)
