"""Google's dialect: its rules, its seals, and its official client."""

import base64
import json
import warnings
from typing import Any

import pytest

from tests.fakes.tests.forms import ARRAY, GEMINI
from tests.fakes.tests.http import Got, connect, post, read
from tests.fakes.upstream import FakeUpstream, expected_text

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # compiling it for the first time warns of its own strings
    from google import genai
    from google.genai import errors, types

PATH = "/v1beta/models/fake:generateContent"


def ask(fake: FakeUpstream, contents: Any, model: str = "fake", **more: Any) -> Got:
    body = {"contents": contents} | more
    return post(fake, f"/v1beta/models/{model}:generateContent", body, GEMINI.headers)


def turn(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


USER = turn("user", {"text": "go #tools=2"})
CALL: dict[str, Any] = {"functionCall": {"name": "look", "args": {}}}
RESULT = {"functionResponse": {"name": "look", "response": {"result": "seen"}}}


@pytest.mark.parametrize(
    ("contents", "more", "words"),
    [
        ([], {}, "contents is not specified"),
        ([turn("system", {"text": "x"})], {}, "valid role"),
        ([turn("user")], {}, "must not be empty"),
        ([turn("user", {"txt": "x"})], {}, "oneof field 'data'"),
        ([USER, turn("model", CALL), turn("user", {"text": "x"})], {}, "number of function"),
        ([USER, turn("model", CALL, CALL), turn("user", RESULT)], {}, "number of function"),
        ([USER, turn("user", RESULT)], {}, "function_response.name"),
        ([USER, turn("model", CALL | {"thoughtSignature": "x"})], {}, "not valid"),
        ([USER], {"generationConfig": {"maxOutputTokens": 0}}, "maxOutputTokens"),
    ],
)
def test_provider_rejections(
    fake: FakeUpstream, contents: Any, more: dict[str, Any], words: str
) -> None:
    got = ask(fake, contents, **more)
    assert got.status == 400
    assert got.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert words in got.json()["error"]["message"]


def test_calls_come_back_sealed_where_the_model_asks_for_it(fake: FakeUpstream) -> None:
    first = ask(fake, [USER]).json()["candidates"][0]["content"]
    calls = first["parts"]
    assert ["thoughtSignature" in part for part in calls] == [True, False]
    results = [
        {"functionResponse": {"name": part["functionCall"]["name"], "response": {"result": "s"}}}
        for part in calls
    ]
    bare = [{"functionCall": part["functionCall"]} for part in calls]
    unsealed = [USER, turn("model", *bare), turn("user", *results)]
    assert ask(fake, unsealed).status == 200
    for model in ("gemini-3-pro", "fake+seals"):
        got = ask(fake, unsealed, model)
        assert (got.status, "thought_signature" in got.json()["error"]["message"]) == (400, True)
        assert ask(fake, [USER, first, turn("user", *results)], model).status == 200
        excused = [bare[0] | {"thoughtSignature": "skip_thought_signature_validator"}, bare[1]]
        assert ask(fake, [USER, turn("model", *excused), turn("user", *results)], model).status == (
            200
        )
        # A turn that is over needs no seals any more.
        over = [*unsealed, turn("model", {"text": "x"}), turn("user", {"text": "and now"})]
        assert ask(fake, over, model).status == 200
    foreign = bare[0] | {"thoughtSignature": calls[0]["thoughtSignature"][:-4] + "AAAA"}
    got = ask(fake, [USER, turn("model", foreign, bare[1]), turn("user", *results)])
    assert got.status == 400
    assert fake.books()[3]["seals"] == 1


def test_thoughts_are_outside_the_candidates(fake: FakeUpstream) -> None:
    got = ask(
        fake, [turn("user", {"text": "#prompt=9 #cached=3 #reasoning=2 #hidden=3 #tokens=4"})]
    )
    usage = got.json()["usageMetadata"]
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (4, 5)
    assert (usage["promptTokenCount"], usage["cachedContentTokenCount"]) == (9, 3)
    assert usage["totalTokenCount"] == 18
    row = fake.books()[0]
    assert row["reported"]["completion_tokens"] == row["usage"]["completion_tokens"] == 9
    assert row["reported_raw"] == usage


def test_both_spellings_are_read(fake: FakeUpstream) -> None:
    data = base64.b64encode(b"sound").decode()
    parts: list[Any] = [{"text": "a b"}, {"inline_data": {"mime_type": "audio/wav", "data": data}}]
    more: dict[str, Any] = {
        "system_instruction": {"parts": [{"text": "be brief"}]},
        "generation_config": {"max_output_tokens": 3},
    }
    got = ask(fake, [turn("user", *parts)], **more)
    assert got.json()["candidates"][0]["finishReason"] == "MAX_TOKENS"
    row = fake.books()[0]
    assert (row["prompt_tokens"], row["unknown"]) == (5, [])
    assert (row["media"][0]["kind"], row["media"][0]["bytes"]) == ("audio", 5)
    ask(fake, [turn("user", *parts)], generationConfig={"nonsense": 1})
    assert fake.books()[1]["unknown"] == ["generationConfig.nonsense"]


def test_the_array_is_json_all_along(fake: FakeUpstream) -> None:
    got = ARRAY.ask(fake, "x #tokens=3 #reasoning=1 #comments", stream=True)
    assert got.header("content-type") == "application/json; charset=UTF-8"
    frames = json.loads(got.body)
    assert all("usageMetadata" in frame for frame in frames)
    assert frames[-1]["candidates"][0]["finishReason"] == "STOP"
    failed = ARRAY.ask(fake, "x #tokens=3 #fault=F23@1", stream=True)
    assert json.loads(failed.body)[-1]["error"]["code"] == 503
    assert b"\r\n" in GEMINI.ask(fake, "x", stream=True).body


def test_query_key_works_and_is_recorded(fake: FakeUpstream) -> None:
    body = GEMINI.body("x", stream=False)
    assert post(fake, f"{PATH}?key=sk-fake", body, {}).status == 200
    assert post(fake, PATH, body, GEMINI.headers).status == 200
    assert [row["carrier"] for row in fake.books()] == ["key", "x-goog-api-key"]
    wrong = post(fake, PATH, body, {"x-goog-api-key": "nope"})
    assert wrong.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert post(fake, PATH, body, {}).status == 403


def test_embeddings_and_counts(fake: FakeUpstream) -> None:
    def call(action: str, body: Any) -> Any:
        return post(fake, f"/v1beta/models/fake:{action}", body, GEMINI.headers).json()

    content = {"parts": [{"text": "one two"}]}
    one = call("embedContent", {"content": content, "outputDimensionality": 3})
    assert len(one["embedding"]["values"]) == 3
    both = call("batchEmbedContents", {"requests": [{"content": content}, {"content": content}]})
    first, second = (embedding["values"] for embedding in both["embeddings"])
    assert first == second
    assert first[:3] == one["embedding"]["values"]
    assert call("countTokens", {"contents": [content]})["totalTokens"] == 2
    assert [row["usage"]["total_tokens"] for row in fake.books()] == [2, 4, 0]
    with connect(fake) as sock:
        sock.sendall(b"GET /v1beta/models HTTP/1.1\r\nhost: x\r\nx-goog-api-key: sk-fake\r\n\r\n")
        listed = read(sock).json()["models"]
    assert [model["name"] for model in listed] == [
        "models/fake",
        "models/fake-64",
        "models/fake-1000",
    ]


# ---- the official client


def client(fake: FakeUpstream, key: str = "sk-fake") -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=fake.origin))


def test_the_official_client_reads_answers_and_streams(fake: FakeUpstream) -> None:
    with client(fake) as gemini:
        got = gemini.models.generate_content(model="fake-9", contents="hello you")
        assert got.text == expected_text("a", "hello you", 9)
        assert got.usage_metadata is not None
        assert got.usage_metadata.candidates_token_count == 9
        frames = list(
            gemini.models.generate_content_stream(
                model="fake-9+lang=emoji+chunk_bytes=3", contents="hello you"
            )
        )
        assert "".join(frame.text or "" for frame in frames) == expected_text(
            "a", "hello you", 9, "emoji"
        )
        assert frames[-1].candidates is not None
        assert frames[-1].candidates[0].finish_reason == types.FinishReason.STOP
        counted = gemini.models.count_tokens(model="fake", contents="one two three")
        assert counted.total_tokens == 3
        embedded = gemini.models.embed_content(model="fake", contents=["a", "b"])
        assert [len(one_result.values or ()) for one_result in embedded.embeddings or ()] == [8, 8]
        names = [model.name for model in gemini.models.list()]
        assert names == ["models/fake", "models/fake-64", "models/fake-1000"]
    assert {row["carrier"] for row in fake.books()} == {"x-goog-api-key"}


def test_the_official_client_calls_tools_in_two_phases(fake: FakeUpstream) -> None:
    look = types.FunctionDeclaration(name="look", description="looks around")
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[look])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    asked = types.Content(role="user", parts=[types.Part(text="go #reasoning=2 #tools=2 #seals")])
    with client(fake) as gemini:
        first = gemini.models.generate_content(model="fake", contents=[asked], config=config)
        assert [call.name for call in first.function_calls or ()] == ["look", "look"]
        assert first.candidates is not None
        answered = first.candidates[0].content
        assert answered is not None
        results = [
            types.Part.from_function_response(name="look", response={"result": f"sun {i}"})
            for i in range(2)
        ]
        results.append(types.Part.from_bytes(data=b"\xff\xfe\xfd?", mime_type="image/png"))
        second = gemini.models.generate_content(
            model="fake",
            contents=[asked, answered, types.Content(role="user", parts=results)],
            config=config,
        )
        assert (second.text or "").endswith(" sun 0 sun 1")
    row = fake.books()[-1]
    assert (row["seals"], row["media"][0]["bytes"]) == (1, 4)


def test_the_official_client_gets_json_and_errors(fake: FakeUpstream) -> None:
    schema = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}}}
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_schema=schema
    )
    with client(fake) as gemini:
        got = gemini.models.generate_content(model="fake", contents="who", config=config)
        assert list(json.loads(got.text or "")) == ["name"]
        with pytest.raises(errors.ServerError, match="overloaded"):
            list(gemini.models.generate_content_stream(model="fake+fault=F23@3", contents="x"))
        with pytest.raises(errors.ClientError, match="429"):
            gemini.models.generate_content(model="fake+fault=F8", contents="x")
    with client(fake, "nope") as gemini, pytest.raises(errors.ClientError, match="API key"):
        gemini.models.generate_content(model="fake", contents="x")
