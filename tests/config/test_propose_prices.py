"""`manage.py propose_prices`: a list from a file or an address, and what is said of it."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from django.core.management import CommandError, call_command

from accounts.access.actors import SYSTEM
from billing.models import PriceProposal
from config.management.commands import propose_prices
from gateway.settings.installation import save_settings

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = b"""{"m-1": {"mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
 "azure/m-1": {"mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
 "m-2": {"mode": "chat", "input_cost_per_token": 1e-06, "input_cost_per_image": 1}}"""


@contextmanager
def served(body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/list.json?token=secret"
    finally:
        server.shutdown()
        server.server_close()


def proposed(place: str, *options: str) -> tuple[str, list[str]]:
    out = io.StringIO()
    call_command("propose_prices", place, *options, stdout=out)
    return out.getvalue(), sorted(PriceProposal.objects.values_list("model", flat=True))


def test_a_file_becomes_proposals(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_bytes(TEXT)
    text, models = proposed(str(file), "--ignore", "azure/*", "--verbosity", "2")
    assert models == ["m-1"]
    assert "1 new prices, 0 changes and 0 removals" in text
    assert "left out: m-2: input_cost_per_image" in text
    assert proposed(str(file), "--only", "azure/*")[1] == ["azure/m-1"]


def test_address_is_reached_only_where_permitted() -> None:
    with served(TEXT) as url:
        with pytest.raises(CommandError, match="cannot be fetched"):
            proposed(url)
        save_settings(SYSTEM, egress_allow_users=["127.0.0.1/32"])
        assert proposed(url)[1] == ["azure/m-1", "m-1"]
    assert {row.source for row in PriceProposal.objects.all()} == {"list 127.0.0.1/list.json"}


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff\xfe", b"\x00", "😀".encode()])
def test_malformed_list_is_reported(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "list.json"
    file.write_bytes(text)
    with pytest.raises(CommandError, match="is no list of prices"):
        proposed(str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        proposed(str(tmp_path / "absent.json"))


def test_list_is_read_from_an_address_or_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(propose_prices, "fetch_list", str.encode)
    for address in ("http://x.example/l", "https://x.example/l"):
        assert propose_prices._read(address) == address.encode()
    (tmp_path / "https").write_bytes(b"{}")
    assert propose_prices._read(str(tmp_path / "https")) == b"{}"
