from django.test import Client

from tests.cast import Cast, signed_in


def test_the_schema_is_public_and_whole(client: Client) -> None:
    schema = client.get("/api/v1/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    assert {"get", "post"} <= set(schema["paths"]["/api/v1/keys"])


def test_the_reference_shows_every_operation_without_a_script_of_its_own(client: Client) -> None:
    page = client.get("/api/v1/docs").content.decode()
    schema = client.get("/api/v1/openapi.json").json()
    for path, methods in schema["paths"].items():
        assert page.count(f"<code>{path}</code>") >= len(methods)
    assert "cdn." not in page
    assert "Sign in" in page


def test_the_reference_keeps_the_shell_of_who_is_signed_in(people: Cast) -> None:
    page = signed_in(people.bob).get("/api/v1/docs").content.decode()
    assert "/o/acme/keys" in page


def test_a_method_that_is_not_there_is_refused(client: Client) -> None:
    response = client.put("/api/v1/keys")
    assert response.status_code == 405
    assert set(response["Allow"].split(", ")) == {"GET", "POST"}
    assert response.json()["error"]["code"] == "method_not_allowed"
