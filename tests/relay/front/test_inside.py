"""Files that a request names lead nowhere inside, while a local model is permitted (P13)."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.lib.inside import canary, inside_forms
from tests.relay.test_matrix import open_model
from tests.support.hub import Hub

Asked = tuple[str, dict[str, Any]]
_TOLD = "Only public https URLs on port 443 with a trusted certificate can be fetched."


def _user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": "look"}, *parts]}


_CARRIERS: Mapping[str, Callable[[str, str], Asked]] = {
    "image_url": lambda model, url: (
        "/v1/chat/completions",
        {"model": model,
         "messages": [_user({"type": "image_url", "image_url": {"url": url}})]},
    ),
    "input_file": lambda model, url: (
        "/v1/responses",
        {"model": model, "input": [{"role": "user", "content": [
            {"type": "input_text", "text": "look"},
            {"type": "input_file", "file_url": url, "filename": "a.pdf"}]}]},
    ),
    "document": lambda model, url: (
        "/v1/messages",
        {"model": model, "max_tokens": 16,
         "messages": [_user({"type": "document", "source": {"type": "url", "url": url}})]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("carrier", _CARRIERS)
def test_no_spelling_of_an_internal_address_is_reached(
    hub: Hub, fake: FakeUpstream, carrier: str
) -> None:
    """The hub's own upstreams are at 127.0.0.1, as the local model of `make run` is."""
    tenant, model = hub.tenant(), open_model(hub, fake, "gemini")
    values = {}
    with canary() as counted:
        forms = [*inside_forms(counted.port), *(f"https://{host}/x" for host in _ON_443)]
        for form in forms:
            path, body = _CARRIERS[carrier](model, form)
            answer = hub.post(tenant, body, path=path)
            assert 400 <= answer.status < 500, (form, answer.body)
            values[form] = answer.json()["error"]["message"]
    assert counted.hits == []
    assert len(values) > 120
    # What is no address in the form that requests take is refused before.
    fetched = {
        form: text for form, text in values.items() if form.startswith(("http://", "https://"))
    }
    assert {form: text for form, text in fetched.items() if _TOLD not in text} == {}


_ON_443 = ("127.0.0.1", "[::1]", "localhost", "127.1", "[::ffff:127.0.0.1]", "10.0.0.1")
