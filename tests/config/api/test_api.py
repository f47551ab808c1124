import re

import pytest
from django.test import Client

from config.api.api import api
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed


def test_schema_is_public_and_complete(client: Client) -> None:
    schema = client.get("/api/v1/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    assert {"get", "post"} <= set(schema["paths"]["/api/v1/keys"])


def test_schema_is_generated_once() -> None:
    """It takes longer than the page that shows a part of it."""
    assert api.get_openapi_schema() is api.get_openapi_schema()


def test_reference_shows_every_operation_without_its_own_script(client: Client) -> None:
    overview = client.get("/api/v1/docs").content.decode()
    assert "cdn." not in overview
    assert "Sign in" in overview
    groups = sorted(set(re.findall(r'href="(/api/v1/docs/[a-z-]+)"', overview)))
    pages = {path: client.get(path).content.decode() for path in groups}
    listed = re.findall(r'href="(/api/v1/docs/[a-z-]+)#(\w+)"', overview)
    schema = client.get("/api/v1/openapi.json").json()
    operations = [
        operation["operationId"]
        for methods in schema["paths"].values()
        for operation in methods.values()
    ]
    assert sorted(id for _, id in listed) == sorted(operations)
    for path, id in listed:
        assert f'<article class="panel" id="{id}">' in pages[path]
        assert "<title>Management API ·" not in pages[path]
    for path in schema["paths"]:
        assert f"<code>{path}</code>" in overview


def test_unknown_group_is_reported_as_by_the_api(client: Client) -> None:
    answer = client.get("/api/v1/docs/nothing")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_url"


def test_reference_keeps_the_shell_for_signed_in_readers(people: Cast) -> None:
    page = signed_in(people.bob).get("/api/v1/docs").content.decode()
    assert "/o/acme/keys" in page


def test_unknown_method_is_rejected(client: Client) -> None:
    response = client.put("/api/v1/keys")
    assert response.status_code == 405
    assert set(response["Allow"].split(", ")) == {"GET", "POST"}
    assert response.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("body", "status", "param", "message"),
    [
        (
            '{"name": "a\\u0000b"}',
            422,
            "name",
            "Invalid value for name: a string cannot contain a zero byte.",
        ),
        ('{"tags": ["a", "\\u0000"]}', 422, "tags.1", "a string cannot contain a zero byte."),
        (
            '{"a\\u0000": 1}',
            422,
            None,
            "Invalid value for the body: a string cannot contain a zero byte.",
        ),
        (
            '{"project": "a\\ud83d"}',
            422,
            "project",
            "half of a surrogate pair, such as a cut emoji.",
        ),
        ('{"tags": [{"\\udc00": 1}]}', 422, "tags.0", "half of a surrogate pair"),
        ('{"name": "a", "name": "b"}', 400, None, "body: a key appears twice."),
        ('{"name": NaN}', 400, None, "body: NaN is not JSON."),
        ("[" * 65 + "]" * 65, 400, None, "body: nested too deeply."),
        ('{"name": ', 400, None, "body: Expecting value: line 1 column 10 (char 9)."),
        (b'{"name": "\xff"}', 400, None, "body: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_unreadable_body_is_reported_with_its_field_and_cause(
    people: Cast, body: str | bytes, status: int, param: str | None, message: str
) -> None:
    """Of what cannot be stored the field is named, of what is no JSON the reason."""
    answer = signed_in(people.bob).post("/api/v1/keys", body, content_type="application/json")
    assert answer.status_code == status
    error = answer.json()["error"]
    assert message in error["message"]
    assert error["param"] == param


def test_every_operation_declares_its_errors(client: Client) -> None:
    schema = client.get("/api/v1/openapi.json").json()
    operations = [one for methods in schema["paths"].values() for one in methods.values()]
    for operation in operations:
        errors = {status for status in operation["responses"] if status >= "400"}
        assert {"400", "401", "403", "404"} <= errors
        assert ("413" in errors) == ("requestBody" in operation)
        # The success comes first: the reference shows it.
        assert next(iter(operation["responses"])) < "300"
    assert "429" in schema["paths"]["/api/v1/redemptions"]["post"]["responses"]
    assert set(schema["components"]["schemas"]["Error"]["required"]) == {"error", "request_id"}


@pytest.mark.parametrize("path", ["/api/v1/docs", "/api/v1/docs/keys"])
def test_reference_marks_the_page_that_is_open(client: Client, path: str) -> None:
    html = squeezed(client.get(path).content.decode())
    nav = html.partition('id="docs-nav"')[2].partition("</nav>")[0]
    assert re.findall(r'href="([^"]+)" aria-current="page"', nav) == [path]
