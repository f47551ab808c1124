"""Messages to chat services, judged by fakes of these services (W51)."""

import time
from urllib.parse import urlsplit

import pytest

from notify.endpoints.chat_services import chat_request
from tests.notify.chats import ADDRESSES, SECRETS, SERVICES, Chats


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_accepts_the_message_and_its_signature(service: str) -> None:
    chats, text = Chats(), 'He said "5 > 3" 🙂 \u200f'
    address = f"https://chat.example{ADDRESSES[service]}"
    sent = chat_request(service, address, SECRETS[service], text, int(time.time() * 1000))
    url = urlsplit(sent.url)
    chats.judge(f"{url.path}?{url.query}" if url.query else url.path, sent.body)
    assert (len(chats.said), chats.refused) == (1, [])
