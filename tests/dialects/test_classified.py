"""P28: every member of every usage type of the vendors' clients is classified, and so is every
member of their requests and every tool; one that a vendor adds turns this red."""

import typing
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from anthropic.types import Usage as AnthropicUsage
from anthropic.types import message_create_params as messages
from anthropic.types.beta import BetaMessageDeltaUsage, BetaUsage
from anthropic.types.beta import message_create_params as beta_messages
from anthropic.types.beta.beta_tool_union_param import BetaToolUnionParam
from anthropic.types.tool_union_param import ToolUnionParam
from openai.types import CompletionUsage, CreateEmbeddingResponse, ImagesResponse
from openai.types.audio import Transcription, TranscriptionTextDoneEvent, TranscriptionVerbose
from openai.types.chat import completion_create_params as chat
from openai.types.live import SessionUsage
from openai.types.realtime import RealtimeResponseUsage
from openai.types.responses import ResponseUsage, response_create_params, tool
from openai.types.responses.response import ToolUsage
from pydantic import BaseModel, create_model

from dialects.json import request_members
from dialects.usage.usage_members import TABLES, Member
from tests.fakes import converse

with warnings.catch_warnings():
    # The library's own source has an escape that Python has begun to warn about.
    warnings.simplefilter("ignore")
    from google.genai import interactions
    from google.genai import types as google


def leaves(kind: type[BaseModel], above: str = "", *, camel: bool = False) -> Iterator[str]:
    """The path of every member that holds a value, as the tables write it."""
    for name, field in kind.model_fields.items():
        path = f"{above}{field.alias or name}" if camel else f"{above}{name}"
        inner = list(models_in(field.annotation))
        if not inner:
            yield path
        for listed, model in inner:
            yield from leaves(model, f"{path}[]." if listed else f"{path}.", camel=camel)


def models_in(annotation: Any, listed: bool = False) -> Iterator[tuple[bool, type[BaseModel]]]:
    origin = typing.get_origin(annotation)
    if origin is None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield listed, annotation
        return
    for argument in typing.get_args(annotation):
        if not isinstance(argument, str):
            yield from models_in(argument, listed or origin is list)


def unclassified(kind: type[BaseModel], table: Mapping[str, Member], **how: Any) -> list[str]:
    """The members of a type that a table does not have."""
    return [path for path in leaves(kind, **how) if not is_known(path, table)]


def is_known(path: str, table: Mapping[str, Member]) -> bool:
    if path in table:
        return True
    above = path
    while "." in above:
        above = above.rpartition(".")[0]
        if f"{above}.*" in table:
            return True
    return False


def usage_of(answer: type[BaseModel]) -> list[type[BaseModel]]:
    return [model for _, model in models_in(answer.model_fields["usage"].annotation)]


USAGE_TYPES: list[tuple[str, type[BaseModel]]] = [
    ("chat", CompletionUsage),
    ("responses", ResponseUsage),
    ("anthropic", AnthropicUsage),
    ("anthropic", BetaUsage),
    ("anthropic", BetaMessageDeltaUsage),
    ("realtime", RealtimeResponseUsage),
    ("live", SessionUsage),
    *(
        ("unary", kind)
        for answer in (
            CreateEmbeddingResponse,
            ImagesResponse,
            Transcription,
            TranscriptionVerbose,
            TranscriptionTextDoneEvent,
        )
        for kind in usage_of(answer)
    ),
]


@pytest.mark.parametrize(
    ("wire", "kind"), USAGE_TYPES, ids=[f"{wire} {kind.__name__}" for wire, kind in USAGE_TYPES]
)
def test_every_member_of_a_usage_type_is_classified(wire: str, kind: type[BaseModel]) -> None:
    assert unclassified(kind, TABLES[wire]) == []


@pytest.mark.parametrize(
    "kind", [google.GenerateContentResponseUsageMetadata, google.UsageMetadata]
)
def test_every_member_of_googles_usage_is_classified(kind: type[BaseModel]) -> None:
    assert unclassified(kind, TABLES["gemini"], camel=True) == []


def test_every_member_of_the_usage_of_interactions_is_classified() -> None:
    assert unclassified(interactions.Usage, TABLES["interactions"]) == []


def test_the_usage_of_tools_is_classified() -> None:
    assert unclassified(ToolUsage, TABLES["responses"], above="tool_usage.") == []


@pytest.mark.parametrize(
    ("wire", "kind"), USAGE_TYPES, ids=[f"{wire} {kind.__name__}" for wire, kind in USAGE_TYPES]
)
def test_new_vendor_member_is_noticed(wire: str, kind: type[BaseModel]) -> None:
    grown = create_model("Grown", __base__=kind, holo_tokens=(int | None, None))
    assert unclassified(grown, TABLES[wire]) == ["holo_tokens"]


def tool_types(union: Any) -> set[str]:
    """The words by which the tools of a union are named; `custom` where there is none."""
    results: set[str] = set()
    for kind in typing.get_args(union):
        fields = getattr(kind, "model_fields", None)
        hint = fields["type"].annotation if fields else typing.get_type_hints(kind).get("type")
        words = [word for word in literals(hint) if word]
        results.update(words or ["custom"])
    return results


def literals(hint: Any) -> Iterator[str]:
    for argument in typing.get_args(hint):
        if isinstance(argument, str):
            yield argument
        else:
            yield from literals(argument)


REQUESTS: list[tuple[str, Mapping[str, Any], set[str]]] = [
    ("chat", request_members.CHAT, set(typing.get_type_hints(chat.CompletionCreateParamsBase))),
    (
        "responses",
        request_members.RESPONSES,
        set(typing.get_type_hints(response_create_params.ResponseCreateParamsBase)),
    ),
    (
        "messages",
        request_members.MESSAGES,
        set(typing.get_type_hints(messages.MessageCreateParamsBase))
        | set(typing.get_type_hints(beta_messages.MessageCreateParamsBase)),
    ),
    ("generate", request_members.GENERATE, set(google.GenerateContentConfig.model_fields)),
    (
        "responses tools",
        request_members.RESPONSES_TOOLS,
        tool_types(typing.get_args(tool.Tool)[0]),
    ),
    (
        "messages tools",
        request_members.MESSAGES_TOOLS,
        tool_types(ToolUnionParam) | tool_types(BetaToolUnionParam),
    ),
    ("generate tools", request_members.GENERATE_TOOLS, set(google.Tool.model_fields)),
    (
        "interactions",
        request_members.INTERACTIONS,
        set(typing.get_type_hints(interactions.CreateModelInteractionParam)),
    ),
    (
        "interactions tools",
        request_members.INTERACTIONS_TOOLS,
        tool_types(interactions.ToolParam.__value__),
    ),
]


@pytest.mark.parametrize(
    ("table", "members"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS]
)
def test_every_member_of_a_request_is_classified(
    table: Mapping[str, Any], members: set[str]
) -> None:
    assert members - table.keys() == set()


def test_converse_matches_boto3s_description() -> None:
    shape = converse.operation().output_shape.members["usage"]
    told = {
        f"{name}[].{inner}" if member.type_name == "list" else name
        for name, member in shape.members.items()
        for inner in (member.member.members if member.type_name == "list" else [""])
    }
    # The tier is beside it; the others are in answers, but in no description.
    more = {"serviceTier", "cacheReadInputTokenCount", "cacheWriteInputTokenCount"}
    more.add("serverToolUsage.*")
    assert set(TABLES["converse"]) == told | more


def test_the_page_shows_the_tables() -> None:
    """docs/reference/price-members.md is the tables: `python -m tools.price_members`."""
    from tools.price_members import PATH, page

    assert PATH.read_text(encoding="utf-8") == page()
