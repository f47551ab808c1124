"""Request a page from an installation that is starting, and a streamed answer from its model."""

import http.client
import json
import time

PROMPT = {"role": "user", "content": "Say hello."}
# Few, because a newcomer waits for the whole answer; more than one, because the first may be blank.
_TOKENS = 4


class ProbeFailed(Exception):
    """An answer arrived, but not the expected one."""


def is_serving(host: str, port: int, path: str = "/readyz") -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def time_first_page(host: str, port: int) -> float:
    """Return the time at which the root page, after its redirects, was read. Raises ProbeFailed
    unless it is a 200.
    """
    path = "/"
    for _ in range(5):
        connection = http.client.HTTPConnection(host, port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        if response.status == 200:
            return time.time()
        path = response.getheader("Location", "")
        if not 300 <= response.status < 400 or not path.startswith("/"):
            raise ProbeFailed(f"GET / answered {response.status}")
    raise ProbeFailed("GET / redirects in a circle")


def time_first_token(host: str, port: int, key: str, model: str) -> float:
    """Return the time at which the first text of a streamed chat completion arrived."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    body = {"model": model, "stream": True, "max_tokens": _TOKENS, "messages": [PROMPT]}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    arrived: float | None = None
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            words = " ".join(response.read(300).decode(errors="replace").split())
            raise ProbeFailed(f"the request answered {response.status}: {words}")
        # Read to the end: a disconnect in the middle would appear as an error in the log.
        for line in response:
            if arrived is None and has_text(line):
                arrived = time.time()
    finally:
        connection.close()
    if arrived is None:
        raise ProbeFailed("the request was answered without any text")
    return arrived


def has_text(line: bytes) -> bool:
    """Return whether a line of the stream contains generated text."""
    if not line.startswith(b"data:") or line[5:].strip() in (b"", b"[DONE]"):
        return False
    choices = json.loads(line[5:]).get("choices") or []
    return any((choice.get("delta") or {}).get("content") for choice in choices)
