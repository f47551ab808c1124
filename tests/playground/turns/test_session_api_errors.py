"""What is called like a model API answers errors in its form, never with a page."""

import json

import pytest
from django.test import Client

from tests.support import cast
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db

PATH = "/pg/chat/completions"
BODY = json.dumps({"model": "m", "messages": []})


@pytest.mark.parametrize("header", ["authorization", "x-api-key", ""])
def test_a_call_with_a_key_is_told_where_keys_work(people: Cast, header: str) -> None:
    client = Client(enforce_csrf_checks=True)
    headers = {header: "Bearer sk-weir-nobody"} if header else {}
    answer = client.post(PATH, BODY, content_type="application/json", headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (403, "permission_error")
    assert set(error) == {"message", "type", "param", "code"}
    assert "/v1/chat/completions" in error["message"]
    assert answer["cache-control"] == "private, no-store"


def test_rejections_and_missing_objects_are_json(people: Cast) -> None:
    client = cast.signed_in(people.alice)
    missing = client.get("/pg/models")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_url")


def test_outdated_form_stays_a_page(people: Cast) -> None:
    answer = Client(enforce_csrf_checks=True).post("/appearance", {})
    assert answer["content-type"].startswith("text/html")
