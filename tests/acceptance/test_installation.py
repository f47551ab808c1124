"""One file makes an installation that serves: no page is touched, and everything adds up.

That 200 streams at once are byte-equal and booked as the provider counted them is proved on one
channel in tests/relay; here the same load meets two channels, and its sums are compared.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openai import OpenAI

from tests.fakes.upstream import FakeUpstream, expected_text
from tests.runner.databases import own_database
from tests.support.beside import Beside, manage
from tests.support.hub import Hub
from usage.rollups.rollups import roll_up

SECRET = "sk-brought-from-another-hub"
MODEL = "team-default"
FILE = """
version: 1
settings: {{egress_allow: ["127.0.0.1/32"]}}
channels:
  - name: main
    provider: openai_compatible
    base_url: {main}
    keys: ["env:MAIN_KEY"]
    models: {{team-default: {{upstream: fake}}}}
  - name: spare
    provider: openai_compatible
    base_url: {spare}
    keys: ["env:SPARE_KEY"]
    models: {{team-default: {{upstream: fake}}}}
    priority: 1
prices:
  - model: team-default
    valid_from: 2026-01-01T00:00:00Z
    meters: {{in_text: "1.25", out_text: "10.00"}}
organisations:
  - name: Acme
    credit: "100.00"
    members: [{{email: owner@example.org, role: owner}}]
    teams:
      - name: core
        keys: [{{name: ci, secret: "env:CI_KEY", models: ["team-*"]}}]
"""
NANO_IN, NANO_OUT = 1_250, 10_000
STREAMS = 200


class Installation(NamedTuple):
    hub: Hub
    main: FakeUpstream
    spare: FakeUpstream
    file: Path
    beside: Beside

    @property
    def client(self) -> OpenAI:
        """The official client, which does not try again by itself."""
        return OpenAI(base_url=f"{self.hub.url}/v1", api_key=SECRET, max_retries=0, timeout=60)

    def manage(self, *command: str) -> str:
        """What `manage.py` prints; AssertionError when it refuses."""
        return self.beside.call(manage, *command)

    @contextmanager
    def summing_up(self) -> Iterator[None]:
        """Rollups are made all the while, and are complete afterwards."""
        enough = threading.Event()

        def sum_up() -> None:
            while not enough.wait(0.05):
                self.beside.call(roll_up)

        with ThreadPoolExecutor(1) as pool:
            summing = pool.submit(sum_up)
            try:
                yield
            finally:
                enough.set()
            summing.result()
        self.beside.call(roll_up)

    def has_applied(self) -> bool:
        """Whether the hub knows what was applied."""
        answer = self.hub.request(
            "GET", "/v1/models", headers={"authorization": f"Bearer {SECRET}"}
        )
        return answer.status == 200 and bool(answer.json()["data"])

    def say(self, text: str) -> str:
        """The plain answer to a message."""
        answer = self.client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": text}]
        )
        return answer.choices[0].message.content or ""

    def stream(self, text: str) -> str:
        """The streamed answer to a message."""
        chunks = self.client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": text}], stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """Every row that `apply` writes."""
        names = self.hub.rows(
            "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' "
            "AND tablename ~ '^(accounts|billing|gateway)_' "
            # What the running process writes by itself: its lease, the health of channels, the uses
            # of keys, and the traffic that it has counted.
            "AND tablename <> ALL (ARRAY['billing_process', 'gateway_channelreport', "
            "'accounts_secretuse', 'gateway_trafficcursor', 'gateway_traffictotal', "
            "'gateway_trafficbucket', 'gateway_keytrafficbucket', 'gateway_channelkeyuse'])"
        )
        query = 'SELECT row::text AS row FROM "{}" row ORDER BY 1'
        return {each["name"]: self.hub.rows(query.format(each["name"])) for each in names}

    def await_settlements(self) -> None:
        """Nobody waits for them who got an answer."""
        query = "SELECT id FROM billing_hold WHERE state = 'open'"
        self.hub.wait(lambda: not self.hub.rows(query), "holds stay open")

    def rollups(self) -> list[str]:
        query = "SELECT r::text AS row FROM usage_rollup r ORDER BY 1"
        return [each["row"] for each in self.hub.rows(query)]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An empty database, a running hub, and then the file."""
    with ExitStack() as until:
        hub = Hub(until.enter_context(own_database("hub_accept")))
        until.callback(hub.close)
        main = until.enter_context(FakeUpstream("main", process=True))
        spare = until.enter_context(FakeUpstream("spare"))
        file = tmp_path_factory.mktemp("acceptance") / "hub.yaml"
        file.write_text(FILE.format(main=main.url, spare=spare.url))
        environment = {
            **os.environ, "DATABASE_URL": hub.dsn,
            "MAIN_KEY": main.key, "SPARE_KEY": spare.key, "CI_KEY": SECRET,
        }  # fmt: skip
        beside = until.enter_context(closing(Beside(environment)))
        new_installation = Installation(hub, main, spare, file, beside)
        hub.start()
        assert "+ channel main" in new_installation.manage("apply", str(file))
        hub.wait(new_installation.has_applied, "the file is not heard of")
        yield new_installation


def test_applied_file_is_enough_to_serve(installation: Installation) -> None:
    assert [model.id for model in installation.client.models.list()] == [MODEL]
    text = "plain #tokens=9"
    assert installation.say(text) == expected_text("main", text, 9)
    assert installation.stream(text) == expected_text("main", text, 9)
    assert installation.spare.books() == []


def test_applying_again_changes_nothing(installation: Installation) -> None:
    installation.await_settlements()
    before = installation.everything()
    assert before["gateway_channel"]
    assert installation.manage("apply", str(installation.file)) == "nothing to change\n"
    assert installation.everything() == before


def test_a_load_is_summed_up_to_the_nano_and_again_from_nothing(
    installation: Installation,
) -> None:
    """Rollups made during the load are those made of its records, and the providers' books."""
    hub, fakes = installation.hub, (installation.main, installation.spare)
    # Every fifth fails on the first channel before its first word, and is answered by the second.
    texts = [
        f"stream {number} #tokens={20 + number % 40}" + " #main.fault=F10:503" * (number % 5 == 0)
        for number in range(STREAMS)
    ]
    with installation.summing_up(), ThreadPoolExecutor(STREAMS) as pool:
        answers = list(pool.map(installation.stream, texts))
        installation.await_settlements()
    for number, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        server = "spare" if number % 5 == 0 else "main"
        assert answer == expected_text(server, text, 20 + number % 40)

    billed = [
        row["usage"] for fake in fakes for row in fake.books() if row["outcome"] == "finished"
    ]
    sent = sum(usage["prompt_tokens"] for usage in billed)
    output = sum(usage["completion_tokens"] for usage in billed)
    (sums,) = hub.rows(
        "SELECT sum(requests)::bigint AS requests, sum((meters->>'in_text')::bigint)::bigint AS "
        "sent, sum((meters->>'out_text')::bigint)::bigint AS said, "
        "sum(charge_nano)::bigint AS nano FROM usage_rollup"
    )
    assert sums == {
        "requests": len(billed),
        "sent": sent,
        "said": output,
        "nano": sent * NANO_IN + output * NANO_OUT,
    }
    hub.assert_books_balance()

    before = installation.rollups()
    hub.connection.execute("TRUNCATE usage_rollup")
    installation.manage("rebuild_rollups")
    assert installation.rollups() == before


def test_dead_channel_is_skipped(installation: Installation) -> None:
    """Last in this module: it takes the first provider away, as a failure of its machine would."""
    installation.main.kill()
    for number, ask in enumerate((installation.say, installation.stream)):
        text = f"who is there? {number} #tokens=9"
        assert ask(text) == expected_text("spare", text, 9)
    installation.await_settlements()
    attempts = installation.hub.rows(
        "SELECT channel_name, status, final, charge_nano FROM usage_usagerecord "
        "ORDER BY request_id DESC, id LIMIT 2"
    )
    assert [(each["channel_name"], each["final"]) for each in attempts] == [
        ("main", False),
        ("spare", True),
    ]
    assert attempts[0]["charge_nano"] == 0
    assert attempts[1]["status"] == 200
