"""Map the channel types of New API and One API to our providers and base URLs.

Both use the same numbers up to 25. Sources: constant/channel.go of New API (2026-10),
relay/channeltype of One API 0.6.11. Their base URL is the host; ours includes the version. A
channel type with its own API has no provider here.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Peer = Literal["new-api", "one-api"]


class ChannelType(NamedTuple):
    """`host` is the default base URL; `path` is appended to it or to a configured one."""

    name: str
    provider: str = ""
    host: str = ""
    path: str = ""


def _openai(name: str, host: str = "", path: str = "/v1") -> ChannelType:
    return ChannelType(name, "openai_compatible", host, path)


_BOTH: Final[dict[int, ChannelType]] = {
    1: ChannelType("OpenAI", "openai", "https://api.openai.com", "/v1"),
    3: ChannelType("Azure", "azure_openai"),
    5: _openai("OpenAI-SB", "https://api.openai-sb.com"),
    6: _openai("OpenAIMax", "https://api.openaimax.com"),
    7: _openai("OhMyGPT", "https://api.ohmygpt.com"),
    9: _openai("AILS", "https://api.caipacity.com"),
    10: _openai("AIProxy", "https://api.aiproxy.io"),
    11: ChannelType("PaLM"),
    12: _openai("API2GPT", "https://api.api2gpt.com"),
    13: _openai("AIGC2D", "https://api.aigc2d.com"),
    14: ChannelType("Anthropic", "anthropic", "https://api.anthropic.com", "/v1"),
    15: ChannelType("Baidu"),
    16: ChannelType("Zhipu", "glm", "https://open.bigmodel.cn", "/api/paas/v4"),
    17: ChannelType("Ali", "qwen", "https://dashscope.aliyuncs.com", "/compatible-mode/v1"),
    18: ChannelType("Xunfei"),
    19: _openai("360", "https://api.360.cn"),
    20: ChannelType("OpenRouter", "openrouter", "https://openrouter.ai/api", "/v1"),
    21: ChannelType("AIProxyLibrary"),
    22: _openai("FastGPT", "https://fastgpt.run/api/openapi"),
    23: ChannelType("Tencent"),
    24: ChannelType("Gemini", "gemini", "https://generativelanguage.googleapis.com", "/v1beta"),
    25: ChannelType("Moonshot", "kimi", "https://api.moonshot.cn", "/v1"),
}

_NEW_API: Final[dict[int, ChannelType]] = _BOTH | {
    2: ChannelType("Midjourney", "midjourney_proxy"),
    4: ChannelType("Ollama", "ollama", "http://localhost:11434", "/v1"),
    5: ChannelType("MidjourneyPlus", "midjourney_proxy"),
    8: ChannelType("Custom"),
    26: ChannelType("ZhipuV4", "glm", "https://open.bigmodel.cn", "/api/paas/v4"),
    27: ChannelType("Perplexity", "perplexity", "https://api.perplexity.ai", "/v1"),
    31: _openai("LingYiWanWu", "https://api.lingyiwanwu.com"),
    33: ChannelType("AWS", "bedrock"),
    34: ChannelType("Cohere", "cohere", "https://api.cohere.ai"),
    35: ChannelType("MiniMax"),
    36: ChannelType("SunoAPI", "suno_api"),
    37: ChannelType("Dify"),
    38: ChannelType("Jina", "jina", "https://api.jina.ai", "/v1"),
    39: ChannelType("Cloudflare"),
    40: _openai("SiliconFlow", "https://api.siliconflow.cn"),
    41: ChannelType("VertexAI", "vertex"),
    42: ChannelType("Mistral", "mistral", "https://api.mistral.ai", "/v1"),
    43: ChannelType("DeepSeek", "deepseek", "https://api.deepseek.com", "/v1"),
    44: ChannelType("MokaAI"),
    45: ChannelType("VolcEngine", "doubao", "https://ark.cn-beijing.volces.com", "/api/v3"),
    46: _openai("BaiduV2", "https://qianfan.baidubce.com", "/v2"),
    47: _openai("Xinference"),
    48: ChannelType("xAI", "xai", "https://api.x.ai", "/v1"),
    49: ChannelType("Coze"),
    50: ChannelType("Kling", "kling", "https://api.klingai.com"),
    51: ChannelType("Jimeng", "jimeng", "https://visual.volcengineapi.com"),
    52: ChannelType("Vidu"),
    53: _openai("Submodel", "https://llm.submodel.ai"),
    54: ChannelType("DoubaoVideo", "doubao", "https://ark.cn-beijing.volces.com", "/api/v3"),
    55: ChannelType("Sora"),
    56: ChannelType("Replicate"),
    57: ChannelType("Codex"),
}

_ONE_API: Final[dict[int, ChannelType]] = _BOTH | {
    2: _openai("API2D", "https://oa.api2d.net"),
    4: _openai("CloseAI", "https://api.closeai-proxy.xyz"),
    8: _openai("Custom"),
    26: _openai("Baichuan", "https://api.baichuan-ai.com"),
    27: ChannelType("MiniMax"),
    28: ChannelType("Mistral", "mistral", "https://api.mistral.ai", "/v1"),
    29: ChannelType("Groq", "groq", "https://api.groq.com/openai", "/v1"),
    30: ChannelType("Ollama", "ollama", "http://localhost:11434", "/v1"),
    31: _openai("LingYiWanWu", "https://api.lingyiwanwu.com"),
    32: _openai("StepFun", "https://api.stepfun.com"),
    33: ChannelType("AwsClaude", "bedrock"),
    34: ChannelType("Coze"),
    35: ChannelType("Cohere", "cohere", "https://api.cohere.ai"),
    36: ChannelType("DeepSeek", "deepseek", "https://api.deepseek.com", "/v1"),
    37: ChannelType("Cloudflare"),
    38: ChannelType("DeepL"),
    39: ChannelType("TogetherAI", "together", "https://api.together.xyz", "/v1"),
    40: ChannelType("Doubao", "doubao", "https://ark.cn-beijing.volces.com", "/api/v3"),
    41: _openai("Novita", "https://api.novita.ai/v3/openai", ""),
    42: ChannelType("VertexAI", "vertex"),
    43: ChannelType("Proxy"),
    44: _openai("SiliconFlow", "https://api.siliconflow.cn"),
    45: ChannelType("xAI", "xai", "https://api.x.ai", "/v1"),
    46: ChannelType("Replicate"),
    47: _openai("BaiduV2", "https://qianfan.baidubce.com", "/v2"),
    48: _openai("XunfeiV2", "https://spark-api-open.xf-yun.com"),
    49: ChannelType("AliBailian", "qwen", "https://dashscope.aliyuncs.com", "/compatible-mode/v1"),
    50: _openai("OpenAI-compatible", "", ""),
    51: _openai("Gemini (OpenAI)", "https://generativelanguage.googleapis.com/v1beta/openai", ""),
}

CHANNEL_TYPES: Final[Mapping[Peer, Mapping[int, ChannelType]]] = {
    "new-api": _NEW_API,
    "one-api": _ONE_API,
}

# At this host, only OpenAI's channels omit the path of the version.
_WITHOUT_VERSION: Final = "https://gateway.ai.cloudflare.com"


def address_of(kind: ChannelType, base_url: str) -> tuple[str, str]:
    """Return the provider and the base URL of a channel in our form; "" for the provider's
    default."""
    base_url = base_url.strip().rstrip("/")
    own = base_url not in ("", kind.host)
    host = base_url or kind.host
    if not host:
        return kind.provider, ""
    provider = "openai_compatible" if own and kind.provider == "openai" else kind.provider
    path = "" if kind.name == "OpenAI" and host.startswith(_WITHOUT_VERSION) else kind.path
    return provider, host + path
