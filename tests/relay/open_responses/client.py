"""A client of Open Responses that judges what it gets as the compliance tests do: every response
and every event is held against the published schemas, over HTTP, SSE and WebSocket.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.relay.speakers import frames
from tests.support import openapi
from tests.support.hub import Hub, Tenant

_ENDS = ("response.completed", "response.failed", "response.incomplete")
JsonObject = dict[str, Any]


@dataclass
class Turn:
    """What came back: the response, None if there is none; the events of a stream; the code of its
    error.
    """

    response: JsonObject | None = None
    events: list[JsonObject] = field(default_factory=list)
    code: str | None = None

    @property
    def completed(self) -> JsonObject:
        """The response, which is whole."""
        assert self.response is not None, self.code or self.events
        assert self.response["status"] == "completed", self.response
        return self.response

    @property
    def output_kinds(self) -> list[str]:
        assert self.response is not None, self.code
        return [item["type"] for item in self.response["output"]]

    @property
    def failed(self) -> bool:
        return self.code is not None or (self.response or {}).get("status") == "failed"

    def take(self, event: JsonObject, schema: str) -> None:
        openapi.check(event, "openresponses", schema)
        self.events.append(event)
        if event["type"] in _ENDS:
            self.response = event["response"]
            openapi.check(self.response, "openresponses", "ResponseResource")
            self.code = (event["response"].get("error") or {}).get("code")


@dataclass
class Client:
    """One caller of one model."""

    hub: Hub
    tenant: Tenant
    model: str

    def create(self, **body: Any) -> Turn:
        """POST /responses."""
        answer = self._post("/v1/responses", body)
        assert answer[0] == 200, answer
        openapi.check(answer[1], "openresponses", "ResponseResource")
        return Turn(answer[1])

    def stream(self, **body: Any) -> Turn:
        """POST /responses with `stream`."""
        body = {"model": self.model, **body, "stream": True}
        openapi.check(body, "openresponses", "CreateResponseBody")
        answer = self.hub.post(self.tenant, body, path="/v1/responses")
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"].startswith("text/event-stream")
        turn = Turn()
        names = openapi.event_names("openresponses")
        for name, data in frames(answer.body):
            event = json.loads(data)
            assert name == event["type"]
            turn.take(event, names[event["type"]])
        return turn

    def compact(self, **body: Any) -> JsonObject:
        """POST /responses/compact."""
        status, compaction = self._post("/v1/responses/compact", body)
        assert status == 200, compaction
        openapi.check(compaction, "openresponses", "CompactResource")
        return compaction

    def status_of_compaction(self, body: JsonObject) -> int:
        return self.hub.post(self.tenant, body, path="/v1/responses/compact").status

    def _post(self, path: str, body: JsonObject) -> tuple[int, JsonObject]:
        body = {"model": self.model, **body}
        if path == "/v1/responses":
            openapi.check(body, "openresponses", "CreateResponseBody")
        answer = self.hub.post(self.tenant, body, path=path)
        return answer.status, answer.json()

    @contextmanager
    def connected(self) -> Iterator["Connection"]:
        """GET /responses as a WebSocket."""
        url = self.hub.url.replace("http", "ws") + "/v1/responses"
        headers = {"Authorization": f"Bearer {self.tenant.key}"}
        with connect(url, additional_headers=headers, max_size=None) as socket:
            yield Connection(socket, self.model)


@dataclass
class Connection:
    """One WebSocket; each turn ends before the next one begins."""

    socket: ClientConnection
    model: str

    def create(
        self, input: str | Sequence[JsonObject], *, store: bool = False, **more: Any
    ) -> Turn:
        body = {"type": "response.create", "model": self.model, "input": input, **more}
        if not store:
            body["store"] = False
        if not any(item.get("type") == "compaction" for item in input if isinstance(item, dict)):
            # What a provider made is sent back unchanged, whatever the schema of requests says.
            openapi.check(body, "openresponses", "WebSocketResponseCreateEvent")
        self.socket.send(json.dumps(body))
        turn, names = Turn(), openapi.event_names("openresponses")
        while turn.response is None:
            event = json.loads(self.socket.recv(timeout=30))
            if event["type"] == "error":
                turn.take(event, "WebSocketErrorEvent")
                turn.code = event["error"]["code"]
                return turn
            turn.take(event, names[event["type"]])
        return turn
