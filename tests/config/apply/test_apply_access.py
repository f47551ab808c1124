"""`apply` and `export` of people and their access: what comes out goes in again."""

import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.mail_server import current_server
from accounts.mail_server.mail_server import save_mail_server
from accounts.members import invitations, members, team_members
from accounts.members.invitations import Offer
from accounts.models import (
    AuditEvent,
    CustomRole,
    Invitation,
    Key,
    MailServer,
    Membership,
    Organisation,
    Project,
    Role,
    ServiceAccount,
    SingleSignOn,
    Team,
    User,
)
from accounts.organisations import organisations, projects, teams
from accounts.sign_up import sign_up
from accounts.single_sign_on import single_sign_on
from billing.models import Budget
from billing.price_plans import price_plans
from billing.wallets import low_balance
from lib.ids import id_text
from lib.refusal import Refused
from playground.payers.payer_rules import change_rules
from tests.support.cast import Cast, actor, assemble
from tests.support.hostile import STORABLE
from tests.support.hub import ROOT
from tests.support.pairwise import slow_unless
from tests.support.stage import scene
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db

SECRET = "the-client-secret-of-acme"
KEY_TEXTS = {"robots": "a-brought-key-of-forty-characters-000001", "bobs": "b" * 30}


class Installation:
    def __init__(self, directory: Path) -> None:
        self.file = directory / "weir.yaml"

    def apply(self, text: str, *options: str) -> str:
        self.file.write_text(text)
        out = StringIO()
        call_command("apply", str(self.file), *options, stdout=out)
        return out.getvalue()

    def export(self) -> str:
        out = StringIO()
        call_command("export", stdout=out)
        return out.getvalue()

    def refusal(self, text: str) -> str:
        with pytest.raises(CommandError) as caught:
            self.apply(text)
        return str(caught.value).replace(str(self.file), "f.yaml")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


@scene
def furnished() -> Cast:
    """All of people and access that can be exported, with what is not its default."""
    people = assemble()
    acme, core = people.acme, people.core
    lab = teams.create_team(acme, "Lab", actor=SYSTEM)
    lab = teams.rename_team(lab, "Research lab", actor=SYSTEM)
    teams.archive_team(teams.create_team(acme, "Old", actor=SYSTEM), actor=SYSTEM)
    reader = custom_roles.create_role(acme, "Reader", ["usage.read", "members.read"], actor=SYSTEM)
    members.set_member(
        acme, "lin@example.org", Role.CUSTOM, custom_role=reader, teams=[lab], actor=SYSTEM
    )
    lin = Membership.objects.get(user__email="lin@example.org")
    team_members.set_lead(SYSTEM, lab, lin, True)
    members.set_active(members.add_person("gone@example.org", actor=SYSTEM), False, actor=SYSTEM)
    price_plans.save_plan(SYSTEM, "internal", multiplier_ppm=900_000)
    price_plans.assign_plan(SYSTEM, lab, "internal")
    price_plans.assign_plan(SYSTEM, Membership.objects.get(user=people.bob), "internal")
    project = projects.create_project(core, "Search", actor=SYSTEM)
    projects.change_project(project, name="Search and find", team=lab, actor=SYSTEM)
    projects.archive_project(projects.create_project(core, "Done", actor=SYSTEM), actor=SYSTEM)
    robot = service_accounts.create_service_account(
        core, "robot", Role.CUSTOM, custom_role=reader, actor=SYSTEM
    )
    for name, holder in (("robots", {"service_account": robot}), ("bobs", {"user": people.bob})):
        key = keys.import_key(SYSTEM, core, name, KEY_TEXTS[name], **holder)
        keys.change_key(SYSTEM, key, required_labels=["customer"])
    alice = actor(people.alice, acme)
    offer = Offer(Role.VIEWER, teams=[lab], message="Welcome, «you»")
    invitations.invite(acme, ["new@example.org"], offer, actor=alice)
    invitations.invite(acme, [], Offer(Role.DEVELOPER), actor=alice)
    organisations.require_labels(acme, ["project"], actor=SYSTEM)
    organisations.require_labels(lab, ["tags"], actor=SYSTEM)
    organisations.force_second_factor(acme, ["owner", "custom"], actor=SYSTEM)
    organisations.set_client_address_days(acme, 30, actor=SYSTEM)
    organisations.set_display_currency(acme, "EUR", actor=SYSTEM)
    organisations.suspend_organisation(people.stranger, "Did not pay", actor=SYSTEM)
    single_sign_on.save_single_sign_on(
        alice,
        acme,
        secret=SECRET,
        issuer="https://login.example.org",
        client_id="weir",
        domains=["example.org"],
        group_claim="roles",
        group_rules=[{"group": "labs", "role": "Reader", "teams": [lab.slug]}],
        default_role="viewer",
        required=True,
    )
    low_balance.set_low_balance(SYSTEM, acme, 20 * 10**9)
    chatter = custom_roles.create_role(acme, "Chatter", ["playground.use"], actor=SYSTEM)
    change_rules(
        replace(SYSTEM, organisation=acme), {"developer": "own", id_text(chatter.id): "people"}
    )
    domains = [{"domain": "acme.example", "organisation": "acme", "role": "viewer"}]
    sign_up.save_sign_up(SYSTEM, mode="off", captcha=False, domains=domains)
    budget_simulation.create_budget(
        SYSTEM, acme, scope="user", subject=str(people.bob.id), amount_nano=5 * 10**9,
        period="month",
    )  # fmt: skip
    return people


_KEPT = ("accounts_epoch", "accounts_secretcheck", "accounts_auditcheck", "accounts_cache")


def emptied() -> None:
    """An empty installation: nobody, no organisation and no books."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> ALL (%s) "
            "AND relname ~ '^(accounts|billing|outbox|playground)_'", [list(_KEPT)],
        )  # fmt: skip
        for (table,) in cursor.fetchall():
            cursor.execute(f'DELETE FROM "{table}"')
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def with_secrets(exported: str) -> str:
    """The export with the secrets that stand somewhere else."""
    document = yaml.safe_load(exported)
    (acme,) = [one for one in document["organisations"] if one["slug"] == "acme"]
    acme["single_sign_on"]["secret"] = SECRET
    for team in acme["teams"]:
        for key in team["keys"]:
            key["secret"] = KEY_TEXTS[key["name"]]
    return yaml.safe_dump(document, allow_unicode=True)


def test_export_applied_at_its_source_changes_nothing(
    installation: Installation, furnished: Cast
) -> None:
    before = AuditEvent.objects.count()
    exported = installation.export()
    assert installation.apply(exported) == "nothing to change\n"
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    assert installation.apply(with_secrets(exported), "--prune") == "nothing to change\n"
    assert AuditEvent.objects.count() == before


def test_unreadable_secret_is_mended_by_a_file_that_has_it(
    installation: Installation, furnished: Cast
) -> None:
    """Damaged bytes neither end the export nor the application of a file; a channel's and a
    guard's: `test_apply_egress.py`, `test_apply_contents.py`."""
    save_mail_server(
        SYSTEM, host="mail.example.org", port=587, encryption="starttls", username="weir",
        password="of-the-mail-server", sender="",
    )  # fmt: skip
    SingleSignOn.objects.update(sealed=b"damaged")
    MailServer.objects.update(sealed=b"damaged")
    exported = installation.export()
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    document = yaml.safe_load(with_secrets(exported))
    document["mail_server"]["secret"] = "of-the-mail-server"
    changed = installation.apply(yaml.safe_dump(document, allow_unicode=True))
    assert changed.count("~ ") == 2
    assert single_sign_on.secret_of(SingleSignOn.objects.get()) == SECRET
    assert current_server.stored_password() == "of-the-mail-server"


def test_export_applied_to_an_empty_installation_recreates_it(
    installation: Installation, furnished: Cast, django_capture_on_commit_callbacks: Any
) -> None:
    exported = installation.export()
    assert "new@example.org" in exported
    emptied()
    with django_capture_on_commit_callbacks(execute=True):
        installation.apply(with_secrets(exported))
    assert installation.export() == exported
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    acme = Organisation.objects.get(slug="acme")
    lin = Membership.objects.get(user__email="lin@example.org")
    assert lin.custom_role == CustomRole.objects.get(name="Reader", organisation=acme)
    assert [team.slug for team in lin.teams.all()] == ["lab"]
    assert Project.objects.get(slug="search").team.name == "Research lab"
    assert {key.name: (key.user and key.user.email, key.service_account) for key in named()} == {
        "bobs": ("bob@example.org", None),
        "robots": (None, ServiceAccount.objects.get()),
    }
    assert not User.objects.get(email="gone@example.org").is_active
    assert Organisation.objects.get(slug="stranger").suspended_reason == "Did not pay"
    assert Budget.objects.get().subject == str(User.objects.get(email="bob@example.org").id)
    acme = Organisation.objects.get(slug="acme")
    assert (acme.client_address_days, acme.display_currency) == (30, "EUR")
    # An operator's file is not the word of an operator for what nobody had confirmed.
    assert not SingleSignOn.objects.get().confirmed_domains
    assert single_sign_on.secret_of(SingleSignOn.objects.get()) == SECRET
    # A link cannot be given again: the letter is a new one, the link without an address is not.
    assert [letter.to for letter in mail.outbox] == [["new@example.org"]]
    assert Invitation.objects.get().invited_by == User.objects.get(email="alice@example.org")


def named() -> Iterator[Key]:
    yield from Key.objects.filter(kind="relay").select_related("user", "service_account")


def test_no_secret_is_exported(installation: Installation, furnished: Cast) -> None:
    exported = installation.export()
    for text in (SECRET, *KEY_TEXTS.values()):
        assert text not in exported
    link = Invitation.objects.get(email="new@example.org")
    assert bytes(link.digest).hex() not in exported
    assert exported.count("secret: keep") == 3


def test_unnamed_things_stay_unless_pruned(installation: Installation, furnished: Cast) -> None:
    bare = """version: 1
plans: [{name: internal, multiplier: "0.9"}]
organisations:
  - name: Acme
    members: [{email: alice@example.org, role: owner}, {email: bob@example.org, role: developer}]
    teams: [{name: core, service_accounts: [{name: robot, role: viewer}]}]
  - {name: Stranger, members: [{email: charlie@example.org, role: owner}]}
"""
    message = installation.apply(bare)
    assert message == "~ service_account acme/robot\n    role: Reader -> viewer\n"
    message = installation.apply(bare, "--prune")
    for line in (
        "- role acme/Reader",
        "- payer_rule acme/developer",
        "- invitation acme/new@example.org",
        "- single_sign_on acme",
        "- member acme/lin@example.org",
    ):
        assert line in message
    assert not CustomRole.objects.exists()
    assert not SingleSignOn.objects.exists()
    assert Invitation.objects.filter(email="new@example.org", withdrawn_at=None).count() == 0
    # What holds books or has a history is put away by hand.
    assert Project.objects.count() == 2
    assert Team.objects.filter(organisation=furnished.acme).count() == 3
    assert User.objects.filter(email="lin@example.org").exists()


CHANGES = {
    "an invitation": ("message: Welcome, «you»", "message: Again"),
    "a role": ("    - members.read\n", "    - members.read\n    - teams.read\n"),
    "a project": ("name: Search and find", "name: Found"),
    "a person": ("active: false", "active: true"),
    "a suspension": ("  suspended: Did not pay\n", "  suspended: null\n"),
    "an archived team": ("    archived: true\n    keys: []", "    archived: false\n    keys: []"),
    "single sign-on": ("group_claim: roles", "group_claim: groups"),
    "confirmed domains": ("domains_confirmed: false", "domains_confirmed: true"),
    "a rule of who pays": ("developer: own", "developer: playground"),
    "a rule of who pays that ends": ("Chatter: people", "Chatter: any"),
    "an alert": ("low_balance: '20", "low_balance: '21"),
    "an alert that ends": ("low_balance: '20.00'", "low_balance: null"),
    "who may sign up": ("mode: 'off'", "mode: invite"),
    "a domain": ("    role: viewer\n", "    role: developer\n"),
    "a second factor": ("  - custom\n  - owner", "  - owner"),
    "a member's teams": (
        "    teams:\n    - Research lab\n    leads:\n    - Research lab\n",
        "    teams:\n    - Research lab\n    - core\n    leads:\n    - Research lab\n",
    ),
    "a lead that ends": ("    leads:\n    - Research lab\n", "    leads: []\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_file_changes_the_installation_once(
    installation: Installation, furnished: Cast, change: str
) -> None:
    before, after = CHANGES[change]
    keys.change_limits(SYSTEM, Membership.objects.get(user__email="lin@example.org"), rpm=7)
    exported = installation.export()
    assert before in exported, exported
    changed = exported.replace(before, after, 1)
    message = installation.apply(changed)
    assert message.startswith("~ "), message
    assert len(re.findall("^[~+-]", message, re.MULTILINE)) == 1
    assert installation.apply(changed) == "nothing to change\n"
    assert installation.apply(installation.export(), "--prune") == "nothing to change\n"


NAMES = ("研发", "市场", "研发 A", "市场 A", "New", "Search")


def test_a_file_without_slugs_identifies_projects_by_name(
    installation: Installation, people: Cast
) -> None:
    """Two names of one slug, and names without any, stay the projects that they are."""
    listed = ", ".join(f"{{name: {name}}}" for name in NAMES)
    file = f"""version: 1
organisations: [{{name: Acme, teams: [{{name: core, projects: [{listed}]}}]}}]
"""
    assert installation.apply(file).count("+ project acme/") == len(NAMES)
    made = dict(Project.objects.values_list("name", "slug"))
    assert set(made) == set(NAMES)
    assert (made["研发 A"], made["Search"]) == ("a", "search")
    assert installation.apply(file) == "nothing to change\n"
    # A name in other letters is the same name.
    assert installation.apply(file.replace("Search", "SEARCH")).startswith(
        "~ project acme/search\n"
    )
    # The exported slug identifies the project too, under any name.
    exported = installation.export()
    changed = exported.replace("name: 市场 A", "name: 销售")
    assert installation.apply(changed).startswith(f"~ project acme/{made['市场 A']}\n")
    assert Project.objects.get(slug=made["市场 A"]).name == "销售"
    assert Project.objects.count() == len(NAMES)


def test_new_project_does_not_take_the_slug_of_another_in_the_file(
    installation: Installation, people: Cast
) -> None:
    file = """version: 1
organisations:
  - name: Acme
    teams: [{name: core, projects: [{name: 研发 A}, {name: 市场, slug: a}]}]
"""
    assert "Another project is already named 市场." in installation.refusal(file)
    assert not Project.objects.exists()


WRONG = {
    "role: viewer": ("role: boss", "there is no role named 'boss'"),
    "invited_by: alice@": ("invited_by: nobody@", "nobody@example.org is not a member"),
    "invited_by: alice": ("invited_by: bob", "You cannot grant"),
    "developer: own": ("viewer: own", "viewer is not a role that can use the playground"),
    "Chatter: people": ("Shouter: people", "there is no role named 'Shouter'"),
    "domain: acme.example": ("domain: acme", "acme is not a domain such as"),
    "    - members.read": ("    - members.fly", "Unknown permission members.fly"),
    "user: bob@example.org": ("user: alice@example.org", "a file cannot hand it over"),
    "service_account: robot": ("service_account: other", "a file cannot hand it over"),
    "slug: lab": ("slug: lib", "the slug of a team cannot change"),
    "issuer: https://login.example.org": (
        "issuer: https://evil.example",
        "Enter the client secret",
    ),
    "    role: Reader\n      teams": ("    role: Reder\n      teams", "no role named Reder"),
    "  - project\n": ("  - projects\n", "expected 'project', 'customer' or 'tags'"),
    "email: lin@example.org\n  name": ("email: bob@example.org\n  name", "already defined"),
}


@pytest.mark.parametrize("right", WRONG)
def test_invalid_file_is_reported_by_line_and_writes_nothing(
    installation: Installation, furnished: Cast, right: str
) -> None:
    wrong, why = WRONG[right]
    User.objects.filter(email="lin@example.org").update(name="Lin")
    exported = installation.export()
    assert right in exported, exported
    before = AuditEvent.objects.count()
    refusal = installation.refusal(exported.replace(right, wrong, 1))
    assert re.match(r"f\.yaml:\d+: ", refusal), refusal
    assert why in refusal
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize(
    "text", [pytest.param(text, marks=slow_unless(n % 3 == 0)) for n, text in enumerate(STORABLE)]
)
def test_every_storable_text_round_trips(
    installation: Installation, people: Cast, text: str
) -> None:
    acme, alice = people.acme, actor(people.alice, people.acme)
    User.objects.filter(pk=people.bob.pk).update(name=text)
    organisations.suspend_organisation(people.stranger, text, actor=SYSTEM)
    sent = invitations.invite(
        acme, ["new@example.org"], Offer(Role.VIEWER, message=text), actor=alice
    )
    assert sent
    team = named_so(lambda name: teams.create_team(acme, name, slug="hostile", actor=SYSTEM), text)
    in_team = team or people.core
    named_so(lambda name: projects.create_project(in_team, name, slug="p", actor=SYSTEM), text)
    named_so(
        lambda name: service_accounts.create_service_account(in_team, name, actor=SYSTEM), text
    )
    named_so(lambda name: custom_roles.create_role(acme, name, [], actor=SYSTEM), text)
    single_sign_on.save_single_sign_on(
        alice, acme, secret=SECRET, issuer=text, client_id=text, domains=["example.org"],
        group_claim=text, group_rules=[{"group": text, "role": "viewer", "teams": []}],
        default_role="", required=False,
    )  # fmt: skip
    exported = installation.export()
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    emptied()
    document = yaml.safe_load(exported)
    document["organisations"][0]["single_sign_on"]["secret"] = SECRET
    installation.apply(yaml.safe_dump(document))
    assert installation.export() == exported


def named_so(make: Any, text: str) -> Any:
    """What `make` makes under a name; None where the name cannot be."""
    try:
        return make(text[:60])
    except Refused:
        return None


def test_the_example_of_the_documentation_can_be_applied(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    monkeypatch.setenv("CRAWLER_KEY", KEY_TEXTS["robots"])
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEy")
    page = (ROOT / "docs/guides/configuration.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    assert "+ invitation acme/new@example.org" in installation.apply(example)
    assert installation.apply(example) == "nothing to change\n"
    assert installation.apply(installation.export(), "--prune") == "nothing to change\n"
