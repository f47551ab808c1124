"""Connect an agent: the lines are what each agent reads, the key is made once, and the first
request since then is shown."""

import datetime as dt
import json
import re
import subprocess
import tomllib
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from django.db import connection as connection_of_database

from accounts.access.actors import SYSTEM
from accounts.models import Key, Role
from config.home import connect_views
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields
from gateway.code_examples.agents import AGENTS, SYSTEM_NAMES, Connection
from gateway.code_examples.example_models import MODEL
from gateway.settings.installation import save_settings
from lib import clock
from tests.support.cast import Cast, actor, make_key, member, signed_in
from tests.usage.rows import credit, happen
from usage.rollups.rollups import replace_all

PAGE = "/o/acme/connect"
HOSTILE = 'it\'s "q" \\ $HOME `id` $(id) ’; {x}'


def connection(**changes: Any) -> Connection:
    return Connection(**{"url": "https://hub.example.com", "key": "sk-1", "model": "m", **changes})


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("system", SYSTEM_NAMES)
def test_each_agent_gets_the_address_the_key_and_the_model(name: str, system: Any) -> None:
    agent, at = AGENTS[name], connection(model="gpt-5.2", system=system)
    texts = [one.text for one in (agent.pastes(at) if agent.pastes else [])]
    texts += [one.text for one in (agent.values(at) if agent.values else [])]
    whole = "\n".join(texts)
    for part in ("https://hub.example.com", "sk-1", "gpt-5.2"):
        assert part in whole
    assert bool(agent.window) == bool(agent.values) != bool(agent.pastes)


@pytest.mark.parametrize("model", ["gpt-5.2", HOSTILE])
@pytest.mark.parametrize("name", [name for name, agent in AGENTS.items() if agent.pastes])
def test_lines_quote_any_model_name(name: str, model: str) -> None:
    """P12: nothing in a name is run or ends its text early."""
    pastes = AGENTS[name].pastes
    assert pastes
    found = False
    for paste in pastes(connection(model=model)):
        match paste.language:
            case "toml":
                found |= tomllib.loads(paste.text)["model"] == model
            case "json":
                providers = json.loads(paste.text).get("provider", {"weir": {"models": {}}})
                found |= [*providers["weir"]["models"]] == [model]
            case "yaml":
                (endpoint,) = yaml.safe_load(paste.text)["endpoints"]["custom"]
                found |= endpoint["models"]["default"] == [model]
            case "bash":
                found |= model in words_of(paste.text)
    assert found


def words_of(script: str) -> str:
    """What a shell makes of the lines, the command's arguments and its environment."""
    run = subprocess.run(
        ["/bin/sh", "-c", re.sub(r"^(\w+) --", r'printf "%s\\n" --', script, flags=re.M) + "; env"],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return run.stdout


def opencode_model(**known: Any) -> Any:
    pastes = AGENTS["opencode"].pastes
    assert pastes
    return json.loads(pastes(connection(**known))[0].text)["provider"]["weir"]["models"]["m"]


def test_opencode_gets_the_model_facts_it_cannot_know() -> None:
    assert opencode_model() == {"name": "m"}
    assert opencode_model(images=True, limits=(200_000, 32_000)) == {
        "name": "m",
        "attachment": True,
        "modalities": {"input": ["text", "image"], "output": ["text"]},
        "limit": {"context": 200_000, "output": 32_000},
    }


def test_powershell_text_cannot_be_terminated_early() -> None:
    pastes = AGENTS["claude-code"].pastes
    assert pastes
    (paste,) = pastes(connection(model="a'b’c", system="windows"))
    assert "$env:ANTHROPIC_MODEL = 'a''b’’c'" in paste.text


def test_the_key_is_shown_once_and_in_the_lines(people: Cast) -> None:
    alice = signed_in(people.alice)
    before = alice.get(PAGE, {"agent": "codex"}).content.decode()
    assert "sk-…" in before
    answer = alice.post(PAGE, {"agent": "codex", "system": "unix"})
    page = unescape(re.sub(r"<[^>]+>", "", answer.content.decode()))
    key = Key.objects.get(name="Codex")
    assert key.user == people.alice
    (secret,) = set(re.findall(r"sk-[A-Za-z0-9_-]{20,}", page))
    assert f"export WEIR_API_KEY={secret}" in page
    assert secret not in alice.get(PAGE).content.decode()


def test_creating_a_key_by_keyboard_focuses_the_next_step(people: Cast) -> None:
    """The button is gone with the form; the focus goes to the step that has the key."""
    alice = signed_in(people.alice)
    heading = '<h2 tabindex="-1" autofocus>Create a key</h2>'
    assert heading not in alice.get(PAGE).content.decode()
    assert heading in alice.post(PAGE, {"agent": "codex", "system": "unix"}).content.decode()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_second_machine_gets_a_key_of_its_own(people: Cast, language: str) -> None:
    alice = signed_in(people.alice)
    alice.cookies["django_language"] = language
    secrets = set()
    for _ in range(3):
        answer = alice.post(PAGE, {"agent": "claude-code", "system": "unix"})
        assert answer.status_code == 200
        secrets |= set(re.findall(r"sk-[A-Za-z0-9_-]{20,}", answer.content.decode()))
    names = Key.objects.filter(name__startswith="Claude").order_by("name")
    assert [key.name for key in names] == ["Claude Code", "Claude Code 2", "Claude Code 3"]
    assert len(secrets) == len(names)


@pytest.mark.parametrize(
    ("known", "inputs", "limits", "abilities"),
    [
        (True, ("text", "image"), (9, 8), {"images": True, "limits": (9, 8)}),
        (True, ("text",), (9, None), {"images": False, "limits": None}),
        # What its entry says of its senses is a guess.
        (False, ("text", "image"), (None, 8), {"images": False, "limits": None}),
    ],
)
def test_agent_is_told_what_is_known_of_its_model(
    known: bool, inputs: Any, limits: Any, abilities: Any
) -> None:
    can = SimpleNamespace(inputs=inputs, context_max=limits[0], output_max=limits[1])
    model: Any = SimpleNamespace(senses_known=known, can=can)
    assert connect_views._abilities(model) == abilities
    assert connect_views._abilities(None) == {}


def test_default_model_is_the_last_one_used_if_it_has_tools(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: Any = [
        SimpleNamespace(name=name, can=SimpleNamespace(tools=tools))
        for name, tools in (("plain", False), ("cheap", True), ("last", True))
    ]
    monkeypatch.setattr(connect_views, "example_models", lambda found: {MODEL: found[0].name})
    by = actor(people.bob, people.acme)
    for used, listed, default in (
        ("last", models, "last"), ("plain", models, "cheap"), (None, models, "cheap"),
        ("plain", models[:1], "plain"),
    ):  # fmt: skip
        monkeypatch.setattr(connect_views, "last_used_model", lambda _, used=used: used)
        assert connect_views._default_model(by, listed) == default


@pytest.mark.parametrize("since", ["", "x", "2026-11-01T00:00:00", "2999-11-01T00:00:00Z"])
def test_no_request_is_shown_before_there_is_one(people: Cast, since: str) -> None:
    assert connect_views._arrived(actor(people.bob, people.acme), since) == {
        "row": None, "row_id": "", "app": "", "since": since,
    }  # fmt: skip


def test_connecting_is_for_people_who_have_keys(people: Cast) -> None:
    viewer = signed_in(member(people.acme, "vic", Role.VIEWER))
    assert viewer.get(PAGE).status_code == 403
    assert viewer.post(PAGE, {"agent": "codex"}).status_code == 403
    assert not Key.objects.filter(name="Codex").exists()


def test_first_request_since_then_is_noticed(people: Cast) -> None:
    alice = signed_in(people.alice)
    alice.post(PAGE, {"agent": "codex"})
    key = Key.objects.get(name="Codex")
    credit(key)
    happen(key, clock.now(), client_app="Codex")
    since = f"{clock.now() - dt.timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    path = "/o/acme/_f/connect/request"
    received = alice.get(path, {"since": since}).content.decode()
    assert "Received:" in received
    assert '<span class="muted">Codex <time' in received
    later = alice.get(path, {"since": "2999-01-01T00:00:00Z"}).content.decode()
    assert "Waiting" in later
    for wrong in ("", "x" * 10_000, "\0", "2026-01-01"):
        assert alice.get(path, {"since": wrong}).status_code == 200


def test_an_agent_is_offered_a_model_with_tools(people: Cast) -> None:
    """Agents work by tools: a model without any is not suggested, though it was used last."""
    save_settings(SYSTEM, unpriced_models="free")
    fields: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": "https://provider.example/v1",
        "keys": ["sk-none-0123456789"],
        "models": {"river-1": "", "river-9": ""},
        "can": {"river-1": {"tools": False}},
    }
    create_channel(SYSTEM, "one", fields)
    people.alice.created_at = clock.now() - dt.timedelta(days=1)
    people.alice.save()
    alice = signed_in(people.alice)
    key, _ = make_key(people.core, "alice", user=people.alice)
    credit(key)
    for model in ("river-9", "river-1"):
        happen(key, clock.now() - dt.timedelta(minutes=20), model=model)
        with connection_of_database.cursor() as cursor:
            replace_all(cursor, clock.now())
        page = alice.get(PAGE).content.decode()
        assert re.findall(r'<option value="(river-[^"]+)" selected', page) == ["river-9"]
        assert "cannot use tools" not in page
    chosen = alice.get(PAGE, {"model": "river-1"}).content.decode()
    assert "river-1 cannot use tools, which Claude Code sends" in chosen
    chats = alice.get(PAGE, {"model": "river-1", "agent": "open-webui"}).content.decode()
    assert "cannot use tools" not in chats
