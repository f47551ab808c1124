"""The shape of docker-compose.yml, up and prepared, with a provider behind it."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from deploy.make_secrets import settings as fresh_settings
from tests.deploy.client import Answer, ask, stream
from tests.deploy.shape import Running, Shape, until
from tests.fakes.upstream import FakeUpstream
from tests.runner.databases import own_database

KEY = "a-key-that-was-brought-from-elsewhere"
LIMITED_KEY = "another-key-that-was-brought-along"
CHAT = "/v1/chat/completions"
INSTALLATION = """
version: 1
settings:
  egress_allow: ["127.0.0.1/32"]
channels:
  - name: fake
    provider: openai
    base_url: "env:FAKE_URL"
    keys: ["env:FAKE_KEY"]
    models: {fake: {}}
prices:
  - model: fake
    valid_from: 2026-01-01T00:00:00Z
    meters: {in_text: "1.00", out_text: "2.00"}
organisations:
  - name: acme
    currency: USD
    credit: "10.00"
    members: [{email: owner@example.org, role: owner, operator: true}]
    teams:
      - name: core
        keys:
          - {name: ci, secret: "env:CI_KEY"}
          - {name: limited, secret: "env:LIMITED_KEY", rpm: 3}
"""


class Stage(NamedTuple):
    """The whole shape, up but for the worker and beat, which a test starts to see what they do."""

    shape: Shape
    fake: FakeUpstream
    webs: list[Running]
    nginx: Running
    redis: Running

    @property
    def port(self) -> int:
        return self.nginx.port

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.shape.database_url) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def settle(self) -> None:
        """Block until every request has its record; that is written after its answer."""
        query = "SELECT count(*) FROM billing_hold WHERE state = 'open'"
        until(lambda: self.rows(query) == [(0,)], "a hold stays open")

    def chat(self, words: str, **headers: str) -> Answer:
        body = {"model": "fake", "messages": [{"role": "user", "content": words}]}
        return ask(self.port, CHAT, body=body, headers={**bearer(), **headers})

    def stream(self, words: str) -> "contextlib.AbstractContextManager[Any]":
        body = {
            "model": "fake",
            "stream": True,
            "messages": [{"role": "user", "content": words}],
        }
        return stream(self.port, CHAT, body, bearer())


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"}


# Pages look at the port; the edge's is known only once the shape is made.
_PUBLIC_URL = "http://127.0.0.1"


def settings_of(folder: Path, fake: FakeUpstream, public_url: str = _PUBLIC_URL) -> dict[str, str]:
    """Settings of an installation that applies INSTALLATION, from a folder made for it."""
    apply = folder / "apply"
    apply.mkdir()
    (apply / "10-all.yaml").write_text(INSTALLATION)
    return {
        "EDGE": "acme" if public_url.startswith("https://") else "plain",
        **fresh_settings(public_url),
        "FRONT_SUBNET": "127.0.0.0/8",
        "APPLY_DIR": str(apply),
        "FAKE_URL": fake.url,
        "FAKE_KEY": fake.key,
        "CI_KEY": KEY,
        "LIMITED_KEY": LIMITED_KEY,
    }


@contextlib.contextmanager
def staged(
    folder: Path, image: Path, web_ports: Sequence[int] = (), public_url: str = _PUBLIC_URL
) -> Iterator[Stage]:
    """The shape with two web processes, from a built `image`; `web_ports` are those that the edge
    knows, also of those that are started later."""
    with contextlib.ExitStack() as until_done:
        fake = until_done.enter_context(FakeUpstream("fake"))
        database_url = until_done.enter_context(own_database("weir_shape"))
        shape = Shape(folder / "shape", settings_of(folder, fake, public_url), database_url)
        shape.image, shape.web_ports = image, list(web_ports)
        until_done.callback(shape.close)
        before = listing(image)
        redis = shape.start("redis")
        shape.run("prepare")
        webs = [shape.start("web"), shape.start("web")]
        nginx = shape.start("nginx")
        yield Stage(shape, fake, webs, nginx, redis)
        # The root file systems are read-only: nothing was written beside the code.
        assert listing(image) == before


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }
