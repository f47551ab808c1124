import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dialects.chat.fold import AnswerFault
from dialects.endpoints.rerank import (
    RerankFacts,
    RerankForm,
    decode_answer,
    edit,
    encode,
    encode_answer,
    form_of,
    has_jina_form,
    read,
    read_answer,
)
from dialects.errors.errors import RequestFault
from tests.dialects.exchanges import EXPECTED, exchange, fault_of, refusal, wire
from tests.dialects.neutral import REQUEST_ID

JINA = "openai_media.json#rerank_jina"
COHERE = "openai_media.json#rerank_cohere_v2"
FORMS: dict[str, RerankForm] = {JINA: "jina", COHERE: "cohere"}


def body(**members: object) -> bytes:
    return wire(**{"model": "m", "query": "q", "documents": ["a", "b"], **members})


def jina(**members: object) -> RerankFacts:
    return read(body(**members), form="jina")


def cohere(**members: object) -> RerankFacts:
    return read(body(**members), form="cohere")


def ranked(*results: tuple[int, float], **members: object) -> bytes:
    rows = [{"index": index, "relevance_score": score} for index, score in results]
    return wire(results=rows, **members)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/rerank", "jina"),
        ("/rerank", "jina"),
        ("/api/v1/rerank", "jina"),
        ("/v2/rerank", "cohere"),
        ("/v2/rerank/", "cohere"),
    ],
)
def test_path_determines_the_form(path: str, form: str) -> None:
    assert form_of(path) == form


@pytest.mark.parametrize("key", FORMS)
def test_golden_exchange(key: str) -> None:
    request_body, response_body = exchange(key)
    want = EXPECTED["media"][key]
    facts = read(request_body, form=FORMS[key])
    assert edit(facts, facts.model) == request_body
    ranking = decode_answer(response_body, len(facts.documents))
    assert [result.index for result in ranking.results] == want["order"]
    meters = read_answer(response_body).quantities.meters
    assert ranking.quantities.meters == meters
    if "usage" in want:
        assert meters == {"in_text": want["usage"]["input"]}
    else:
        assert meters == {"searches": want["search_units"]}
    again = encode_answer(ranking, facts, request_id=REQUEST_ID, meters=meters)
    assert json.loads(again) == json.loads(response_body)


def test_facts() -> None:
    raw = body(query="qq", documents=["a", {"text": "b"}], top_n=1.0, return_documents=True,
               user="u", max_cost=1)  # fmt: skip
    facts = read(raw, form="jina")
    assert (facts.model, facts.query, facts.documents) == ("m", b'"qq"', (b'"a"', b'{"text": "b"}'))
    assert (facts.top_n, facts.return_documents) == (1, True)
    assert (facts.user, facts.max_cost_nano) == ("u", 10**9)
    # The query counts once for each document.
    assert facts.text_bytes == len(raw) + 2 * (len('"qq"') + 8)


@pytest.mark.parametrize(
    ("documents", "units", "units_max"),
    [(["a"], 1, 1), (["a"] * 100, 1, 1), (["a"] * 101, 2, 2), (["a" * 25_000], 1, 2)],
)
def test_search_units(documents: list[str], units: int, units_max: int) -> None:
    facts = cohere(documents=documents)
    assert (facts.search_units, facts.search_units_max) == (units, units_max)


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (wire(query="q", documents=["a"]), "missing_parameter", "model"),
        (wire(model="m", documents=["a"]), "missing_parameter", "query"),
        (wire(model="m", query="q"), "missing_parameter", "documents"),
        (body(query=3), "invalid_type", "query"),
        (body(documents="a"), "invalid_type", "documents"),
        (body(documents=["a", 3]), "invalid_type", "documents[1]"),
        (body(documents=[]), "invalid_value", "documents"),
        (body(documents=[], top_n="1"), "invalid_type", "top_n"),
        (body(top_n=0), "invalid_value", "top_n"),
        (body(return_documents="yes"), "invalid_type", "return_documents"),
        (body(max_cost="x"), "invalid_value", "max_cost"),
    ],
)
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        read(raw, form="jina")
    assert refusal(caught) == (kind, param)


def test_only_what_must_change_changes() -> None:
    raw = b'{"model":"m", "query":"q","documents":[ "a"],"max_cost":1}'
    assert edit(read(raw, form="jina"), "u") == b'{"model":"u", "query":"q","documents":[ "a"]}'


def test_a_jina_client_reaches_a_cohere_upstream() -> None:
    facts = jina(
        query={"text": "q"}, documents=["a", {"text": "b"}], top_n=1, return_documents=True,
        max_tokens_per_doc=9, truncation=True, none=None,
    )  # fmt: skip
    encoded = encode(facts, "up", "cohere")
    assert json.loads(encoded.body) == {
        "model": "up", "query": "q", "documents": ["a", "b"], "top_n": 1, "max_tokens_per_doc": 9
    }  # fmt: skip
    assert encoded.dropped == ("truncation",)
    assert json.loads(encode(jina(), "up", "cohere").body) == {
        "model": "up", "query": "q", "documents": ["a", "b"]
    }  # fmt: skip
    ranking = decode_answer(
        ranked((0, 0.1), (1, 0.9), meta={"billed_units": {"search_units": 1}}, id="x"), 2
    )
    got = json.loads(encode_answer(ranking, facts, request_id=REQUEST_ID, meters={"searches": 1}))
    assert got == {
        "model": "m",
        "object": "list",
        "results": [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}],
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    }


def test_a_cohere_client_reaches_a_jina_upstream() -> None:
    facts = cohere(max_tokens_per_doc=9)
    encoded = encode(facts, "up", "jina")
    assert json.loads(encoded.body) == {
        "model": "up", "query": "q", "documents": ["a", "b"], "return_documents": False
    }  # fmt: skip
    assert encoded.dropped == ("max_tokens_per_doc",)
    ranking = decode_answer(ranked((1, 0.1), (0, 0.9), model="up-1", usage={"total_tokens": 5}))
    assert ranking.model == "up-1"
    got = json.loads(encode_answer(ranking, facts, request_id=REQUEST_ID, meters={"in_text": 5}))
    assert got.pop("id").startswith("rerank-")
    assert got == {
        "results": [{"index": 0, "relevance_score": 0.9}, {"index": 1, "relevance_score": 0.1}],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 5}},
    }


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"documents": ["a", {"image": "https://example.com/a.png"}]}, "documents[1]"),
        ({"query": {"image": "https://example.com/a.png"}}, "query"),
    ],
)
def test_pictures_are_not_ranked_by_words(members: dict[str, object], param: str) -> None:
    with pytest.raises(RequestFault) as caught:
        encode(jina(**members), "up", "cohere")
    assert refusal(caught) == ("unsupported_capability", param)


def test_documents_come_back_unchanged() -> None:
    facts = jina(documents=[{"text": "a", "n": 1}, "b"], return_documents=True)
    ranking = decode_answer(ranked((0, 1), (1, 0.5), usage={}))
    got = json.loads(encode_answer(ranking, facts, request_id=REQUEST_ID, meters={}))
    assert [result["document"] for result in got["results"]] == [
        {"text": "a", "n": 1},
        {"text": "b"},
    ]


@pytest.mark.parametrize(
    ("members", "meters", "flags"),
    [
        ({}, {}, ("usage_missing",)),
        ({"usage": {"total_tokens": 3}}, {"in_text": 3}, ()),
        ({"meta": {"billed_units": {"search_units": 2}}}, {"searches": 2}, ()),
        (
            {"usage": {"total_tokens": 3}, "meta": {"billed_units": {"search_units": 2}}},
            {"searches": 2},
            (),
        ),
        ({"meta": {"billed_units": {"search_units": 0}}}, {"searches": 0}, ()),
        (
            {
                "meta": {
                    "billed_units": {"search_units": 0, "input_tokens": 0},
                    "tokens": {"input_tokens": 7},
                }
            },
            {"in_text": 7},
            (),
        ),
        ({"meta": {"billed_units": {"input_tokens": 4}}}, {"in_text": 4}, ()),
        ({"meta": {"billed_units": {"search_units": -1}}}, {}, ("usage_negative",)),
        ({"meta": [], "usage": {"total_tokens": 1}}, {"in_text": 1}, ()),
    ],
)
def test_billed_units(
    members: dict[str, object], meters: dict[str, int], flags: tuple[str, ...]
) -> None:
    got = read_answer(ranked((0, 1), **members))
    assert (got.quantities.meters, got.quantities.flags) == (meters, flags)


def test_xinference_answer_becomes_a_jina_answer() -> None:
    """Its documents are bare texts, and it tells no usage."""
    facts = jina(documents=["a", {"text": "b"}], return_documents=True)
    raw_answer = wire(
        id="480dca92",
        results=[{"index": 1, "relevance_score": 0.9, "document": "b"},
                 {"index": 0, "relevance_score": 0.1, "document": "a"}],
        meta={"api_version": None, "billed_units": None, "tokens": None, "warnings": None},
    )  # fmt: skip
    assert not has_jina_form(raw_answer)
    assert read_answer(raw_answer).quantities.missing
    got = json.loads(
        encode_answer(decode_answer(raw_answer, 2), facts, request_id="R", meters={"in_text": 9})
    )
    assert got["object"] == "list"
    assert got["model"] == facts.model
    assert [(result["index"], result["document"]) for result in got["results"]] == [
        (1, {"text": "b"}), (0, {"text": "a"}),
    ]  # fmt: skip
    assert got["usage"] == {"prompt_tokens": 9, "total_tokens": 9}


@pytest.mark.parametrize(("document", "whole"), [({"text": "a"}, True), (None, True), ("a", False)])
def test_only_a_foreign_answer_is_rewritten(document: object, whole: bool) -> None:
    row = {"index": 0, "relevance_score": 1, "document": document}
    assert has_jina_form(wire(results=[row], usage={"total_tokens": 1})) is whole
    assert not has_jina_form(wire(results=[row]))


def test_the_raw_usage_is_kept() -> None:
    assert read_answer(ranked((0, 1), usage={"total_tokens": 1})).usage == b'{"total_tokens": 1}'
    assert read_answer(ranked((0, 1), meta={"x": 1})).usage == b'{"x": 1}'
    assert read_answer(ranked((0, 1))).usage is None
    odd = ranked((0, 1)).removesuffix(b"}") + b',"meta":{"n":1e999}}'
    assert read_answer(odd).quantities.missing


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "F24"),
        (b"{}", "F24"),
        (wire(results=[]), "F24"),
        (wire(results=[{"index": 0}]), "F15"),
        (wire(results={}), "F15"),
        (wire(error={"message": "no"}), "upstream_error"),
    ],
)
def test_malformed_answer(raw: bytes, fault: str) -> None:
    result = read_answer(raw)
    assert fault in (result.broken, result.error and result.error.kind)
    with pytest.raises(AnswerFault) as caught:
        decode_answer(raw)
    assert fault_of(caught) == fault


@pytest.mark.parametrize("places", [(0, 0), (-1, 0), (0, 2)])
def test_index_refers_to_a_document(places: tuple[int, int]) -> None:
    with pytest.raises(AnswerFault) as caught:
        decode_answer(ranked((places[0], 1), (places[1], 0.5)), 2)
    assert fault_of(caught) == "F15"


@given(st.binary(max_size=60))
def test_malformed_bytes_are_handled(raw: bytes) -> None:
    read_answer(raw)
    try:
        facts = read(raw, form="jina")
        encode(facts, "u", "cohere")
    except RequestFault:
        pass


_scores = st.floats(0, 1, allow_nan=False)


@given(st.lists(_scores, min_size=1, max_size=8), st.data())
def test_the_order_survives_both_forms(scores: list[float], data: st.DataObject) -> None:
    documents = [f"d{i}" for i in range(len(scores))]
    order = data.draw(st.permutations(range(len(scores))))
    ranking = decode_answer(ranked(*((i, scores[i]) for i in order)), len(documents))
    assert [result.relevance_score for result in ranking.results] == sorted(scores, reverse=True)
    for facts in (jina(documents=documents), cohere(documents=documents)):
        again = decode_answer(encode_answer(ranking, facts, request_id=REQUEST_ID, meters={}))
        assert again.results == ranking.results


def test_out_of_range_numbers_in_text_are_no_internal_error() -> None:
    odd = b'{"text":"a","score":1e999}'
    for query, documents, path in (
        (odd, b'["b"]', "query"),
        (b'"q"', b"[" + odd + b"]", "documents[0]"),
    ):
        raw = b'{"model":"m","query":' + query + b',"documents":' + documents + b"}"
        with pytest.raises(RequestFault) as caught:
            encode(read(raw, form="jina"), form="cohere", upstream_model="m")
        assert refusal(caught) == ("unsupported_capability", path)


def test_client_of_cohere_gets_no_documents_and_the_upstreams_model() -> None:
    """Documents that no one shows are not asked for, and the model is the one that answered."""
    asked = cohere(return_documents=True)
    assert json.loads(encode(asked, "up", "jina").body)["return_documents"] is False
    ranking = decode_answer(ranked((1, 0.9), (0, 0.1), model="answered"))
    for ranking_model, shown in ((ranking.model, "answered"), ("", "m")):
        told = encode_answer(
            replace(ranking, model=ranking_model), jina(), request_id=REQUEST_ID, meters={}
        )
        assert json.loads(told)["model"] == shown
