"""P32: an import opens nothing. For old hubs made at random, what each key may ask for afterwards,
and what it may spend, is compared with what the old program's own rules said."""

import datetime as dt
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.currency.money import NANO_PER_USD
from billing.prices.name_patterns import matches
from billing.prices.price_list import PriceListRead
from extensions.import_hubs.converted import Budget, Converted, Key, Organisation
from extensions.import_hubs.databases import Database
from extensions.import_hubs.litellm import litellm
from extensions.import_hubs.litellm.columns import COLUMNS as LITELLM_COLUMNS
from extensions.import_hubs.litellm.columns import WHOLE_HUB
from extensions.import_hubs.new_api import hubs as quota_hubs
from extensions.import_hubs.new_api.columns import COLUMNS as QUOTA_COLUMNS
from extensions.import_hubs.report import Row

NOW = dt.datetime(2026, 11, 15, 12, tzinfo=dt.UTC)
MODELS = ("gpt-4o", "gpt-4o-mini", "claude", "house")
# What is here besides, under a name that the old hub has not.
ELSEWHERE = "here-before"
TEAMS, USERS, ORGANIZATIONS = ("t1", "t2"), ("u1", "u2"), ("o1",)
Rows = dict[str, list[dict[str, Any]]]


# What holds afterwards --------------------------------------------------------------------------


class Home(NamedTuple):
    organisation: Organisation
    key: Key


def homes(converted: Converted) -> list[Home]:
    return [Home(each, key) for each in converted.organisations for key in each.keys]


def is_closed(home: Home) -> bool:
    key, organisation = home.key, home.organisation
    suspended = organisation.suspended or organisation.closed
    return bool(key.disabled or key.closed or suspended or _team(home).closed)


def may_ask(converted: Converted, home: Home, model: str) -> bool:
    """By the rules of the relay: the key's list, the plan of its team, else of its organisation,
    and a channel that serves its plan and team."""
    if is_closed(home):
        return False
    plans = {plan.origin: plan for plan in converted.plans}
    origin = _team(home).plan or home.organisation.plan
    listed = [home.key.models, plans[origin].models if origin else ()]
    if not all(not names or any(matches(name, model) for name in names) for names in listed):
        return False
    return model == ELSEWHERE or any(
        model in channel.models
        and not channel.closed
        and (not channel.plans or origin in channel.plans)
        and (not channel.teams or _team(home).origin in channel.teams)
        for channel in converted.channels
    )


def _team(home: Home) -> Any:
    named = [team for team in home.organisation.teams if team.name == home.key.team]
    return named[0] if named else _NO_TEAM


class _NoTeam(NamedTuple):
    origin: None = None
    plan: None = None
    closed: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()


_NO_TEAM = _NoTeam()


def left_nano(home: Home) -> int | None:
    """What a key may still spend now; None = no end."""
    people = [m for m in home.organisation.members if m.email == home.key.email]
    budgets = [
        *home.key.budgets,
        *_team(home).budgets,
        *home.organisation.budgets,
        *(budget for person in people for budget in person.budgets),
    ]
    lefts = [max(budget.amount_nano - budget.spent_nano, 0) for budget in budgets]
    if home.organisation.credit_line_nano == 0:
        lefts.append(max(home.organisation.balance_nano, 0))
    return min(lefts, default=None)


def is_at_most(after: int | None, before: int | None) -> bool:
    return before is None or (after is not None and after <= before)


# LiteLLM ----------------------------------------------------------------------------------------

_NAMES = st.lists(
    st.sampled_from([*MODELS, "gpt-*", "group", "all-proxy-models", "no-default-models"]),
    max_size=2,
    unique=True,
)
_USD = st.one_of(st.none(), st.integers(0, 5))
_RESET = st.sampled_from([None, "2026-11-16 00:00:00", "2026-11-01 00:00:00"])
_LIMITS = st.fixed_dictionaries(
    {
        "max_budget": _USD,
        "spend": st.integers(0, 4),
        "budget_duration": st.sampled_from([None, "1d", "30d", "3d"]),
        "budget_reset_at": _RESET,
    }
)


@st.composite
def litellm_hubs(draw: st.DrawFn) -> Rows:
    rows: Rows = {table: [] for table in (*LITELLM_COLUMNS, *WHOLE_HUB)}
    for n, (name, owner) in enumerate(
        draw(st.lists(st.tuples(st.sampled_from(MODELS), st.sampled_from([None, *TEAMS]))))
    ):
        info: dict[str, Any] = {"access_groups": draw(st.sampled_from([[], ["group"]]))}
        if owner:
            info |= {"team_id": owner, "team_public_model_name": name}
        rows["LiteLLM_ProxyModelTable"].append(
            {
                "model_id": f"m{n}",
                "model_name": f"model_name_{owner}_{n}" if owner else name,
                "litellm_params": {"model": f"openai/{name}", "api_key": "sk-x"},
                "model_info": info,
            }
        )
    for number in range(2):
        rows["LiteLLM_BudgetTable"].append(
            {
                "budget_id": f"b{number}",
                "max_budget": draw(_USD),
                "allowed_models": draw(st.lists(st.sampled_from(MODELS), max_size=1)),
            }
        )
    budget = st.sampled_from([None, "b0", "b1"])
    for id in ORGANIZATIONS:
        rows["LiteLLM_OrganizationTable"].append(
            {"organization_id": id, "organization_alias": id, "models": draw(_NAMES),
             "budget_id": draw(budget), "spend": draw(st.integers(0, 4))}
        )  # fmt: skip
    for id in TEAMS:
        members = draw(st.lists(st.sampled_from(USERS), unique=True))
        metadata = {"team_member_budget_id": draw(budget)}
        rows["LiteLLM_TeamTable"].append(
            {"team_id": id, "team_alias": id, "models": draw(_NAMES), **draw(_LIMITS),
             "organization_id": draw(st.sampled_from([None, *ORGANIZATIONS])),
             "members_with_roles": [{"user_id": user, "role": "user"} for user in members],
             "metadata": metadata, "blocked": draw(st.booleans())}
        )  # fmt: skip
        for user in draw(st.lists(st.sampled_from(USERS), unique=True)):
            rows["LiteLLM_TeamMembership"].append(
                {"user_id": user, "team_id": id, "spend": draw(st.integers(0, 4)),
                 "budget_id": draw(budget)}
            )  # fmt: skip
    for user in USERS:
        email = draw(st.sampled_from([None, f"{user}@example.org"]))
        rows["LiteLLM_UserTable"].append(
            {"user_id": user, "user_email": email, "models": draw(_NAMES), **draw(_LIMITS),
             "teams": [], "user_role": "internal_user"}
        )  # fmt: skip
    for n in range(draw(st.integers(1, 4))):
        closing: dict[str, Any] = draw(
            st.sampled_from([{}, {"aliases": {"a": "b"}}, {"unheard_of": "x"}])
        )
        rows["LiteLLM_VerificationToken"].append(
            {"token": sha256(str(n).encode()).hexdigest(), "key_alias": f"k{n}",
             "models": draw(_NAMES), **draw(_LIMITS),
             "user_id": draw(st.sampled_from([None, *USERS])),
             "team_id": draw(st.sampled_from([None, *TEAMS])),
             "blocked": draw(st.sampled_from([None, False, True])), "metadata": {}, **closing}
        )  # fmt: skip
    return rows


class OldLiteLLM:
    """What LiteLLM 1.110 lets a key do (its proxy/auth/auth_checks.py, read by hand)."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.models = rows["LiteLLM_ProxyModelTable"]

    def one(self, table: str, **named: Any) -> dict[str, Any]:
        results = [r for r in self.rows[table] if all(r.get(k) == v for k, v in named.items())]
        return results[0] if results else {}

    def deployments(self, model: str, team: str | None) -> list[dict[str, Any]]:
        return [
            row
            for row in self.models
            if (row["model_info"].get("team_public_model_name") or row["model_name"]) == model
            and row["model_info"].get("team_id") in (None, team)
        ]

    def allows(self, names: list[str], model: str, team: str | None) -> bool:
        if not names or "all-proxy-models" in names:
            return True
        groups = {
            g for r in self.deployments(model, team) for g in r["model_info"]["access_groups"]
        }
        return any(name in groups or matches(name, model) for name in names)

    def may_ask(self, key: dict[str, Any], model: str) -> bool:
        team, user = key["team_id"], key["user_id"]
        team_row = self.one("LiteLLM_TeamTable", team_id=team) if team else {}
        if key["blocked"] or team_row.get("blocked") or not self.deployments(model, team):
            return False
        lists = [key["models"], team_row.get("models", [])]
        organization = team_row.get("organization_id")
        if organization:
            named = self.one("LiteLLM_OrganizationTable", organization_id=organization)
            lists.append(named["models"])
        if user and not team:
            lists.append(self.one("LiteLLM_UserTable", user_id=user)["models"])
            if "no-default-models" in lists[-1]:
                return False
        if user and team:
            member = self.one("LiteLLM_TeamMembership", user_id=user, team_id=team)
            lists.append(self.budget(member.get("budget_id")).get("allowed_models", []))
        return all(self.allows(names, model, team) for names in lists)

    def budget(self, id: str | None) -> dict[str, Any]:
        return self.one("LiteLLM_BudgetTable", budget_id=id) if id else {}

    def left_nano(self, key: dict[str, Any]) -> int | None:
        team, user = key["team_id"], key["user_id"]
        team_row = self.one("LiteLLM_TeamTable", team_id=team) if team else {}
        lefts = [_left(key), _left(team_row)]
        organization = team_row.get("organization_id")
        if organization:
            row = self.one("LiteLLM_OrganizationTable", organization_id=organization)
            lefts.append(_left({**self.budget(row["budget_id"]), "spend": row["spend"]}))
        if user and not team:
            lefts.append(_left(self.one("LiteLLM_UserTable", user_id=user)))
        if user and team:
            member = self.one("LiteLLM_TeamMembership", user_id=user, team_id=team)
            own = self.budget(member.get("budget_id"))
            default = self.budget(team_row["metadata"]["team_member_budget_id"])
            most = own.get("max_budget")
            if most is None and default.get("max_budget"):
                most = default["max_budget"]
            lefts.append(_left({"max_budget": most, "spend": member.get("spend", 0)}))
        known = [left for left in lefts if left is not None]
        return min(known, default=None)


def _left(row: dict[str, Any]) -> int | None:
    if row.get("max_budget") is None:
        return None
    ended = row.get("budget_duration") and row.get("budget_reset_at") == "2026-11-01 00:00:00"
    spent = 0 if ended else row.get("spend", 0)
    return int(max(row["max_budget"] - spent, 0) * NANO_PER_USD)


def database(rows: Rows, defaults: Mapping[str, Mapping[str, object]] | None = None) -> Database:
    return Database({table: [*of_it] for table, of_it in rows.items()}, {}, defaults or {})


def convert_litellm(rows: Rows, accepted: frozenset[str] = frozenset()) -> Converted:
    return litellm.convert(database(rows), "", PriceListRead({}, {}, {}), accepted, NOW)


@given(litellm_hubs())
def test_litellm_keys_may_no_more_than_before(rows: Rows) -> None:
    old, converted = OldLiteLLM(rows), convert_litellm(rows)
    by_id = {key["token"][:16]: key for key in rows["LiteLLM_VerificationToken"]}
    for home in homes(converted):
        before = by_id[home.key.origin.id]
        for model in (*MODELS, ELSEWHERE):
            if may_ask(converted, home, model):
                assert old.may_ask(before, model), (before, model)
        if not is_closed(home):
            assert is_at_most(left_nano(home), old.left_nano(before)), before
            assert not before.get("aliases")
            assert not before.get("unheard_of")


@given(litellm_hubs())
def test_litellm_people_are_billed_to_their_own_organization(rows: Rows) -> None:
    teams = {row["team_id"]: row["organization_id"] for row in rows["LiteLLM_TeamTable"]}
    tokens = {key["token"][:16]: key for key in rows["LiteLLM_VerificationToken"]}
    for home in homes(convert_litellm(rows)):
        payer = teams.get(tokens[home.key.origin.id]["team_id"])
        assert home.organisation.origin.id == (payer or "(none)")


@given(litellm_hubs())
def test_litellm_limits_of_a_person_are_not_multiplied(rows: Rows) -> None:
    """Over all organisations, and over all keys that are nobody's because their person may have
    none here."""
    converted = convert_litellm(rows)
    tokens = {key["token"][:16]: key for key in rows["LiteLLM_VerificationToken"]}
    for row in rows["LiteLLM_UserTable"]:
        most = _left(row)
        keys = [
            min((max(b.amount_nano - b.spent_nano, 0) for b in home.key.budgets), default=10**18)
            for home in homes(converted)
            if not home.key.email and tokens[home.key.origin.id]["user_id"] == row["user_id"]
        ]
        assert most is None or sum(keys) <= most
        parts = [
            min((max(b.amount_nano - b.spent_nano, 0) for b in member.budgets), default=0)
            for organisation in converted.organisations
            for member in organisation.members
            if member.email == row["user_email"]
        ]
        if most is not None:
            assert sum(parts) <= most


# New API ----------------------------------------------------------------------------------------

GROUPS = ("default", "vip", "inner")


@st.composite
def quota_hubs_at_random(draw: st.DrawFn) -> Rows:
    rows: Rows = {table: [] for table in QUOTA_COLUMNS}
    group = st.sampled_from(GROUPS)
    for n in range(draw(st.integers(0, 4))):
        served = draw(st.lists(st.sampled_from(MODELS), min_size=1, unique=True))
        groups = draw(st.lists(group, max_size=3, unique=True))
        rows["channels"].append(
            {"id": n, "type": 1, "name": f"c{n}", "key": "sk-x", "status": draw(st.integers(1, 3)),
             "models": ",".join(served), "group": ",".join(groups),
             **draw(st.sampled_from([{}, {"unheard_of": 1}]))}
        )  # fmt: skip
    for n in range(draw(st.integers(1, 3))):
        rows["users"].append(
            {"id": n, "username": f"u{n}", "status": draw(st.integers(1, 2)), "group": draw(group),
             "quota": draw(st.integers(-5, 500)), **draw(st.sampled_from([{}, {"new": "x"}]))}
        )  # fmt: skip
    for n in range(draw(st.integers(1, 4))):
        limited = draw(st.lists(st.sampled_from(MODELS), unique=True))
        rows["tokens"].append(
            {"id": n, "user_id": draw(st.integers(0, len(rows["users"]) - 1)), "name": f"k{n}",
             "key": str(n) * 48, "status": draw(st.integers(1, 4)), "expired_time": -1,
             "unlimited_quota": draw(st.booleans()), "remain_quota": draw(st.integers(-1, 9)),
             "model_limits_enabled": draw(st.booleans()), "model_limits": ",".join(limited),
             "allow_ips": draw(st.sampled_from(["", "10.0.0.1", "x"])),
             "group": draw(st.sampled_from(["", "auto", *GROUPS]))}
        )  # fmt: skip
    options = {
        "GroupRatio": '{"default": 1, "vip": 2}',
        "UserUsableGroups": draw(st.sampled_from(['{"default": ""}', '{"vip": "", "inner": ""}'])),
        "AutoGroups": draw(st.sampled_from(['["default"]', '["default", "vip"]'])),
        "group_ratio_setting.group_special_usable_group": draw(
            st.sampled_from(["{}", '{"vip": {"+:vip": "", "-:default": ""}}'])
        ),
        "SensitiveWords": draw(st.sampled_from(["", "a word"])),
    }
    rows["options"] = [{"key": key, "value": value} for key, value in options.items()]
    return rows


class OldNewApi:
    """What New API lets a token do (its middleware/auth.go and service/group.go, read by hand)."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.options = {row["key"]: row["value"] for row in rows["options"]}

    def usable(self, group: str) -> set[str]:
        usable = {name for name in GROUPS if f'"{name}"' in self.options["UserUsableGroups"]}
        if (
            group == "vip"
            and "vip" in self.options["group_ratio_setting.group_special_usable_group"]
        ):
            usable = (usable | {"vip"}) - {"default"}
        return usable

    def groups_of(self, token: dict[str, Any]) -> list[str]:
        own = self.rows["users"][token["user_id"]]["group"]
        if token["group"] == "auto":
            usable = self.usable(own)
            return [g for g in GROUPS if f'"{g}"' in self.options["AutoGroups"] and g in usable]
        if not token["group"]:
            return [own]
        known = token["group"] in ("default", "vip")
        return [token["group"]] if known and token["group"] in self.usable(own) else []

    def may_ask(self, token: dict[str, Any], model: str) -> bool:
        if token["status"] != 1 or self.rows["users"][token["user_id"]]["status"] != 1:
            return False
        if token["model_limits_enabled"] and model not in token["model_limits"].split(","):
            return False
        groups = self.groups_of(token)
        return any(
            channel["status"] == 1
            and model in channel["models"].split(",")
            and set(groups) & set(channel["group"].split(","))
            for channel in self.rows["channels"]
        )

    def left_nano(self, token: dict[str, Any]) -> int:
        left: int = max(self.rows["users"][token["user_id"]]["quota"], 0)
        if not token["unlimited_quota"]:
            left = min(left, max(token["remain_quota"], 0))
        return left * 2000


@given(quota_hubs_at_random())
def test_tokens_of_new_api_may_no_more_than_before(rows: Rows) -> None:
    old = OldNewApi(rows)
    converted = quota_hubs.convert("new-api", database(rows), frozenset(), NOW)
    by_id = {str(token["id"]): token for token in rows["tokens"]}
    for home in homes(converted):
        before = by_id[home.key.origin.id]
        assert home.organisation.origin.id == str(before["user_id"]), "who pays"
        for model in (*MODELS, ELSEWHERE):
            if may_ask(converted, home, model):
                assert old.may_ask(before, model), (before, model)
        if not is_closed(home):
            assert is_at_most(left_nano(home), old.left_nano(before)), before
            assert before["allow_ips"] != "x"
            assert not old.options["SensitiveWords"]
            assert "new" not in rows["users"][before["user_id"]]


# Columns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "of"),
    [
        ("LiteLLM_VerificationToken", "key"), ("LiteLLM_TeamTable", "key"),
        ("LiteLLM_UserTable", "key"), ("LiteLLM_TeamMembership", "key"),
        ("LiteLLM_BudgetTable", "key"), ("LiteLLM_OrganizationTable", "key"),
        ("LiteLLM_ObjectPermissionTable", "key"), ("LiteLLM_ProxyModelTable", "channel"),
        ("LiteLLM_EndUserTable", "key"), ("LiteLLM_PolicyAttachmentTable", "key"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["anything", 5, True, ["x"], {"a": "b"}, '{"a": 1}'])
def test_unknown_column_closes_the_key(table: str, of: str, value: object) -> None:
    rows = small_litellm()
    [home] = homes(convert_litellm(rows))
    assert not is_closed(home)
    assert may_ask(convert_litellm(rows), home, "gpt-4o")
    rows[table][0]["added_by_a_later_version"] = value
    converted = convert_litellm(rows)
    [home] = homes(converted)
    channels = converted.channels
    closed = is_closed(home) if of == "key" else bool(channels[0].closed)
    assert closed
    named = [*home.key.closed, *home.organisation.closed, *_team(home).closed, *channels[0].closed]
    assert f"{table}.added_by_a_later_version" in named
    assert not may_ask(converted, home, "gpt-4o")


def small_litellm() -> Rows:
    """One key of one member of one team, with all the tables around it."""
    rows: Rows = {table: [] for table in (*LITELLM_COLUMNS, *WHOLE_HUB)}
    rows["LiteLLM_ProxyModelTable"] = [
        {"model_id": "m", "model_name": "gpt-4o", "litellm_params": {"model": "openai/gpt-4o"}}
    ]
    rows["LiteLLM_BudgetTable"] = [{"budget_id": "b", "max_budget": 5}]
    rows["LiteLLM_ObjectPermissionTable"] = [{"object_permission_id": "p", "mcp_servers": ["x"]}]
    rows["LiteLLM_OrganizationTable"] = [
        {"organization_id": "o", "organization_alias": "O", "budget_id": "b", "spend": 0}
    ]
    rows["LiteLLM_TeamTable"] = [{"team_id": "t", "team_alias": "T", "organization_id": "o"}]
    rows["LiteLLM_UserTable"] = [{"user_id": "u", "user_email": "u@example.org", "teams": ["t"]}]
    rows["LiteLLM_TeamMembership"] = [{"user_id": "u", "team_id": "t", "budget_id": "b"}]
    rows["LiteLLM_VerificationToken"] = [
        {"token": "a" * 64, "key_alias": "k", "user_id": "u", "team_id": "t",
         "object_permission_id": "p", "metadata": {"tags": ["x"], "our note": "hello"}}
    ]  # fmt: skip
    rows["LiteLLM_EndUserTable"] = [{"user_id": "end", "spend": 3}]
    rows["LiteLLM_PolicyAttachmentTable"] = [{"attachment_id": "a"}]
    return rows


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("LiteLLM_VerificationToken", "aliases", {"gpt-4": "house"}),
        ("LiteLLM_VerificationToken", "metadata", {"guardrails": ["pii"]}),
        ("LiteLLM_VerificationToken", "metadata", {"model_rpm_limit": {"gpt-4o": 1}}),
        ("LiteLLM_VerificationToken", "metadata", {"model_tpm_limit": {"gpt-4o": 1}}),
        ("LiteLLM_VerificationToken", "metadata", {"my_budget_of_tuesdays": 5}),
        ("LiteLLM_VerificationToken", "metadata", "{"),
        ("LiteLLM_VerificationToken", "rpm_limit", 0),
        ("LiteLLM_VerificationToken", "allowed_routes", ["/key/info"]),
        ("LiteLLM_VerificationToken", "key_type", "management"),
        ("LiteLLM_VerificationToken", "access_group_ids", ["g"]),
        ("LiteLLM_UserTable", "metadata", {"scim_active": False}),
        ("LiteLLM_TeamTable", "metadata", {"guardrails": ["pii"]}),
        ("LiteLLM_ObjectPermissionTable", "blocked_tools", ["shell"]),
        ("LiteLLM_BudgetTable", "model_max_budget", {"gpt-4o": 1}),
        ("LiteLLM_GuardrailsTable", "litellm_params", {"default_on": True}),
        ("LiteLLM_Config", "general_settings", {"allowed_ips": ["10.0.0.1"]}),
    ],
)  # fmt: skip
def test_unsupported_restriction_closes_the_key(table: str, column: str, value: object) -> None:
    rows = small_litellm()
    if table == "LiteLLM_Config":
        rows[table] = [{"param_name": column, "param_value": value}]
    elif rows[table]:
        rows[table][0][column] = value
    else:
        rows[table] = [{column: value}]
    converted = convert_litellm(rows)
    [home] = homes(converted)
    assert is_closed(home)


def test_users_sharing_an_address_become_one_person_without_gain() -> None:
    rows = small_litellm()
    rows["LiteLLM_TeamTable"][0]["team_member_permissions"] = ["/key/generate"]
    rows["LiteLLM_UserTable"].append(
        {"user_id": "v", "user_email": "U@example.org", "teams": ["t"], "max_budget": 1}
    )
    [organisation] = convert_litellm(rows).organisations
    [person] = organisation.members
    assert [budget.amount_nano for budget in person.budgets] == [1 * NANO_PER_USD]
    assert person.role == "developer"


@pytest.mark.parametrize("permissions", [[], ["/key/generate"]])
def test_people_who_made_team_keys_there_can_here(permissions: list[str]) -> None:
    rows = small_litellm()
    rows["LiteLLM_TeamTable"][0]["team_member_permissions"] = permissions
    rows["LiteLLM_VerificationToken"].append(
        {"token": "b" * 64, "key_alias": "second", "user_id": "u", "team_id": "t"}
    )
    converted = convert_litellm(rows)
    [organisation] = converted.organisations
    [person] = organisation.members
    lefts = [left_nano(home) for home in homes(converted)]
    if permissions:
        assert person.role == "developer"
        assert {key.email for key in organisation.keys} == {"u@example.org"}
        assert lefts == [5 * NANO_PER_USD] * 2, "one budget, of the person"
    else:
        assert person.role == "viewer"
        assert {key.email for key in organisation.keys} == {""}
        assert lefts == [5 * NANO_PER_USD // 2] * 2, "a part for each key"


def test_owner_of_a_closed_key_cannot_open_it() -> None:
    rows = small_litellm()
    rows["LiteLLM_TeamTable"][0]["team_member_permissions"] = ["/key/generate"]
    rows["LiteLLM_VerificationToken"][0]["metadata"] = {"guardrails": ["pii"]}
    [organisation] = convert_litellm(rows).organisations
    assert [person.role for person in organisation.members] == ["viewer"]


def test_team_named_like_every_first_team_is_another() -> None:
    rows = small_litellm()
    rows["LiteLLM_TeamTable"][0]["team_alias"] = "Core"
    [organisation] = convert_litellm(rows).organisations
    assert [team.name for team in organisation.teams] == ["Core (t)"]
    assert [key.team for key in organisation.keys] == ["Core (t)"]


def test_team_with_a_shared_model_name_gets_neither() -> None:
    rows = small_litellm()
    rows["LiteLLM_ProxyModelTable"].append(
        {"model_id": "own", "model_name": "model_name_t_1",
         "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-of-the-team"},
         "model_info": {"team_id": "t", "team_public_model_name": "gpt-4o"}, "surprise": 1}
    )  # fmt: skip
    converted = convert_litellm(rows)
    own = next(channel for channel in converted.channels if channel.origin.id == "own")
    shared = "LiteLLM_ProxyModelTable.model_info.team_id (of a shared name)"
    assert own.closed == ("LiteLLM_ProxyModelTable.surprise", shared)
    [home] = homes(converted)
    assert not may_ask(converted, home, "gpt-4o"), "it would be at the cost of another"


def test_spending_of_a_running_window_is_imported_with_its_end() -> None:
    rows = small_litellm()
    rows["LiteLLM_VerificationToken"][0] |= {
        "max_budget": 7, "spend": 2, "budget_duration": "1d",
        "budget_reset_at": "2026-11-15 18:00:00",
    }  # fmt: skip
    [organisation] = convert_litellm(rows).organisations
    daily = [budget for budget in organisation.keys[0].budgets if budget.period == "day"]
    assert daily == [Budget(7 * NANO_PER_USD, "day", 2 * NANO_PER_USD, anchor=18)]


def test_default_values_of_a_table_restrict_nothing() -> None:
    rows = small_litellm()
    rows["LiteLLM_VerificationToken"][0]["added"] = "t"
    defaults = {"LiteLLM_VerificationToken": {"added": "true"}}
    there = database(rows, defaults)
    converted = litellm.convert(there, "", PriceListRead({}, {}, {}), frozenset(), NOW)
    assert not is_closed(homes(converted)[0])


def test_loss_that_is_accepted_closes_nothing_and_is_named() -> None:
    rows = small_litellm()
    rows["LiteLLM_VerificationToken"][0]["aliases"] = {"a": "b"}
    accepted = frozenset({"LiteLLM_VerificationToken.aliases"})
    converted = convert_litellm(rows, accepted)
    assert not is_closed(homes(converted)[0])
    assert converted.report.accepted == ["LiteLLM_VerificationToken.aliases"]


def test_loss_that_was_accepted_is_named_only_if_it_was_found() -> None:
    accepted = frozenset({"tokens.allow_ips", "options.SensitiveWords"})
    rows: Rows = {table: [] for table in QUOTA_COLUMNS}
    rows["options"] = [{"key": "SensitiveWords", "value": "x"}]
    found = quota_hubs.convert("new-api", database(rows), accepted, NOW).report.accepted
    assert found == ["options.SensitiveWords"]
    none = quota_hubs.convert("new-api", database({**rows, "options": []}), accepted, NOW)
    assert none.report.accepted == []


def test_price_below_zero_is_read_and_left_out() -> None:
    """A provider pays nobody for requests; each price that was read is accounted for."""
    rows = small_litellm()
    [model] = rows["LiteLLM_ProxyModelTable"]
    model["litellm_params"] |= {"input_cost_per_token": -1, "output_cost_per_token": 1}
    converted = convert_litellm(rows)
    report = converted.report.table("prices")
    assert not converted.prices
    assert (report.read, report.skipped) == (1, {"a rate below 0": [Row("gpt-4o", "")]})
