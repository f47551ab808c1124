"""The errors of the relay are one tree, drawn at the top of its module."""

import ast
import re
from pathlib import Path
from typing import Final

from relay import errors

_RELAY: Final = Path(errors.__file__).parent
_ENDING: Final = ("Error", "Exception", "Fault", "Gone", "DatabaseFailed")


def test_every_error_is_in_the_drawn_tree() -> None:
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
