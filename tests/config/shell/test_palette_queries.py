"""What people type into the palette, in both languages: its target is among the first three."""

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Role, User
from billing.prices import prices
from gateway.models import Channel, Route
from tests.support.cast import Cast, make_key, person, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db

# What is typed, and the page's name among the URLs with what stands behind it, or what is sent.
ENGLISH = """
invite | invite
invite a colleague | invite
add user | invite
create key | key_create
new api key | key_create
make a token | key_create
add channel | channel_new
new provider | channel_new
connect an upstream | channel_new
top up | top_up_new
add money | top_up_new
pay by card | top_up_new
disable key deploy | key:deploy-bot
deploy bot | key:deploy-bot
sign out | press:#sign-out button
logout | press:#sign-out button
dark | press:#appearance [value=dark]
dark mode | press:#appearance [value=dark]
light theme | press:#appearance [value=light]
sso | single_sign_on
oidc | single_sign_on
saml | single_sign_on
okta | single_sign_on
2fa | mfa_index
two-factor | mfa_index
passkey | mfa_index
change password | account_change_password
fallback | model_rules
failover | model_rules
provider | channels
upstream | channels
rate limit | limits
rpm | limits
budget | budgets
create budget | budget_create
raise budget | raises
audit | audit
who changed | audit
webhook | webhooks
slack | webhooks
margin | margin
profit | margin
exchange | exchange_rates
voucher | redeem
draw a picture | images
tts | speech
whisper | transcription
compare | compare
export csv | exports
download invoice | invoices
balance | billing
vat | billing_details
also show amounts | settings#id_display_currency
private networks | installation_settings#id_egress_allow
budgts | budgets
chanels | channels
kittiwake | model:kittiwake-1
kitiwake | model:kittiwake-1
the core team | team:core
gdpr | own_data
disable key | keys
rotate key | keys
refund | credits
team lead | teams
who spent the most | explore?group_by=user
delete organisation | settings#archive
move request to another model | model_rules
密钥 | keys
预算 | budgets
邀请 | invite
充值 | top_up_new
渠道 | channels
"""
CHINESE = """
邀请 | invite
邀请成员 | invite
添加用户 | invite
创建密钥 | key_create
新建密钥 | key_create
新建 API 密钥 | key_create
添加渠道 | channel_new
新增服务商 | channel_new
充值 | top_up_new
付款 | top_ups
停用密钥 deploy | key:deploy-bot
退出登录 | press:#sign-out button
登出 | press:#sign-out button
深色 | press:#appearance [value=dark]
暗色模式 | press:#appearance [value=dark]
浅色 | press:#appearance [value=light]
单点登录 | single_sign_on
sso | single_sign_on
oidc | single_sign_on
两步验证 | mfa_index
双重验证 | mfa_index
2fa | mfa_index
通行密钥 | mfa_index
修改密码 | account_change_password
备用模型 | model_rules
回退 | model_rules
fallback | model_rules
服务商 | channels
渠道 | channels
速率限制 | limits
限流 | limits
预算 | budgets
创建预算 | budget_create
提高预算 | raises
审计 | audit
谁改了 | audit
webhook | webhooks
回调 | webhooks
毛利 | margin
利润 | margin
汇率 | exchange_rates
兑换码 | redeem
优惠码 | redeem
生成图片 | images
画图 | images
语音合成 | speech
语音转文字 | transcription
视频 | video
对比模型 | compare
导出 | exports
下载发票 | invoices
余额 | billing
税号 | billing_details#id_tax_id
用量 | usage
花费 | usage
日志 | requests
团队 core | team:core
kittiwake | model:kittiwake-1
文档 | docs
删除账号 | own_data
停用密钥 | keys
轮换密钥 | keys
退款 | credits
团队负责人 | teams
谁花得最多 | explore?group_by=user
删除组织 | settings#archive
换到其他模型 | model_rules
keys | keys
budgets | budgets
invite | invite
top up | top_up_new
disable key | keys
"""
CASES = [
    (language, *line.split(" | "))
    for language, text in (("en", ENGLISH), ("zh-hans", CHINESE))
    for line in text.strip().splitlines()
]


@pytest.fixture
def olga(people: Cast) -> User:
    """An owner of the organisation who operates the installation."""
    olga = person("olga", operator=True)
    members.set_member(people.acme, olga.email, Role.OWNER, actor=SYSTEM)
    make_key(people.core, "deploy-bot", user=olga)
    channel = Channel.objects.create(name="c", provider="openai", base_url="https://x.example/v1")
    Route.objects.create(channel=channel, model="kittiwake-1")
    prices.set_price(SYSTEM, "kittiwake-1", valid_from=timezone.now(), source="test",
                     rates={"meters": {"in_text": 1, "out_text": 1}})  # fmt: skip
    return olga


def address_of(target: str) -> str:
    """Where a target leads to, or what it sends."""
    kind, _, name = target.partition(":")
    if kind == "model":
        return reverse("model", args=[name])
    if kind in ("team", "key", "press"):
        return name
    parts = re.fullmatch(r"(\w+)([?#].*)?", target)
    assert parts is not None, target
    page, hash_, field = parts[1], parts[2] or "", ""
    try:
        return reverse(page) + hash_ + field
    except NoReverseMatch:
        return reverse(page, args=["acme"]) + hash_ + field


def first_three(visitor: Client, language: str, query: str, url: str) -> list[str]:
    """What the first three rows open or send, and their names."""
    visitor.cookies["language"] = language
    answer = visitor.get(url, {"q": query})
    assert answer.status_code == 200
    html = squeezed(answer.content.decode())
    rows = re.findall(r"<(?:a|button)\b([^>]*)>.*?<span class=\"cut\">([^<]*)</span>", html)[:3]
    sent = [dict(re.findall(r'(href|data-press)="([^"]*)"', attributes)) for attributes, _ in rows]
    return [
        *(unescape(name) for _, name in rows),
        *(unescape(one.get("href") or one["data-press"]) for one in sent),
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_query_finds_its_target(olga: User, language: str) -> None:
    visitor = signed_in(olga)
    missed = {
        query: found
        for tongue, query, target in CASES
        if tongue == language
        and address_of(target)
        not in (found := first_three(visitor, language, query, "/admin/_f/palette"))
    }
    assert missed == {}


def test_other_people_find_what_they_may_open(olga: User, people: Cast) -> None:
    """An operator who is no member, and a developer, whose pages read what is acme's alone. What
    each is shown depends on them, not on the language: each asks a third of the queries."""
    others = ((people.dora, "acme"), (people.bob, "acme"), (people.charlie, "stranger"))
    for turn, (user, slug) in enumerate(others):
        visitor = signed_in(user)
        for language, query, _target in CASES[turn::3]:
            first_three(visitor, language, query, f"/o/{slug}/_f/palette")
    charlie = signed_in(people.charlie)
    for query in ("olga", "acme", "c", "deploy", "core"):
        found = first_three(charlie, "en", query, "/o/stranger/_f/palette")
        assert not [one for one in found if "acme" in one or "olga" in one or "deploy" in one]


def test_each_language_has_seventy_queries() -> None:
    assert len(ENGLISH.split("\n")) == len(CHINESE.split("\n")) == 74
