"""The command as an operator runs it, against a real database."""

import datetime as dt
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from django.core.management import CommandError
from psycopg.conninfo import conninfo_to_dict

from accounts.access import actors
from accounts.access.actors import SYSTEM
from accounts.keys.keys import change_key
from accounts.models import AuditEvent, Key, Membership, Organisation
from accounts.organisations.organisations import create_organisation, rename_organisation
from billing.balances.balances import balance
from billing.balances.credit_line import credit_line
from billing.credits.codes import CodeRefused, redeem
from billing.limits.budgets import current_usage
from billing.models import Budget, Code, CodeBatch, OrganisationPlan, Plan, PriceVersion, TeamPlan
from billing.prices.name_patterns import matches
from billing.prices.prices import set_price
from config.models import ImportedRow
from gateway.channels.channels import create_channel
from gateway.channels.sealed_keys import open_secret
from gateway.models import Channel
from gateway.settings.installation import save_settings
from lib import clock
from tests.extensions.import_hubs.databases import (
    FOLDER,
    LITELLM_KEY,
    LITELLM_PERSONAL_KEY,
    LITELLM_SALT_KEY,
    NEW_API_KEY,
    ONE_API_KEY,
    litellm_dump,
    run,
    sqlite_file,
)
from tests.runner.databases import own_database
from tests.support.books import assert_books_balance

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loopback() -> None:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])


@pytest.fixture
def new_api(tmp_path: Path) -> Path:
    return sqlite_file("new-api", tmp_path)


def report(text: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(text)
    return read


def organisation(name: str) -> Organisation:
    return Organisation.objects.get(name=name)


def skipped(body: dict[str, Any], table: str) -> dict[str, str]:
    """Id -> why."""
    return {
        row["id"]: entry["reason"]
        for entry in body["tables"][table]["skipped"]
        for row in entry["rows"]
    }


def notes(body: dict[str, Any], table: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for entry in body["tables"][table]["notes"]:
        for row in entry["rows"]:
            fields.setdefault(row["id"], []).append(entry["reason"])
    return fields


def test_dry_run_reports_everything_and_changes_nothing(new_api: Path) -> None:
    events = AuditEvent.objects.count()
    completed = run("new-api", new_api)
    assert "Nothing was written" in completed
    assert "1001235467 quota" not in completed
    assert "users" in completed
    assert not ImportedRow.objects.exists()
    assert not Organisation.objects.exists()
    assert not Channel.objects.exists()
    assert AuditEvent.objects.count() == events


def test_users_become_organisations_with_equal_balances(new_api: Path) -> None:
    message = report(run("new-api", new_api, "--write", "--json"))
    # 1 unit of quota is 2,000 nano: to the last unit, below zero too.
    assert balance(organisation("Root User")).available_nano == 1_000_000_000 * 2000
    assert balance(organisation("小明")).available_nano == 1_234_567 * 2000
    owes = balance(organisation("owes"))
    assert (owes.available_nano, owes.debt_nano) == (0, 17 * 2000)
    assert balance(organisation("Switched Off")).available_nano == 900 * 2000
    assert message["balances"] == {
        "peer_total": "1001235490 quota at 500000 per USD",
        "peer": "2002.47098",
        "left_behind": "0.00008",
        "rounded": "0.00",
        "here": "2002.4709",
        "difference": "0.00",
    }
    assert skipped(message, "users") == {"5": "the account was deleted"}
    assert organisation("Switched Off").suspended_reason == "Disabled in New API."
    members = Membership.objects.values_list("organisation__name", "user__email", "role")
    assert set(members) == {
        ("小明", "ming@example.org", "owner"),
        ("owes", "owes@example.org", "owner"),
        ("Switched Off", "off@example.org", "owner"),
    }
    assert notes(message, "users")["1"] == [
        "no email address: nobody is in its organisation",
        "an administrator there; not an operator here",
    ]
    assert_books_balance()


def test_keys_keep_their_secrets_and_limits(new_api: Path) -> None:
    message = report(run("new-api", new_api, "--write", "--json"))
    ming = organisation("小明")
    keys = {key.name: key for key in Key.objects.filter(organisation=ming, kind="relay")}
    assert set(keys) == {"laptop (1)", "limited", "old", "laptop (4)", "cheap"}
    first = actors.key_actor(NEW_API_KEY)
    assert first is not None
    assert first.key == keys["laptop (1)"]
    budget = Budget.objects.get(scope="key", subject=str(keys["laptop (1)"].id))
    assert (budget.amount_nano, budget.period) == (1_000_000_000, "total")
    limited = keys["limited"]
    assert limited.model_patterns == ["gpt-4o-mini", "claude-sonnet-4-5"]
    assert limited.networks == ["127.0.0.1/32", "10.0.0.0/8"]
    assert limited.expires_at == dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
    assert not Budget.objects.filter(subject=str(limited.id)).exists()
    assert keys["old"].expires_at == dt.datetime.fromtimestamp(1700000001, dt.UTC)
    assert not keys["old"].disabled
    assert keys["laptop (4)"].disabled
    assert skipped(message, "tokens") == {"7": "its user is not imported"}
    hostile = Key.objects.get(organisation=organisation("Root User"), kind="relay")
    assert hostile.name == "<script>alert(1)</script>"
    assert hostile.disabled, "where it may be used from cannot be read"
    assert message["tables"]["tokens"]["columns_left"]["used_quota"] == 1


def test_key_whose_name_is_taken_is_imported_beside_it(new_api: Path) -> None:
    run("new-api", new_api, "--write", "--json")
    ours = Key.objects.get(organisation=organisation("小明"), name="limited")
    ImportedRow.objects.filter(made=str(ours.id)).delete()
    text = ours.digest
    Key.objects.filter(id=ours.id).update(digest=b"x" * 32)
    run("new-api", new_api, "--write", "--json")
    assert bytes(Key.objects.get(name="limited (new-api)").digest) == bytes(text)
    assert Key.objects.get(id=ours.id).name == "limited"


def test_groups_become_plans_and_other_groups_keys_get_a_team(new_api: Path) -> None:
    message = report(run("new-api", new_api, "--write", "--json"))
    plans = {plan.name: plan for plan in Plan.objects.all()}
    assert {name: plan.multiplier_ppm for name, plan in plans.items()} == {
        "auto": 1_000_000,
        "default": 1_000_000,
        "vip": 800_000,
    }
    assert plans["vip"].model_patterns == ["claude-sonnet-4-5", "gpt-4o-mini", "house-model"]
    ming = organisation("小明")
    assert OrganisationPlan.objects.get(organisation=ming).plan == plans["vip"]
    cheap = Key.objects.get(organisation=ming, name="cheap")
    assert cheap.team.name == "default"
    assert TeamPlan.objects.get(team=cheap.team).plan == plans["default"]
    assert skipped(message, "groups") == {"svip": "nobody is in it"}
    # Each channel serves its groups, as there; none of these serves all of them.
    conditions = {channel.name: channel.conditions for channel in Channel.objects.all()}
    assert conditions["claude"] == {"plans": ["vip"]}
    assert conditions["inside"] == {"plans": ["auto", "default"]}
    assert conditions["main (1)"] == {}


def test_channels_pass_the_usual_checks(new_api: Path) -> None:
    message = report(run("new-api", new_api, "--write", "--json"))
    channels = {channel.name: channel for channel in Channel.objects.all()}
    assert set(channels) == {"main (1)", "claude", "inside", "main (5)"}
    main = channels["main (1)"]
    assert (main.provider, main.base_url) == ("openai_compatible", "http://127.0.0.1:9/v1")
    assert (main.priority, main.weight, main.enabled) == (-10, 1, True)
    # A key of the pool that was turned off there stays behind.
    assert [open_secret(key) for key in main.keys.all()] == ["sk-upstream-one"]
    assert {route.model: route.upstream_model for route in main.routes.all()} == {
        "gpt-4o-mini": "",
        "house-model": "gpt-4o",
    }
    assert not channels["claude"].enabled, "it went through a proxy"
    assert not channels["main (5)"].enabled
    why = skipped(message, "channels")
    assert why["3"] == "Weir has no provider for Baidu (type 15)"
    # The relay asks nothing at an inside address, whoever wrote it down.
    assert "169.254.169.254 is not public" in notes(message, "channels")["4"][0]
    assert message["tables"]["channels"]["columns_left"]["tag"] == 1


def test_prices_match_the_ratios_exactly(new_api: Path) -> None:
    message = report(run("new-api", new_api, "--write", "--json"))
    versions = PriceVersion.objects.filter(source="import: new-api").select_related("price")
    rates = {version.price.model: version.rates["meters"] for version in versions}
    assert set(rates) == {"gpt-4o-mini", "claude-sonnet-4-5", "house-model"}
    # Nano per million tokens. The program's own 4 for gpt-4o, 5 for Claude against the database.
    assert rates["gpt-4o-mini"] == {
        "in_text": 150_000_000, "out_text": 600_000_000, "in_cache_read": 75_000_000,
    }  # fmt: skip
    assert rates["claude-sonnet-4-5"]["out_text"] == 15_000_000_000
    assert rates["claude-sonnet-4-5"]["in_cache_write_5m"] == 3_750_000_000
    assert rates["house-model"] == {"in_text": 2_200_000_000, "out_text": 5_500_000_000}
    assert list(closed(message, "prices")) == ["deepseek-chat"], "no price is known for it"
    assert skipped(message, "options") == {"SMTPToken": "settings of the program itself"}


def test_report_names_omissions_and_shows_no_secret(new_api: Path) -> None:
    completed = run("new-api", new_api)
    for left in ("logs: 2 rows", "rebates in aff_quota", "users.access_token: in 1 rows"):
        assert left in completed
    assert "difference   0.00 USD" in completed
    both = completed + run("new-api", new_api, "--json")
    for secret in (NEW_API_KEY[3:], "sk-upstream-one", "a secret of the mail server", "$2a$"):
        assert secret not in both


def test_second_run_changes_nothing_despite_renames(new_api: Path, tmp_path: Path) -> None:
    run("new-api", new_api, "--write")
    rename_organisation(organisation("小明"), "Renamed here", actor=SYSTEM)
    Channel.objects.filter(name="claude").update(name="other")
    before = AuditEvent.objects.count(), ImportedRow.objects.count(), PriceVersion.objects.count()
    renamed = tmp_path / "again"
    renamed.mkdir()
    again = sqlite_file(
        "new-api", renamed,
        "UPDATE users SET display_name = 'Renamed there'", "UPDATE tokens SET name = 'x' || id",
    )  # fmt: skip
    message = report(run("new-api", again, "--write", "--json"))
    after = AuditEvent.objects.count(), ImportedRow.objects.count(), PriceVersion.objects.count()
    assert after == before
    assert {name: table["imported"] for name, table in message["tables"].items()} == dict.fromkeys(
        message["tables"], 0
    )
    assert message["tables"]["users"]["here_before"] == 4
    assert message["balances"]["difference"] == "0.00"


def test_new_rows_come_with_the_next_run(new_api: Path, tmp_path: Path) -> None:
    run("new-api", new_api, "--write")
    later = tmp_path / "later"
    later.mkdir()
    grown = sqlite_file(
        "new-api", later,
        "INSERT INTO tokens (id, user_id, key, status, name, expired_time, unlimited_quota)"
        " VALUES (9, 2, 'anotheranotheranotheranotheranother0000000000001', 1, 'new', -1, 1)",
    )  # fmt: skip
    message = report(run("new-api", grown, "--write", "--json"))
    assert message["tables"]["tokens"]["imported"] == 1
    assert Key.objects.get(name="new").organisation == organisation("小明")


@pytest.mark.parametrize("server", ["mariadb", "postgres"])
@pytest.mark.parametrize("peer", ["new-api", "one-api"])
def test_dump_of_a_server_is_imported_once(peer: str, server: str) -> None:
    dump = FOLDER / f"{peer.replace('-', '_')}.{server}.sql"
    first = report(run(peer, dump, "--write", "--json"))
    assert first["tables"]["redemptions"]["imported"] == 1
    assert first["balances"]["difference"] == "0.00"
    before = AuditEvent.objects.count(), ImportedRow.objects.count(), Code.objects.count()
    again = report(run(peer, dump, "--write", "--json"))
    assert (AuditEvent.objects.count(), ImportedRow.objects.count(), Code.objects.count()) == before
    assert not any(table["imported"] for table in again["tables"].values())
    assert_books_balance()


def test_other_installation_of_the_same_name_is_rejected_whole(
    new_api: Path, tmp_path: Path
) -> None:
    run("new-api", new_api, "--write")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = sqlite_file(
        "new-api", elsewhere,
        "UPDATE tokens SET key = 'another-installations-key-another-installation-' || id",
    )  # fmt: skip
    rows = ImportedRow.objects.count()
    with pytest.raises(CommandError, match="--name"):
        run("new-api", other, "--write")
    assert ImportedRow.objects.count() == rows
    message = report(run("new-api", other, "--write", "--json", "--name", "second"))
    assert message["tables"]["users"]["imported"] == 4
    assert Plan.objects.filter(name="vip (second)").exists()


def test_existing_objects_stay_unchanged(new_api: Path) -> None:
    there = create_organisation("小明", owner=None, actor=SYSTEM)
    message = report(run("new-api", new_api, "--write", "--json"))
    assert message["tables"]["users"]["imported"] == 4
    assert Organisation.objects.filter(name="小明").count() == 2
    assert not there.keys.filter(kind="relay").exists()
    assert balance(there).available_nano == 0


@pytest.mark.parametrize(
    ("change", "table", "id", "reason"),
    [
        ("UPDATE users SET display_name = 'two' || char(10) || 'lines' WHERE id = 2", "users", "2",
         "single line"),
        ("UPDATE users SET display_name = hex(zeroblob(150)) WHERE id = 2", "users", "2",
         "120"),
        ("UPDATE users SET display_name = 'a' || char(0) || 'b' WHERE id = 2", "users", "2",
         "zero byte"),
        ("UPDATE users SET display_name = CAST(x'ff41' AS TEXT) WHERE id = 2", "users", "2",
         "UTF-8"),
        ("UPDATE users SET quota = 'much' WHERE id = 2", "users", "2", "quota: expected a number"),
        ("UPDATE tokens SET name = hex(zeroblob(99)) WHERE id = 1", "tokens", "1", "at most 120"),
        ("UPDATE tokens SET key = 'short' WHERE id = 1", "tokens", "1", "20 printable"),
        ("UPDATE tokens SET key = 'weir-' || key WHERE id = 1", "tokens", "1", "checksum"),
        ("UPDATE tokens SET model_limits = hex(zeroblob(150)) WHERE id = 2", "tokens", "2",
         "not the name of a model"),
        ("UPDATE channels SET models = 'two words' WHERE id = 1", "channels", "1", "two words"),
        ("UPDATE channels SET model_mapping = '{' WHERE id = 1", "channels", "1", "expected JSON"),
        ("UPDATE channels SET base_url = 'javascript:alert(1)' WHERE id = 1", "channels", "1",
         "the base URL must be"),
        ("UPDATE channels SET key = 'a key with spaces' WHERE id = 1", "channels", "1", "key"),
    ],
)  # fmt: skip
def test_hostile_values_are_rejected_by_name_and_the_rest_imported(
    tmp_path: Path, change: str, table: str, id: str, reason: str
) -> None:
    message = report(run("new-api", sqlite_file("new-api", tmp_path, change), "--write", "--json"))
    assert reason in skipped(message, table)[id]
    assert message["tables"]["users"]["imported"] >= 3
    assert message["balances"]["difference"] == "0.00"
    assert_books_balance()


def test_one_api(tmp_path: Path) -> None:
    message = report(run("one-api", sqlite_file("one-api", tmp_path), "--write", "--json"))
    lin = organisation("Lin")
    assert balance(lin).available_nano == 5_000_001 * 2000
    first = actors.key_actor(ONE_API_KEY)
    assert first is not None
    assert first.organisation == lin
    used_up = Key.objects.get(organisation=lin, name="used up")
    assert used_up.disabled
    assert used_up.model_patterns == ["gpt-4o-mini"]
    assert used_up.networks == ["10.0.0.0/8", "192.168.1.1/32"]
    assert Channel.objects.get().base_url == "http://127.0.0.1:9/v1"
    versions = PriceVersion.objects.filter(source="import: one-api").select_related("price")
    rates = {version.price.model: version.rates["meters"] for version in versions}
    # 4/3 of 1.5 USD.
    assert rates["gpt-3.5-turbo-0613"] == {"in_text": 1_500_000_000, "out_text": 2_000_000_000}
    plan = Plan.objects.get()
    assert plan.model_patterns == ["gpt-3.5-turbo-0613", "gpt-4o-mini"], "no model of ours besides"
    assert message["tables_left"] == {}
    redeemed = redeem(SYSTEM, lin, "01234567-89ab-cdef-0123-456789abcdef")
    assert redeemed.amount_nano == 100 * 2000
    assert message["balances"]["difference"] == "0.00"
    assert_books_balance()


@pytest.mark.parametrize(
    ("peer", "of", "words"),
    [("one-api", "new-api", "database of New API"), ("new-api", "one-api", "database of One API")],
)
def test_other_programs_database_is_rejected(
    tmp_path: Path, peer: str, of: str, words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        run(peer, sqlite_file(of, tmp_path), "--write")


def test_non_database_file_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for content in (b"", b"hello", b"\xff\xfe\x00", b"PGDMP\x01"):
        path.write_bytes(content)
        with pytest.raises(CommandError, match="neither a SQLite database nor a dump"):
            run("new-api", path)
    with pytest.raises(CommandError, match="cannot be read"):
        run("new-api", tmp_path / "missing.db")
    with pytest.raises(CommandError, match="is not set"):
        run("new-api", "env:NOT_THERE_AT_ALL")


@pytest.fixture
def litellm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SALT_KEY", LITELLM_SALT_KEY)
    return litellm_dump(tmp_path)


def test_litellm_organizations_teams_people_and_budgets(litellm: Path) -> None:
    message = report(run("litellm", litellm, "--write", "--json", "--salt-key", "env:SALT_KEY"))
    # What may still be spent for good is the balance, to the last digit of the float.
    acme = organisation("Acme")
    assert balance(acme).available_nano == 100_376_543_211
    assert credit_line(acme) == 0
    # Without a budget nothing ends it there: it pays later here.
    for name in ("Öffen", "LiteLLM"):
        assert balance(organisation(name)).available_nano == 0
        assert credit_line(organisation(name)) == 10**15
    assert message["balances"]["difference"] == "0.00"
    memberships = Membership.objects.select_related("organisation", "user")
    assert {
        (m.organisation.name, m.user.email, m.role, tuple(m.teams.values_list("name", flat=True)))
        for m in memberships
    } == {
        ("Acme", "ann@example.org", "developer", ("Research",)),
        ("Öffen", "ann@example.org", "admin", ()),
        ("LiteLLM", "bo@example.org", "developer", ("core",)),
    }
    research = acme.teams.get(name="Research")
    assert research.rpm == 100
    budgets = {
        (budget.scope, budget.subject): (budget.amount_nano, budget.period)
        for budget in Budget.objects.all()
    }
    app = Key.objects.get(name__startswith="app", team=research)
    personal = Key.objects.get(name="sk-...6789")
    bo = Membership.objects.get(user__email="bo@example.org").user
    assert budgets == {
        ("team", str(research.id)): (14_500_000_000, "total"),
        ("key", str(app.id)): (600_000_000, "total"),
        ("key", str(personal.id)): (7_250_000_000, "day"),
        ("user", str(bo.id)): (1_750_000_000, "total"),
    }
    assert app.model_patterns == [], "its team's plan tells"
    plan = TeamPlan.objects.get(team=research).plan
    assert plan.model_patterns == ["house-model", "gpt-*"]
    shared = OrganisationPlan.objects.get(organisation=acme).plan
    assert shared.model_patterns == ["house-model", "claude-sonnet-4-5", "claude-v2",
                                     "deepseek-chat"]  # fmt: skip
    assert (personal.rpm, personal.tpm) == (60, 5000)
    narrow = Key.objects.get(name="narrow")
    assert narrow.disabled, "a limit of it has no place here"
    assert narrow.model_patterns == ["claude-*", "house-model"]
    assert skipped(message, "LiteLLM_TeamTable") == {
        "team-lost": "it is blocked, and its keys with it"
    }
    assert_books_balance()


def test_litellm_keys_open_with_their_text(litellm: Path) -> None:
    run("litellm", litellm, "--write", "--salt-key", "env:SALT_KEY")
    for text, name in (
        (LITELLM_KEY, "app (3c5bd9929f5a49cc)"),
        (LITELLM_PERSONAL_KEY, "sk-...6789"),
    ):
        result = actors.key_actor(text)
        assert result is not None
        assert result.key is not None
        assert result.key.name == name
    before = AuditEvent.objects.count(), ImportedRow.objects.count()
    run("litellm", litellm, "--write", "--salt-key", "env:SALT_KEY")
    assert (AuditEvent.objects.count(), ImportedRow.objects.count()) == before


def test_litellm_models_need_the_salt_key(litellm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = report(run("litellm", litellm, "--json"))
    why = skipped(without, "LiteLLM_ProxyModelTable")
    assert set(why.values()) == {
        "its settings are encrypted: give LiteLLM's salt key by --salt-key"
    }
    monkeypatch.setenv("SALT_KEY", "another")
    wrong = report(run("litellm", litellm, "--json", "--salt-key", "env:SALT_KEY"))
    why = skipped(wrong, "LiteLLM_ProxyModelTable")
    assert set(why.values()) == {"its settings cannot be decrypted with this salt key"}
    assert not Channel.objects.exists()
    monkeypatch.setenv("SALT_KEY", LITELLM_SALT_KEY)
    completed = run("litellm", litellm, "--write", "--salt-key", "env:SALT_KEY")
    channels = {channel.name: channel for channel in Channel.objects.all()}
    assert {name: channel.enabled for name, channel in channels.items()} == {
        "house-model": True,
        "claude-sonnet-4-5": False,
        "deepseek-chat": False,
    }
    assert [open_secret(key) for key in channels["house-model"].keys.all()] == ["sk-upstream-one"]
    assert "Weir has no provider for 'bedrock'" in completed
    assert "sk-upstream-one" not in completed
    version = PriceVersion.objects.get(source="import: litellm")
    assert version.rates["meters"] == {"in_text": 150_000_000, "out_text": 600_000_000}


def test_salt_key_comes_from_the_environment(new_api: Path, litellm: Path) -> None:
    with pytest.raises(CommandError, match="only LiteLLM"):
        run("new-api", new_api, "--salt-key", "env:SALT_KEY")
    with pytest.raises(CommandError, match="env:NAME"):
        run("litellm", litellm, "--salt-key", "sk-in-the-open")
    with pytest.raises(CommandError, match="not set"):
        run("litellm", litellm, "--salt-key", "env:NOT_THERE_AT_ALL")
    with pytest.raises(CommandError, match="no database of LiteLLM"):
        run("litellm", new_api)


def test_fixed_width_key_columns_in_postgres_are_read() -> None:
    with own_database("peer", of="template0") as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute(
                """CREATE TABLE users (id bigint, username text, status bigint, quota bigint,
                                       "group" varchar(32));
                   CREATE TABLE tokens (id bigint, user_id bigint, key char(48), status bigint,
                                        name text, expired_time bigint, unlimited_quota boolean,
                                        models text, subnet text);
                   CREATE TABLE channels (id bigint);
                   CREATE TABLE logs (id bigint);
                   INSERT INTO users VALUES (1, 'ping', 1, 7, 'default');
                   INSERT INTO tokens VALUES (1, 1, 'a-short-key-of-an-early-version', 1, 'k', -1,
                                              true, NULL, '');"""
            )
        address = f"postgresql:///?{urlencode(conninfo_to_dict(dsn))}"
        message = report(run("one-api", address, "--write", "--json"))
    assert balance(organisation("ping")).available_nano == 7 * 2000
    assert actors.key_actor("sk-a-short-key-of-an-early-version") is not None
    assert message["tables_left"] == {
        "logs": {"rows": 0, "reason": "usage and figures of the past"}
    }


@pytest.fixture
def more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SALT_KEY", LITELLM_SALT_KEY)
    return litellm_dump(tmp_path, restricted=True)


def closed(body: dict[str, Any], table: str) -> dict[str, list[str]]:
    """Id -> the restrictions that closed it."""
    return {
        row["id"]: entry["restrictions"]
        for entry in body["tables"][table]["closed"]
        for row in entry["rows"]
    }


def test_litellm_team_model_serves_only_that_team(more: Path) -> None:
    run("litellm", more, "--write", "--salt-key", "env:SALT_KEY")
    own = Channel.objects.get(name="our-own")
    assert [route.model for route in own.routes.all()] == ["our-own"]
    team = organisation("Acme").teams.get(name="Own")
    assert own.conditions == {"teams": [f"acme/{team.slug}"]}
    assert "our-own" in TeamPlan.objects.get(team=team).plan.model_patterns
    others = Plan.objects.exclude(teams__team=team)
    assert not any("our-own" in plan.model_patterns for plan in others)


def test_litellm_member_budgets_and_their_spending(more: Path) -> None:
    run("litellm", more, "--write", "--salt-key", "env:SALT_KEY")
    standings = {
        (one_usage.budget.scope, one_usage.budget.subject): one_usage
        for one_usage in current_usage(list(Budget.objects.all()))
    }
    people = {m.user.email: m for m in Membership.objects.select_related("user")}
    keys = {key.name: key for key in Key.objects.filter(kind="relay")}
    cy = standings["user", str(people["cy@example.org"].user.pk)]
    assert (cy.budget.amount_nano, cy.budget.period) == (10 * 10**9, "month")
    assert cy.spent_nano == 2_500_000_000
    # Without a membership of her own, what each member of the team has.
    di = standings["user", str(people["di@example.org"].user.pk)]
    assert (di.budget.amount_nano, di.spent_nano) == (10 * 10**9, 0)
    of_keys = {
        (one_usage.budget.subject, one_usage.budget.period): one_usage
        for one_usage in current_usage(list(Budget.objects.filter(scope="key")))
    }
    running = of_keys[str(keys["cy"].pk), "day"]
    assert (running.budget.amount_nano, running.spent_nano) == (4 * 10**9, 1_500_000_000)
    assert of_keys[str(keys["ended window"].pk), "day"].spent_nano == 0
    # A viewer's key would not work: it is nobody's, and has what its person may spend.
    assert keys["cy"].user is None
    own = of_keys[str(keys["cy"].pk), "month"]
    assert (own.budget.amount_nano, own.spent_nano) == (10 * 10**9, 2_500_000_000)
    assert not keys["cy"].disabled
    # Nobody of the team could make keys in it, so nobody can here.
    assert people["cy@example.org"].role == "viewer"
    assert_books_balance()


def test_narrower_litellm_keys_are_imported_closed_and_listed(more: Path) -> None:
    message = report(run("litellm", more, "--write", "--json", "--salt-key", "env:SALT_KEY"))
    table = "LiteLLM_VerificationToken"
    assert closed(message, table) == {
        "310e44b303856432": [f"{table}.model_max_budget"],
        "bbbbbbbbbbbbbbbb": [f"{table}.metadata.guardrails"],
        "cccccccccccccccc": [f"{table}.metadata.model_rpm_limit"],
        "dddddddddddddddd": [f"{table}.aliases"],
    }
    assert all(entry["opened_by"] for entry in message["tables"][table]["closed"])
    keys = {key.name: key for key in Key.objects.filter(kind="relay")}
    assert [keys[name].disabled for name in ("guarded", "per model", "alias")] == [True] * 3
    # A second run closes nothing: what an operator opened meanwhile stays open.
    change_key(SYSTEM, keys["alias"], disabled=False)
    again = report(run("litellm", more, "--write", "--json", "--salt-key", "env:SALT_KEY"))
    assert closed(again, table) == {}
    assert not Key.objects.get(name="alias").disabled


def test_accepted_loss_leaves_a_key_open(more: Path) -> None:
    lost = "LiteLLM_VerificationToken.metadata.guardrails"
    options = ("--salt-key", "env:SALT_KEY", "--accept", lost)
    completed = run("litellm", more, "--write", *options)
    assert not Key.objects.get(name="guarded").disabled
    assert Key.objects.get(name="alias").disabled
    assert f"Restrictions that are lost, as accepted\n  {lost}" in completed
    with pytest.raises(CommandError, match="no such restriction"):
        run("litellm", more, "--salt-key", "env:SALT_KEY", "--accept", "keys.nothing")


def test_litellm_prices_come_from_the_old_hub(more: Path, tmp_path: Path) -> None:
    price_map = tmp_path / "map.json"
    price_map.write_text(
        '{"openai/in-the-map": {"mode": "chat", "input_cost_per_token": 2e-06,'
        ' "output_cost_per_token": 8e-06}}'
    )
    set_price(SYSTEM, "gpt-4o", clock.now(), {"meters": {"in_text": 7}}, source="test")
    options = ("--salt-key", "env:SALT_KEY", "--price-map", str(price_map))
    completed = run("litellm", more, "--write", *options)
    versions = PriceVersion.objects.filter(source="import: litellm").select_related("price")
    rates = {version.price.model: version.rates["meters"] for version in versions}
    assert rates["mapped"] == {"in_text": 2 * 10**9, "out_text": 8 * 10**9}
    assert rates["our-own"] == {"in_text": 7}, "of the model behind"
    assert "brand-new" not in rates
    [unpriced] = [line for line in completed.splitlines() if "prices: no price:" in line]
    assert "brand-new" in unpriced
    assert "mapped" not in unpriced
    assert "Until then requests get 402" in completed
    with pytest.raises(CommandError, match="no list of prices"):
        run("litellm", more, "--price-map", str(more))
    with pytest.raises(CommandError, match="only LiteLLM"):
        run("new-api", more, "--price-map", str(price_map))


_CODES = """CREATE TABLE redemptions (id integer PRIMARY KEY, user_id integer, key char(32),
    status integer DEFAULT 1, name text, quota integer DEFAULT 100, created_time integer,
    redeemed_time integer, used_user_id integer, deleted_at datetime, expired_time integer)"""
_CODE_ROWS = """INSERT INTO redemptions (id, key, status, name, quota, expired_time) VALUES
    (1, '00000000000000000000000000000001', 1, 'gift', 500000, 0),
    (2, '00000000000000000000000000000002', 1, 'gift', 500000, 0),
    (3, '00000000000000000000000000000003', 3, 'gift', 500000, 0),
    (4, '00000000000000000000000000000004', 1, 'old', 500000, 1700000000),
    (5, 'of another form', 1, 'odd', 250000, 0)"""


def test_unused_codes_can_be_redeemed_here_once(tmp_path: Path) -> None:
    message = report(
        run("new-api", sqlite_file("new-api", tmp_path, _CODES, _CODE_ROWS), "--write", "--json")
    )
    assert CodeBatch.objects.get().count == 2
    assert skipped(message, "redemptions") == {
        "3": "the code was used or turned off",
        "4": "the code has expired",
        "5": "money that is left behind: not the form of a code (0.50 USD)",
    }
    ming = organisation("小明")
    assert redeem(SYSTEM, ming, "0" * 31 + "1").amount_nano == 10**9
    for text in ("0" * 31 + "1", "0" * 31 + "3"):
        with pytest.raises(CodeRefused):
            redeem(SYSTEM, ming, text)
    later = tmp_path / "later"
    later.mkdir()
    again = sqlite_file(
        "new-api", later, _CODES, _CODE_ROWS,
        "INSERT INTO redemptions (id, key, status, name, quota, expired_time) VALUES"
        " (6, '00000000000000000000000000000006', 1, 'gift', 500000, 0)",
    )  # fmt: skip
    message = report(run("new-api", again, "--write", "--json"))
    assert message["tables"]["redemptions"]["imported"] == 1
    assert message["tables"]["redemptions"]["here_before"] == 2
    assert redeem(SYSTEM, ming, "0" * 31 + "6").amount_nano == 10**9
    assert_books_balance()


def test_running_subscription_is_listed_as_money(tmp_path: Path) -> None:
    message = report(
        run(
            "new-api",
            sqlite_file(
                "new-api", tmp_path,
                "CREATE TABLE user_subscriptions (id integer, user_id integer, status text,"
                " amount_total integer, amount_used integer, end_time integer)",
                "INSERT INTO user_subscriptions VALUES (1, 2, 'active', 1000000, 250000, 1)",
            ),
            "--json",
        )
    )  # fmt: skip
    assert "1.50 USD left" in skipped(message, "user_subscriptions")["1"]


@pytest.mark.parametrize(
    ("change", "table", "id", "restriction"),
    [
        ("ALTER TABLE tokens ADD COLUMN max_tokens_per_day integer", "tokens", "1", ""),
        ("UPDATE tokens SET `group` = 'svip' WHERE id = 1", "tokens", "1",
         "tokens.group (not open to its user)"),
        ("ALTER TABLE users ADD COLUMN frozen_until integer", "users", "2", ""),
        ("ALTER TABLE channels ADD COLUMN rpm integer", "channels", "1", ""),
        ("UPDATE channels SET open_ai_organization = 'org' WHERE id = 1", "channels", "1",
         "channels.open_ai_organization"),
        ("INSERT INTO options VALUES ('SensitiveWords', 'a word')", "users", "2",
         "options.SensitiveWords"),
    ],
)  # fmt: skip
def test_unsupported_restriction_is_imported_closed(
    tmp_path: Path, change: str, table: str, id: str, restriction: str
) -> None:
    changes = [change]
    if change.startswith("ALTER"):
        column = change.split()[5]
        changes.append(f"UPDATE {table} SET {column} = 7 WHERE id = {id}")
        restriction = f"{table}.{column}"
    message = report(
        run("new-api", sqlite_file("new-api", tmp_path, *changes), "--write", "--json")
    )
    assert restriction in closed(message, table)[id]
    ming = organisation("小明")
    by_table = {
        "tokens": lambda: Key.objects.get(name="laptop (1)").disabled,
        "users": lambda: ming.suspended_at is not None,
        "channels": lambda: not Channel.objects.get(name="main (1)").enabled,
    }
    assert by_table[table]()


def test_users_request_rates(tmp_path: Path) -> None:
    changes = [
        f"INSERT INTO options VALUES ('ModelRequestRateLimit{name}', '{value}')"
        for name, value in {
            "Enabled": "true", "Count": "0", "SuccessCount": "100", "DurationMinutes": "2",
            "Group": '{"vip": [30, 20]}',
        }.items()
    ]  # fmt: skip
    run("new-api", sqlite_file("new-api", tmp_path, *changes), "--write")
    assert (organisation("小明").rpm, organisation("owes").rpm) == (10, 50)


def test_other_existing_models_are_not_opened(new_api: Path) -> None:
    create_channel(
        SYSTEM, "ours", {"provider": "openai", "keys": ("sk-ours",), "models": {"our-secret": ""}}
    )
    run("new-api", new_api, "--write")
    on_plans = OrganisationPlan.objects.values_list("organisation_id", flat=True)
    assert set(on_plans) == set(Organisation.objects.values_list("id", flat=True))
    for plan in Plan.objects.all():
        assert plan.model_patterns
        assert not any(matches(pattern, "our-secret") for pattern in plan.model_patterns)
