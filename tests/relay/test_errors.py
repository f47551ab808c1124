"""The errors of the relay are one tree, drawn at the top of its module, and each has the status of
its kind."""

import ast
import re
from pathlib import Path
from typing import Final

from dialects.errors.errors import KINDS
from relay import errors

_RELAY: Final = Path(errors.__file__).parent
_ROOT: Final = _RELAY.parent
_ENDING: Final = ("Error", "Exception", "Fault", "Gone", "DatabaseFailed")


def test_every_error_is_in_the_documented_tree() -> None:
    drawn: dict[str, str] = {}
    above = {-1: "Exception"}
    for line in (errors.__doc__ or "").splitlines():
        item = re.match(r"( *)(?:· )?([A-Z]\w+)(?: {2,}.*)?$", line)
        if item is not None:
            depth = len(item[1])
            drawn[item[2]] = above[max(level for level in above if level < depth)]
            above = {level: name for level, name in above.items() if level < depth}
            above[depth] = item[2]
    bases = {
        node.name: ast.unparse(node.bases[0])
        for path in sorted(_RELAY.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and node.bases
        and ast.unparse(node.bases[0]).endswith(_ENDING)
    }
    refusals = {name for name, base in bases.items() if base == "RequestFault"}
    assert drawn == {name: base for name, base in bases.items() if name not in refusals}
    assert all(name in (errors.__doc__ or "") for name in refusals)


# A WebSocket over HTTP/1.1 alone (RFC 9110, section 15.5.22); and as the API of Responses has it.
OWN_STATUS: Final = {
    ("relay/asgi.py", "method_not_allowed", 426),
    ("relay/endpoints/responses_socket/connection.py", "invalid_value", 400),
}


def test_every_error_has_the_status_of_its_kind() -> None:
    """Where both are written out: clients read the one, and records and retries the other."""
    written = [
        (path.relative_to(_ROOT).as_posix(), str(call.args[0].value), call.args[1].value)
        for room in ("relay", "config", "playground")
        for path in sorted((_ROOT / room).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "ErrorAnswer"
        and len(call.args) > 1
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[1], ast.Constant)
    ]
    assert len(written) > 10
    kinds: dict[str, int] = {kind: known.status for kind, known in KINDS.items()}
    assert {one for one in written if kinds[one[1]] != one[2]} == OWN_STATUS
