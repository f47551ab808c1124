"""The commands as an operator runs them, against a real database."""

import json

import pytest
from django.db import connection
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Epoch, Key, Membership, Organisation, Team, User
from accounts.secrets.key_lookup import digest_of
from billing.balances.balances import balance
from billing.balances.credit_line import credit_line
from billing.models import PriceVersion
from billing.prices.prices import set_price
from billing.prices.pricing import PriceVersion as Rates
from billing.prices.pricing import price
from gateway.channels.sealed_keys import open_secret
from gateway.models import Channel, InstallationSetting, Route
from lib import clock
from tests.config.applying import SECRETS, WHOLE, Installation, installation
from tests.support.cast import signed_in
from tests.usage import rows

pytestmark = pytest.mark.django_db
__all__ = ["installation"]


def everything() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE relkind = 'r' AND nspname = 'public'"
        )
        tables = [row[0] for row in cursor.fetchall()]
        counts = {}
        for table in tables:
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            counts[table] = cursor.fetchone()[0]
    return counts


def test_one_file_sets_up_everything(installation: Installation) -> None:
    installation.apply(WHOLE)
    first, second = Channel.objects.order_by("name")
    assert first.base_url == "https://api.openai.com/v1"
    assert first.timeouts == {"connect": 1, "first_content": 60, "idle": 2.5, "total": 1800}
    assert first.breaker == {"failures": 3, "open_for": 2.5, "enabled": True, "window": 10}
    assert {route.model: route.upstream_model for route in first.routes.all()} == {
        "gpt-4o-mini": "",
        "team-default": "gpt-4o-mini",
        "gpt-5*": "",
    }
    assert (second.priority, second.weight, second.retries) == (1, 3, 0)
    assert (second.on_leave, second.enabled) == ("drain", False)
    assert [open_secret(key) for key in second.keys.all()] == [SECRETS["SECOND_PROVIDER_KEY"]]
    old, new = PriceVersion.objects.order_by("valid_from")
    assert old.valid_to == new.valid_from
    charge = price({"in_text": 300_000}, Rates.from_stored(new.rates))
    assert getattr(charge, "total_nano", None) == 120_000_000
    organisation = Organisation.objects.get()
    assert organisation.slug == "acme-works"
    assert balance(organisation).available_nano == 100_000_000_000
    roles = {member.user.email: member.role for member in Membership.objects.all()}
    assert roles == {"owner@example.org": "owner", "dev@example.org": "developer"}
    assert list(User.objects.filter(operator=True).values_list("email", flat=True)) == [
        "owner@example.org"
    ]
    key = Key.objects.get(digest=digest_of(SECRETS["CI_KEY"]))
    assert (key.team.name, key.model_patterns, key.disabled) == ("core", ["gpt-*"], False)
    assert Key.objects.get(name="old").expires_at is not None
    assert Key.objects.get(digest=digest_of("the-key-of-the-lab-in-a-file")).disabled
    assert InstallationSetting.objects.get().unpriced_models == "alert"


def test_the_same_file_again_changes_nothing(installation: Installation) -> None:
    assert "+ channel first" in installation.apply(WHOLE)
    before, epoch = everything(), Epoch.objects.get().n
    assert installation.apply(WHOLE) == "nothing to change\n"
    assert installation.apply(WHOLE, "--prune") == "nothing to change\n"
    assert (everything(), Epoch.objects.get().n) == (before, epoch)


def test_a_dry_run_tells_the_difference_and_leaves_no_row(installation: Installation) -> None:
    before = everything()
    message = installation.apply(WHOLE, "--dry-run")
    assert "+ channel first" in message
    assert "nothing was written" in message
    assert everything() == before


def test_an_export_applied_changes_nothing(installation: Installation) -> None:
    installation.apply(WHOLE)
    exported = installation.export()
    assert "keep" in exported
    assert installation.apply(exported) == "nothing to change\n"
    assert installation.apply(exported, "--prune") == "nothing to change\n"


def test_an_export_after_a_publish_on_the_page_changes_nothing(
    installation: Installation,
) -> None:
    """Also when requests were charged at the version that the page wrote (I11)."""
    installation.apply(WHOLE)
    page, key = signed_in(User.objects.get(operator=True)), Key.objects.get(name="ci")
    for rate in ("0.5", "0.6"):
        sent = {"model": "team-default", "meter": "in_text", "over": "", "rate": rate}
        draft = page.post(reverse("price_draft"), sent)["location"].rsplit("/")[-1]
        page.post(reverse("price_decide"), {"do": "accept", "id": draft})
        version = PriceVersion.objects.get(source="page", valid_to=None)
        rows.end(rows.admit(key, clock.now(), price_version_id=version.id))
    # The rates of a version may also have an empty list of tiers, as the page stored them once.
    rates = {"meters": {"in_text": 500_000_000}, "tiers": []}
    version = set_price(SYSTEM, "gpt-5", clock.now(), rates, source="page")
    rows.end(rows.admit(key, clock.now(), price_version_id=version.id))
    assert PriceVersion.objects.filter(source="page").count() == 3
    exported = installation.export()
    for options in (["--dry-run"], [], ["--prune"]):
        assert installation.apply(exported, *options) == "nothing to change\n"


def test_export_restores_what_was_changed(installation: Installation) -> None:
    installation.apply(WHOLE)
    exported = installation.export()
    Channel.objects.filter(name="first").update(priority=9, retries=1)
    message = installation.apply(exported)
    assert message.splitlines() == [
        "~ channel first",
        "    priority: 9 -> 0",
        "    retries: 1 -> 2",
    ]


def test_unnamed_things_stay_without_prune(installation: Installation) -> None:
    installation.apply(WHOLE)
    before = everything()
    assert installation.apply("version: 1\n") == "nothing to change\n"
    assert (
        installation.apply("version: 1\norganisations: [{name: Acme Works}]\n")
        == "nothing to change\n"
    )
    assert everything() == before


def test_prune_removes_unnamed_things_and_keeps_the_books(installation: Installation) -> None:
    installation.apply(WHOLE)
    less = WHOLE[: WHOLE.index("  - name: second")] + WHOLE[WHOLE.index("organisations:") :]
    less = less.replace("      - {email: dev@example.org, role: developer}\n", "")
    less = less[: less.index("      - name: Lab")]
    message = installation.apply(less, "--prune").splitlines()
    assert message == [
        "- channel second",
        "- price gpt-4o-mini/2026-03-01T00:00:00Z",
        "- member acme-works/dev@example.org",
        "- key acme-works/lab",
    ]
    assert list(Channel.objects.values_list("name", flat=True)) == ["first"]
    assert Key.objects.get(name="lab").revoked_at is not None
    assert Team.objects.filter(name="Lab").exists()
    assert balance(Organisation.objects.get()).available_nano == 100_000_000_000
    assert installation.apply(less, "--prune") == "nothing to change\n"


def test_secrets_are_in_no_output_and_in_no_audit_event(installation: Installation) -> None:
    texts = [
        installation.apply(WHOLE, "--dry-run"),
        installation.apply(WHOLE, "--json"),
        installation.apply(WHOLE.replace("env:FIRST", "env:SECOND")),
        installation.export(),
        *(str(event.detail) for event in AuditEvent.objects.all()),
    ]
    for secret in (*SECRETS.values(), "the-key-of-the-lab-in-a-file", "an-expired-key-of-twenty"):
        assert all(secret not in text for text in texts)


def test_json_names_every_change(installation: Installation) -> None:
    report = json.loads(installation.apply(WHOLE, "--json"))
    assert report["dry_run"] is False
    named = {(change["action"], change["kind"], change["name"]) for change in report["changes"]}
    assert ("create", "key", "acme-works/ci") in named
    assert ("change", "settings", "") in named
    assert json.loads(installation.apply(WHOLE, "--json"))["changes"] == []


def test_a_wrong_file_is_told_by_line_and_writes_nothing(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything()
    text = installation.refusal(WHOLE.replace("weight: 3", "weight: heavy"))
    assert "weir.yaml:18: channels[1].weight: expected a whole number, found heavy" in text
    (installation.directory / "zero.key").write_text("sk-provider-\0-0123456789")
    text = installation.refusal(WHOLE.replace("env:CI_KEY", "file:zero.key"))
    assert "keys[0].secret: the file zero.key contains a zero byte" in text
    text = installation.refusal(WHOLE.replace("env:CI_KEY", "env:NOWHERE"), "--json")
    assert "the environment variable NOWHERE is not set" in text
    assert everything() == before


def test_database_rejection_names_the_line_too(installation: Installation) -> None:
    installation.apply(WHOLE)
    earlier = """\
version: 1
prices:
  - model: gpt-4o-mini
    valid_from: 2025-01-01T00:00:00Z
    meters: {in_text: "1"}
"""
    text = installation.refusal(earlier)
    assert "weir.yaml:3: prices[0]: This price of gpt-4o-mini overlaps another one" in text
    taken = WHOLE.replace("Acme Works", "Other")
    assert (
        "organisations[0].teams[0].keys[0].secret: This key already exists"
        in installation.refusal(taken)
    )
    assert not Organisation.objects.filter(name="Other").exists()


def test_another_secret_is_another_key(installation: Installation) -> None:
    installation.apply(WHOLE)
    first = Key.objects.get(name="ci")
    message = installation.apply(WHOLE.replace("env:CI_KEY", "another-key-of-twenty-characters"))
    assert message.splitlines() == ["~ key acme-works/ci", "    secret: replaced"]
    first.refresh_from_db()
    assert first.revoked_at is not None
    now = Key.objects.get(name="ci", revoked_at=None)
    assert (now.digest, now.model_patterns) == (
        digest_of("another-key-of-twenty-characters"),
        ["gpt-*"],
    )


def test_revoked_secret_does_not_return(installation: Installation) -> None:
    installation.apply(WHOLE)
    installation.apply(WHOLE.replace("env:CI_KEY", "another-key-of-twenty-characters"))
    text = installation.refusal(WHOLE)
    assert "keys[0].secret: " not in text
    assert "belongs to a key that was revoked" in text


def test_the_owner_may_be_replaced_in_one_file(installation: Installation) -> None:
    installation.apply(WHOLE)
    swapped = WHOLE.replace("role: owner, operator: true", "role: viewer")
    swapped = swapped.replace("role: developer", "role: owner")
    installation.apply(swapped)
    roles = {member.user.email: member.role for member in Membership.objects.all()}
    assert roles == {"owner@example.org": "viewer", "dev@example.org": "owner"}
    alone = WHOLE.replace("      - {email: owner@example.org, role: owner, operator: true}\n", "")
    installation.apply(alone.replace("role: developer", "role: owner"), "--prune")
    assert Membership.objects.count() == 1
    text = installation.refusal(alone.replace("role: developer", "role: viewer"))
    assert "is the last owner" in text


def test_credit_may_be_added_later_but_only_once(installation: Installation) -> None:
    installation.apply(WHOLE.replace('    credit: "100.00"\n', ""))
    organisation = Organisation.objects.get()
    assert balance(organisation).available_nano == 0
    assert "credit: none -> 100.00" in installation.apply(WHOLE)
    assert balance(organisation).available_nano == 100_000_000_000


def test_moved_channel_needs_its_secret_again(installation: Installation) -> None:
    installation.apply(WHOLE)
    moved = installation.export().replace("127.0.0.1:9", "127.0.0.1:10")
    assert "give this one again" in installation.refusal(moved)
    installation.apply(WHOLE.replace("127.0.0.1:9", "127.0.0.1:10"))
    (key,) = Channel.objects.get(name="second").keys.all()
    assert open_secret(key) == SECRETS["SECOND_PROVIDER_KEY"]


def test_keep_retains_a_stored_provider_key_beside_a_new_one(installation: Installation) -> None:
    installation.apply(WHOLE)
    installation.apply(
        WHOLE.replace('["env:SECOND_PROVIDER_KEY"]', '[keep, "env:FIRST_PROVIDER_KEY"]')
    )
    keys = Channel.objects.get(name="second").keys.all()
    assert [open_secret(key) for key in keys] == [
        SECRETS["SECOND_PROVIDER_KEY"],
        SECRETS["FIRST_PROVIDER_KEY"],
    ]


def test_different_credit_moves_nothing_and_is_reported(installation: Installation) -> None:
    installation.apply(WHOLE)
    message = installation.apply(WHOLE.replace('"100.00"', '"250.00"'))
    assert message.startswith("nothing to change\nnote: ")
    assert "100.00 was already posted" in message
    assert balance(Organisation.objects.get()).available_nano == 100_000_000_000


def test_model_capabilities_are_switched_and_exported(installation: Installation) -> None:
    text = """
version: 1
channels:
  - name: own
    provider: vllm
    base_url: http://127.0.0.1:9/v1
    models: {llama: {can: {tools: false, vision: true}}, plain: {}}
"""
    message = installation.apply(text)
    assert "can: {llama: {tools: false, vision: true}}" in message
    (event,) = AuditEvent.objects.filter(action="channel.created")
    assert event.detail["after"]["can"] == {"llama": {"tools": False, "vision": True}}
    assert installation.apply(text).strip() == "nothing to change"
    exported = installation.export()
    assert "tools: false" in exported
    assert installation.apply(exported).strip() == "nothing to change"
    changed = text.replace("tools: false, ", "")
    assert "can: {llama: {tools: false, vision: true}} -> {llama: {vision: true}}" in (
        installation.apply(changed)
    )
    assert "can" in installation.refusal(text.replace("tools: false", "magic: true"))


def test_route_positions_and_the_archive_are_exported(
    installation: Installation,
) -> None:
    text = """
version: 1
channels:
  - name: own
    provider: vllm
    base_url: http://127.0.0.1:9/v1
    enabled: false
    archived: true
    models: {llama: {priority: -1, weight: 3}, plain: {}}
"""
    message = installation.apply(text)
    assert "archived: true" in message
    assert "weights: {llama: 3}" in message
    assert installation.apply(text).strip() == "nothing to change"
    exported = installation.export()
    assert "priority: -1" in exported
    assert "archived: true" in exported
    assert installation.apply(exported, "--prune").strip() == "nothing to change"
    assert "Restore it first" in installation.refusal(
        text.replace("enabled: false", "enabled: true")
    )
    assert "archived: true -> false" in installation.apply(
        text.replace("archived: true", "archived: false")
    )


def test_unreachable_models_are_named_with_their_line(
    installation: Installation,
) -> None:
    """A channel may have them of old: its export is refused elsewhere, and remains valid here."""
    text = """
version: 1
channels:
  - name: old
    provider: deepseek
    enabled: false
    models:
      fine: {}
"""
    installation.apply(text)
    channel = Channel.objects.get()
    Route.objects.create(channel=channel, model="sora-2")
    Route.objects.create(channel=channel, model="mine", upstream_model="rerank-v3.5")
    exported = installation.export()
    assert installation.apply(exported).strip() == "nothing to change"
    elsewhere = exported.replace("name: old", "name: new")
    refusal = installation.refusal(elsewhere)
    line = elsewhere.splitlines().index("  models:") + 1
    assert f"weir.yaml:{line}: channels[0].models: mine is a model for rankings" in refusal
    assert "Leave it out, or serve it by a channel of another provider" in refusal
    assert not Channel.objects.filter(name="new").exists()


def test_limits_of_a_channel_are_set_by_a_file(installation: Installation) -> None:
    text = """version: 1
channels:
  - {name: own, provider: vllm, base_url: "http://127.0.0.1:9/v1", rpm: 60, parallel: 4,
     spend_cap_day: "12.5", check_models_every_h: 24}
"""
    assert "rpm: 60" in installation.apply(text)
    assert installation.apply(text) == "nothing to change\n"
    exported = installation.export()
    assert "rpm: 60" in exported
    assert "spend_cap_day: '12.50'" in exported
    assert "check_models_every_h: 24" in exported
    assert "spend_cap_month" not in exported
    assert "tpm" not in exported
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    assert "rpm: 60 -> none" in installation.apply(text.replace("rpm: 60", "rpm: null"))
    assert "parallel" in installation.refusal(text.replace("parallel: 4", "parallel: 0"))
    assert "spend_cap_day" in installation.refusal(text.replace('"12.5"', '"0"'))
    assert "check_models_every_h" in installation.refusal(text.replace("_h: 24", "_h: 0"))


def test_file_offers_a_channel_for_own_keys(installation: Installation) -> None:
    text = """version: 1
channels:
  - {name: own, provider: vllm, base_url: "http://127.0.0.1:9/v1"}
own_key_offers:
  - {channel: own, title: "Local", organisations: [acme-works], fee_per_request: "0.01"}
organisations:
  - {name: Acme Works, slug: acme-works, teams: [{name: core}]}
"""
    assert "fee_per_request: 0.01" in installation.apply(text)
    assert installation.apply(text) == "nothing to change\n"
    exported = installation.export()
    assert "title: Local" in exported
    assert "fee_per_request: '0.01'" in exported
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    changed = text.replace('"0.01"', '"0"').replace("[acme-works]", "[]")
    assert "fee_per_request: 0.01 -> 0" in installation.apply(changed)
    assert "channel" in installation.refusal(text.replace("channel: own,", "channel: none,"))
    without = text[: text.index("own_key_offers")] + text[text.index("organisations:\n") :]
    assert "- own_key_offer own" in installation.apply(without, "--prune")


def test_file_sets_how_a_channels_balance_is_read(installation: Installation) -> None:
    text = """version: 1
channels:
  - {name: paid, provider: deepseek, balance_source: deepseek, balance_warn_below: "10",
     balance_rest_below: "1.5"}
"""
    applied = installation.apply(text)
    assert "balance_source: deepseek" in applied
    assert "balance_rest_below: 1.50" in applied
    assert installation.apply(text) == "nothing to change\n"
    exported = installation.export()
    assert "balance_source: deepseek" in exported
    assert "balance_warn_below: '10.00'" in exported
    assert "balance_rest_below: '1.50'" in exported
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    off = text.replace("balance_source: deepseek", "balance_source: none")
    assert "balance_source: deepseek -> none" in installation.apply(off)
    assert "balance_source" not in installation.export()
    assert "balance_source" in installation.refusal(text.replace("_source: d", "_source: D"))
    assert "balance_rest_below" in installation.refusal(text.replace('"1.5"', '"0"'))


def test_file_sets_postpaid_customers_and_cap_ignoring_channels(installation: Installation) -> None:
    installation.apply(WHOLE)
    file = """version: 1
channels:
  - {name: loose, provider: openai_compatible, base_url: "https://loose.example", uncapped: true,
     names_client: false}
organisations:
  - {name: Acme Works, credit_line: "250.00", include_cost: true}
"""
    assert "credit_line" in installation.apply(file)
    owner = Organisation.objects.get(name="Acme Works")
    assert credit_line(owner) == 250 * 10**9
    assert owner.include_cost
    assert installation.apply(file) == "nothing to change\n"
    exported = installation.export()
    for part in (
        "uncapped: true",
        "names_client: false",
        "credit_line: '250.00'",
        "include_cost: true",
    ):
        assert part in exported
    assert installation.apply(exported, "--prune") == "nothing to change\n"
    installation.apply(file.replace('"250.00"', '"0"'))
    assert credit_line(owner) == 0
    wrong = installation.refusal(file.replace('"250.00"', '"-1"'))
    assert "credit_line" in wrong
