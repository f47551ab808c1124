"""P31: what the content log does not keep is nowhere: not in the database, its backup, the files,
the logs or the spans, whatever is asked, in whatever form, and however it ends.

Each row of the relay's table is asked with a sentence: a row that is added is looked at here, and
is red until a provider has answered it with 200.
"""

import base64
import json
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import pytest
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from extensions.midjourney.dialect import MODELS
from gateway.channels.passthrough.rules import stored_rules
from reference.operations.all_pages import PAGES
from relay.endpoints.table import listed_rows
from relay.front.request import Endpoint
from tests.config.system.test_backups import manage
from tests.fakes.collector import Collector
from tests.fakes.gemini_live import FakeGeminiLive
from tests.fakes.live import FakeLive
from tests.fakes.media import wav
from tests.fakes.midjourney import FakeMidjourney
from tests.fakes.realtime import FakeRealtime
from tests.fakes.suno import FakeSuno
from tests.fakes.upstream import FakeUpstream
from tests.fakes.video_services import PROVIDERS, FakeServices
from tests.fakes.videos import FakeVideos
from tests.relay.content_log.test_background_and_sockets import in_background, turn
from tests.relay.content_log.test_content_log import add_rule, asked, kept
from tests.relay.content_log.test_realtime import live_session
from tests.relay.endpoints.passthrough.provider import Handler, running_provider
from tests.relay.endpoints.test_responses_socket import connected
from tests.relay.media.test_videos import video_model
from tests.relay.operations.test_images import post_form
from tests.relay.poller import poll
from tests.relay.realtime.gemini_live.test_live import live_model
from tests.relay.realtime.live.test_live import RATES as MINUTES
from tests.relay.realtime.live.test_live import live
from tests.relay.realtime.test_realtime import RATES as SPOKEN
from tests.relay.realtime.test_realtime import session
from tests.relay.requests.test_carriers import PASSED, PASSING, ask
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.relay.task_services import serve
from tests.relay.tracing.test_span_content import environment_of
from tests.runner.databases import own_database
from tests.support.hub import Answer, Hub, Tenant, running_hub

# Every meter that an operation counts by.
RATES: Final = {
    "in_text": 10**6, "in_image": 10**6, "in_audio": 10**6, "out_text": 10**6, "out_image": 10**6,
    "out_audio": 10**6, "out_reasoning": 10**6, "requests": 10**6, "searches": 10**6,
    "characters": 10**6, "images": 10**6, "audio_ms": 10**6,
}  # fmt: skip
OF_VIDEO: Final = {"video_ms[720p]": 10**6, "video_ms[1080p]": 10**6}
# The operations that a video service serves.
SERVED: Final = {
    "kling": ("kling_text2video", "kling_image2video"), "jimeng": ("jimeng_videos",),
    "veo": ("predict_long_running",),
}  # fmt: skip
# Rows that take no text, or go on with a task that has begun; and the one whose text is kept
# because it is given to be kept. `test_every_row_whose_request_fails` asks them too.
NO_TEXT: Final = (
    "midjourney_action", "midjourney_change", "midjourney_simple_change", "midjourney_modal",
    "midjourney_tasks", "suno_tasks", "midjourney_describe", "midjourney_blend", "feedback",
)  # fmt: skip
# What is sent where no page has an example of it.
MORE: Final[dict[str, dict[str, Any]]] = {
    "batch_embed_contents": {
        "requests": [{"model": "models/x", "content": {"parts": [{"text": "Rivers meander"}]}}]
    },
    "passthrough": {"model": "fake", "messages": [{"role": "user", "content": "Rivers meander"}]},
}
FORMS: Final[dict[str, dict[str, str]]] = {
    "image_edits": {"prompt": "{}"}, "image_variations": {}, "transcriptions": {"prompt": "{}"},
    "translations": {"prompt": "{}"},
}  # fmt: skip
PIXEL: Final = b"\x89PNG\r\n\x1a\n\0\xff"
FAULTS: Final = ("F6:content", "F10:500", "F14:close", "F15:json", "F19:html", "F23:error")


class Away(NamedTuple):
    """A hub, the collector of its spans and the folder of its files."""

    hub: Hub
    collector: Collector
    folder: Path

    def texts(self) -> Iterable[tuple[str, bytes]]:
        """Whatever the hub has written outside its database, with its place."""
        yield "the log", self.hub.log().encode()
        yield "the spans", bytes(self.collector.raw)
        for path in (*self.folder.rglob("*"), *self.hub.spool.rglob("*")):
            if path.is_file():
                yield str(path), path.read_bytes()


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Away]:
    folder = tmp_path_factory.mktemp("files")
    places = {"DATA_DIR": str(folder), "TMPDIR": str(folder), "LOG_LEVEL": "DEBUG"}
    with (
        Collector() as collector,
        running_hub(environment_of(collector.endpoint, TRACE_CONTENT="1") | places) as hub,
    ):
        yield Away(hub, collector, folder)


@pytest.fixture
def tenant(away: Away) -> Tenant:
    """One without a rule."""
    return away.hub.tenant("1000.00")


def forms(text: str) -> list[bytes]:
    """A text as it may be written: as it is, in hexadecimal, base64 from each place, or UTF-16."""
    raw = text.encode()
    bases = [base64.b64encode(bytes(at) + raw)[4 if at else 0 : -4] for at in range(3)]
    return [raw, raw.hex().encode(), *bases, text.encode("utf-16-le")]


def unpacked(raw: bytes) -> Iterator[bytes]:
    """Bytes, and what they are packed from, if they are."""
    yield raw
    with suppress(zlib.error):
        # Of zlib, or of gzip.
        yield zlib.decompressobj(wbits=47).decompress(raw)


def has(raw: bytes, text: str) -> bool:
    return any(form in one for one in unpacked(raw) for form in forms(text))


def places_in_database(dsn: str, text: str) -> list[str]:
    """The tables and columns of a database that have a text."""
    found = list[str]()
    with psycopg.connect(dsn, autocommit=True, row_factory=tuple_row) as connection:
        tables = connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm', 'S') "
            "AND relnamespace NOT IN ('pg_catalog'::regnamespace, "
            "'information_schema'::regnamespace, 'pg_toast'::regnamespace)"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f"SELECT * FROM {table}".encode())
            names = [column.name for column in rows.description or ()]
            found += [
                f"{table}.{name}"
                for row in rows
                for name, value in zip(names, row, strict=True)
                if has(value if isinstance(value, bytes) else str(value).encode(), text)
            ]
    return sorted({*found})


def assert_nowhere(away: Away, text: str) -> None:
    assert places_in_database(away.hub.dsn, text) == []
    assert [place for place, raw in away.texts() if has(raw, text)] == []


def end(hub: Hub, tenant: Tenant) -> None:
    """Wait until everything of a tenant has ended, media tasks too."""
    poll(hub, tenant, 3)
    hub.settled(tenant)


def sentence() -> str:
    return f"planted {secrets.token_hex(8)}"


@pytest.fixture(scope="module")
def served(away: Away) -> Iterator[dict[str, str]]:
    """A model by the name of an operation; "" for those that name none."""
    hub, models = away.hub, dict[str, str]()
    with ExitStack() as running:
        fake = running.enter_context(FakeUpstream(name="a", fsync=False))
        models[""] = hub.model(fake, rates=RATES)
        hub.price(PASSED.label, PASSED.rates()["meters"], kind="path", channel=PASSING)
        hub.channel(
            PASSING, fake.url, fake.key, name=PASSING, pass_through=Jsonb(stored_rules([PASSED]))
        )
        midjourney = running.enter_context(FakeMidjourney())
        serve(hub, midjourney, "midjourney_proxy", MODELS)
        serve(hub, running.enter_context(FakeSuno()), "suno_api", ["suno_music", "suno_lyrics"])
        services = running.enter_context(FakeServices())
        for service, operations in SERVED.items():
            name = f"{service}-{secrets.token_hex(4)}"
            hub.price(name, OF_VIDEO)
            hub.channel(
                name, services.base(service), services.secret(service),
                provider=PROVIDERS[service], upstream_model=f"{service}-up",
            )  # fmt: skip
            hub.know(name)
            models |= dict.fromkeys(operations, name)
        videos = video_model(hub, running.enter_context(FakeVideos()), rates=OF_VIDEO)
        models |= dict.fromkeys(("videos", "video_generations"), videos)
        spoken = running.enter_context(FakeRealtime())
        models["realtime"] = models["client_secret"] = hub.model(
            spoken, rates=SPOKEN, upstream_model="gpt-realtime", retries=0
        )
        gemini = live_model(hub, running.enter_context(FakeGeminiLive()))
        models["live_session"] = models["auth_token"] = gemini
        models["live_sessions"] = hub.model(
            running.enter_context(FakeLive()), rates=MINUTES, upstream_model="gpt-live-1", retries=0
        )
        yield models


def said(value: Any, text: str) -> Any:
    """What a page of the reference shows, with a text after each of its sentences."""
    if isinstance(value, dict):
        return {name: said(one, text) for name, one in value.items()}
    if isinstance(value, list):
        return [said(one, text) for one in value]
    return f"{value} {text}" if isinstance(value, str) and " " in value else value


def send(hub: Hub, tenant: Tenant, path: str, row: Endpoint, model: str, text: str) -> Answer:
    """Send the example of a row's page with a text, or what else the row takes."""
    operation = row.reference_name
    if row.takes_form and operation in FORMS:
        file = PIXEL if operation.startswith("image") else wav(1)
        parts = {name: part.format(text) for name, part in FORMS[operation].items()}
        return post_form(
            hub, tenant, path, *{"model": model, **parts}.items(),
            ("image" if operation.startswith("image") else "file", file),
        )  # fmt: skip
    shown = (page.example for page in PAGES.values() if operation in page.operations)
    body = MORE.get(operation) or next(filter(None, shown), {})
    names = (name for name in ("model", "model_name", "req_key") if name in body)
    body = {**said(body, text), **dict.fromkeys(names, model)}
    if operation == "client_secret":
        body["session"]["model"] = model
    if operation == "auth_token":
        body["bidiGenerateContentSetup"]["model"] = f"models/{model}"
    if path.startswith("/model/") and operation == "count_tokens":
        asked = {"messages": [{"role": "user", "content": text}]}
        raw = base64.b64encode(json.dumps(asked).encode()).decode()
        body = {"input": {"invokeModel": {"body": raw}}}
    path = path.replace("{model}", model).replace("{mode}", "fast")
    path = path.replace("{channel}/{path}", f"{PASSING}/chat/completions")
    path += "?Action=CVSync2AsyncSubmitTask" if row.asking is not None else ""
    return hub.post(tenant, body, path=path)


def test_a_text_is_found_where_it_is(away: Away, tenant: Tenant, served: dict[str, str]) -> None:
    """The search itself, by what is kept because it is given to be kept, and by files."""
    text, hub = sentence(), away.hub
    answer = hub.post(tenant, asked("openai", served[""], "Hello", stream=False)[1])
    hub.record(answer.headers["x-request-id"])
    path = f"/v1/requests/{answer.headers['x-request-id']}/feedback"
    assert hub.post(tenant, {"score": 1, "comment": text}, path=path).status == 200
    assert places_in_database(hub.dsn, text) == ["usage_feedback.comment"]
    for at, raw in enumerate(
        (text.encode(), zlib.compress(text.encode()), base64.b64encode(f"x {text} y".encode()))
    ):
        (away.folder / f"found-{at}").write_bytes(b"" if at == 1 else b"before ")
        with (away.folder / f"found-{at}").open("ab") as file:
            file.write(raw)
    found = {place for place, raw in away.texts() if has(raw, text)}
    assert found == {str(away.folder / f"found-{at}") for at in range(3)}


def test_every_operation_that_takes_a_text(
    away: Away, tenant: Tenant, served: dict[str, str]
) -> None:
    """Over each of its paths; media tasks until they have ended."""
    text, wrong = sentence(), dict[str, Answer]()
    for path, row in listed_rows().items():
        if row.body_bytes_max and row.reference_name not in NO_TEXT and row.path_names != "task":
            model = served.get(row.reference_name, served[""])
            answer = send(away.hub, tenant, path, row, model, text)
            if answer.status != 200:
                wrong[path] = answer
    assert wrong == {}
    end(away.hub, tenant)
    assert_nowhere(away, text)


def test_every_row_whose_request_fails(away: Away, tenant: Tenant) -> None:
    """The provider's error quotes the sentence, as does whatever else it answers; a row that takes
    no text has it in its path."""
    text = sentence()
    with running_provider() as provider:
        models = {
            status: away.hub.model(provider, rates=RATES, retries=0) for status in (400, 500, 200)
        }
        for status, model in models.items():
            provider.otherwise = telling(status, text)
            for path, row in listed_rows().items():
                if not row.is_sealed_link:
                    there = path.replace("{id}", text.replace(" ", "-"))
                    ask(away.hub, there, row, model, "bearer", tenant.key, text=text)
    end(away.hub, tenant)
    assert_nowhere(away, text)


def telling(status: int, text: str) -> Callable[[Handler], None]:
    """A provider's answer that says a text: as an error, or as nothing that is known."""

    def tell(handler: Handler) -> None:
        error = {"message": f"Not this: '{text}'", "type": "invalid_request_error", "code": text}
        handler.reply(json.dumps({"error": error, text: [text]}).encode(), status=status)

    return tell


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_answers_and_broken_answers(
    away: Away, tenant: Tenant, fake: FakeUpstream, dialect: str, stream: bool
) -> None:
    """The provider says the sentence again, and then breaks off."""
    hub, speaker, text = away.hub, SPEAKERS[dialect], sentence()
    model = hub.model(fake, rates=RATES, retries=0, **UPSTREAMS[dialect])
    for words in ("#echo", *(f"#echo #fault={fault}" for fault in FAULTS)):
        body = speaker.body(model, Wish(f"{words} {text}", stream))
        body.pop("store", None)
        with suppress(IncompleteRead):
            answer = hub.post(tenant, body, path=speaker.path(model, stream=stream))
            assert words != "#echo" or text.split()[1].encode() in answer.body
    end(hub, tenant)
    assert_nowhere(away, text)


def test_requests_that_are_rejected(away: Away, tenant: Tenant, served: dict[str, str]) -> None:
    """What is wrong is quoted to its client, and not written down."""
    text, model = sentence(), served[""]
    message, answers = {"role": "user", "content": text}, list[int]()
    wrong: list[Any] = [
        {"model": model, "messages": [{"role": text, "content": text}]},
        {"model": model, "messages": [message], text: text},
        {"model": model, "messages": [message], "temperature": text},
        {"model": model, "messages": [message], "response_format": {"type": text}},
        {"model": model, "messages": [message], "tools": [{"type": text, text: text}]},
        json.dumps({"model": model, "messages": [message]}).encode()[:-4],
        text.encode(),
    ]
    for body in wrong:
        for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"):
            answers.append(away.hub.post(tenant, body, path=path).status)
    assert sum(status >= 400 for status in answers) > len(answers) // 2
    assert_nowhere(away, text)


@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
def test_sockets_and_what_runs_in_the_background(
    away: Away, tenant: Tenant, fake: FakeUpstream, served: dict[str, str]
) -> None:
    hub, text = away.hub, sentence()
    model = hub.model(fake, rates=RATES, **UPSTREAMS["responses"])
    assert in_background(hub, tenant, model, f"#echo {text}") == ""
    with connected(hub, tenant.key) as client:
        first = turn(client, model, f"#echo {text}")
        turn(client, model, f"#echo again {text}", previous_response_id=first)
    with session(hub, tenant.key, served["realtime"]) as talk:
        talk.say(type="session.update", session={"type": "realtime", "instructions": text})
        talk.ask(f"{text} #tokens=2")
    content = {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}
    live_session(hub, tenant, served["live_session"], {"clientContent": content})
    with live(hub, tenant.key) as spoken:
        spoken.start(served["live_sessions"], instructions=text, delegation={"type": "client"})
        spoken.ask(f"{text} #say=20")
        spoken.hear("session.output_audio.delta")
        spoken.close()
    sockets = {row.reference_name for row in listed_rows().values() if row.socket}
    assert sockets == {"responses", "realtime", "live_session", "live_sessions"}
    end(hub, tenant)
    assert_nowhere(away, text)


def test_a_rule_of_others_and_a_request_that_is_left_out(
    away: Away, tenant: Tenant, served: dict[str, str]
) -> None:
    """The log is written meanwhile, and has the others' alone."""
    hub, model, text = away.hub, served[""], sentence()
    other = hub.tenant()
    add_rule(hub, other)
    path, body = asked("openai", model, text, stream=False)
    assert "x-weir-content-log" not in hub.post(tenant, body, path=path).headers
    out = hub.post(other, body, path=path, headers={"x-weir-store": "false"})
    assert out.headers["x-weir-content-log"] == "not-kept"
    kept(hub, other, hub.post(other, asked("openai", model, "Hello", stream=False)[1]))
    assert_nowhere(away, text)


def test_a_backup_has_no_text(
    away: Away, tenant: Tenant, served: dict[str, str], tmp_path: Path
) -> None:
    """The dump is in a form of its own: restored, it has no text either; nor has one of a request
    that the log keeps."""
    hub, text = away.hub, sentence()
    other = hub.tenant()
    add_rule(hub, other)
    for path, row in listed_rows().items():
        if row.body_bytes_max and row.reference_name not in NO_TEXT and row.path_names != "task":
            send(away.hub, tenant, path, row, served.get(row.reference_name, served[""]), text)
    kept(hub, other, hub.post(other, asked("openai", served[""], text, stream=False)[1]))
    end(hub, tenant)
    file = tmp_path / "weir.zip"
    done = manage(hub.dsn, "backup", str(file))
    assert done.returncode == 0, done.stderr.decode()
    with own_database("restored", of="template0") as dsn:
        done = manage(dsn, "restore", str(file))
        assert done.returncode == 0, done.stderr.decode()
        assert places_in_database(dsn, text) == []
        with psycopg.connect(dsn) as connection:
            entries = connection.execute("SELECT count(*) FROM content_entry").fetchone()
        assert entries != (0,)
    with zipfile.ZipFile(file) as archive:
        assert [name for name in archive.namelist() if has(archive.read(name), text)] == []
