"""What each noun of a file changes, keeps and resets, without a whole installation around it."""

from collections.abc import Mapping
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.models import CustomRole, Key, Organisation, Project, ServiceAccount, Team
from accounts.organisations import projects, teams
from billing.prices.prices import PriceRefused
from config.apply import writing
from config.apply.difference import Action, Change, Id, Item, Kind
from config.apply.loading import load
from config.apply.wanted import wanted_items
from config.apply.yaml_source import FileInvalid, Source, read_yaml
from lib.refusal import Refused
from tests.config.apply.test_apply_loading import resolve
from tests.support.cast import Cast, make_key

# The same objects, once with little more than their names and once with settings of their own.
BARE = """\
version: 1
settings: {unpriced_models: reject}
mail_server: {host: mail.example.org, sender: weir@example.org}
sign_up: {}
trial_credit: {}
channels: [{name: own, provider: openai_compatible, base_url: "env:URL"}]
plans: [{name: Gold, multiplier: "0.9"}]
models: [{name: m}]
model_rules: [{model: m}]
organisations:
  - name: acme
    teams:
      - name: core
        keys: [{name: ci, secret: "env:PRESENT"}]
        service_accounts: [{name: robot}]
        projects: [{name: Search, slug: search}]
"""
STATED = """\
version: 1
settings: {unpriced_models: alert, public_models: false, egress_allow: ["127.0.0.1/32"]}
mail_server: {host: mail.example.org, sender: weir@example.org, port: 26}
sign_up: {mode: open}
trial_credit: {amount: "5"}
channels:
  - {name: own, provider: openai_compatible, base_url: "env:URL", priority: 7, weight: 3,
     retries: 0, enabled: false, timeouts: {connect: 3}, keys: ["env:PRESENT"]}
plans: [{name: Gold, multiplier: "0.8", models: ["m*"]}]
models: [{name: m, context_max: 900}]
model_rules: [{model: m, fallbacks: [gpt-4o-mini]}]
organisations:
  - name: acme
    retention_hours: 9
    low_balance: "3"
    rpm: 7
    teams:
      - name: core
        rpm: 7
        keys: [{name: ci, secret: "env:PRESENT", models: ["gpt-*"], disabled: true, rpm: 7}]
        service_accounts: [{name: robot, disabled: true}]
        projects: [{name: Search, slug: search, archived: true}]
"""


def items(text: str) -> dict[Id, Item]:
    wanted = wanted_items(
        load(text, resolve), organisations={}, projects={}, key_digest=str.encode,
        channel_key_digest=str.encode,
    )  # fmt: skip
    return {item.id: item for item in wanted}


def test_what_a_file_states_is_no_default_of_what_it_omits() -> None:
    """Pruning resets what a file omits, and never to what a file states."""
    bare, stated = items(BARE), items(STATED)
    assert bare.keys() == stated.keys()
    for id, item in bare.items():
        assert stated[id].defaults == item.defaults, id
        assert id.kind == "organisation" or stated[id].fields != item.fields, id


@pytest.mark.parametrize(
    ("refusal", "line"),
    [
        (Refused("priority", "too high"), 4),
        (Refused("keys", "one too many"), 3),
        (PriceRefused("too late"), 3),
    ],
)
def test_refusal_is_reported_at_the_line_of_its_field(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception, line: int
) -> None:
    """Or where its noun begins, if the file does not have the field."""

    def refuse(_: object, change: Change) -> None:
        raise refusal

    source = read_yaml("version: 1\nchannels:\n  - name: main\n    priority: 7\n")
    change = Change("create", Id("channel", ("main",)), {}, {}, ("channels", 0))
    monkeypatch.setattr(writing._Writer, "write", refuse)
    with pytest.raises(FileInvalid) as refused:
        writing.write((change,), source)
    assert [(one.line, one.message) for one in refused.value.problems] == [(line, str(refusal))]


def world(organisation: Organisation) -> dict[str, Any]:
    """What the rows of an organisation are, by the names that a file has for them."""
    return {
        "team": Team.objects.get(organisation=organisation, name="Lab").archived_at is not None,
        "project": Project.objects.filter(organisation=organisation, slug="web")
        .values_list("name", "archived_at")
        .get(),
        "service_account": ServiceAccount.objects.get(organisation=organisation).disabled,
        "role": CustomRole.objects.get(organisation=organisation).permissions,
        "key": Key.objects.get(organisation=organisation, name="ci").disabled,
    }


CHANGES: Mapping[Kind, tuple[str, Action, dict[str, Any]]] = {
    "project": ("web", "change", {"name": "Net"}),
    "service_account": ("robot", "change", {"disabled": True}),
    "role": ("Reader", "change", {"permissions": ("usage.read", "keys.read")}),
    "key": ("ci", "change", {"disabled": True}),
    "team": ("Lab", "change", {"archived": True}),
}  # fmt: skip


@pytest.mark.django_db
def test_change_stays_in_the_organisation_that_the_file_names(people: Cast) -> None:
    """Another one has a row of the same name of each kind, and was there first or second."""
    both = [people.stranger, people.acme]
    for organisation in both:
        team = teams.create_team(organisation, "Lab", actor=SYSTEM)
        projects.create_project(team, "Web", slug="web", actor=SYSTEM)
        service_accounts.create_service_account(team, "robot", actor=SYSTEM)
        custom_roles.create_role(organisation, "Reader", ["usage.read"], actor=SYSTEM)
        make_key(team, "ci")
    for changed, other in (both, both[::-1]):
        before, untouched = world(changed), world(other)
        for kind, (name, action, after) in CHANGES.items():
            change = Change(action, Id(kind, (changed.slug, name)), {}, after)
            writing.write((change,), Source({}, {}))
            now = world(changed)
            assert [one for one in now if now[one] != before[one]] == [kind]
            before = now
        assert world(other) == untouched
