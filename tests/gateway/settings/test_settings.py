"""The installation's settings on a page and by the API: each change is listed and can be undone."""

from typing import Any

import pytest

from accounts.models import AuditEvent, KeyKind, SignUpSetting
from accounts.sign_up import conditions, sign_up
from gateway.settings.installation import (
    current_values,
    installation_settings,
    save_settings,
    task_result_days,
)
from playground.media.media import result_life
from tests.support.cast import Cast, actor, make_key, signed_in, with_key
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db
PAGE = "/admin/settings"
FORM = {
    "unpriced_models": "reject",
    "egress_allow": "",
    "egress_allow_users": "",
    "task_result_days": "7",
}


def changes(people: Cast) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (
        signed_in(people.dora).get("/api/v1/settings/changes").json()["items"]
    )
    return items


def undo(people: Cast, id: str) -> Any:
    return signed_in(people.dora).post(f"/api/v1/settings/changes/{id}/undo")


def test_the_page_saves_what_differs_and_lists_who_changed_it(people: Cast) -> None:
    dora = signed_in(people.dora)
    save_settings(actor(people.dora), public_models=False)
    sent = {**FORM, "unpriced_models": "alert", "egress_allow": "10.0.0.0/8\n192.168.1.7"}
    answer = dora.post(f"{PAGE}/save", sent)
    assert (answer.status_code, answer["location"]) == (303, PAGE)
    settings = installation_settings()
    assert (settings.unpriced_models, settings.public_models) == ("alert", False)
    assert settings.egress_allow == ["10.0.0.0/8", "192.168.1.7/32"]
    last = changes(people)[0]
    assert last["before"] == {"unpriced_models": "reject", "egress_allow": []}
    assert (last["actor"], last["in_force"]) == (people.dora.email, True)
    page_text = squeezed(dora.get(PAGE).content.decode())
    assert "Models without a price: Reject requests → Serve without charge and alert" in page_text
    # Nothing was changed, and nothing is listed.
    dora.post(f"{PAGE}/save", sent)
    assert len(changes(people)) == 2


def test_invalid_network_is_rejected_at_its_field(people: Cast) -> None:
    dora = signed_in(people.dora)
    page = dora.post(f"{PAGE}/save", {**FORM, "egress_allow_users": "10.0.0.1/8"})
    assert page.status_code == 422
    assert "has host bits set. Write each network as CIDR" in page.content.decode()
    answer = dora.patch(
        "/api/v1/settings", {"egress_allow": ["inside"]}, content_type="application/json"
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "egress_allow"
    assert current_values()["egress_allow"] == []
    assert not AuditEvent.objects.filter(action="settings.changed").exists()


def test_a_change_is_undone_by_another_one(people: Cast) -> None:
    dora = signed_in(people.dora)
    dora.patch("/api/v1/settings", {"public_status": True}, content_type="application/json")
    (change,) = changes(people)
    assert undo(people, change["id"]).json()["public_status"] is False
    undone, first = changes(people)
    assert (undone["before"], undone["after"]) == (
        {"public_status": True},
        {"public_status": False},
    )
    assert (undone["in_force"], first["in_force"]) == (True, False)
    # And back again, on the page.
    text = dora.get(PAGE).content.decode()
    assert text.count("/undo") == 1
    answer = dora.post(f"{PAGE}/changes/{undone['id']}/undo")
    assert (answer.status_code, current_values()["public_status"]) == (303, True)


def test_changed_setting_is_not_undone(people: Cast) -> None:
    dora = signed_in(people.dora)
    for rule in ("free", "alert"):
        dora.patch("/api/v1/settings", {"unpriced_models": rule}, content_type="application/json")
    _, first = changes(people)
    answer = undo(people, first["id"])
    assert answer.status_code == 422
    assert "were changed again since" in answer.json()["error"]["message"]
    assert current_values()["unpriced_models"] == "alert"
    assert dora.post(f"{PAGE}/changes/{first['id']}/undo").status_code == 303
    assert current_values()["unpriced_models"] == "alert"


def test_a_change_of_sign_up_is_undone_as_well(people: Cast) -> None:
    dora = signed_in(people.dora)
    dora.patch("/api/v1/sign-up", {"mode": "off"}, content_type="application/json")
    (change,) = changes(people)
    assert undo(people, change["id"]).status_code == 200
    assert sign_up.describe_settings()["mode"] == "invite"


@pytest.mark.parametrize(
    ("sends_letters", "shown"),
    [
        (True, "Anyone: each person names their own organisation"),
        (False, "People with an invitation"),
    ],
)
def test_page_shows_who_can_sign_up_now(
    people: Cast, monkeypatch: pytest.MonkeyPatch, sends_letters: bool, shown: str
) -> None:
    """Without emails, only invitations admit new people, whatever is chosen."""
    SignUpSetting.objects.create(mode="open")
    monkeypatch.setattr(conditions, "sends_letters", lambda: sends_letters)
    html = squeezed(signed_in(people.dora).get(PAGE).content.decode())
    assert f"<dd>{shown} ·" in html


def test_a_setting_of_another_version_is_listed_and_stays(people: Cast) -> None:
    save_settings(actor(people.dora), public_status=True)
    event = AuditEvent.objects.get(action="settings.changed")
    detail = {"before": {"colour": "red"}, "after": {"colour": "blue"}}
    AuditEvent.objects.create(
        action="settings.changed", object_type=event.object_type, object_id="1", detail=detail
    )
    newest = changes(people)[0]
    assert newest["in_force"] is False
    assert undo(people, newest["id"]).status_code == 422


def test_secrets_of_the_environment_are_never_shown(people: Cast, settings: Any) -> None:
    settings.METRICS_TOKEN = "a-token-of-the-metrics"
    page = signed_in(people.dora).get(PAGE)
    assert b"METRICS_TOKEN" in page.content
    assert b"a-token-of-the-metrics" not in page.content


def test_settings_are_for_operators(people: Cast) -> None:
    _, management = make_key(people.core, "m", kind=KeyKind.MANAGEMENT, user=people.alice)
    assert signed_in(people.alice).get(PAGE).status_code == 404
    for caller in (signed_in(people.alice), with_key(management)):
        assert caller.get("/api/v1/settings").status_code == 403


def test_the_days_of_results_are_set_on_the_page(people: Cast, settings: Any) -> None:
    dora = signed_in(people.dora)
    assert task_result_days() == 7
    assert dora.post(f"{PAGE}/save", {**FORM, "task_result_days": "30"}).status_code == 303
    assert task_result_days() == result_life().days == 30
    assert changes(people)[0]["after"]["task_result_days"] == 30
    assert dora.post(f"{PAGE}/save", {**FORM, "task_result_days": "366"}).status_code == 422


def test_the_environment_wins_and_the_page_says_so(people: Cast, settings: Any) -> None:
    dora = signed_in(people.dora)
    settings.TASK_RESULT_DAYS = 9
    page_text = dora.get(PAGE).content.decode()
    assert "Set by TASK_RESULT_DAYS in the environment." in page_text
    assert 'value="9"' in page_text
    # What the form sends of it is ignored, and the API refuses it.
    assert dora.post(f"{PAGE}/save", {**FORM, "task_result_days": "30"}).status_code == 303
    body = {"task_result_days": 30}
    answer = dora.patch("/api/v1/settings", body, content_type="application/json")
    assert answer.status_code == 422
    assert task_result_days() == 9
    shown = dora.get("/api/v1/settings").json()
    assert (shown["task_result_days"], shown["set_by_environment"]) == (7, ["task_result_days"])
