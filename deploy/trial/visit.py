"""Ask an installation some questions, so that its pages have something to show.

    TRIAL_KEY=… python visit.py http://web:8000

Needs nothing but Python. Prints how many were answered; the exit code is 1 if none was.
"""

import http.client
import json
import os
import sys
from contextlib import closing
from urllib.parse import urlsplit

QUESTIONS = (
    "How do tides work?",
    "Write a title for an article about bees.",
    "Summarise this meeting in one line.",
    "Translate to French: good morning.",
)
# Model -> how often it is asked; the first channel of the last one always fails.
ASKED = {"trial-small": 24, "trial-slow": 3, "trial-broken": 3}


def ask(url: str, key: str, model: str, question: str, *, stream: bool) -> bool:
    """Whether it was answered."""
    body = {
        "model": model,
        "stream": stream,
        "messages": [{"role": "user", "content": question}],
    }
    headers = {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "x-weir-labels": json.dumps({"project": "autocomplete"}),
    }
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as to:
        to.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = to.getresponse()
        answer_body = answer.read()
    if answer.status != 200:
        sys.stderr.write(f"{model}: {answer.status} {answer_body[:300].decode(errors='replace')}\n")
    return answer.status == 200


def main(url: str) -> int:
    key = os.environ["TRIAL_KEY"]
    answered = [
        ask(url, key, model, QUESTIONS[n % len(QUESTIONS)], stream=bool(n % 2))
        for model, times in ASKED.items()
        for n in range(times)
    ]
    sys.stdout.write(f"{sum(answered)} of {len(answered)} questions were answered\n")
    return 0 if any(answered) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
