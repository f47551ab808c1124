"""What the form of a webhook opens with, and which fields it has."""

import pytest
from django.conf import settings

from notify.events.kinds import FOR_OPERATORS, FOR_ORGANISATIONS
from notify.models import Service, WebhookEndpoint
from notify.webhooks.forms import WebhookEditForm, WebhookForm


@pytest.mark.parametrize(
    ("service", "fields"),
    [
        (Service.WEBHOOK, {"name", "url", "kinds"}),
        *((chat, {"name", "language", "kinds"}) for chat in Service if chat != Service.WEBHOOK),
    ],
)
@pytest.mark.parametrize(
    ("language", "shown"), [("zh-hans", "zh-hans"), ("", settings.LANGUAGE_CODE)]
)
def test_form_has_what_can_change_of_each_service(
    service: Service, fields: set[str], language: str, shown: str
) -> None:
    endpoint = WebhookEndpoint(
        service=service, name="n", url="https://a/b", language=language, kinds=["topup.paid"]
    )
    form = WebhookEditForm(endpoint)
    assert {*form.fields} == fields
    opened = {name: form[name].value() for name in fields}
    every = {"name": "n", "url": "https://a/b", "language": shown, "kinds": ["topup.paid"]}
    assert opened == {name: every[name] for name in fields}


@pytest.mark.parametrize(
    ("operators", "kinds"), [(True, FOR_OPERATORS), (False, FOR_ORGANISATIONS)]
)
def test_each_event_is_offered_once_to_those_it_is_for(
    operators: bool, kinds: list[object]
) -> None:
    offered = [
        box.data["value"]
        for _, group in WebhookForm(operators=operators).event_groups()
        for box in group
    ]
    names = [kind.name for kind in kinds if kind.name != "webhook.tested"]  # type: ignore[attr-defined]
    assert sorted(offered) == sorted(names)
