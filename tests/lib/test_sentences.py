"""Texts that follow each other in one paragraph or line."""

from django.template import Context, Template
from django.utils.translation import override

from lib.sentences import close_blanks, join_sentences, join_words, named_text

PARAGRAPH = "{% load ui %}{% sentences %}<b>一。</b>\n  二！ 三 四{% endsentences %}"


def test_chinese_has_no_blanks_between_sentences() -> None:
    with override("zh-hans"):
        assert join_sentences("第一句。", "", "第二句。") == "第一句。第二句。"
        assert Template(PARAGRAPH).render(Context()) == "<b>一。</b>二！三 四"


def test_english_keeps_its_blanks() -> None:
    with override("en"):
        assert join_sentences("One.", "", "Two.") == "One. Two."
        assert Template(PARAGRAPH).render(Context()) == "<b>一。</b>\n  二！ 三 四"


def test_lists_and_names_use_the_languages_punctuation() -> None:
    with override("zh-hans"):
        assert join_words(["工具", "视觉"]) == "工具、视觉"
        assert named_text("输入", "$1.25") == "输入：$1.25"
    with override("en"):
        assert join_words(["Tools", "Vision"]) == "Tools, Vision"
        assert named_text("Input", "$1.25") == "Input: $1.25"


def test_no_blank_is_between_chinese_and_a_chinese_fact() -> None:
    form = "%(who)s 更改了渠道 %(name)s 的密钥，%(who)s 已通知 API"
    assert close_blanks(form, {"who": "系统", "name": "eu"}) == (
        "%(who)s更改了渠道 %(name)s 的密钥，%(who)s已通知 API"
    )
    assert close_blanks(form, {"who": "Ana", "name": "华东"}) == (
        "%(who)s 更改了渠道%(name)s的密钥，%(who)s 已通知 API"
    )
    assert close_blanks("%(who)s changed %(name)s", {"who": "系统"}) == "%(who)s changed %(name)s"
