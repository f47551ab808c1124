"""The pages of videos."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.code_examples.example_models import VEO_MODEL, VIDEO_MODEL
from reference.operations.page import MAX_COST, MODEL_FIELD, PASSED, USER, Field, ReferencePage

_ID: Final = Field("id", "string", _("The video ID, in the path."), True)
VIDEO_HELD: Final = _(
    "The price of the whole video is reserved when it is ordered, and charged once it is "
    "completed. A "
    "failed video costs nothing. A video without an end after 24 hours fails."
)
_FAILED: Final = _(
    "Status: queued, in_progress, completed or failed. A failed video has error, with code and "
    "message."
)
VIDEO_DROPPED: Final = _(
    "Parameters that the model's provider has no counterpart for are named in "
    "x-weir-dropped-params."
)
VIDEO_TEAM: Final = _("All API keys of the team can use a video; for all others it does not exist.")

VIDEOS: Final = ReferencePage(
    slug="videos",
    title=_("Create a video"),
    summary=_(
        "Orders a video. The answer has its ID; it is made in the background. GET lists the team's "
        "videos, with limit, after and order. Send a prompt to /remix to make another video from a "
        "completed one."
    ),
    operations=("videos",),
    path="/v1/videos",
    fields=(
        Field("prompt", "string", _("What the video shows."), True, limits="1–32000"),
        Field("model", "string", _("The model to use. Default: sora-2.")),
        Field(
            "seconds",
            "string | integer",
            _("Length, in seconds. Default: the provider's, at most 8."),
            limits="1–600",
        ),
        Field("size", "string", _("Width and height, such as 1280x720. Default: 720x1280.")),
        Field(
            "input_reference",
            "file | object",
            _("First picture: a file of a form, or image_url with an address or a data URL."),
        ),
        MAX_COST,
    ),
    example={"model": VIDEO_MODEL, "prompt": "A river at dawn", "seconds": "4", "size": "1280x720"},
    answer="""{
  "id": "video_7d1f0c5b2a9e4f6c8d3b1a0e5f7c9d2b", "object": "video", "model": "sora-2",
  "status": "queued", "progress": 0, "created_at": 1767000900, "completed_at": null,
  "expires_at": null, "seconds": "4", "size": "1280x720", "prompt": "A river at dawn",
  "remixed_from_video_id": null, "error": null
}""",
    notes=(VIDEO_HELD, VIDEO_TEAM),
)
VIDEO: Final = ReferencePage(
    slug="video",
    title=_("Retrieve a video"),
    summary=_(
        "The state of a video, as last reported by its provider. /content returns its bytes, or "
        "parts of them with Range, /events its progress as server-sent events. DELETE deletes a "
        "video that is completed or failed."
    ),
    operations=("video", "video_content", "video_events"),
    path="/v1/videos/video_1",
    fields=(
        _ID,
        Field(
            "variant",
            "video | thumbnail | spritesheet",
            _("Of the content, in the query. Default: video."),
        ),
    ),
    example=None,
    answer="""{
  "id": "video_1", "object": "video", "model": "sora-2", "status": "completed", "progress": 100,
  "created_at": 1767000900, "completed_at": 1767000990, "expires_at": 1767605790,
  "seconds": "4", "size": "1280x720", "prompt": "A river at dawn",
  "remixed_from_video_id": null, "error": null
}""",
    notes=(
        _("Status: queued, in_progress, completed or failed. Ask every 10 to 20 seconds."),
        _(
            "Events have the names video.queued, video.in_progress, video.completed and "
            "video.failed, and the video as data. A connection lasts 10 minutes at most."
        ),
        _("Webhooks for video.completed and video.failed are added in the settings."),
        _("The content is there until expires_at, unless the provider deletes it earlier."),
        VIDEO_TEAM,
    ),
    argument="video_1",
)
GENERATIONS: Final = ReferencePage(
    slug="video-generations",
    title=_("Video generations"),
    summary=_("Orders a video and retrieves it, in the format that several hubs share."),
    operations=("video_generations", "video_generation"),
    path="/v1/video/generations",
    fields=(
        MODEL_FIELD,
        Field("prompt", "string", _("What the video shows."), True, limits="1–32000"),
        Field("image", "string", _("First picture: an address or a data URL.")),
        Field(
            "duration",
            "integer",
            _("Length, in seconds. Default: the provider's, at most 8."),
            limits="1–600",
        ),
        Field("width, height", "integer", _("Size. Default: 720 and 1280."), limits="10–9999"),
        Field("size", "string", _("Both in one, such as 1280x720.")),
        Field("n", "integer", _("Number of videos: 1.")),
        Field("seed, fps, response_format", "integer | string", PASSED),
        Field(
            "metadata",
            "object",
            _(
                "What only some providers have, such as negative_prompt, image_tail, style, "
                "quality_level or watermark. What the provider has no counterpart for is named in "
                "x-weir-dropped-params."
            ),
        ),
        USER,
        MAX_COST,
    ),
    example={"model": VIDEO_MODEL, "prompt": "A river at dawn", "duration": 4},
    answer="""POST
{"task_id": "task_01k9m2s7c4x8v3b6n1q5w0e9rt", "status": "queued"}

GET
{
  "task_id": "task_01k9m2s7c4x8v3b6n1q5w0e9rt", "status": "completed",
  "url": "https://weir.example/v1/videos/task_01k9m2s7c4x8v3b6n1q5w0e9rt/content",
  "format": "mp4", "metadata": {"duration": 4, "width": 720, "height": 1280},
  "error": null
}""",
    notes=(VIDEO_HELD, _FAILED, VIDEO_TEAM),
)
VEO: Final = ReferencePage(
    slug="predict-long-running",
    title=_("Veo videos"),
    summary=_(
        "Orders a video in Veo's format of the Gemini API, with every video model. Retrieve the "
        "operation by its name until it is done, then download its file."
    ),
    operations=("predict_long_running", "veo_operation"),
    path=f"/v1beta/models/{VEO_MODEL}:predictLongRunning",
    fields=(
        Field("{model}", "string", _("The model to use, in the path. See GET /v1/models."), True),
        Field(
            "instances[0].prompt",
            "string",
            _("What the video shows. Required without an image."),
            limits="1–32000",
        ),
        Field(
            "instances[0].image",
            "object",
            _("First image: bytesBase64Encoded and mimeType, or inlineData."),
        ),
        Field(
            "instances[0].lastFrame",
            "object",
            _("Last image, for providers that support it."),
        ),
        Field("instances[0].referenceImages", "object[]", PASSED),
        Field("parameters.aspectRatio", "string", _("Default: 16:9."), limits="16:9, 9:16"),
        Field("parameters.resolution", "string", _("Default: 720p."), limits="720p, 1080p, 4k"),
        Field(
            "parameters.durationSeconds",
            "integer | string",
            _("Length, in seconds. Default: the provider's, at most 8."),
            limits="1–600",
        ),
        Field("parameters.sampleCount", "integer", _("Number of videos: 1.")),
        Field(
            "parameters.negativePrompt, personGeneration, enhancePrompt, seed",
            "string | boolean | integer",
            PASSED,
        ),
        MAX_COST,
        Field(
            "key",
            "query",
            _("The API key, if a header cannot be set. It is removed before anything is logged."),
        ),
    ),
    example={
        "instances": [{"prompt": "A river at dawn"}],
        "parameters": {"aspectRatio": "16:9", "durationSeconds": 8},
    },
    answer=f"""POST
{{"name": "models/{VEO_MODEL}/operations/task_01k9m2s7c4x8v3b6n1q5w0e9rt"}}

GET
{{
  "name": "models/{VEO_MODEL}/operations/task_01k9m2s7c4x8v3b6n1q5w0e9rt",
  "done": true,
  "response": {{
    "@type": "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse",
    "generateVideoResponse": {{"generatedSamples": [{{"video": {{
      "uri": "https://weir.example/v1beta/files/task01k9m2s7c4x8v3b6n1q5w0e9rt:download?alt=media"
    }}}}]}}
  }}
}}""",
    notes=(
        VIDEO_HELD,
        _(
            "A failed video has error, with a code of google.rpc. One that was filtered has "
            "raiMediaFilteredReasons."
        ),
        _("The file is retrieved with your API key. Ranges work."),
        _(
            "google-genai orders videos of the Gemini API up to version 2. Later versions retrieve "
            "and download them."
        ),
        VIDEO_DROPPED,
        VIDEO_TEAM,
    ),
)
