"""What the fake Vertex AI predicts: embeddings in both of its forms, and Imagen's images. Each body
is judged as a whole, and what is billed stands in `billed`.

    #filter=2       so many of the images are filtered      #float    token counts are 4.0
    #nocount        no token counts                         #nothing  no prediction at all
"""

import base64
import re
from typing import Any, Final

SINGLE: Final = ("gemini-embedding-2", "qwen3-embedding-maas")
MANY: Final = ("text-embedding-005", "text-multilingual-embedding-002", "gemini-embedding-001")
RATIOS: Final = ("1:1", "3:4", "4:3", "9:16", "16:9")
_WORD: Final = re.compile(r"#(\w+)(?:=(\d+))?")


class Predictions:
    """The answers, as (status, body), and the books."""

    def __init__(self) -> None:
        self.billed: list[dict[str, Any]] = []

    def serves(self, model: str, verb: str) -> bool:
        """Whether it answers a method of a model."""
        if verb == "embedContent":
            return model in SINGLE
        return verb == "predict" and (model in MANY or model.startswith("imagen-"))

    def answer(self, model: str, verb: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer one request."""
        if verb == "embedContent":
            return self._embed_content(body)
        return self._images(body) if model.startswith("imagen-") else self._embed(body)

    def _embed(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        instances, parameters = body.get("instances"), body.get("parameters", {})
        if not body.keys() <= {"instances", "parameters"} or not instances:
            return 400, _error("Invalid instances")
        if not parameters.keys() <= {"outputDimensionality", "autoTruncate"}:
            return 400, _error("Invalid parameters")
        known = {"content", "task_type", "title", "mimeType"}
        if any(not one.keys() <= known or not one.get("content") for one in instances):
            return 400, _error("The text content is empty.")
        rows = []
        for one in instances:
            text, words = one["content"], dict(_WORD.findall(one["content"]))
            count = len(text.split())
            statistics = {"token_count": float(count) if "float" in words else count}
            row = {"values": vector(text, parameters.get("outputDimensionality", 3))}
            rows.append(row if "nocount" in words else row | {"statistics": statistics})
            self.billed.append({"in_text": count})
        characters = sum(len(one["content"]) for one in instances)
        predictions = [{"embeddings": row} for row in rows]
        return 200, {
            "predictions": [] if "#nothing" in instances[0]["content"] else predictions,
            "metadata": {"billableCharacterCount": characters},
        }

    def _embed_content(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        config = body.get("embedContentConfig", {})
        known = {"taskType", "title", "outputDimensionality", "autoTruncate"}
        if not body.keys() <= {"content", "embedContentConfig"} or not config.keys() <= known:
            return 400, _error("Invalid JSON payload received.")
        text = "".join(part["text"] for part in body["content"]["parts"])
        count = len(text.split())
        self.billed.append({"in_text": count})
        return 200, {
            "embedding": {"values": vector(text, config.get("outputDimensionality", 3))},
            "usageMetadata": {"promptTokenCount": count},
            "truncated": False,
        }

    def _images(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        (instance,), parameters = body["instances"], body.get("parameters", {})
        known = {"sampleCount", "aspectRatio", "sampleImageSize"}
        count = parameters.get("sampleCount", 4)
        if instance.keys() != {"prompt"} or not parameters.keys() <= known:
            return 400, _error("Invalid parameters")
        if not 1 <= count <= 4 or parameters.get("aspectRatio", "1:1") not in RATIOS:
            return 400, _error("Invalid value of a parameter")
        words = dict(_WORD.findall(instance["prompt"]))
        filtered = int(words.get("filter") or 0)
        made = [
            {"bytesBase64Encoded": picture(n), "mimeType": "image/png"}
            for n in range(count - filtered)
        ]
        self.billed.append({"images": len(made)})
        reason = {"raiFilteredReason": "Unable to show generated images."}
        return 200, {"predictions": [*made, *[reason] * filtered]}


def vector(text: str, dimensions: int) -> list[float]:
    """The vector of a text."""
    return [len(text) + n / 2 for n in range(dimensions)]


def picture(number: int) -> str:
    """A picture in base64."""
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes([number])).decode()


def _error(text: str) -> dict[str, Any]:
    return {"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}
