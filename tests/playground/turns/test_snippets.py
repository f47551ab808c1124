"""The code of an answer's request, taken from the page and run, asks what the playground asked."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from lib.ids import id_text
from stack.test_programs import javascript
from tests.playground.chats.test_desk import ENDED, WEATHER, open_with, send
from tests.playground.conftest import Stage, watch
from tests.runner.programs import need_javascript_clients
from tests.support.hub import Tenant

pytestmark = pytest.mark.browser

COMMANDS = {
    "curl": ["sh", "-e"],
    "Python": [sys.executable],
    "JavaScript": ["node"],
}
SUFFIXES = {"curl": ".sh", "Python": ".py", "JavaScript": ".mjs"}


def asked_upstream(stage: Stage, model: str) -> Any:
    """The body of the last request that the provider got for the model."""
    (record,) = stage.rows(
        "SELECT id FROM usage_usagerecord WHERE model = %s ORDER BY id DESC LIMIT 1", model
    )
    return json.loads(stage.fake.wait_for_row(id_text(record["id"]))["body"])


def has_records(stage: Stage, model: str, count: int) -> bool:
    return len(stage.rows("SELECT 1 FROM usage_usagerecord WHERE model = %s", model)) == count


def code_of(page: Page, language: str) -> str:
    page.locator("#code-pane").get_by_role("link", name=language, exact=True).click()
    chosen = page.locator("#code-pane [aria-current]").last
    expect(chosen).to_have_text(language)
    return page.locator("#run-code").inner_text()


def run(code: str, language: str, folder: Path, environment: dict[str, str]) -> None:
    file = folder / f"code{SUFFIXES[language]}"
    file.write_text(code)
    done = subprocess.run(
        [*COMMANDS[language], str(file)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_page_code_sends_what_the_playground_sent(
    stage: Stage, chromium: Browser, tmp_path: Path
) -> None:
    """W10: what each language and form sends is proved in
    tests/gateway/code_examples/test_snippets.py."""
    need_javascript_clients()
    (tmp_path / "node_modules").symlink_to(javascript.CLIENTS / "node_modules")
    (team,) = stage.rows(
        "SELECT id FROM accounts_team WHERE organisation_id = %s", stage.organisation
    )
    key = stage.hub.key(Tenant(stage.organisation, team["id"], stage.organisation, "")).key
    bob = watch(chromium, stage, viewport={"width": 1440, "height": 900})
    page, model = bob.page, stage.own_model()
    open_with(page, stage, model, "&panel=tools")
    page.fill("#set-tools", json.dumps(WEATHER))
    page.locator("[data-pane-tab=params]").click()
    page.fill("#set-system", 'It\'s "short": $HOME `id` 水坝')
    page.fill("#p-temperature", "0.25")
    page.fill("#set-max-cost", "0.05")
    send(page, "Say 'this' #tokens=3 #keep")
    page.wait_for_selector(ENDED)
    upstream_body = asked_upstream(stage, model)
    assert upstream_body["temperature"] == 0.25
    page.locator("[popovertarget^=more-]").last.click()
    page.locator(".menu:popover-open [data-panel-open=code]").click()
    environment = {"PATH": os.environ["PATH"], "WEIR_API_KEY": key, "NO_PROXY": "*"}
    for number, language in enumerate(COMMANDS, 2):
        code = code_of(page, language)
        assert key not in code
        # The page names its public address, which a test has not.
        code = re.sub(r"http://127\.0\.0\.1:8000\b", stage.hub.url, code)
        run(code, language, tmp_path, environment)
        stage.hub.wait(partial(has_records, stage, model, number), f"{language} asked nothing")
        assert asked_upstream(stage, model) == upstream_body, language
    bob.assert_calm()
    bob.context.close()
