"""What went wrong in a delivery is stored in English and shown in the reader's language."""

import pytest
from django.utils.translation import override

from notify.deliveries import results
from notify.deliveries.results import result_text
from notify.webhooks.words import response_text

_PLAIN = [
    text
    for name, text in vars(results).items()
    if name.isupper() and isinstance(text, str) and "%" not in text
]


@pytest.mark.parametrize("text", [*_PLAIN, *results.BROKEN_OFF.values()])
def test_every_stored_text_is_shown_in_chinese(text: str) -> None:
    with override("zh-hans"):
        assert result_text(text).isascii() is False
    with override("en"):
        assert result_text(text) == text


def test_values_in_a_stored_text_stay() -> None:
    with override("zh-hans"):
        assert result_text(results.CODE % {"value": -7}) == "被拒绝，代码 -7。"
        assert result_text("Something else.") == "Something else."
        assert result_text("") == ""


def test_rejection_with_a_good_status_is_reported() -> None:
    with override("en"):
        refused = {"status": 200, "error": results.CODE % {"value": 9499}}
        assert response_text(refused) == "Refused with code 9499."
        assert response_text({"status": 500, "error": "Answered with status 500."}) == "500"
        assert response_text({"status": 204, "error": ""}) == "204"
        assert response_text({}) == ""
