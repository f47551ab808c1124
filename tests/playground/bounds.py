"""Every bound of the playground, at the bound and one beyond it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest.mock import Mock, patch

from django.http import QueryDict
from django.test import RequestFactory

from accounts.models import Erasure
from dialects.chat.events import ImageOutput
from lib import clock
from lib.id_types import RequestId
from lib.ids import id_text, new_id
from outbox.models import Fact
from playground.answers.answer_parts import AnswerCollector
from playground.attachments import attachments
from playground.attachments.rules import inspect_file
from playground.chats import chat_views, export_format
from playground.compare_page import views as compare_views
from playground.content_log import articles
from playground.content_log.curl import curl_command
from playground.conversations import titles
from playground.conversations.title_rules import CHEAPEST
from playground.embeddings import embedding
from playground.erasure import erasure_steps
from playground.media import orders, runs
from playground.media import rules as media_rules
from playground.media import views as media_views
from playground.media.media import stored_media_payer
from playground.messages import tool_calls
from playground.models import Conversation, MediaRun, Message, Run, RunState
from playground.models_offered.media_model import MediaModel
from playground.panel import json_schema, openapi_tools, parameters, tool_import_views
from playground.panel import settings as panel_settings
from playground.panel.bounded_validator import shorten
from playground.rendering.markdown import MarkdownLabels, render_math, render_open_text
from playground.sending import panel_views
from playground.turns import form as turn_form
from playground.turns import turns
from playground.turns.turns import Column, TurnForm
from relay.requests.outcome import Outcome
from tests.support.bounds import Bound
from tests.support.cast import Cast, actor

MIB: Final = 1024 * 1024
PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(16)
CHAT: Final = {"weir_chat": 1, "messages": []}


class LongBytes(bytes):
    """Bytes that say that they are `length` long."""

    length: int

    def __len__(self) -> int:
        return self.length


class LongList(list[Any]):
    """A list that says that it is `length` long."""

    length: int

    def __len__(self) -> int:
        return self.length


def long_bytes(beginning: bytes, length: int) -> LongBytes:
    data = LongBytes(beginning)
    data.length = length
    return data


def long_list(item: object, length: int) -> LongList:
    listed = LongList([item])
    listed.length = length
    return listed


def it(**members: Any) -> Any:
    """Whatever stands around a bound: of an object those members that are read before it."""
    return SimpleNamespace(**members)


def given(value: object) -> Callable[..., Any]:
    """A function that returns that."""
    return lambda *_, **__: value


def bare(view: Any) -> Callable[..., Any]:
    """A view without its guard."""
    return cast(Callable[..., Any], view.__wrapped__)


def context_of(request: object, template: str, *rest: Any, **over: Any) -> Any:
    """In place of a page: what it would show."""
    return rest[-1]


def keeps_pictures(size: int) -> bool:
    """Whether a picture of an answer is kept with which its media have that size."""
    collector = AnswerCollector()
    collector._bytes = size - len(PNG)
    collector.take([ImageOutput(0, "image/png", base64.b64encode(PNG).decode())])
    return len(collector.media()) == 1


def reads_chats(people: Cast, size: int) -> bool:
    """Whether a file of that size is read."""
    upload = it(size=size, read=Mock(return_value=b""))
    request = it(method="POST", FILES={"chat": upload})
    bare(chat_views.chat_import)(request, actor(people.bob, people.acme))
    return bool(upload.read.called)


def offers_column(people: Cast, count: int) -> bool:
    """Whether a comparison of so many models has a button for one more."""
    columns = [{"model": f"m{n}", "preset": ""} for n in range(count)]
    bob, request = actor(people.bob, people.acme), it(GET={})
    nothing = given({})
    with patch.multiple(
        compare_views, render=context_of, page=it(composer_context=nothing), desk_context=nothing,
        chat_models=nothing,
    ):  # fmt: skip
        context: Any = compare_views.compare_page(request, bob, None, columns, {})
    return bool(context["addable"])


def indents(length: int) -> bool:
    text = '{"a":"%s"}' % ("a" * (length - 8))
    return articles._indented(text) != text


def is_in_command(length: int) -> bool:
    body = b'{"model":"%s"}' % (b"m" * (length - 12))
    command = curl_command(
        "https://a.example", "responses", "m", body, stream=False, file="body.json"
    )
    return command is not None and not command.file


def names_chats(people: Cast, cost_nano: int) -> bool:
    """Whether a model may name chats whose name is expected to cost so much."""
    models = [it(name="m", input_rate=0, output_rate=0, call_rate=cost_nano)]
    all_permitted = given(lambda name: True)
    with patch.multiple(titles, chat_models=given(models), permitted_models=all_permitted):
        name = titles.title_model(actor(people.bob, people.acme), CHEAPEST, cast(Any, None))
    return name == "m"


def embed(people: Cast, **form: str) -> None:
    with patch.object(embedding, "embedding_models", given([it(name="m")])):
        embedding.embedding_body(
            actor(people.bob, people.acme), {"model": "m", "text": "a", **form}
        )


def forgets_person(people: Cast, length: int) -> bool:
    """Whether a fact about a thing of the person, whose mention has that length, is about them."""
    thing = "t" * (length - len("key:"))
    fact = Fact.objects.create(
        organisation_id=people.acme.id, kind="k", body={"id": thing, "name": "Bob"}
    )
    erasure = Erasure.objects.create(
        user=people.bob, organisation=people.acme, pseudonym="erased@erased.invalid",
        step="letters", names=["Bob"], objects_named=[f"key:{thing}"],
        organisations=[people.acme.id],
    )  # fmt: skip
    erasure_steps._delete_letters(erasure)
    fact.refresh_from_db()
    return "Bob" not in fact.body.values()


def read_media(size: int) -> bool:
    """Whether an answer of that size is read to its end."""

    async def principal(*_: object) -> None:
        return None

    async def in_database(function: object, *_: object) -> Any:
        payer = it(principal=principal, labels=())
        return payer if function is stored_media_payer else {}

    async def chat(*_: object, **__: object) -> AsyncIterator[bytes | Outcome]:
        yield b"x"
        yield long_bytes(b"y", size - 1)
        yield Outcome(RequestId(new_id()), 200, None, "", "", {}, 0, "", 0, None, 1)

    run = it(operation="image_generations", body={}, request_id=new_id())
    with patch.object(runs, "run_in_database", in_database):
        answer = asyncio.run(runs._read(run, cast(Any, None), it(chat=chat)))
    return answer.outcome is not None and answer.raw == b"xy"


def shows_results(people: Cast, count: int) -> bool:
    """Whether the first page of the gallery has all of so many results."""
    MediaRun.objects.bulk_create(
        MediaRun(
            organisation=people.acme, user=people.bob, kind="image", model="m", token=new_id(),
            operation="image_generations", state=RunState.DONE, outcome={},
        )
        for _ in range(count)
    )  # fmt: skip
    nothing = given({})
    with patch.multiple(
        media_views, render_part=context_of, button_prices=nothing, tabs_context=nothing
    ):
        context = bare(media_views.gallery)(
            it(method="GET", GET={}), actor(people.bob, people.acme)
        )
    return len(context["shown"]) == count and not context["more"]


def answers_by_itself(rounds: int) -> bool:
    """Whether mock results answer after so many rounds."""
    call = {"id": "c", "name": "look", "arguments": "{}"}
    message = it(
        parts={"calls": [call]}, state=RunState.DONE,
        children=it(filter=lambda **_: it(exists=lambda: False)),
    )  # fmt: skip
    run = it(settings={"tools": [{"name": "look", "mock": "x", "always": True}]})
    with patch.object(tool_calls, "rounds_before", given(rounds)):
        return bool(tool_calls.calls_context(message, run)["automatic"])


def read_operations(count: int) -> bool:
    paths = {f"/{n}": {"get": {"operationId": f"o{n}"}} for n in range(count)}
    document = {"openapi": "3.1.0", "paths": paths}
    with patch.object(openapi_tools, "check_schema", given([])):
        return len(openapi_tools.read_openapi(json.dumps(document).encode())) == count


def read_description(length: int) -> None:
    text = json.dumps({"openapi": "3.1.0", "paths": {"/": {"get": {}}}}).encode()
    with patch.object(openapi_tools, "check_schema", given([])):
        openapi_tools.read_openapi(text + b" " * (length - len(text)))


def read_stops(count: int) -> object:
    stop = parameters.Parameter("stop", "list")
    return parameters.read_values({"stop": "\n".join("s" * count)}, [stop])


def read_number(number: int) -> object:
    tokens = parameters.Parameter("max_output", "integer")
    return parameters.read_values({"max_output": f"{number}"}, [tokens])


def tools(first: int, count: int) -> list[dict[str, str]]:
    return [{"name": f"t{n}"} for n in range(first, first + count)]


def read_tools(count: int) -> list[dict[str, Any]]:
    with patch.object(panel_settings, "check_schema", given([])):
        return panel_settings.read_tools(json.dumps(tools(0, count)))


def upload_description(size: int) -> bytes:
    upload = it(size=size, read=lambda: b"{}")
    return asyncio.run(tool_import_views._description(it(FILES={"file": upload}), ""))


def add_tools(people: Cast, count: int) -> bool:
    """Whether one more tool can be added with which there are so many."""
    form = {"tools": json.dumps(tools(0, count - 1)), "tool": json.dumps(tools(count, 1)[0])}
    request = RequestFactory().post("/", form)
    with (
        patch.object(panel_settings, "check_schema", given([])),
        patch.object(tool_import_views, "render", lambda *_, status=200: status),
    ):
        status = bare(tool_import_views.tools_add)(request, actor(people.bob, people.acme))
    return bool(status == 200)


def opens_marks(count: int) -> bool:
    _, marks = render_open_text(" ".join(["*a"] * count), MarkdownLabels(), "m-0")
    return marks == "*" * count


def shows_code(people: Cast, length: int) -> bool:
    """Whether a request of so many characters is whole in its code."""
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": ""}]}
    body["messages"][0]["content"] = "a" * (length - len(json.dumps(body)))
    bob = actor(people.bob, people.acme)
    with patch.object(panel_views, "code_context", given({})):
        context = panel_views.code_panel(bob, body, "", "chat_completions", "curl")
    return not context["shortened"]


def read_files(people: Cast, count: int) -> bool:
    bob = actor(people.bob, people.acme)
    file = attachments.add_bytes(bob, "a.txt", b"a", "text", "text/plain")
    form = QueryDict(mutable=True)
    form.setlist("file", [id_text(file.id)] * count)
    return len(turn_form.read_files(bob, form)) == count


def send(people: Cast, length: int) -> None:
    bob = actor(people.bob, people.acme)
    form = TurnForm([Column("m")], "a" * length, new_id(), cast(Any, None))
    with patch.object(turns, "_write_turns", given([])):
        turns.begin_turns(bob, form)


def add_column(people: Cast, count: int) -> None:
    """Add a model to a comparison that has so many."""
    chat = Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.bob, title="t", model="m",
        columns=[{"model": f"m{n}", "settings": {}} for n in range(count)],
    )  # fmt: skip
    question = Message.objects.create(conversation=chat, role="user")
    answer = Message.objects.create(conversation=chat, role="assistant", parent=question)
    Run.objects.create(
        conversation=chat, user_message=question, assistant_message=answer, user=people.bob,
        model="m", batch=new_id(), token=new_id(), request_id=new_id(),
        state=RunState.DONE, ended_at=clock.now(),
    )  # fmt: skip
    bob, payer = actor(people.bob, people.acme), it(chosen_key=None, project="")
    with patch.object(turns, "_write_run", given(None)):
        turns.add_column(bob, chat, Column("more"), new_id(), payer)


BOUNDS: Final[dict[str, Bound]] = {
    "playground/answers/answer_parts.py:_decode:_MEDIA_BYTES_MAX": Bound(
        lambda _, n: keeps_pictures(n), None, 32 * MIB
    ),
    "playground/attachments/rules.py:inspect_file:BYTES_MAX": Bound(
        lambda _, n: inspect_file(long_bytes(PNG, n)), None, 20 * MIB
    ),
    "playground/attachments/rules.py:inspect_file:TEXT_BYTES_MAX": Bound(
        lambda _, n: inspect_file(b"a" * n), None, MIB
    ),
    "playground/chats/chat_views.py:chat_import:IMPORT_BYTES_MAX": Bound(
        reads_chats, None, 64 * MIB
    ),
    "playground/chats/export_format.py:read_file:MESSAGES_MAX": Bound(
        lambda _, n: export_format.read_file(
            {**CHAT, "messages": long_list({"id": "a", "role": "user"}, n)}
        ),
        None,
        20_000,
    ),
    "playground/chats/export_format.py:read_files:CHATS_MAX": Bound(
        lambda _, n: export_format.read_files({"weir_chats": 1, "chats": long_list(CHAT, n)}),
        1,
        5_000,
    ),
    "playground/compare_page/views.py:compare_page:COLUMNS_MAX": Bound(offers_column, None, 3),
    "playground/content_log/articles.py:_indented:SHOWN_MAX": Bound(
        lambda _, n: indents(n), None, 20_000
    ),
    "playground/content_log/curl.py:curl_command:INLINE_MAX": Bound(
        lambda _, n: is_in_command(n), None, 65_536
    ),
    "playground/conversations/titles.py:title_model:CHEAP_MAX_NANO": Bound(
        names_chats, None, 1_000_000
    ),
    "playground/embeddings/embedding.py:embedding_body:DIMENSIONS_MAX": Bound(
        lambda people, n: embed(people, dimensions=str(n)), 1, 1_000_000
    ),
    "playground/embeddings/embedding.py:embedding_body:LINES_MAX": Bound(
        lambda people, n: embed(people, text="a\n" * n), 1, 32
    ),
    "playground/embeddings/embedding.py:embedding_body:TEXT_MAX": Bound(
        lambda people, n: embed(people, text="a" * n), None, 100_000
    ),
    "playground/erasure/erasure_steps.py:_delete_letters:_ID_LENGTH": Bound(
        forgets_person, 27, None
    ),
    "playground/media/orders.py:add_media_file:BYTES_MAX": Bound(
        lambda people, n: orders.add_media_file(
            actor(people.bob, people.acme), "image", "picture", "a.png", long_bytes(PNG, n)
        ),
        None,
        20 * MIB,
    ),
    "playground/media/rules.py:build_request:PROMPT_MAX": Bound(
        lambda _, n: media_rules.build_request("image", MediaModel("gpt-image-1"), "a" * n, {}, ()),
        1,
        32_000,
    ),
    "playground/media/rules.py:supported_values:_TEXT_MAX": Bound(
        lambda _, n: media_rules.supported_values("speech", MediaModel("m"), {"voice": "a" * n}),
        None,
        2_000,
    ),
    "playground/media/runs.py:_read:ANSWER_BYTES_MAX": Bound(
        lambda _, n: read_media(n), None, 128 * MIB
    ),
    "playground/media/views.py:gallery:GALLERY_MAX": Bound(shows_results, None, 24),
    "playground/messages/tool_calls.py:calls_context:MOCK_ROUNDS_MAX": Bound(
        lambda _, n: answers_by_itself(n), None, 9
    ),
    "playground/panel/bounded_validator.py:shorten:MESSAGE_MAX": Bound(
        lambda _, n: shorten("a" * n) == "a" * n, None, 200
    ),
    "playground/panel/json_schema.py:_is_pattern:_PATTERN_MAX": Bound(
        lambda _, n: json_schema._is_pattern("a" * n), None, 200
    ),
    "playground/panel/openapi_tools.py:_tools:OPERATIONS_MAX": Bound(
        lambda _, n: read_operations(n), None, 500
    ),
    "playground/panel/openapi_tools.py:read_openapi:BYTES_MAX": Bound(
        lambda _, n: read_description(n), None, 2 * MIB
    ),
    "playground/panel/parameters.py:_read:_NUMBER_MAX": Bound(
        lambda _, n: read_number(n), None, 2**63 - 1
    ),
    "playground/panel/parameters.py:_read:STOPS_MAX": Bound(lambda _, n: read_stops(n), None, 4),
    "playground/panel/settings.py:read_settings:SYSTEM_MAX": Bound(
        lambda _, n: panel_settings.read_settings({"system": "a" * n}, ()), None, 200_000
    ),
    "playground/panel/settings.py:read_tools:TOOLS_MAX": Bound(
        lambda _, n: read_tools(n), None, 64
    ),
    "playground/panel/tool_import_views.py:_description:BYTES_MAX": Bound(
        lambda _, n: upload_description(n), None, 2 * MIB
    ),
    "playground/panel/tool_import_views.py:tools_add:TOOLS_MAX": Bound(add_tools, None, 64),
    "playground/rendering/markdown.py:render_math:_MATH_DEPTH_MAX": Bound(
        lambda _, n: render_math("{" * n + "a" + "}" * n, display=False).startswith("<math"),
        None,
        40,
    ),
    "playground/rendering/unfinished_markdown.py:_close_open:_OPEN_MAX": Bound(
        lambda _, n: opens_marks(n), None, 20
    ),
    "playground/sending/panel_views.py:code_panel:_CODE_CHARACTERS_MAX": Bound(
        shows_code, None, 200_000
    ),
    "playground/turns/form.py:read_files:FILES_MAX": Bound(read_files, None, 10),
    "playground/turns/turns.py:_add_column_once:COLUMNS_MAX": Bound(add_column, 1, 3),
    "playground/turns/turns.py:begin_turns:TEXT_MAX": Bound(
        lambda people, n: send(people, n), None, 1_000_000
    ),
}
ELSEWHERE: Final[dict[str, str]] = {}
UNSEEN: Final[dict[str, str]] = {}
