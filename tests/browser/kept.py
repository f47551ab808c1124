"""What an agent's session leaves in the content log of the installation, and who may read it."""

import datetime as dt
import json
from typing import Any

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import Organisation, Role, User
from accounts.roles.rules import PERMISSIONS
from accounts.sign_in.sign_in import make_sign_in_link
from content.log.kept import Kept
from lib import clock
from lib.ids import id_text, new_id
from tests.browser.installation import MODEL
from tests.content.log.entries import keep
from tests.support import cast
from tests.usage.rows import happen

READER = "story-reader@example.org"
_WHOLE = [permission for permission in PERMISSIONS if not permission.endswith(":own")]
_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
_ASKED: list[dict[str, Any]] = [
    {"role": "system", "content": "You mend weirs. Measure before you close a gate."},
    {"role": "user", "content": [
        {"type": "text", "text": "The lower gate leaks. How much water goes through it at night?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/gate.jpg"}},
    ]},
]  # fmt: skip
_CALL = {"id": "call_1", "type": "function",
         "function": {"name": "measure", "arguments": '{"gate": "lower", "hours": 8}'}}  # fmt: skip
_CALLED = [{"role": "assistant", "content": "I measure it first.", "tool_calls": [_CALL]},
           {"role": "tool", "tool_call_id": "call_1", "content": '{"litres": 41200}'}]  # fmt: skip
_ANSWER = """About **41,200 litres** in eight hours:

| Hour | Litres |
| ---: | ---: |
| 22–02 | 20,100 |
| 02–06 | 21,100 |

```python
def leak(hours: float) -> float:
    return 41_200 / 8 * hours  # litres
```

> Close the upper gate first.
"""


def _answer(message: dict[str, Any]) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return json.dumps({"id": "a", "object": "chat.completion", "created": 1, "model": MODEL,
                       "choices": [choice], "usage": usage}).encode()  # fmt: skip


def keep_a_session() -> dict[str, str]:
    """In a process of the installation: an agent's session, and the link with which its reader
    signs in; paths by what they show."""
    organisation = Organisation.objects.get(slug="acme")
    role = custom_roles.create_role(organisation, "Reader", _WHOLE, actor=SYSTEM)
    reader = User.objects.create_user(READER)
    members.set_member(organisation, READER, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    team = organisation.teams.order_by("id")[0]
    key, _ = cast.make_key(team, "agent-of-the-weir", user=reader)
    session, steps = new_id(), [
        (_ASKED, {"content": "I measure it first.", "tool_calls": [_CALL],
                  "reasoning_content": "A leak is measured over some hours."}),
        ([*_ASKED, *_CALLED], None),
        ([*_ASKED, *_CALLED], {"content": _ANSWER}),
        ([*_ASKED, {"role": "user", "content": "Forget the gate."}], {"content": "As you wish."}),
    ]  # fmt: skip
    for number, (messages, message) in enumerate(steps):
        record = happen(
            key,
            clock.now() - dt.timedelta(minutes=20 - number),
            12_345_678 * (number + 1),
            model=MODEL,
            upstream_model=MODEL,
            session_id=session,
            session={"name": "Mend the lower gate", "source": "x-weir-session"},
            status=200 if message else 502,
            kind=None if message else "upstream_error",
        )
        body = json.dumps({"model": MODEL, "messages": messages}, ensure_ascii=False).encode()
        kept = (
            Kept(body, _answer(message)) if message else Kept(body, error="The upstream is away.")
        )
        keep(record, kept, session_id=session, model=MODEL, status=record.status)
        if number == 2:
            request = record
    return {
        "link": make_sign_in_link(reader),
        "session": f"/o/acme/sessions/{id_text(session)}",
        "request": f"/o/acme/requests/{id_text(request.request_id)}",
    }
