"""What each dialect has of its own: its paths, its bytes, its headers, its small companions."""

import http.client
import json
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

import pytest

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import ask
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish, frames, key_headers, messages
from tests.relay.test_matrix import RATES, open_model, plain_and_streamed, send
from tests.support.hub import Hub, running_hub

dialects = pytest.mark.parametrize("dialect", SPEAKERS)


def row_of(hub: Hub, fake: FakeUpstream, request_id: str) -> dict[str, Any]:
    row = fake.wait_for_row(id_text(hub.record(request_id)["id"]))
    assert row is not None
    return row


# ---- paths


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("responses", "/v1/responses"),
        ("responses", "/api/v1/responses"),
        ("responses", "/responses"),
        ("responses", "/v1/responses/responses"),
        ("responses", "/v1/responses?api-version=2025-03-01-preview/responses"),
        ("anthropic", "/v1/messages"),
        ("anthropic", "/api/v1/messages/"),
        ("anthropic", "/v1/v1/messages"),
        ("anthropic", "/anthropic/v1/messages"),
        ("gemini", "/v1beta/models/{model}:generateContent"),
        ("gemini", "/v1/models/{model}:generateContent"),
        ("gemini", "/api/v1beta/models/{model}:generateContent"),
        ("interactions", "/v1beta/interactions"),
        ("interactions", "/v1/interactions/"),
        ("interactions", "/api/v1beta/interactions"),
        ("converse", "/model/{model}/converse"),
    ],
)
def test_every_alias_is_the_endpoint(hub: Hub, fake: FakeUpstream, dialect: str, path: str) -> None:
    speaker, model = SPEAKERS[dialect], open_model(hub, fake, dialect)
    body = speaker.body(model, Wish("#tokens=2"))
    answer = hub.post(hub.tenant(), body, path=path.format(model=model))
    assert answer.status == 200, answer.body
    assert speaker.read(answer).text == expected_text("a", "#tokens=2", 2)


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("openai", "/v1/nothing"),
        ("anthropic", "/anthropic/v1/nothing"),
        ("anthropic", "/v1/messages/batches"),
        ("gemini", "/v1beta/nothing"),
        ("gemini", "/v1beta/models/m:somethingElse"),
        ("gemini", "/v1/models/m:somethingElse"),
        ("interactions", "/v1beta/interactions/v1_1/nothing"),
        ("interactions", "/v1/interactions/v1_1/nothing"),
        ("converse", "/model/m/nothing"),
    ],
)
def test_unknown_paths_answer_in_their_clients_dialect(hub: Hub, dialect: str, path: str) -> None:
    answer = hub.post(hub.tenant(), {}, path=path)
    assert answer.status == 404
    SPEAKERS[dialect].error_of(answer.json())


@pytest.mark.parametrize("upstream", ["openai", "responses", "anthropic"])
@pytest.mark.parametrize(
    ("dialect", "member"),
    [
        ("openai", "model"), ("openai", "modalities"), ("openai", "reasoning_effort"),
        ("openai", "thinking"), ("openai", "parameters"), ("openai", "search_parameters"),
        ("responses", "include"), ("responses", "max_tool_calls"), ("anthropic", "tools"),
    ],
)  # fmt: skip
def test_unparsable_numbers_are_no_internal_error(
    hub: Hub, fake: FakeUpstream, dialect: str, member: str, upstream: str
) -> None:
    """A body that cannot be read is the client's fault, and never a 500."""
    speaker, tenant, model = SPEAKERS[dialect], hub.tenant(), open_model(hub, fake, upstream)
    body = speaker.body(model, Wish("hi"))
    body.pop(member, None)
    for value in ("1e999", '[{"type":"web_search","max_uses":1e999}]', '{"type":1e999}'):
        raw = f'{json.dumps(body)[:-1]},"{member}":{value}}}'.encode()
        answer = hub.post(tenant, raw, path=speaker.path(model, stream=False))
        # A provider may take it, refuse it, or come to grief over it.
        assert answer.status != 500, answer.body


def test_path_is_quoted_like_any_client_value(hub: Hub) -> None:
    """At most 64 characters, and no key."""
    message = hub.post(hub.tenant(), {}, path="/v1/" + "a" * 300).error["message"]
    assert message.endswith(": /v1/" + "a" * 60)
    message = hub.post(hub.tenant(), {}, path="/v1/sk-abcdefgh1234wxyz").error["message"]
    assert message.endswith(": /v1/sk-abc***wxyz")


@dialects
def test_method_and_key_errors_use_the_dialect(hub: Hub, dialect: str) -> None:
    speaker = SPEAKERS[dialect]
    path = speaker.path("m", stream=False)
    answer = hub.request("GET", path, hub.tenant())
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
    speaker.error_of(answer.json())
    answer = hub.post(None, speaker.body("m", Wish()), path=path)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert speaker.error_of(answer.json())["message"] == "Error: Invalid or unauthorized API key"


@dialects
def test_error_body_contains_the_request_id(hub: Hub, dialect: str) -> None:
    speaker, tenant = SPEAKERS[dialect], hub.tenant()
    path = speaker.path("m", stream=False)
    unknown = {
        "anthropic": "/anthropic/v1/x", "gemini": "/v1beta/x", "converse": "/model/m/x",
    }.get(dialect, "/v1/x")  # fmt: skip
    for answer, status in (
        (hub.post(tenant, {}, path=unknown), 404),
        (hub.request("GET", path, tenant), 405),
        (hub.post(None, {}, path=path), 401),
        (hub.post(tenant, b"{", path=path), 400),
        (hub.post(tenant, speaker.body("no-such", Wish()), path=path), 404),
    ):
        assert answer.status == status
        assert answer.headers["x-request-id"].encode() in answer.body


@dialects
def test_unserved_model(hub: Hub, dialect: str) -> None:
    speaker = SPEAKERS[dialect]
    answer = hub.post(
        hub.tenant(), speaker.body("no-such", Wish()), path=speaker.path("no-such", stream=False)
    )
    assert answer.status == 404
    error = speaker.error_of(answer.json())
    assert error["message"] == "Error: Model no-such does not exist or is not supported"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/files"),
        ("POST", "/v1/files"),
        ("GET", "/api/v1/files/f1"),
        ("DELETE", "/v1/files/f1"),
        ("GET", "/v1/files/f1/content"),
        ("GET", "/v1/fine-tunes"),
        ("POST", "/v1/fine_tuning/jobs"),
        ("GET", "/v1/fine-tunes/x"),
        ("POST", "/v1/fine-tunes/x/cancel"),
        ("GET", "/v1/fine_tuning/jobs/x/events"),
        ("POST", "/v1/batches"),
        ("POST", "/api/v1/batches/b/cancel"),
        ("POST", "/v1/assistants/a"),
        ("GET", "/v1/threads/t/runs/r/steps"),
        ("DELETE", "/v1/vector_stores/v/files/f"),
    ],
)
def test_unimplemented_operation_says_so_after_the_key_check(
    hub: Hub, method: str, path: str
) -> None:
    assert hub.request(method, path).status == 401
    answer = hub.request(method, path, hub.tenant("0"))
    assert answer.status == 501
    assert answer.json() == {
        "error": {
            "message": "This API is not implemented.",
            "type": "not_implemented_error",
            "param": None,
            "code": "not_implemented",
        },
        "request_id": answer.headers["x-request-id"],
    }
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["charge_nano"]) == (501, 0)


def test_key_in_the_query_of_gemini_paths(hub: Hub, fake: FakeUpstream) -> None:
    speaker, tenant, model = SPEAKERS["gemini"], hub.tenant(), open_model(hub, fake, "gemini")
    path = speaker.path(model, stream=False) + f"?key={tenant.key}"
    answer = hub.post(None, speaker.body(model, Wish("#keep #tokens=2")), path=path)
    assert answer.status == 200, answer.body
    row = row_of(hub, fake, answer.headers["x-request-id"])
    assert tenant.key not in json.dumps(row["headers"])
    assert row["carrier"] == "x-goog-api-key"


# ---- names of models


@pytest.mark.parametrize("upstream", ["openai", "gemini"])
@pytest.mark.parametrize("pattern", [False, True], ids=["name", "pattern"])
def test_model_names_are_accepted_as_written(
    hub: Hub, fake: FakeUpstream, upstream: str, pattern: bool
) -> None:
    """In bodies and paths, here and there, as a name and as a pattern of names."""
    name = f"Own er/{secrets.token_hex(4)}-größe:8b@2024+x"
    route = name.replace("größe:", "*") if pattern else name
    theirs = "other/m:1 @+" if pattern else ""
    hub.channel(route, fake.url, fake.key, **(UPSTREAMS[upstream] | {"upstream_model": theirs}))
    hub.price(route, RATES)
    hub.bump()
    tenant = hub.tenant()
    hub.wait(lambda: hub.get(f"/v1/models/{quote(name)}", tenant).status == 200, "not known")
    assert hub.get(f"/v1/models/{quote(name, safe='')}", tenant).json()["id"] == name
    for speaker in SPEAKERS.values():
        for stream in (False, True):
            # Amazon's clients quote a whole name, whose slashes would be other paths.
            safe = "/" if stream and speaker.name != "converse" else ""
            path = speaker.path(quote(name, safe=safe), stream=stream)
            body = speaker.body(name, Wish("#keep #tokens=2", stream))
            answer = hub.post(tenant, body, path=path)
            assert answer.status == 200, answer.body
            assert speaker.read(answer).text == expected_text("a", "#keep #tokens=2", 2)
            row = row_of(hub, fake, answer.headers["x-request-id"])
            assert unquote(row["model"]) == (theirs or name)


def test_no_name_leads_to_another_address(hub: Hub, fake: FakeUpstream) -> None:
    start = secrets.token_hex(4)
    over = UPSTREAMS["gemini"] | {"upstream_model": ""}
    hub.channel(f"{start}*", fake.url, fake.key, **over)
    hub.price(f"{start}*", RATES)
    hub.bump()
    tenant = hub.tenant()
    hub.wait(lambda: hub.get(f"/v1/models/{start}-x", tenant).status == 200, "not known")
    asked = fake.totals()["requests"]
    for end in ("/../b", "?b", "#b", "%2fb", "%2e%2e%2fb", "//b", "\\b", ":countTokens"):
        for dialect in ("openai", "gemini"):
            speaker, name = SPEAKERS[dialect], start + end
            path = speaker.path(quote(name, safe=""), stream=False)
            answer = hub.post(tenant, speaker.body(name, Wish()), path=path)
            assert answer.status == 404, (name, answer.body)
    assert fake.totals()["requests"] == asked


# ---- same dialect, same bytes


@dialects
@plain_and_streamed
@pytest.mark.parametrize("shape", ["#tokens=9 #lang=mixed", "#tokens=3 #tools=2", "#fault=F31"])
def test_same_dialect_is_byte_equal(
    hub: Hub, fake: FakeUpstream, dialect: str, stream: bool, shape: str
) -> None:
    speaker, tenant, model = SPEAKERS[dialect], hub.tenant(), open_model(hub, fake, dialect)
    body = speaker.body(model, Wish(shape, stream, tools=True))
    answer = send(hub, tenant, speaker, model, body, stream)
    assert answer.status == 200, answer.body
    upstream_model = UPSTREAMS[dialect]["upstream_model"]
    if "model" in body:
        body["model"] = upstream_model
    with closing(http.client.HTTPConnection("127.0.0.1", fake.port, timeout=60)) as connection:
        path = speaker.path(upstream_model, stream=stream)
        connection.request("POST", path, json.dumps(body), key_headers(dialect, fake.key))
        sent = connection.getresponse().read()
    # An alias hides what stands behind it; all else is as it came.
    assert f'"{upstream_model}"'.encode() not in answer.body
    page_text = sent.replace(f'"{upstream_model}"'.encode(), f'"{model}"'.encode())
    if dialect == "converse" and stream:
        answered, told = (
            json.dumps([*messages(raw)], separators=(",", ":")).encode()
            for raw in (answer.body, page_text)
        )
        assert alike(answered) == alike(told)
    else:
        assert alike(answer.body) == alike(page_text)


def alike(raw: bytes) -> bytes:
    """The fake numbers its answers, and a hub tells its own time: nothing else differs between two
    answers to one body."""
    raw = re.sub(rb'"latencyMs":\d+', b'"latencyMs":1', raw)
    return re.sub(rb"_?a-\d+\b|_\d+_\d+\b|(rs|fc|msg)_\d+\w*", b"n", raw)


def test_array_of_gemini_without_events(hub: Hub, fake: FakeUpstream) -> None:
    """From gemini as it came, from elsewhere written by us; an error is an array too."""
    speaker, tenant = SPEAKERS["gemini"], hub.tenant()
    for upstream in UPSTREAMS:
        model = open_model(hub, fake, upstream)
        body = speaker.body(model, Wish("#tokens=6"))
        path = f"/v1beta/models/{model}:streamGenerateContent"
        answer = hub.post(tenant, body, path=path)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "application/json"
        elements = answer.json()
        texts = [p["text"] for e in elements for c in e.get("candidates", ())
                 for p in c.get("content", {}).get("parts", ())]  # fmt: skip
        assert "".join(texts) == expected_text("a", "#tokens=6", 6)
        broken = speaker.body(model, Wish("#tokens=6 #fault=F14:eof@3 #delay_ms=20"))
        *_, last = hub.post(tenant, broken, path=path).json()
        assert last["error"]["status"] == "INTERNAL"
        (refused,) = hub.post(tenant, {"contents": 1}, path=path).json()
        assert refused["error"]["code"] == 400


@dialects
@plain_and_streamed
def test_a_client_of_http_1_0(hub: Hub, fake: FakeUpstream, dialect: str, stream: bool) -> None:
    """It knows no chunks: a plain answer has its length, a stream ends with its connection."""
    speaker, tenant, model = SPEAKERS[dialect], hub.tenant(), open_model(hub, fake, dialect)
    raw = json.dumps(speaker.body(model, Wish("#tokens=6", stream))).encode()
    head = (
        f"POST {speaker.path(model, stream=stream)} HTTP/1.0\r\nauthorization: Bearer "
        f"{tenant.key}\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as connection:
        connection.sendall(head.encode() + raw)
        page_text = b"".join(iter(lambda: connection.recv(65536), b""))
    top, _, body = page_text.partition(b"\r\n\r\n")
    lines = top.lower().split(b"\r\n")
    assert not [line for line in lines if line.startswith(b"transfer-encoding")]
    assert (b"content-length: %d" % len(body) in lines) is not stream
    text = speaker.streamed(body) if stream else speaker.plain(json.loads(body))
    assert (text.whole, text.text) == (True, expected_text("a", "#tokens=6", 6))


@dialects
def test_headers_of_a_client_of_the_same_dialect(
    hub: Hub, fake: FakeUpstream, dialect: str
) -> None:
    speaker, tenant, model = SPEAKERS[dialect], hub.tenant(), open_model(hub, fake, "anthropic")
    body = speaker.body(model, Wish("#keep"))
    headers = {"anthropic-version": "2024-10-22", "anthropic-beta": "x-1", "cookie": "a=b"}
    answer = hub.post(tenant, body, path=speaker.path(model, stream=False), headers=headers)
    assert answer.status == 200, answer.body
    sent = row_of(hub, fake, answer.headers["x-request-id"])["headers"]
    same = dialect == "anthropic"
    assert sent["anthropic-version"] == ("2024-10-22" if same else "2023-06-01")
    assert sent.get("anthropic-beta") == ("x-1" if same else None)
    assert "cookie" not in sent


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_beta_headers_are_forwarded_from_header_or_body(
    hub: Hub, fake: FakeUpstream, path: str
) -> None:
    """The header anthropic-beta goes on, and is a list that may have lines."""
    tenant, model = hub.tenant(), open_model(hub, fake, "anthropic")
    body = SPEAKERS["anthropic"].body(model, Wish("#keep"))
    if path.endswith("count_tokens"):
        del body["max_tokens"]
    raw, own = json.dumps(body).encode(), f"x-{secrets.token_hex(4)}"
    head = [
        f"POST {path} HTTP/1.1",
        "host: hub",
        f"x-api-key: {tenant.key}",
        "anthropic-version: 2024-10-22",
        f"anthropic-beta: {own}",
        "anthropic-beta: x-2,x-3",
        f"content-length: {len(raw)}",
        "connection: close",
    ]
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as client:
        client.sendall("\r\n".join([*head, "", ""]).encode() + raw)
        text = b"".join(iter(lambda: client.recv(65536), b""))
    assert text.startswith(b"HTTP/1.1 200"), text
    sent = [row["headers"] for row in fake.books() if own in str(row["headers"])]
    assert [one["anthropic-beta"] for one in sent] == [f"{own},x-2,x-3"]
    assert sent[0]["anthropic-version"] == "2024-10-22"


# ---- companions and edges


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_count_tokens(hub: Hub, fake: FakeUpstream, upstream: str) -> None:
    """Asked of an upstream of the same dialect, else estimated; free, without a record."""
    tenant, model = hub.tenant("0"), open_model(hub, fake, upstream)
    text = "one two three four"
    for dialect, path, name in (
        ("anthropic", "/v1/messages/count_tokens", "input_tokens"),
        ("responses", "/v1/responses/input_tokens", "input_tokens"),
        ("gemini", f"/v1beta/models/{model}:countTokens", "totalTokens"),
    ):
        body = SPEAKERS[dialect].body(model, Wish(text))
        body.pop("max_tokens", None)
        body.pop("max_output_tokens", None)
        if dialect == "gemini":
            body = {"contents": body["contents"]}
        answer = hub.post(tenant, body, path=path)
        assert answer.status == 200, answer.body
        count = answer.json()[name]
        if dialect == upstream:
            assert count == (4 if dialect == "gemini" else 6)
        elif upstream in ("responses", "anthropic"):
            # The text, and what stands around a message.
            assert 4 < count < 30
        else:
            # The text alone, with "Be brief." of those that have a system prompt: such a model has
            # no template, or none that its provider publishes.
            assert count == (4 if dialect == "gemini" else 7)
    rows = hub.rows(
        "SELECT 1 FROM usage_usagerecord WHERE organisation_id = %s", tenant.organisation_id
    )
    assert rows == []


@pytest.mark.parametrize("client", ["openai", "gemini"])
@plain_and_streamed
def test_gemini_name_suffix_requests_thinking(
    hub: Hub, fake: FakeUpstream, client: str, stream: bool
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    base = f"gemini-{secrets.token_hex(5)}"
    hub.channel(base, fake.url, fake.key, **UPSTREAMS["gemini"])
    hub.price(base, RATES)
    hub.know(base)
    name = f"{base}-thinking-8192"
    answer = send(hub, tenant, speaker, name, speaker.body(name, Wish("#keep", stream)), stream)
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert record["model"] == base
    sent = json.loads(row_of(hub, fake, answer.headers["x-request-id"])["body"])
    thinking = sent["generationConfig"]["thinkingConfig"]
    assert thinking == {"thinkingBudget": 8192, "includeThoughts": True}
    answer = send(hub, tenant, speaker, f"{base}-thinking-fast",
                  speaker.body(f"{base}-thinking-fast", Wish()), False)  # fmt: skip
    assert answer.status == 404
    assert "-thinking-fast" in answer.body.decode()


@pytest.mark.parametrize("upstream", ["openai", "responses"])
def test_effort_at_the_end_of_a_name(hub: Hub, fake: FakeUpstream, upstream: str) -> None:
    """Served, priced and logged as the model without it; it stands above what the body says."""
    tenant, base = hub.tenant(), f"o3-mini-{secrets.token_hex(5)}"
    hub.channel(base, fake.url, fake.key, **(UPSTREAMS[upstream] | {"upstream_model": ""}))
    hub.price(base, RATES)
    hub.know(base)
    name = f"{base}-high"
    for speaker in SPEAKERS.values():
        body = speaker.body(name, Wish("#keep"))
        if speaker.name == "openai":
            body["reasoning_effort"] = "low"
        elif speaker.name == "responses":
            body["reasoning"] = {"effort": "low", "summary": "auto"}
        answer = send(hub, tenant, speaker, name, body, False)
        assert answer.status == 200, answer.body
        record = hub.record(answer.headers["x-request-id"])
        assert (record["model"], record["charge_nano"] > 0) == (base, True)
        sent = json.loads(row_of(hub, fake, answer.headers["x-request-id"])["body"])
        assert sent["model"] == base
        message = sent.get("reasoning") or {"effort": sent.get("reasoning_effort")}
        assert message["effort"] == "high", sent
        assert (
            upstream != "responses" or speaker.name != "responses" or message["summary"] == "auto"
        )
    answer = hub.post(tenant, ask(f"{base}-minimal"))
    assert answer.status == 404


@dialects
def test_plain_answer_of_a_model_that_only_streams(
    hub: Hub, fake: FakeUpstream, dialect: str
) -> None:
    speaker, tenant = SPEAKERS[dialect], hub.tenant()
    model = hub.model(fake, rates=RATES, provider="qwen", upstream_model="qwen3-omni-flash")
    body = speaker.body(model, Wish("#tokens=7"))
    answer = send(hub, tenant, speaker, model, body, False)
    assert answer.status == 200, answer.body
    assert speaker.read(answer).text == expected_text("a", "#tokens=7", 7)
    row = row_of(hub, fake, answer.headers["x-request-id"])
    assert row["stream"] is True
    record = hub.record(answer.headers["x-request-id"])
    assert (record["basis"], record["meters"]["out_text"]) == ("measured", 7)


def test_untranslatable_fields_are_dropped_and_named(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), open_model(hub, fake, "anthropic")
    for stream in (False, True):
        body = ask(model, "#tokens=2", seed=1, logit_bias={"1": 2}, stream=stream)
        answer = hub.post(tenant, body)
        assert answer.status == 200, answer.body
        assert set(answer.headers["x-weir-dropped-params"].split(",")) >= {"seed", "logit_bias"}
    answer = hub.post(tenant, ask(model, web_search_options={}))
    assert (answer.status, answer.error["code"]) == (400, "unsupported_parameter")
    assert hub.record(answer.headers["x-request-id"])["kind"] == "unsupported_capability"


def test_foreign_stored_response_is_clearly_rejected(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    body = {"input": "go on", "previous_response_id": "resp_1"}
    model = open_model(hub, fake, "anthropic")
    answer = hub.post(tenant, body | {"model": model}, path="/v1/responses")
    assert answer.status == 400
    assert "previous_response_id" in answer.error["message"]
    assert answer.error["param"] == "previous_response_id"


def test_hold_of_stored_input_covers_the_context(hub: Hub, fake: FakeUpstream) -> None:
    body = {"model": open_model(hub, fake, "responses"), "input": "#tokens=1",
            "conversation": "conv_1", "max_output_tokens": 16}  # fmt: skip
    answer = hub.post(hub.tenant(), body, path="/v1/responses")
    record = hub.record(answer.headers["x-request-id"])
    assert record["hold_nano"] >= 200_000


# ---- files by address


@contextmanager
def serving(body: bytes, kind: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hops = int(self.path.removeprefix("/").partition(".")[0] or 0)
            self.send_response(302 if hops else 200)
            if hops:
                self.send_header("location", f"/{hops - 1}.png")
            self.send_header("content-type", kind)
            self.send_header("content-length", str(0 if hops else len(body)))
            self.end_headers()
            self.wfile.write(b"" if hops else body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.9", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.9:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_image_url_is_fetched_for_models_that_cannot(hub: Hub, fake: FakeUpstream) -> None:
    """Up to three redirects, each address judged: users of this hub may name 127.0.0.9."""
    tenant, model = hub.tenant(), open_model(hub, fake, "gemini")

    def ask_for(url: str) -> Any:
        content = [{"type": "text", "text": "#tokens=2"},
                   {"type": "image_url", "image_url": {"url": url}}]  # fmt: skip
        body = {"model": model, "messages": [{"role": "user", "content": content}]}
        return hub.post(tenant, body)

    with serving(b"\x89PNG not really", "image/png") as origin:
        answer = ask_for(f"{origin}/3.png")
        assert answer.status == 200, answer.body
        (picture,) = row_of(hub, fake, answer.headers["x-request-id"])["media"]
        assert (picture["type"], picture["bytes"]) == ("image/png", 15)
        assert ask_for(f"{origin}/4.png").status == 422
    for url in (
        "https://127.0.0.2/x.png",
        "https://[::1]/x",
        "https://169.254.169.254/latest",
        "https://user@127.0.0.1/",
        "ftp://127.0.0.1/x",
    ):
        answer = ask_for(url)
        assert answer.status in (400, 422), url
        assert hub.record(answer.headers["x-request-id"])["charge_nano"] == 0


# ---- silence


@pytest.fixture(scope="module")
def chatty_hub() -> Iterator[Hub]:
    """A hub that is soon heard of where nothing comes."""
    with running_hub({"KEEP_ALIVE_SECONDS": "0.2"}) as hub:
        yield hub


@dialects
def test_silent_stream_gets_keep_alives(chatty_hub: Hub, fake: FakeUpstream, dialect: str) -> None:
    """Before the first content they commit the status only: the next channel may still answer, and
    a failure is told inside the stream."""
    speaker, tenant = SPEAKERS[dialect], chatty_hub.tenant()
    # Amazon's streams have no place for one.
    ping = {"anthropic": b"event: ping", "converse": b""}.get(dialect, b": ping")
    for upstream in (dialect, "openai" if dialect != "openai" else "gemini"):
        model = chatty_hub.model(fake, rates=RATES, retries=0, **UPSTREAMS[upstream])
        wish = Wish("#tokens=3 #first_ms=700", stream=True)
        answer = send(chatty_hub, tenant, speaker, model, speaker.body(model, wish), True)
        assert answer.body.startswith(ping)
        assert speaker.read(answer).text == expected_text("a", wish.text, 3)
        wish = Wish("#fault=F10:500 #first_ms=700", stream=True)
        answer = send(chatty_hub, tenant, speaker, model, speaker.body(model, wish), True)
        if answer.status == 200:
            assert answer.body.startswith(ping)
            text = speaker.streamed(answer.body)
            assert text.error is not None
            assert not text.whole
    assert frames(b"\n\n") == []
