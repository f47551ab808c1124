"""What style sheets must not do, because a browser works long on it."""

import re
from pathlib import Path

SHEETS = (Path(__file__).parents[2] / "static/css").glob("*.css")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def rules(css: str) -> list[str]:
    """Return each selector with those it is nested in before it, in the order of the sheet."""
    result: list[str] = []
    opened: list[str] = []
    for part in re.findall(r"[^{};]*[{};]", _COMMENT.sub("", css)):
        if part.endswith("{"):
            text = part[:-1].strip()
            above = [one for one in opened if not one.startswith("@")]
            opened.append(text)
            if not text.startswith("@"):
                result.append(" ".join([*above, text.replace("&", "")]))
        elif part.endswith("}"):
            opened.pop()
    return result


def costly(rule: str) -> bool:
    """Whether it means any element inside one that `:has` describes. A browser cannot tell which
    those are, so that each change of a box that any `:has` asks about restyles the whole page."""
    apart = re.split(r",(?![^()]*\))", rule)
    return any(":has(" in selector and selector.endswith("*") for selector in apart)


def test_no_css_rule_matches_everything_inside_a_has() -> None:
    found = [rule for sheet in SHEETS for rule in rules(sheet.read_text()) if costly(rule)]
    assert found == []


def test_costly_css_rule_is_found() -> None:
    sheet = ".row:has(:checked)>*{color:red}.field:not(:has(>.check)){gap:0;&>*{color:red}}"
    assert [costly(rule) for rule in rules(sheet)] == [True, False, True]
    assert not costly("#given:not(:has(*))")
