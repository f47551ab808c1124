"""How long a page waits for an answer: 30 seconds, unless the element says that the server may take
longer. What a page gives up is cancelled on the server, and may be charged all the same."""

import json
import re
from collections.abc import Iterator
from typing import Final

from config.server.request_limits import _BODY_S
from gateway.channels.channels import TIMEOUTS
from playground.attachments.attachments import FETCH_S
from tests.house.test_forms import ROOT, TAG, attributes, forms, templates

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60}
# The views that wait for something else than the database, and how long.
WAITING: Final = {
    "chat_summarise": TIMEOUTS["total"],
    "embedding_run": TIMEOUTS["total"],
    "file_fetch": FETCH_S,
    "tools_read": FETCH_S,
}


def patience(its: dict[str, str]) -> float:
    """Seconds after which the page gives up."""
    text = json.loads(its.get("hx-config", "{}")).get("timeout", "30s")
    number, unit = re.fullmatch(r"([0-9]+)(ms|s|m)", text).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit]


def senders(view: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The elements that send to a view."""
    for where, text in templates():
        for _, inside in TAG.findall(text):
            its = attributes(inside)
            if f"{{% url '{view}' " in its.get("hx-post", ""):
                yield where, its


def test_page_waits_as_long_as_the_server_may_take() -> None:
    for view, seconds in WAITING.items():
        found = list(senders(view))
        assert found, view
        for where, its in found:
            assert patience(its) > seconds, f"{where}: {view}"


def test_page_waits_as_long_as_a_file_may_take_to_come() -> None:
    uploads = [form for form in forms() if re.search(r'type="file"', form.inside)]
    sent = [form for form in uploads if "hx-post" in form.attributes]
    assert len(sent) > 3
    assert [f.where for f in sent if patience(f.attributes) <= _BODY_S] == []


def test_edge_waits_as_long_as_the_page_does() -> None:
    """nginx would close the connection before, and the answer would be charged and lost."""
    text = (ROOT / "deploy/nginx/hub.conf").read_text()
    places = re.findall(r'location ~ "([^"]+)" \{[^}]*proxy_read_timeout (\d+)m', text)
    for path in ("/o/acme/playground/summarise", "/o/acme/playground/embeddings/run"):
        (minutes,) = {int(minutes) for pattern, minutes in places if re.search(pattern, path)}
        assert minutes * 60 > TIMEOUTS["total"]


# Once more is the same as once: what is there already is shown, changed or gone.
TWICE_IS_ONCE: Final = {
    "announcement_dismiss", "chat_change", "chat_delete", "media_delete", "media_stop",
    "message_delete", "message_show", "preset_delete", "preset_save", "run_stop",
    "schema_from_example", "share_revoke", "summary_drop", "tools_add",
    # Its chip appears twice, and one can be taken away.
    "file_fetch",
    # The first one leads to another page.
    "keep",
    # Addresses from the view: the look, a row's undoable act, a vote, a rating, a receipt checked
    # again, and an answer of which only one can be written at a time.
    "appearance_url", "action", "vote_url", "rate_url", "recompute_url", "ending.runs_url",
}  # fmt: skip


def test_button_that_makes_something_takes_no_second_click() -> None:
    """The second click would wait for the first, and be sent too, also if its form is gone."""
    twice = []
    for form in forms():
        its = form.attributes
        if "hx-post" not in its or {"hx-disable", "hx-trigger"} & set(its):
            continue
        (name,) = re.findall(r"\{% url '(\w+)'|\{\{ ([\w.]+) \}\}", its["hx-post"])
        if "".join(name) not in TWICE_IS_ONCE:
            twice.append(f"{form.where}: {its['hx-post']}")
    assert twice == []
