"""Music and Midjourney (W15): through the real relay and the engine of tasks, with real books, a
provider's own and a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from extensions.midjourney.dialect import MODELS
from tests.browser.visitor import findings, findings_in_both_themes, too_wide
from tests.fakes.midjourney import FakeMidjourney
from tests.fakes.suno import SOUND, FakeSuno
from tests.playground.conftest import Stage, Watched
from tests.playground.media.test_media_pages import png
from tests.relay.poller import poll
from tests.relay.task_services import CALL_NANO, serve
from tests.support.hostile import EVERYTHING
from tests.support.hub import Tenant

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def suno(stage: Stage) -> Iterator[FakeSuno]:
    with FakeSuno() as fake:
        serve(stage.hub, fake, "suno_api", ["suno_music", "suno_lyrics"])
        yield fake


@pytest.fixture(scope="module")
def midjourney(stage: Stage) -> Iterator[FakeMidjourney]:
    with FakeMidjourney() as fake:
        serve(stage.hub, fake, "midjourney_proxy", MODELS)
        yield fake


@pytest.fixture
def acme(stage: Stage) -> Tenant:
    return Tenant(stage.organisation, stage.organisation, stage.organisation, "")


def charges(stage: Stage, model: str) -> list[int]:
    query = "SELECT charge_nano FROM usage_usagerecord WHERE model = %s AND final ORDER BY id"
    return [row["charge_nano"] for row in stage.rows(query, model)]


def test_a_song_is_made_heard_and_extended(
    stage: Stage, bob: Watched, suno: FakeSuno, acme: Tenant
) -> None:
    page = bob.page
    page.goto(f"{stage.playground}/music")
    expect(page.locator("#media-bound")).to_contain_text("≤ $0.10")
    asked = f"rain on tin #clips=2 {EVERYTHING[:80]}".replace("\r", "").strip()
    page.fill("#media-prompt", asked)
    page.fill("#media-tags", "folk")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article progress")).to_have_count(1)
    poll_ordered(stage, acme, "suno", 1)
    clips = page.locator("article[data-state=done] audio")
    expect(clips).to_have_count(2)
    (song,) = suno.songs.values()
    assert (song.prompt, song.body["tags"]) == (asked, "folk")
    expect(page.locator(".media-foot").first).to_contain_text("$0.10")
    assert charges(stage, "suno_music") == [CALL_NANO]
    sound = f"{stage.hub.url}{clips.nth(1).get_attribute('src')}"
    part = page.request.get(sound, headers={"range": "bytes=2-9"})
    assert (part.status, part.body()) == (206, SOUND[2:10])
    assert part.headers["content-type"] == "audio/mpeg"
    assert page.request.get(sound.replace("clips/1", "clips/7")).status == 404
    page.locator(".media-code summary").first.click()
    expect(page.locator(".media-code-body").first).to_contain_text("/suno/submit/music")
    assert findings_in_both_themes(page) == []

    # On from the second clip, with other words.
    page.get_by_role("link", name="Extend").nth(1).click()
    page.fill("#media-continue_at", "42.5")
    page.fill("#media-prompt", "a bridge")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article")).to_have_count(2)
    stage.hub.wait(lambda: len(suno.songs) == 2, "it was not asked for")
    longer = suno.of("a bridge").body
    assert (longer["continue_clip_id"], longer["task_id"]) == (f"clip2-{song.id}", song.id)
    assert longer["continue_at"] == 42.5
    poll_ordered(stage, acme, "suno", 2)

    # Lyrics, and a song of them.
    page.select_option("#media-model", "suno_lyrics")
    expect(page.locator("#media-tags")).to_have_count(0)
    page.fill("#media-prompt", "a city")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article")).to_have_count(3)
    poll_ordered(stage, acme, "suno", 3)
    page.get_by_role("link", name="Make a song of it").click()
    expect(page.locator("#media-prompt")).to_have_value("[Verse] city lights")
    expect(page.locator("#media-words")).to_have_value("lyrics")
    page.set_viewport_size({"width": 360, "height": 720})
    assert too_wide(page) == ""
    assert findings(page) == []
    assert charges(stage, "suno_music") == [CALL_NANO] * suno.billed(asked, "a bridge")
    page.goto(f"{stage.playground}/gallery?kind=music")
    expect(page.locator("#gallery article")).to_have_count(3)
    bob.assert_calm()


def poll_ordered(stage: Stage, tenant: Tenant, service: str, orders: int) -> None:
    """Poll once all orders of the tenant to that service are written. The page shows an
    order before its provider has accepted it, and a poll before that asks for nothing."""

    def written() -> bool:
        (row,) = stage.rows(
            "SELECT count(*) AS n FROM gateway_mediatask WHERE organisation_id = %s "
            "AND starts_with(model, %s)",
            tenant.organisation_id,
            service,
        )
        return bool(row["n"] == orders)

    stage.hub.wait(written, f"{orders} orders of {service} are not written")
    poll(stage.hub, tenant)


def test_a_picture_is_imagined_and_changed_by_its_buttons(
    stage: Stage, bob: Watched, midjourney: FakeMidjourney, acme: Tenant
) -> None:
    page = bob.page
    page.goto(f"{stage.playground}/midjourney")
    expect(page.locator("#media-bound")).to_contain_text("≤ $0.10")
    asked = f"a cat {EVERYTHING[:80]}".replace("\r", "").strip()
    page.fill("#media-prompt", asked)
    page.select_option("#media-aspect", "16:9")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article progress")).to_have_count(1)
    poll_ordered(stage, acme, "mj", 1)
    picture = page.locator("article[data-state=done] .media-pictures img")
    expect(picture).to_have_count(1)
    (created,) = midjourney.tasks.values()
    assert created.body["prompt"] == f"{asked} --ar 16:9"
    run = stage.rows("SELECT task FROM playground_mediarun WHERE prompt = %s", asked)[0]
    assert (picture.get_attribute("src") or "").startswith(f"/mj/image/{run['task']}?expires=")
    button = page.get_by_role("button", name="U1")
    expect(button).to_contain_text("$0.10")
    assert findings_in_both_themes(page) == []

    # U1 is asked of the same account; a zoom asks back.
    button.click()
    expect(page.locator("article")).to_have_count(2)
    stage.hub.wait(lambda: len(midjourney.tasks) == 2, "it was not asked for")
    upscaled = list(midjourney.tasks.values())[1]
    assert (upscaled.path, upscaled.parent, upscaled.key) == ("action", created.id, created.key)
    expect(page.locator("article").first).to_contain_text(asked[:20])
    page.get_by_role("button", name="Zoom").last.click()
    expect(page.locator("article")).to_have_count(3)
    poll_ordered(stage, acme, "mj", 3)
    dialog = page.locator(".media-dialog")
    expect(dialog.locator("textarea")).to_have_value(asked)
    dialog.locator("textarea").fill("wider --zoom 2")
    dialog.get_by_role("button", name="Send").click()
    expect(page.locator("article")).to_have_count(4)
    stage.hub.wait(
        lambda: any(task.body.get("prompt") == "wider --zoom 2" for task in
                    midjourney.tasks.values()),
        "the answer has not come",
    )  # fmt: skip
    poll_ordered(stage, acme, "mj", 4)
    assert charges(stage, "mj_upscale") == [CALL_NANO]

    # Several pictures become one.
    page.goto(f"{stage.playground}/midjourney?model=mj_blend")
    for number in (1, 2):
        page.set_input_files(
            "#media-upload input[type=file]",
            {"name": f"{number}.png", "mimeType": "image/png", "buffer": png(8 * number, 8)},
        )
        expect(page.locator("#media-given .media-chip")).to_have_count(number)
    page.set_viewport_size({"width": 360, "height": 720})
    assert too_wide(page) == ""
    assert findings(page) == []
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article")).to_have_count(5)
    stage.hub.wait(lambda: len(midjourney.tasks) == 4, "it was not asked for")
    assert len(list(midjourney.tasks.values())[-1].body["base64Array"]) == 2
    bob.assert_calm()
