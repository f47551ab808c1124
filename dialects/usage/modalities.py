"""Meters of Google's usage objects, which list the parts of a count by modality.

Audio and images have meters of their own; text, video and documents count as text. Without a list,
cached tokens count against text first, then audio, then image.
"""

from collections.abc import Collection
from typing import NamedTuple

from dialects.json.raw_json import dicts
from dialects.usage.usage import Meters, UsageMembers, present


class Parts(NamedTuple):
    """A number of tokens, and how many of them are audio and images."""

    tokens: int
    audio: int
    image: int


class Modalities(NamedTuple):
    """How a dialect lists parts: the member with the count, its word for audio, and its words for
    images and for all other modalities."""

    member: str
    audio: str
    images: Collection[str]
    others: Collection[str]

    def parts(self, usage: UsageMembers, tokens: int, name: str) -> Parts:
        """Return the parts of `tokens` that the list `name` has."""
        audio = image = 0
        for row in dicts(usage.members.get(name)):
            word = str(row.get("modality"))
            if word == self.audio:
                audio += usage.count(self.member, row) or 0
            elif word in self.images:
                image += usage.count(self.member, row) or 0
            elif word not in self.others:
                usage.note_unknown(f"{name}.modality={word[:40]}")
        return Parts(tokens, audio, image)


def input_meters(usage: UsageMembers, prompt: Parts, cached: Parts, tools: Parts) -> Meters:
    """Return the meters of the prompt, some of which is `cached`, and of the results of tools."""
    text = prompt.tokens - prompt.audio - prompt.image
    if cached.tokens > prompt.tokens:
        usage.flags.add("usage_cached_above_input")
    elif text < 0:
        usage.flags.add("usage_parts_above_total")
    audio = min(cached.audio, prompt.audio, cached.tokens)
    image = min(cached.image, prompt.image, cached.tokens - audio)
    cached_text = min(cached.tokens - audio - image, max(text, 0))
    rest = cached.tokens - audio - image - cached_text
    more_audio = min(rest, prompt.audio - audio)
    audio, image = audio + more_audio, image + rest - more_audio
    if tools.audio + tools.image > tools.tokens:
        usage.flags.add("usage_parts_above_total")
    return {"in_text": text - cached_text + tools.tokens - tools.audio - tools.image} | present(
        in_cache_read=cached_text,
        in_audio=prompt.audio - audio + tools.audio,
        in_audio_cached=audio,
        in_image=prompt.image - image + tools.image,
        in_image_cached=image,
    )


def output_meters(usage: UsageMembers, answer: Parts, thoughts: int) -> Meters:
    """Return the meters of an answer, and of the thoughts beside it."""
    text = answer.tokens - answer.audio - answer.image
    if text < 0:
        usage.flags.add("usage_parts_above_total")
    return {"out_text": text} | present(
        out_reasoning=thoughts, out_audio=answer.audio, out_image=answer.image
    )
