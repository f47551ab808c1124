"""A company's own certificate authority, named by SSL_CERT_FILE: every outgoing connection trusts
it in addition to the public ones, and a file that is no good is refused at start."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.mail import get_connection
from django.test import override_settings

from accounts.mail_server.current_server import BACKEND
from accounts.single_sign_on import oidc
from billing.topups.processors.processor import ChargeOrder
from billing.topups.processors.stripe import StripeProcessor
from config.system.rows import system_rows
from config.system.state import serialize_state, system_state
from extensions.clickhouse import client as clickhouse
from extensions.clickhouse.client import ClickHouse
from extensions.record_sink.receiver import Batch, open_receiver
from lib.network import egress, guarded_pool, trust
from lib.network.outbound import Outbound
from notify.deliveries import sending
from relay.preparation import file_fetching
from relay.tracing.telemetry_client import telemetry_client
from relay.upstream import dialer
from tests.fakes.listeners import Authority, tls_context
from tests.fakes.record_receiver import SECRET
from tests.runner.databases import ROOT

LOOPBACK = egress.EgressPolicy(["127.0.0.1/32"])


class SecureServer:
    """Counts the connections whose client took our certificate; answers each with `{}`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.secured = 0
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with suppress(OSError), self._context.wrap_socket(plain, server_side=True) as secure:
                # Over TLS 1.3 this ends only once the client has judged us.
                self.secured += 1
                secure.settimeout(5)
                secure.recv(65536)
                secure.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
                )

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Iterator[SecureServer]:
    server = SecureServer(tls_context(tmp_path, authority=authority)[0])
    yield server
    server.close()


def forget() -> None:
    """What a process reads once."""
    trust.own_authorities.cache_clear()
    egress.system_trust.cache_clear()
    clickhouse.client.cache_clear()
    dialer._context = None


@pytest.fixture
def name_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    def name(path: Path) -> None:
        monkeypatch.setenv(trust.FILE, str(path))
        forget()

    monkeypatch.delenv(trust.FILE, raising=False)
    forget()
    yield name
    monkeypatch.undo()
    forget()


def send_webhook(url: str) -> None:
    sending._post_body(url, {}, b"{}", lambda answer: "")


def fetch_file(url: str) -> None:
    asyncio.run(file_fetching.fetch([url], LOOPBACK))


def pay(url: str) -> None:
    StripeProcessor().charge_kept_card(ChargeOrder("order", "owner", 100, "USD", "customer"))


def ask_clickhouse(url: str) -> None:
    ClickHouse(url, "default", "default", "").run("SELECT 1")


def send_records(url: str) -> None:
    with (
        override_settings(RECORD_SINK_URL=url, RECORD_SINK_SECRET=SECRET),
        open_receiver(5) as receiver,
    ):
        receiver.put(Batch(UUID(int=1), "records", b"{}"))


def poll_task(url: str) -> None:
    with guarded_pool.guarded_pool(LOOPBACK, until=time.monotonic() + 5) as pool:
        guarded_pool.exchanged_briefly(pool, "GET", url, {}, b"", bytes_max=9)


def ask_staged(url: str) -> None:
    """As a channel is asked that has a certificate, or none, but no authorities of its own."""
    with egress.guarded_client(LOOPBACK, outbound=Outbound()) as client:
        egress.send_request(client, "GET", url, {}, b"")


def ask_channel(url: str) -> None:
    async def connect() -> None:
        host, _, port = url.removeprefix("https://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=dialer._tls_context())
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    asyncio.run(connect())


def send_email(url: str) -> None:
    port = int(url.rpartition(":")[2])
    server = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port, "EMAIL_USE_SSL": True}
    with override_settings(**server, EMAIL_USE_TLS=False):
        get_connection(BACKEND).open()


def send_trace(url: str) -> None:
    telemetry_client().post(url, data=b"", timeout=5)


SINKS: dict[str, Callable[[str], Any]] = {
    "webhooks": send_webhook,
    "single sign-on": oidc.discover_provider,
    "fetched files": fetch_file,
    "payments": pay,
    "ClickHouse": ask_clickhouse,
    "the record sink": send_records,
    "media tasks": poll_task,
    "tests of channels": ask_staged,
    "channels": ask_channel,
    "emails": send_email,
    "traces": send_trace,
}


@pytest.mark.parametrize("sink", SINKS)
def test_every_outgoing_connection_trusts_the_own_authority(
    sink: str,
    server: SecureServer,
    authority: Authority,
    name_file: Callable[[Path], None],
    settings: Any,
) -> None:
    """It is verified as ever: without the file, and with another authority's, nobody connects."""
    settings.WEBHOOK_EGRESS_ALLOW = settings.SSO_EGRESS_ALLOW = ["127.0.0.1/32"]
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = "sk_test_x", server.url
    settings.EMAIL_TIMEOUT = 5

    def secured() -> bool:
        before = server.secured
        # What it makes of the answer is another matter.
        with suppress(Exception):
            SINKS[sink](server.url)
        return server.secured > before

    assert not secured()
    other = authority.path.parent / "other"
    other.mkdir()
    name_file(Authority(other).path)
    assert not secured()
    name_file(authority.path)
    assert secured()
    # In addition to the public ones.
    assert len(trust.trusted_context().get_ca_certs()) > 50


def test_no_other_code_sets_up_tls() -> None:
    """Whoever adds a sink uses the one context."""
    makers = ("create_default_context", "SSLContext(", "create_ssl_context", "import certifi")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(
        listing, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    results = {
        name
        for name in listed
        if not name.startswith("tests/") and any(one in (ROOT / name).read_text() for one in makers)
    }
    # The second is for the authorities that a channel trusts alone.
    assert results == {"lib/network/trust.py", "lib/network/outbound.py"}


@pytest.mark.django_db
def test_system_page_lists_trusted_authorities(
    authority: Authority, name_file: Callable[[Path], None]
) -> None:
    def row() -> Any:
        (result,) = [
            one for one in system_rows(system_state()) if one.title == "Certificate authorities"
        ]
        return result

    assert (row().value, row().status) == ("Public ones", "OK")
    name_file(authority.path)
    (own,) = trust.own_authorities()
    assert row().value == f"Public ones and 1 of your own: {own.name}"
    assert serialize_state(system_state())["own_authorities"] == [
        {"name": own.name, "ends_at": own.ends_at}
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "which cannot be read (No such file or directory)"),
        ("no certificate", "which holds no certificates in PEM"),
        ("a server's", "which holds no certificate of an authority"),
    ],
)
def test_invalid_authority_file_is_rejected_at_start(
    tmp_path: Path, authority: Authority, content: str | None, why: str
) -> None:
    file = tmp_path / "company.pem"
    if content == "a server's":
        created = authority.certificate(tmp_path, "hub.example", expired=False, trusted=False)
        file.write_text(created.read_text())
    elif content is not None:
        file.write_text(content)
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, trust.FILE: str(file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"{trust.FILE} names {file}, {why}" in done.stderr


def test_empty_setting_keeps_the_machines_authorities() -> None:
    """Compose passes an empty text for what .env leaves out; OpenSSL would read no file for it."""
    code = "import os, django; django.setup(); print('SSL_CERT_FILE' in os.environ)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, trust.FILE: "", "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
