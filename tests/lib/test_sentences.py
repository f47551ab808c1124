"""Texts that follow each other in one paragraph."""

from django.template import Context, Template
from django.utils.translation import override

from lib.sentences import join_sentences

PARAGRAPH = "{% load ui %}{% sentences %}<b>一。</b>\n  二！ 三 四{% endsentences %}"


def test_chinese_has_no_blanks_between_sentences() -> None:
    with override("zh-hans"):
        assert join_sentences("第一句。", "", "第二句。") == "第一句。第二句。"
        assert Template(PARAGRAPH).render(Context()) == "<b>一。</b>二！三 四"


def test_english_keeps_its_blanks() -> None:
    with override("en"):
        assert join_sentences("One.", "", "Two.") == "One. Two."
        assert Template(PARAGRAPH).render(Context()) == "<b>一。</b>\n  二！ 三 四"
