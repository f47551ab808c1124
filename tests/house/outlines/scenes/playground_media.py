"""Pages of the playground that make images, speech, transcripts, videos, songs and vectors, and its
gallery."""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.secrets.sealing import vault
from billing.models import Budget
from gateway.models import MediaTask
from lib import clock
from lib.ids import id_text, new_id
from playground.models import Attachment, MediaFile, MediaRun, RunState
from tests.house.outlines.scenes.playground_pages import PNG
from tests.house.outlines.scenes.scene import Scene
from tests.house.outlines.scenes.talk import place_of, serve
from tests.isolation.world import World

_HTMX: Final = {"HX-Request": "true"}
_IMAGE: Final = {"images": 40_000_000 * 10**6, "images[1024x1024,high]": 50_000_000 * 10**6}
_SPEECH: Final = {"characters": 15 * 10**9}
_SOUND: Final = {"audio_ms": 100 * 10**6}
_VIDEO: Final = {"video_ms[720p]": 100_000 * 10**6}
_CALL: Final = {"requests": 31_000_000 * 10**6}
_SOUND_TO_SOUND: Final = {
    "in_text": 310_000_000, "out_text": 370_000_000, "in_audio": 410_000_000,
    "out_audio": 430_000_000,
}  # fmt: skip
_MODELS: Final[Mapping[str, Mapping[str, int]]] = {
    "gpt-image-1": _IMAGE,
    "painter-2": _IMAGE,
    "tts-1": _SPEECH,
    "whisper-1": _SOUND,
    "sora-2": _VIDEO,
    "gpt-realtime": _SOUND_TO_SOUND,
    "gemini-3.8-live": _SOUND_TO_SOUND,
    "text-embedding-3-small": {"in_text": 20_000_000},
}
_DRAWN: Final = {"mj_imagine": _CALL, "mj_upscale": _CALL, "mj_describe": _CALL}
_SUNG: Final = {"suno_music": _CALL, "suno_lyrics": _CALL}


def _root(world: World) -> str:
    return f"/o/{world.acme.slug}/playground"


def _file(world: World, name: str, kind: str = "image", **over: Any) -> Attachment:
    place = place_of(world)
    fields: dict[str, Any] = {
        "media_type": "image/png", "size": 4_300, "data": b"x", "facts": {},
        "unsent_until": clock.now() + dt.timedelta(days=30), **over,
    }  # fmt: skip
    return Attachment.objects.create(
        organisation=place.organisation, user=place.user, name=name, kind=kind, **fields
    )


def _made(
    world: World, kind: str, prompt: str, charge_nano: int | None = None, **over: Any
) -> MediaRun:
    """A run of that kind, which has ended and was charged, and its files by their roles."""
    place, files = place_of(world), over.pop("files", ())
    operations = {
        "image": "image_generations", "speech": "speech", "video": "videos",
        "transcription": "transcriptions",
    }  # fmt: skip
    fields: dict[str, Any] = {
        "operation": operations.get(kind, kind), "state": RunState.DONE, "ended_at": clock.now(),
        "outcome": {} if charge_nano is None else {"charge_nano": charge_nano}, **over,
    }  # fmt: skip
    if fields["state"] == RunState.RUNNING:
        fields |= {"ended_at": None, "outcome": None}
    run = MediaRun.objects.create(
        organisation=place.organisation, user=place.user, kind=kind, prompt=prompt, token=new_id(),
        **fields,
    )  # fmt: skip
    for position, (role, file) in enumerate(files):
        name = file.name if file else "gone.png"
        MediaFile.objects.create(run=run, file=file, role=role, position=position, name=name)
    return run


def _task(run: MediaRun, state: str, result: Any = None, **over: Any) -> None:
    """Let the run's task be in this state, with what the provider returned."""
    id, now, ended = new_id(), clock.now(), state in ("succeeded", "failed")
    times: dict[str, Any] = {"next_poll_at": now}
    if ended:
        times = {"ended_at": now, "expires_at": now + dt.timedelta(days=30)}
    sealed = vault().seal(json.dumps({"result": result}), f"gateway_mediatask|{id}|result")
    MediaTask.objects.create(
        id=id, public_id=run.task, organisation_id=run.organisation_id, team_id=new_id(),
        request_id=run.request_id, operation=run.operation, model=run.model, form="videos",
        channel_id=new_id(), upstream_id="theirs", state=state, result=sealed,
        **{"seconds": 0, "size": "", **times, **over},
    )  # fmt: skip


def _images(world: World) -> str:
    serve(_MODELS)
    picture = _file(world, "weir.png", facts={"width": 640, "height": 480})
    mask, batch = _file(world, "mask.png"), new_id()
    settings = {"size": "1024x1024", "quality": "high", "n": "1", "background": "opaque"}
    again = _made(
        world, "image", "A weir at dawn", 37_000_000, model="gpt-image-1", batch=batch,
        settings=settings, files=[("picture", picture), ("mask", mask), ("result", picture),
                                  ("result", _file(world, "plain.png", size=5_300))],
    )  # fmt: skip
    _made(world, "image", "A weir at dawn", 41_000_000, model="painter-2", batch=batch, column=1,
          files=[("result", picture)])  # fmt: skip
    _made(world, "image", "It goes on", model="painter-2", state=RunState.RUNNING)
    _made(
        world, "image", "It stops", model="painter-2", state=RunState.RUNNING, stop_at=clock.now()
    )
    _made(world, "image", "It is gone", 43_000_000, model="painter-2", files=[("result", None)])
    failed: dict[str, Any] = {"model": "painter-2", "state": RunState.FAILED}
    _made(
        world,
        "image",
        "It failed",
        **failed,
        outcome={"kind": "provider_rejected", "message": "no weirs", "charge_nano": 47_000_000},
    )
    budget = Budget.objects.filter(organisation=world.acme).earliest("id")
    _made(world, "image", "Too dear", **failed, outcome={
        "kind": "insufficient_balance", "message": "no", "budget_id": budget.id, "charge_nano": 0,
    })  # fmt: skip
    _made(world, "image", "It was lost", model="painter-2", state=RunState.INTERRUPTED)
    _made(world, "image", "It was stopped", 0, model="painter-2", state=RunState.STOPPED)
    return f"{_root(world)}/images?again={again.text_id}&compare=painter-2"


def _speech(world: World) -> str:
    serve(_MODELS)
    sound = _file(world, "speech.mp3", "audio", media_type="audio/mpeg", size=61_000)
    _made(world, "speech", "Rivers meander", 53_000_000, model="tts-1",
          settings={"voice": "coral", "speed": "1.25"}, files=[("result", sound)])  # fmt: skip
    return f"{_root(world)}/speech?prompt=Bends+grow"


def _transcription(world: World) -> str:
    serve(_MODELS)
    sound = _file(world, "talk.wav", "audio", media_type="audio/wav", size=71_000)
    facts = {"segments": [[0, 2.5, "Rivers"], [61.25, 64, "meander"]], "language": "english"}
    run = _made(world, "transcription", "", 59_000_000, model="whisper-1", facts=facts,
                text="Rivers meander", settings={"task": "translate", "language": "nl"},
                files=[("sound", sound)])  # fmt: skip
    MediaRun.objects.filter(id=run.id).update(facts=facts)
    return f"{_root(world)}/transcription?again={run.text_id}"


def _transcript_without_its_sound(world: World) -> str:
    run = _made(world, "transcription", "", 61_000_000, model="whisper-1", text="Only words",
                files=[("sound", None)])  # fmt: skip
    return f"{_root(world)}/media/runs/{run.text_id}"


def _video(world: World) -> str:
    serve(_MODELS)
    picture = _file(world, "frame.png")
    made = _made(
        world,
        "video",
        "A boat",
        model="sora-2",
        task="video_1",
        settings={"seconds": "8", "size": "1280x720"},
        files=[("picture", picture)],
    )
    _task(made, "succeeded", seconds=8, size="1280x720")
    _task(_made(world, "video", "A barge", model="sora-2", task="video_2"), "queued", progress=0)
    _task(_made(world, "video", "A canoe", model="sora-2", task="video_3"), "running", progress=53)
    _task(_made(world, "video", "A raft", model="sora-2", task="video_4"), "failed")
    return f"{_root(world)}/video?again={made.text_id}"


def _drawings(world: World) -> str:
    serve(_DRAWN, "midjourney_proxy")
    one: dict[str, Any] = {"operation": "midjourney_imagine", "model": "mj_imagine"}
    _task(
        _made(world, "midjourney", "A weir", task="mj_1", **one), "succeeded",
        {"imageUrl": "https://example.com/a.png", "buttons": [
            {"customId": "MJ::JOB::upsample::1::abc", "label": "U1"},
            {"customId": "MJ::JOB::unknown::1::abc", "emoji": "?"},
        ]},
    )  # fmt: skip
    one = {"operation": "midjourney_describe", "model": "mj_describe"}
    texts = {"properties": {"finalPrompt": "A weir in fog\n\nA weir in sun"}}
    _task(_made(world, "midjourney", "", task="mj_2", **one), "succeeded", texts)
    one = {"operation": "midjourney_action", "body": {"taskId": "mj_1"}}
    for number, model in enumerate(("mj_inpaint", "mj_custom_zoom"), 3):
        run = _made(world, "midjourney", "", task=f"mj_{number}", model=model, **one)
        _task(run, "running", provider_state="MODAL")
    one = {"operation": "midjourney_imagine", "model": "mj_imagine"}
    _task(_made(world, "midjourney", "It goes on", task="mj_5", **one), "running", progress=7)
    return f"{_root(world)}/midjourney"


def _songs(world: World) -> str:
    serve(_SUNG, "suno_api")
    song: dict[str, Any] = {"operation": "suno_music", "model": "suno_music"}
    clips = [
        {"id": "c1", "title": "Over the weir", "metadata": {
            "duration": 127, "tags": "folk, slow", "prompt": "The river rose"}},
        {"id": "c2", "metadata": {}},
    ]  # fmt: skip
    made = _made(world, "music", "A song of rivers", task="suno_1", **song)
    _task(made, "succeeded", {"data": clips})
    _task(_made(world, "music", "Nothing", task="suno_2", **song), "succeeded", {"data": []})
    words = {"title": "Floods", "text": "The river fell"}
    song = {"operation": "suno_lyrics", "model": "suno_lyrics"}
    _task(_made(world, "music", "Words", task="suno_3", **song), "succeeded", {"data": words})
    return f"{_root(world)}/music?extend={made.text_id}&clip=0"


def _shown_part(**over: Any) -> Callable[[World], str]:
    def make(world: World) -> str:
        run = _made(world, "image", "A weir", 67_000_000, model="painter-2", **over)
        return f"{_root(world)}/media/runs/{run.text_id}"

    return make


def _of_service_that_is_off(world: World) -> str:
    run = _made(world, "gone", "A weir", 71_000_000, model="painter-2")
    return f"{_root(world)}/media/runs/{run.text_id}"


def _without(*kinds: str) -> Callable[[World], str]:
    """The first of the pages, if models of other kinds are there."""

    def make(world: World) -> str:
        serve({"tts-1": _SPEECH} if kinds[0] != "speech" else {"sora-2": _VIDEO})
        return f"{_root(world)}/{kinds[0]}"

    return make


def _at(path: str) -> Callable[[World], str]:
    def make(world: World) -> str:
        serve(_MODELS)
        return f"{_root(world)}{path}"

    return make


def _gallery_without(world: World) -> str:
    MediaRun.objects.filter(user=place_of(world).user).delete()
    return f"{_root(world)}/gallery"


SCENES: Final = (
    Scene("images", _images),
    Scene("images of one who may not send", _at("/images"), "viewer"),
    Scene("speech", _speech),
    Scene("transcription", _transcription),
    Scene("transcript without its sound", _transcript_without_its_sound, headers=_HTMX),
    Scene("videos", _video),
    Scene("drawings", _drawings),
    Scene("songs", _songs),
    Scene("image that is done", _shown_part(), headers=_HTMX),
    Scene("image that was stopped", _shown_part(state=RunState.STOPPED), headers=_HTMX),
    Scene("image that failed", _shown_part(state=RunState.FAILED), headers=_HTMX),
    Scene("result of a service that is off", _of_service_that_is_off, headers=_HTMX),
    *(
        Scene(f"page without models: {kind}", _without(kind))
        for kind in ("images", "speech", "transcription", "video", "music")
    ),
    Scene(
        "picture that is added",
        _at("/files/media"),
        headers=_HTMX,
        posted={
            "kind": "image",
            "role": "picture",
            "model": "gpt-image-1",
            "file": SimpleUploadedFile("map.png", PNG),
        },
    ),
    Scene(
        "sound that is added",
        _at("/files/media"),
        headers=_HTMX,
        posted={
            "kind": "transcription",
            "role": "sound",
            "model": "whisper-1",
            "file": SimpleUploadedFile("talk.wav", b"no sound"),
        },
    ),
    Scene(
        "picture that is none",
        _at("/files/media"),
        headers=_HTMX,
        posted={
            "kind": "image",
            "role": "picture",
            "model": "gpt-image-1",
            "file": SimpleUploadedFile("notes.png", b"no picture"),
        },
    ),
    Scene(
        "fields of another model",
        _at("/_f/media/fields"),
        headers=_HTMX,
        posted={"kind": "speech", "model": "tts-1", "voice": "echo", "speed": "1.5"},
    ),
    Scene("gallery where nothing matches", lambda world: f"{_root(world)}/gallery?q=no+such"),
    Scene("gallery without results", _gallery_without),
    Scene(
        "realtime",
        _at(
            "/realtime?model=gpt-realtime&output=text&turns=manual&voice=ash"
            "&transcription=whisper-1&instructions=Be+brief"
        ),
    ),
    Scene("realtime of one who may not send", _at("/realtime"), "viewer"),
    Scene(
        "charges that are not booked yet",
        _at("/realtime/_f/charges"),
        headers=_HTMX,
        posted={"request": [id_text(new_id()), id_text(new_id())]},
    ),
    Scene("embeddings", _at("/embeddings?text=Rivers&dimensions=53")),
    Scene("embeddings of one who may not send", _at("/embeddings"), "viewer"),
)
