"""The rows of the reference: each has its own name and its own text."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import pytest

from reference.answers.errors import ERRORS
from reference.answers.headers import ANSWERED, SENT
from reference.answers.schemas import SCHEMAS
from reference.operations.all_pages import PAGES
from reference.operations.page import PASSED, Field
from reference.views import GUIDES

LISTS: Final[dict[str, Sequence[Field]]] = {
    "sent headers": SENT,
    "headers of answers": ANSWERED,
    **{f"fields of {slug}": page.fields for slug, page in PAGES.items()},
    **{f"members of {slug}": page.members for slug, page in PAGES.items()},
    **{f"answer of {slug}": fields for slug, fields in SCHEMAS.items()},
    **{
        f"{slug}, {section.anchor}": section.fields
        for slug, guide in GUIDES.items()
        for section in guide.sections
    },
}
# What is said of several rows of a list.
SHARED: Final = {
    str(PASSED), "As in Messages.", "As in Responses.", "An address of the provider.",
}  # fmt: skip
# What is to be done about several errors, or is said in several words.
STEPS: Final = {
    "Retry after a short wait, with increasing delays.": 4,
    "Wait for the time in retry-after, then retry. If this header is missing, waiting does not "
    "help: send a smaller request, or lower the output limit.": 2,
}


@pytest.mark.parametrize("name", [name for name, fields in LISTS.items() if fields])
def test_each_row_of_a_list_has_its_own_name_and_text(name: str) -> None:
    """What was copied from the row beside it is found here."""
    fields = LISTS[name]
    texts = [str(field.meaning) for field in fields if str(field.meaning) not in SHARED]
    for values in ([field.name for field in fields], texts):
        assert [value for value, times in Counter(values).items() if times > 1] == []


def test_each_error_has_its_own_meaning_and_most_their_own_step() -> None:
    meanings = Counter(str(help.meaning) for help in ERRORS.values())
    steps = Counter(str(help.step) for help in ERRORS.values())
    assert max(meanings.values()) == 1
    assert {step: times for step, times in steps.items() if times > 1} == STEPS
