"""A provider that keeps the books of its keys: money is taken from one, and it reports the balance
in the words of each provider. It shares no code with the product."""

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class FakeBalances:
    """`left` is what each key has left, by its text; `used` what it has used. `fault` replaces
    every answer: a status and a body, or "hang" for none. `unlimited` keys have no limit. `seen`
    are the paths that were asked, each with its key."""

    def __init__(self) -> None:
        self.left: dict[str, Decimal] = {}
        self.used: dict[str, Decimal] = {}
        self.unlimited: set[str] = set()
        self.fault: tuple[int, bytes] | str | None = None
        self.seen: list[tuple[str, str]] = []
        self.released = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                key = self.headers.get("Authorization", "").removeprefix("Bearer ")
                fake.seen.append((self.path, key))
                if fake.fault == "hang":
                    fake.released.wait(30)
                    return
                status, body = fake._answer(self.path, key)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """The base URL of a channel."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def reset(self) -> None:
        """Forget all but the server."""
        self.left.clear()
        self.used.clear()
        self.unlimited.clear()
        self.seen.clear()
        self.fault = None

    def spend(self, key: str, amount: str) -> None:
        """Take money from a key."""
        self.left[key] -= Decimal(amount)
        self.used[key] = self.used.get(key, Decimal(0)) + Decimal(amount)

    def _answer(self, path: str, key: str) -> tuple[int, bytes]:
        if isinstance(self.fault, tuple):
            return self.fault
        if key not in self.left:
            return 401, json.dumps({"error": {"message": f"no such key: {key}"}}).encode()
        left, used = self.left[key], self.used.get(key, Decimal(0))
        limit = Decimal(100_000_000) if key in self.unlimited else left + used
        forms = {
            "/v1/credits": f'{{"data":{{"total_credits":{left + used},"total_usage":{used}}}}}',
            "/v1/key": f'{{"data":{{"label":"k","limit_remaining":{self._rest(key)}}}}}',
            "/user/balance": json.dumps(
                {
                    "is_available": left > 0,
                    "balance_infos": [{"currency": "CNY", "total_balance": f"{left:.2f}"}],
                }
            ),
            "/v1/users/me/balance": f'{{"status":true,"data":{{"available_balance":{left}}}}}',
            "/v1/user/info": json.dumps({"status": True, "data": {"totalBalance": f"{left}"}}),
            "/v1/dashboard/billing/subscription": f'{{"hard_limit_usd":{limit}}}',
            "/v1/dashboard/billing/usage": f'{{"object":"list","total_usage":{used * 100}}}',
        }
        if path not in forms:
            return 404, b"<html>not here</html>"
        return 200, forms[path].encode()

    def _rest(self, key: str) -> str:
        return "null" if key in self.unlimited else str(self.left[key])

    def __enter__(self) -> "FakeBalances":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
