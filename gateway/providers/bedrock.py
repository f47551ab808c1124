"""Amazon Bedrock: Claude by InvokeModel in its own form, all other models by Converse
(docs.aws.amazon.com, 2026-08).

A key is `access|secret`, `access|secret|session token`, a Bedrock API key, or JSON that names the
source of temporary credentials (cloud_credentials/amazon.py). The host contains the region for
which requests are signed. A model is named by its id, or by an inference profile of several regions
(`us.anthropic.claude-sonnet-4-5-20250929-v1:0`).
"""

from dialects.anthropic.bedrock import BedrockMessagesCodec
from gateway.providers.anthropic import HOSTED_TOOLS
from gateway.providers.cloud_credentials.amazon import read_amazon_key
from gateway.providers.cloud_places import AMAZON
from gateway.providers.provider import Provider, Spoken
from gateway.providers.signing import AwsSigner

PROVIDER = Provider(
    name="bedrock",
    label="AWS Bedrock",
    base_url="https://bedrock-runtime.us-east-1.amazonaws.com",
    default_path="",
    needs_secret=True,
    dialects={
        "anthropic": Spoken(
            paths={
                "invoke_model": "/model/{model}/invoke",
                "invoke_model_stream": "/model/{model}/invoke-with-response-stream",
                "count_tokens": "/model/{model}/count-tokens",
            },
            headers={"accept": "application/json"},
            passed_headers=("anthropic-beta",),
            codec=BedrockMessagesCodec(),
            owner="anthropic",
        ),
        "converse": Spoken(
            paths={
                "converse": "/model/{model}/converse",
                "converse_stream": "/model/{model}/converse-stream",
                "models": "/inference-profiles",
            },
            headers={"accept": "application/json"},
        ),
    },
    models_origin=lambda origin: origin.replace("//bedrock-runtime", "//bedrock", 1),
    own_search=False,
    hosted_tools=HOSTED_TOOLS,
    signer=AwsSigner,
    key_parts_max=3,
    credential_source=read_amazon_key,
    place=AMAZON,
    note="The host names the region. The key is access|secret, access|secret|session token, a "
    "Bedrock API key, or JSON for temporary credentials.",
)
