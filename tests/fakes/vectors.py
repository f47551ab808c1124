"""What is asked and answered in one piece: embeddings, moderations, rerank."""

import base64
import struct
from collections.abc import Mapping
from typing import Any

from tests.fakes.answer import Piece, compact
from tests.fakes.gemini import vector
from tests.fakes.openai_talk import OpenAITalk
from tests.fakes.question import (
    Conversation,
    Problem,
    Question,
    Wrong,
    from_url,
    positive,
    unknown_in,
)
from tests.fakes.story import Ask, Plan
from tests.fakes.wire import error_object

_CATEGORIES = (
    "harassment harassment/threatening hate hate/threatening illicit illicit/violent self-harm "
    "self-harm/instructions self-harm/intent sexual sexual/minors violence violence/graphic"
)
_VIOLENT = frozenset(["hurt", "kill", "stab", "shoot"])


class Embeddings(OpenAITalk):
    """POST …/embeddings"""

    dialect = "embeddings"
    operation = "embeddings"
    prefix = "embd-"
    streams = False
    fields = frozenset(["model", "input", "encoding_format", "dimensions", "user"])
    spine = b'"object":"'

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model = self.model_of(body)
        input_value = body.get("input")
        if not isinstance(input_value, str | list) or not input_value:
            raise Wrong(400, "Required parameter 'input' is missing.", param="input")
        positive(body, "dimensions")
        wanted = input_value if isinstance(input_value, list) else [input_value]
        if isinstance(wanted[0], int):
            wanted = [wanted]
        if len(wanted) > 2048:
            raise Wrong(400, "'input' array must have at most 2048 elements.", param="input")
        received = Conversation()
        self.texts = []
        for one in wanted:
            received.turn(user=True)
            if isinstance(one, str) and one:
                received.say(one)
                self.texts.append(one)
            elif isinstance(one, list) and all(isinstance(number, int) for number in one):
                received.tokens += len(one)
                self.texts.append(" ".join(map(str, one)))
            else:
                raise Wrong(400, "'$.input' is invalid.", param="input")
        self.packed = body.get("encoding_format") == "base64"
        self.size: int | None = body.get("dimensions")
        return Question.of(model, received, unknown=unknown_in(body, self.fields))

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        return {"prompt_tokens": usage["prompt_tokens"], "total_tokens": usage["total_tokens"]}

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        results = [vector(text, self.size or ask.wish.dims) for text in self.texts]
        data = [
            {"object": "embedding", "index": i, "embedding": _packed(v) if self.packed else v}
            for i, v in enumerate(results)
        ]
        body: dict[str, Any] = {"object": "list", "data": data, "model": ask.question.model}
        if ask.wish.usage != "none":
            body["usage"] = ask.report(ask.counted(0))
        return compact(body)


def _packed(values: list[float]) -> str:
    """Little-endian 32-bit floats in base64."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


class Moderations(OpenAITalk):
    """POST …/moderations: free; a violent word is flagged."""

    dialect = "moderations"
    operation = "moderations"
    prefix = "modr-"
    streams = False
    free = True
    fields = frozenset(("model", "input"))
    spine = b'"id":"'

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        input_value = body.get("input")
        if not isinstance(input_value, str | list) or not input_value:
            raise Wrong(400, "Required parameter 'input' is missing.", param="input")
        received = Conversation()
        self.texts = []
        for one in input_value if isinstance(input_value, list) else [input_value]:
            received.turn(user=True)
            match one:
                case str(text) | {"type": "text", "text": str(text)}:
                    received.say(text)
                    self.texts.append(text)
                case {"type": "image_url", "image_url": {"url": url}}:
                    received.see(from_url("image", url))
                case _:
                    raise Wrong(400, "'$.input' is invalid.", param="input")
        # Parts are one thing to judge, a list of texts is as many.
        if isinstance(input_value, list) and isinstance(input_value[0], dict):
            self.texts = [" ".join(self.texts)]
        if not received.turns[-1].texts:
            received.turns[-1].user = False
        model = body.get("model") or "omni-moderation-latest"
        return Question.of(model, received, unknown=unknown_in(body, self.fields))

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        results = [_judged(text) for text in self.texts]
        return compact({"id": ask.row.id, "model": ask.question.model, "results": results})


def _judged(text: str) -> dict[str, Any]:
    violent = not _VIOLENT.isdisjoint(text.lower().split())
    names = _CATEGORIES.split()
    return {
        "flagged": violent,
        "categories": {name: violent and name == "violence" for name in names},
        "category_scores": {
            name: 0.91 if violent and name == "violence" else 0.001 for name in names
        },
        "category_applied_input_types": {name: ["text"] for name in names},
    }


class Rerank(OpenAITalk):
    """POST /v1/rerank as Jina has it, /v2/rerank as Cohere has it."""

    dialect = "rerank"
    operation = "rerank"
    prefix = "rrk-"
    streams = False
    spine = b'"model":"'

    def __init__(self, *, cohere: bool) -> None:
        super().__init__()
        self.cohere = cohere
        more = "max_tokens_per_doc priority" if cohere else "return_documents truncation"
        self.fields = frozenset(f"model query documents top_n {more}".split())

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        model = self.model_of(body)
        query, documents = body.get("query"), body.get("documents")
        if not isinstance(query, str) or not query:
            raise Wrong(400, "query is missing", param="query")
        if not isinstance(documents, list) or not documents:
            raise Wrong(400, "documents is missing", param="documents")
        positive(body, "top_n")
        received = Conversation()
        received.turn(user=True)
        received.say(query)
        self.texts: list[str] = []
        for one in documents:
            text = one.get("text") if isinstance(one, dict) else one
            if not isinstance(text, str) or (self.cohere and isinstance(one, dict)):
                raise Wrong(400, "invalid document", param="documents")
            received.count(text)
            self.texts.append(text)
        self.top = body.get("top_n") or len(self.texts)
        self.shown = bool(body.get("return_documents"))
        return Question.of(model, received, unknown=unknown_in(body, self.fields))

    def error(self, problem: Problem) -> Any:
        if self.cohere:
            return {"message": problem.message}
        if problem.kind == "invalid_request_error" and problem.status in (400, 422):
            return {"detail": problem.message}
        return error_object(problem.message, problem.kind, problem.code, problem.param)

    @property
    def units(self) -> int:
        return -(-len(self.texts) // 100)

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        if self.cohere:
            return {"search_units": self.units}
        return {"total_tokens": usage["total_tokens"], "prompt_tokens": usage["prompt_tokens"]}

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        wanted = set(ask.question.user_text.lower().split())
        scored = [(_score(wanted, text), -i) for i, text in enumerate(self.texts)]
        results: list[dict[str, Any]] = []
        for score, minus_index in sorted(scored, reverse=True)[: self.top]:
            values: dict[str, Any] = {"index": -minus_index, "relevance_score": score}
            if self.shown and not self.cohere:
                values["document"] = {"text": self.texts[-minus_index]}
            results.append(values)
        usage = ask.report(ask.counted(0)) if ask.wish.usage != "none" else None
        if self.cohere:
            meta: dict[str, Any] = {"api_version": {"version": "2"}}
            if usage is not None:
                meta["billed_units"] = usage
            return compact({"id": ask.row.id, "results": results, "meta": meta})
        body = {"model": ask.question.model, "object": "list", "results": results}
        return compact(body | ({} if usage is None else {"usage": usage}))


def _score(wanted: set[str], text: str) -> float:
    """The share of the query's words that the document has, kept off 0 and 1."""
    shared = len(wanted & set(text.lower().split()))
    return round(0.01 + 0.98 * shared / max(len(wanted), 1), 4)
