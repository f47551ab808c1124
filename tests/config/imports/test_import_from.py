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

from accounts import actors
from accounts.actors import SYSTEM
from accounts.models import AuditEvent, Key, Membership, Organisation
from accounts.organisations import create_organisation, rename_organisation
from billing.models import Budget, OrganisationPlan, Plan, PriceVersion, TeamPlan
from billing.wallets import balance, credit_line
from config.models import ImportedRow
from gateway.channels import open_secret
from gateway.installation import save_settings
from gateway.models import Channel
from tests.books import assert_books_balance
from tests.config.imports.databases import (
    LITELLM_KEY,
    LITELLM_PERSONAL_KEY,
    LITELLM_SALT_KEY,
    NEW_API_KEY,
    ONE_API_KEY,
    litellm_dump,
    run,
    sqlite_file,
)
from tests.databases import own_database

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loopback() -> None:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])


@pytest.fixture
def new_api(tmp_path: Path) -> Path:
    return sqlite_file("new-api", tmp_path)


def report(told: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(told)
    return read


def organisation(name: str) -> Organisation:
    return Organisation.objects.get(name=name)


def skipped(told: dict[str, Any], table: str) -> dict[str, str]:
    """Id -> why."""
    return {
        row["id"]: entry["reason"]
        for entry in told["tables"][table]["skipped"]
        for row in entry["rows"]
    }


def notes(told: dict[str, Any], table: str) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for entry in told["tables"][table]["notes"]:
        for row in entry["rows"]:
            said.setdefault(row["id"], []).append(entry["reason"])
    return said


def test_without_write_everything_is_told_and_nothing_is_changed(new_api: Path) -> None:
    events = AuditEvent.objects.count()
    told = run("new-api", new_api)
    assert "Nothing was written" in told
    assert "1001235467 quota" not in told
    assert "users" in told
    assert not ImportedRow.objects.exists()
    assert not Organisation.objects.exists()
    assert not Channel.objects.exists()
    assert AuditEvent.objects.count() == events


@pytest.mark.extended
def test_users_become_organisations_with_equal_balances(new_api: Path) -> None:
    told = report(run("new-api", new_api, "--write", "--json"))
    # 1 unit of quota is 2,000 nano: to the last unit, below zero too.
    assert balance(organisation("Root User")).available_nano == 1_000_000_000 * 2000
    assert balance(organisation("小明")).available_nano == 1_234_567 * 2000
    owes = balance(organisation("owes"))
    assert (owes.available_nano, owes.debt_nano) == (0, 17 * 2000)
    assert balance(organisation("Switched Off")).available_nano == 900 * 2000
    assert told["balances"] == {
        "peer_total": "1001235490 quota at 500000 per USD",
        "peer": "2002.47098",
        "left_behind": "0.00008",
        "rounded": "0.00",
        "here": "2002.4709",
        "difference": "0.00",
    }
    assert skipped(told, "users") == {"5": "the account was deleted"}
    assert organisation("Switched Off").suspended_reason == "Disabled in New API."
    members = Membership.objects.values_list("organisation__name", "user__email", "role")
    assert set(members) == {
        ("小明", "ming@example.org", "owner"),
        ("owes", "owes@example.org", "owner"),
        ("Switched Off", "off@example.org", "owner"),
    }
    assert notes(told, "users")["1"] == [
        "no email address: nobody is in its organisation",
        "an administrator there; not an operator here",
    ]
    assert_books_balance()


@pytest.mark.extended
def test_keys_keep_their_secrets_and_limits(new_api: Path) -> None:
    told = report(run("new-api", new_api, "--write", "--json"))
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
    assert skipped(told, "tokens") == {"7": "its user is not imported"}
    hostile = Key.objects.get(organisation=organisation("Root User"), kind="relay")
    assert hostile.name == "<script>alert(1)</script>"
    assert hostile.disabled, "where it may be used from cannot be read"
    assert told["tables"]["tokens"]["columns_left"]["used_quota"] == 1


@pytest.mark.extended
def test_groups_become_plans_and_a_key_of_another_group_gets_a_team(new_api: Path) -> None:
    told = report(run("new-api", new_api, "--write", "--json"))
    plans = {plan.name: plan for plan in Plan.objects.all()}
    assert {name: plan.multiplier_ppm for name, plan in plans.items()} == {
        "default": 1_000_000,
        "vip": 800_000,
    }
    assert plans["vip"].model_patterns == ["claude-sonnet-4-5", "gpt-4o-mini", "house-model"]
    ming = organisation("小明")
    assert OrganisationPlan.objects.get(organisation=ming).plan == plans["vip"]
    cheap = Key.objects.get(organisation=ming, name="cheap")
    assert cheap.team.name == "default"
    assert TeamPlan.objects.get(team=cheap.team).plan == plans["default"]
    assert skipped(told, "groups") == {"svip": "nobody is in it"}


@pytest.mark.extended
def test_channels_go_through_the_checks_that_every_channel_does(new_api: Path) -> None:
    told = report(run("new-api", new_api, "--write", "--json"))
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
    why = skipped(told, "channels")
    assert why["3"] == "Weir has no provider for Baidu (type 15)"
    # The relay asks nothing at an inside address, whoever wrote it down.
    assert "169.254.169.254 is not public" in notes(told, "channels")["4"][0]
    assert told["tables"]["channels"]["columns_left"]["tag"] == 1


@pytest.mark.extended
def test_prices_are_those_of_the_ratios_exactly(new_api: Path) -> None:
    told = report(run("new-api", new_api, "--write", "--json"))
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
    assert list(skipped(told, "prices")) == ["deepseek-chat"]
    assert skipped(told, "options") == {"SMTPToken": "settings of the program itself"}


@pytest.mark.extended
def test_report_names_what_is_left_behind_and_shows_no_secret(new_api: Path) -> None:
    told = run("new-api", new_api)
    for left in ("logs: 2 rows", "users.aff_quota: in 1 rows", "users.access_token: in 1 rows"):
        assert left in told
    assert "difference   0.00 USD" in told
    both = told + run("new-api", new_api, "--json")
    for secret in (NEW_API_KEY[3:], "sk-upstream-one", "a secret of the mail server", "$2a$"):
        assert secret not in both


@pytest.mark.extended
def test_second_run_changes_nothing_whatever_was_renamed_meanwhile(
    new_api: Path, tmp_path: Path
) -> None:
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
    told = report(run("new-api", again, "--write", "--json"))
    after = AuditEvent.objects.count(), ImportedRow.objects.count(), PriceVersion.objects.count()
    assert after == before
    assert {name: table["imported"] for name, table in told["tables"].items()} == dict.fromkeys(
        told["tables"], 0
    )
    assert told["tables"]["users"]["here_before"] == 4
    assert told["balances"]["difference"] == "0.00"


@pytest.mark.extended
def test_what_is_new_there_comes_with_the_next_run(new_api: Path, tmp_path: Path) -> None:
    run("new-api", new_api, "--write")
    later = tmp_path / "later"
    later.mkdir()
    grown = sqlite_file(
        "new-api", later,
        "INSERT INTO tokens (id, user_id, key, status, name, expired_time, unlimited_quota)"
        " VALUES (9, 2, 'anotheranotheranotheranotheranother0000000000001', 1, 'new', -1, 1)",
    )  # fmt: skip
    told = report(run("new-api", grown, "--write", "--json"))
    assert told["tables"]["tokens"]["imported"] == 1
    assert Key.objects.get(name="new").organisation == organisation("小明")


@pytest.mark.extended
def test_another_installation_under_the_same_name_is_refused_whole(
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
    told = report(run("new-api", other, "--write", "--json", "--name", "second"))
    assert told["tables"]["users"]["imported"] == 4
    assert Plan.objects.filter(name="vip (second)").exists()


@pytest.mark.extended
def test_what_is_here_already_stays_as_it_is(new_api: Path) -> None:
    there = create_organisation("小明", owner=None, actor=SYSTEM)
    told = report(run("new-api", new_api, "--write", "--json"))
    assert told["tables"]["users"]["imported"] == 4
    assert Organisation.objects.filter(name="小明").count() == 2
    assert not there.keys.filter(kind="relay").exists()
    assert balance(there).available_nano == 0


@pytest.mark.extended
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
def test_hostile_values_are_refused_by_name_and_the_rest_comes(
    tmp_path: Path, change: str, table: str, id: str, reason: str
) -> None:
    told = report(run("new-api", sqlite_file("new-api", tmp_path, change), "--write", "--json"))
    assert reason in skipped(told, table)[id]
    assert told["tables"]["users"]["imported"] >= 3
    assert told["balances"]["difference"] == "0.00"
    assert_books_balance()


@pytest.mark.extended
def test_one_api(tmp_path: Path) -> None:
    told = report(run("one-api", sqlite_file("one-api", tmp_path), "--write", "--json"))
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
    assert not Plan.objects.exists(), "one group that changes nothing"
    assert told["tables_left"] == {"redemptions": 1}
    assert told["balances"]["difference"] == "0.00"
    assert_books_balance()


@pytest.mark.parametrize(
    ("peer", "of", "words"),
    [("one-api", "new-api", "database of New API"), ("new-api", "one-api", "database of One API")],
)
def test_database_of_the_other_program_is_refused(
    tmp_path: Path, peer: str, of: str, words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        run(peer, sqlite_file(of, tmp_path), "--write")


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
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


@pytest.mark.extended
def test_litellm_organizations_teams_people_and_budgets(litellm: Path) -> None:
    told = report(run("litellm", litellm, "--write", "--json", "--salt-key", "env:SALT_KEY"))
    # What may still be spent for good is the balance, to the last digit of the float.
    acme = organisation("Acme")
    assert balance(acme).available_nano == 100_376_543_211
    assert credit_line(acme) == 0
    # Without a budget nothing ends it there: it pays later here.
    for name in ("Öffen", "LiteLLM"):
        assert balance(organisation(name)).available_nano == 0
        assert credit_line(organisation(name)) == 10**15
    assert told["balances"]["difference"] == "0.00"
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
    assert app.model_patterns == ["house-model", "gpt-*"], "its team's"
    assert (personal.rpm, personal.tpm) == (60, 5000)
    narrow = Key.objects.get(name="narrow")
    assert narrow.disabled, "a limit of it has no place here"
    assert narrow.model_patterns == ["house-model"], "what its team may ask, too"
    assert skipped(told, "LiteLLM_TeamTable") == {
        "team-lost": "it is blocked, and its keys with it"
    }
    assert_books_balance()


@pytest.mark.extended
def test_litellm_keys_open_with_their_text(litellm: Path) -> None:
    run("litellm", litellm, "--write", "--salt-key", "env:SALT_KEY")
    for text, name in (
        (LITELLM_KEY, "app (3c5bd9929f5a49cc)"),
        (LITELLM_PERSONAL_KEY, "sk-...6789"),
    ):
        found = actors.key_actor(text)
        assert found is not None
        assert found.key is not None
        assert found.key.name == name
    before = AuditEvent.objects.count(), ImportedRow.objects.count()
    run("litellm", litellm, "--write", "--salt-key", "env:SALT_KEY")
    assert (AuditEvent.objects.count(), ImportedRow.objects.count()) == before


@pytest.mark.extended
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
    told = run("litellm", litellm, "--write", "--salt-key", "env:SALT_KEY")
    channels = {channel.name: channel for channel in Channel.objects.all()}
    assert {name: channel.enabled for name, channel in channels.items()} == {
        "house-model": True,
        "claude-sonnet-4-5": False,
        "deepseek-chat": False,
    }
    assert [open_secret(key) for key in channels["house-model"].keys.all()] == ["sk-upstream-one"]
    assert "Weir has no provider for 'bedrock'" in told
    assert "sk-upstream-one" not in told
    version = PriceVersion.objects.get(source="import: litellm")
    assert version.rates["meters"] == {"in_text": 150_000_000, "out_text": 600_000_000}


def test_salt_key_is_litellms_and_stands_in_the_environment(new_api: Path, litellm: Path) -> None:
    with pytest.raises(CommandError, match="only LiteLLM"):
        run("new-api", new_api, "--salt-key", "env:SALT_KEY")
    with pytest.raises(CommandError, match="env:NAME"):
        run("litellm", litellm, "--salt-key", "sk-in-the-open")
    with pytest.raises(CommandError, match="not set"):
        run("litellm", litellm, "--salt-key", "env:NOT_THERE_AT_ALL")
    with pytest.raises(CommandError, match="no database of LiteLLM"):
        run("litellm", new_api)


def test_running_postgres_where_a_column_of_fixed_width_pads_the_keys() -> None:
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
        told = report(run("one-api", address, "--write", "--json"))
    assert balance(organisation("ping")).available_nano == 7 * 2000
    assert actors.key_actor("sk-a-short-key-of-an-early-version") is not None
    assert told["tables_left"] == {"logs": 0}
