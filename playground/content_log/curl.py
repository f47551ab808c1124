"""A kept request as a command that sends it again.

The command is for a POSIX shell. It contains the body as it was sent, to the byte, and reads the
key from WEIR_API_KEY. A body that is too large for a command line is in a file beside it.
"""

from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from dialects.json.not_json import NOT_JSON
from gateway.code_examples.snippets import KEY_NAME, quote_word

INLINE_MAX: Final = 64 * 1024
"""The largest body in the command itself, in bytes. Linux has 128 KiB for one argument."""
PATHS: Final = {
    "chat_completions": "/v1/chat/completions",
    "completions": "/v1/completions",
    "edits": "/v1/edits",
    "responses": "/v1/responses",
    "responses_compact": "/v1/responses/compact",
    "messages": "/v1/messages",
    "generate_content": "/v1beta/models/{model}:generateContent",
    "stream_generate_content": "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    "interactions": "/v1beta/interactions",
    "converse": "/model/{model}/converse",
    "converse_stream": "/model/{model}/converse-stream",
    "embeddings": "/v1/embeddings",
    "embed_content": "/v1beta/models/{model}:embedContent",
    "batch_embed_contents": "/v1beta/models/{model}:batchEmbedContents",
    "moderations": "/v1/moderations",
    "rerank": "/v1/rerank",
    "image_generations": "/v1/images/generations",
    "speech": "/v1/audio/speech",
}
"""The path of each operation whose body is JSON; `{model}` is the model's name."""


class Command(NamedTuple):
    """`file` is the name of the file with the body, "" if the command contains it."""

    text: str
    file: str


class _Body(msgspec.Struct):
    model: str = ""


_body: Final = msgspec.json.Decoder(_Body)


def curl_command(
    base_url: str, operation: str, model: str, body: bytes, *, stream: bool, file: str
) -> Command | None:
    """Return the command, or None for a request that is no JSON or whose path is not known, such as
    one in the form of a cloud. A body above INLINE_MAX is read from `file`."""
    path = PATHS.get(operation)
    try:
        named = _body.decode(body).model
        text = body.decode()
    except NOT_JSON:
        return None
    if path is None or not (named or "{model}" in path):
        return None
    url = base_url + path.replace("{model}", quote(model, safe=""))
    inline = len(body) <= INLINE_MAX
    lines = [
        f"{'curl -N' if stream else 'curl'} {quote_word(url)}",
        f'-H "Authorization: Bearer ${KEY_NAME}"',
        "-H 'Content-Type: application/json'",
        # Unlike the others, this option has no meaning for an @ at the beginning.
        f"--data-raw {quote_word(text)}" if inline else f"--data-binary {quote_word('@' + file)}",
    ]
    return Command(" \\\n  ".join(lines), "" if inline else file)
