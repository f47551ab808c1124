import pytest
from django.http import QueryDict
from django.utils import translation

from accounts.keys.forms import KeyForm
from accounts.models import User
from accounts.sign_in.forms import ChangePasswordForm, LoginForm, SetPasswordForm


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "n" * 121),
        ("kind", "playground"),
        ("lifetime", "-1"),
    ],
)
def test_invalid_input_is_reported_at_its_field(field: str, value: str) -> None:
    form = KeyForm({"name": "ci", "kind": "relay", field: value})
    assert set(form.errors) == {field}


@pytest.mark.parametrize(
    ("field", "english", "chinese"),
    [
        ("endpoints", "There is no endpoint named wrong/99.", "没有端点 wrong/99。"),
        (
            "networks",
            "wrong/99 is not a valid network. Write it as 10.0.0.0/8",
            "wrong/99 不是有效的网段。",
        ),
    ],
)
def test_an_invalid_limit_is_reported_in_the_pages_language(
    field: str, english: str, chinese: str
) -> None:
    for language, message in (("en", english), ("zh-hans", chinese)):
        with translation.override(language):
            sent = QueryDict(f"name=ci&kind=relay&{field}=wrong/99")
            form = KeyForm(sent)
            assert str(form.errors[field][0]).startswith(message)


def test_allauth_fields_have_no_placeholder() -> None:
    form = LoginForm()
    assert not any("placeholder" in field.widget.attrs for field in form.fields.values())


def test_a_password_is_asked_for_in_our_words() -> None:
    user = User(email="bob@example.org")
    labels = [
        [str(field.label) for field in form.fields.values()]
        for form in (ChangePasswordForm(user), SetPasswordForm(user))
    ]
    assert labels == [
        ["Current password", "New password", "Repeat the new password"],
        ["Password", "Repeat the password"],
    ]
