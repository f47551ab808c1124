"""Images, speech, transcripts, videos and the gallery (W15): through the real relay, with real
books and a real browser."""

import re
import secrets
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from lib.ids import id_text
from tests.browser.visitor import findings, findings_in_both_themes
from tests.fakes.videos import FakeVideos
from tests.playground.chats.test_desk import _MICROPHONE
from tests.playground.conftest import Stage, Watched
from tests.relay.poller import poll
from tests.support.hostile import EVERYTHING
from tests.support.hub import Tenant

pytestmark = pytest.mark.browser

# Nano for a million of each: 0.04 USD a picture, 0.05 for those of high quality; 15 USD for a
# million characters; 0.006 USD a minute; 0.10 USD a second.
PICTURES = {"images": 40_000_000 * 10**6, "images[1024x1024,high]": 50_000_000 * 10**6}
CHARACTERS = {"characters": 15 * 10**9}
SOUND = {"audio_ms": 100 * 10**6}
VIDEO = {"video_ms[720p]": 100_000 * 10**6}


def png(width: int, height: int) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        summed = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + summed

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    lines = zlib.compress((b"\0" + b"\x60\x90\xc0" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def record_of(stage: Stage, model: str) -> dict[str, Any]:
    """The only record of a model."""
    written = "SELECT * FROM usage_usagerecord WHERE model = %s AND final"
    stage.hub.wait(lambda: bool(stage.rows(written, model)), "the record is missing")
    (record,) = stage.rows(written, model)
    return record


def receipt(page: Page, record: dict[str, Any]) -> None:
    """The newest result leads to this request."""
    link = page.locator("article").first.get_by_role("link", name="Receipt")
    assert link.get_attribute("href") == f"/o/acme/requests/{id_text(record['request_id'])}"


def test_a_picture_is_made_edited_under_a_mask_and_compared(stage: Stage, bob: Watched) -> None:
    page, model = bob.page, stage.hub.model(stage.fake, rates=PICTURES)
    other = stage.hub.model(stage.fake, rates=PICTURES)
    page.goto(f"{stage.playground}/images?model={model}")
    expect(page.locator("#media-bound")).to_contain_text("≤ $0.05")
    page.select_option("#media-size", "1024x1024")
    page.fill("#media-prompt", EVERYTHING)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article[data-state=done] img")).to_have_count(1)
    record = record_of(stage, model)
    assert (record["operation"], record["source"]) == ("image_generations", "playground")
    expect(page.locator(".media-foot").first).to_contain_text("$0.04")
    receipt(page, record)
    expect(page.locator(".media-prompt").first).to_contain_text("<script>alert(1)</script>")
    page.locator(".media-code summary").first.click()
    expect(page.locator(".media-code-body").first).to_contain_text("/v1/images/generations")
    assert findings_in_both_themes(page) == []

    # Again with one change: the settings stand, a picture is added, and a part of it is painted.
    page.get_by_role("link", name="Edit and run again").first.click()
    assert page.input_value("#media-size") == "1024x1024"
    page.fill("#media-prompt", "a red roof")
    page.set_input_files(
        "#media-upload input[type=file]",
        {"name": "house.png", "mimeType": "image/png", "buffer": png(64, 48)},
    )
    canvas = page.locator(".mask canvas")
    expect(canvas).to_have_js_property("width", 64)
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + 20)
    page.mouse.up()
    locator = page.locator("[data-mask-told]")
    expect(locator).to_contain_text("% of the picture is painted")
    painted = locator.inner_text()
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(locator).not_to_have_text(painted)
    page.keyboard.press("Control+z")
    expect(locator).to_have_text(painted)
    page.select_option("#media-compare", other)
    expect(page.locator("#media-bound b.cut")).to_have_text([model, other])
    assert findings(page) == []
    page.get_by_role("button", name="Generate").click()
    expect(
        page.locator("[data-compare] article[data-state=done] img[alt='a red roof']")
    ).to_have_count(2)
    edited = record_of(stage, other)
    assert edited["operation"] == "image_edits"
    row = stage.fake.wait_for_row(id_text(edited["id"]))
    assert row["unknown"] == []
    # A page that is loaded anew shows it all.
    page.reload()
    expect(page.locator("article")).to_have_count(3)
    bob.assert_calm()


def test_a_text_is_spoken_kept_and_found_in_the_gallery(stage: Stage, bob: Watched) -> None:
    page, model = bob.page, stage.hub.model(stage.fake, rates=CHARACTERS)
    page.goto(f"{stage.playground}/speech?model={model}")
    page.fill("#media-prompt", "Rivers meander #bytes=4000")
    expect(page.locator("#media-bound")).to_contain_text(re.compile(r"≤ \$0\.000"))
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article[data-state=done] audio")).to_have_count(1)
    record = record_of(stage, model)
    assert record["operation"] == "speech"
    assert (
        record["charge_nano"] == record["meters"]["characters"] * CHARACTERS["characters"] // 10**6
    )
    receipt(page, record)
    sound = page.locator("article audio").first.get_attribute("src")
    part = page.request.get(f"{stage.hub.url}{sound}", headers={"range": "bytes=0-9"})
    assert (part.status, len(part.body())) == (206, 10)

    page.goto(f"{stage.playground}/gallery")
    page.fill("#gallery-q", "meander")
    expect(page.locator("#gallery article")).to_have_count(1)
    assert findings(page) == []
    page.select_option("#gallery-kind", "video")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    page.select_option("#gallery-kind", "speech")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete with its files").click()
    expect(page.locator("#gallery article")).to_have_count(0)
    assert page.request.get(f"{stage.hub.url}{sound}").status == 404
    bob.assert_calm()


def test_browser_recording_is_transcribed_and_played(stage: Stage, bob_apart: Watched) -> None:
    page, model = bob_apart.page, stage.hub.model(stage.fake, rates=SOUND)
    page.add_init_script(_MICROPHONE)
    page.goto(f"{stage.playground}/transcription?model={model}")
    record = page.get_by_role("button", name="Record")
    record.click()
    page.evaluate("window.volume.gain.value = 0.5")
    expect(page.locator("#recording").get_by_role("status")).to_have_text("Sound detected")
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#media-given audio")).to_have_count(1)
    expect(page.locator("#media-bound")).to_contain_text("≤ $")
    page.get_by_role("button", name="Transcribe").click()
    expect(page.locator("article[data-state=done] .media-text")).not_to_be_empty()
    record_value = record_of(stage, model)
    assert record_value["operation"] == "transcriptions"
    assert 0 < record_value["charge_nano"] <= record_value["hold_nano"]
    receipt(page, record_value)
    # What the provider heard is what the player has.
    sound = page.locator("article audio").first
    kept = page.request.get(f"{stage.hub.url}{sound.get_attribute('src')}").body()
    assert kept.startswith(b"\x1aE\xdf\xa3")
    assert stage.fake.wait_for_row(id_text(record_value["id"]))["outcome"] == "finished"
    sound.evaluate(
        """(player) => new Promise((done, failed) => {
          player.ontimeupdate = () => { if (player.currentTime > 0) done() }
          player.play().catch(failed)
        })"""
    )
    assert findings(page) == []
    bob_apart.assert_calm()


@pytest.fixture
def videos() -> Iterator[FakeVideos]:
    with FakeVideos() as fake:
        yield fake


def test_a_video_is_followed_to_its_end(stage: Stage, bob: Watched, videos: FakeVideos) -> None:
    page, acme = bob.page, Tenant(stage.organisation, stage.organisation, stage.organisation, "")
    model = f"v-{secrets.token_hex(6)}"
    stage.hub.price(model, VIDEO)
    stage.hub.channel(model, videos.url, videos.key, upstream_model="sora-2")
    stage.hub.know(model)
    page.goto(f"{stage.playground}/video?model={model}")
    page.fill("#media-prompt", "a boat #polls=2")
    page.select_option("#media-seconds", "8")
    page.select_option("#media-size", "1280x720")
    expect(page.locator("#media-bound")).to_contain_text("≤ $0.80")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article progress")).to_have_count(1)
    page.reload()
    expect(page.locator("article[data-state=running] progress")).to_have_count(1)
    poll(stage.hub, acme)
    poll(stage.hub, acme)
    video = page.locator("article[data-state=done] video")
    expect(video).to_have_count(1)
    record = record_of(stage, model)
    assert record["charge_nano"] == 800_000_000
    expect(page.locator(".media-foot").first).to_contain_text("$0.80")
    content = page.request.get(
        f"{stage.hub.url}{video.get_attribute('src')}", headers={"range": "bytes=5-9"}
    )
    assert (content.status, content.body()) == (206, videos.of("a boat #polls=2").content[5:10])
    assert findings(page) == []


@pytest.mark.slow
def test_failed_and_stopped_runs_say_so(stage: Stage, bob: Watched) -> None:
    page, model = bob.page, stage.hub.model(stage.fake, rates=PICTURES)
    page.goto(f"{stage.playground}/images?model={model}")
    page.fill("#media-prompt", "a boat #fault=F6:content")
    page.get_by_role("button", name="Generate").click()
    failed = page.locator("article[data-state=failed]").first
    expect(failed).to_contain_text("You were not charged.")
    expect(failed).to_contain_text("Change the prompt and try again.")
    assert page.input_value("#media-prompt").startswith("a boat")
    page.fill("#media-prompt", "a boat #fault=F11:headers")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("article[data-state=running]")).to_have_count(1)
    page.reload()
    page.locator("article[data-state=running]").get_by_role("button", name="Stop").click()
    stopped = page.locator("article[data-state=stopped]").first
    expect(stopped).to_contain_text("Stopped by you")
    expect(stopped.get_by_role("link", name="Receipt")).to_be_visible()
    assert findings(page) == []
    # Nothing of either is in the gallery.
    page.goto(f"{stage.playground}/gallery?q=%23fault")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    bob.assert_calm()
