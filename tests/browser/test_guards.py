"""What guards did, from a request to the part of the policy that says so."""

from playwright.sync_api import expect

from accounts.access.actors import Actor
from accounts.models import Key, Organisation, Role, User
from content.guards.rules import GuardRule, refusal_text
from content.policies import policies
from lib import clock
from lib.ids import id_text
from tests.browser.installation import OWNER, Installation
from tests.browser.visitor import Visitor, too_wide
from tests.usage.rows import happen
from usage.limits.budget_simulation import look_back

# How far below the head the part begins, and whether it ends above the foot that stays.
_PLACE = """(part) => {
  const box = part.getBoundingClientRect();
  const head = document.querySelector("header").getBoundingClientRect();
  return [box.top >= head.bottom, box.top < innerHeight / 2];
}"""


def reject() -> str:
    """In a process of the installation: a request that the last guard of a policy rejected."""
    organisation = Organisation.objects.get(slug="acme")
    owner = User.objects.get(email=OWNER)
    actor = Actor(owner, None, organisation, Role.OWNER, operator=True)
    rule = GuardRule("words", {"words": ["weir"]}, ["request"], "refuse", "words")
    policy = policies.create_policy(actor, organisation, look_back, name="Words", rules=[rule])
    record = happen(
        Key.objects.get(name="known"), clock.now(), charge_nano=0, kind="guard_refused", status=400,
        flags=[f"guard_policy:{id_text(policy.id)}", "guard_in:request", "guard_refused:words"],
        message=refusal_text(rule, "request", rule.code),
    )  # fmt: skip
    return id_text(record.request_id)


def test_request_leads_to_the_guard_in_its_policy(site: Installation, owner: Visitor) -> None:
    """By keyboard, also on a telephone: the guard has the focus, and is seen below the head."""
    page, id = owner.page, site.beside.call(reject)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{site.organisation}/requests/{id}")
        page.get_by_role("link", name="View policy").focus()
        page.keyboard.press("Enter")
        part = page.get_by_role("group", name="Words", exact=True)
        expect(part).to_be_focused()
        assert part.evaluate(_PLACE) == [True, True]
        assert too_wide(page) == ""
        page.keyboard.press("Tab")
        expect(part.get_by_label("Words", exact=True)).to_be_focused()
