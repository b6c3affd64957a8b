"""What is known beforehand of a provider: where it is, how it is spoken to, and what it does otherwise.

Pure data, read from the providers' own documentation on the day that each entry names; what a table of the
configuration says itself goes before it. A preset never widens what a client may steer: no field is passed
on that could change a price. It knows nothing of keys' values, of files or of the wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from p402.errors import nearest

READ_ON: Final = "2026-11-26"
"""The day on which the stored copies of the documentation that `docs` names were read."""

_REASONED: Final = ("reasoning_content",)
_ROUTED: Final = ("cache_control", "reasoning", "reasoning_details")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One provider.

    Attributes
    ----------
    base_url
        Empty where it is the operator's own: a resource, a region.
    key_env
        The variable in which its key usually is; None where it takes none.
    needs_key
        False where it can be called without, or signs by other means.
    needs_models
        What it offers is the operator's own, whatever the catalogue lists under its name.
    catalog
        The catalogue's name of it; None where the catalogue prices nothing of it, so that `models` has to
        be given.
    docs
        What was read.
    output_field, extra_fields, message_fields, omit_fields
        As in `[providers.NAME]`.
    note
        What an operator should know, in a few words.
    """

    dialect: str = "openai"
    base_url: str
    key_env: str | None
    needs_key: bool = True
    needs_models: bool = False
    catalog: str | None
    docs: str
    read_on: str = READ_ON
    output_field: str = "max_tokens"
    extra_fields: tuple[str, ...] = ()
    message_fields: tuple[str, ...] = ()
    omit_fields: tuple[str, ...] = ()
    note: str = ""


def _local(
    port: int,
    docs: str,
    *,
    key_env: str | None = None,
    extra_fields: tuple[str, ...] = (),
    message_fields: tuple[str, ...] = (),
    note: str = "it serves what you started it with",
) -> Preset:
    """A server of one's own on this host."""
    return Preset(
        base_url=f"http://127.0.0.1:{port}/v1",
        key_env=key_env,
        needs_key=False,
        catalog=None,
        docs=docs,
        extra_fields=extra_fields,
        message_fields=message_fields,
        note=note,
    )


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "openai": Preset(
            base_url="https://api.openai.com/v1",
            key_env="OPENAI_API_KEY",
            catalog="openai",
            docs="https://platform.openai.com/docs/api-reference/chat",
            output_field="max_completion_tokens",
        ),
        "anthropic": Preset(
            dialect="anthropic",
            base_url="https://api.anthropic.com/v1",
            key_env="ANTHROPIC_API_KEY",
            catalog="anthropic",
            docs="https://docs.anthropic.com/en/api/messages",
        ),
        "azure": Preset(
            dialect="azure",
            base_url="",
            key_env="AZURE_OPENAI_API_KEY",
            needs_models=True,
            catalog="azure",
            docs="https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle",
            output_field="max_completion_tokens",
            note="base_url is your resource's; models are your deployments",
        ),
        "bedrock": Preset(
            dialect="bedrock",
            base_url="",
            key_env="AWS_BEARER_TOKEN_BEDROCK",
            needs_key=False,
            catalog="aws",
            docs="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
            note="needs `region`; without a Bedrock key, AWS credentials as the AWS CLI finds them",
        ),
        "gemini": Preset(
            dialect="gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta",
            key_env="GEMINI_API_KEY",
            catalog="google",
            docs="https://ai.google.dev/api/generate-content",
        ),
        "vertex": Preset(
            dialect="vertex-gemini",
            base_url="",
            key_env=None,
            needs_key=False,
            catalog="google",
            docs="https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
            note="base_url is your project's; signs in by `credentials`, or as the machine's own account",
        ),
        "vertex-anthropic": Preset(
            dialect="vertex-anthropic",
            base_url="",
            key_env=None,
            needs_key=False,
            catalog="google",
            docs="https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude",
            note="as `vertex`; ids that Vertex AI dates need `upstream_model`",
        ),
        "groq": Preset(
            base_url="https://api.groq.com/openai/v1",
            key_env="GROQ_API_KEY",
            catalog="groq",
            docs="https://console.groq.com/docs/openai",
            output_field="max_completion_tokens",
            extra_fields=("include_reasoning", "reasoning_format"),
            message_fields=("reasoning",),
            omit_fields=("logit_bias", "logprobs", "top_logprobs"),
        ),
        "deepseek": Preset(
            base_url="https://api.deepseek.com",
            key_env="DEEPSEEK_API_KEY",
            catalog="deepseek",
            docs="https://api-docs.deepseek.com/",
            message_fields=_REASONED,
        ),
        "mistral": Preset(
            base_url="https://api.mistral.ai/v1",
            key_env="MISTRAL_API_KEY",
            catalog="mistral",
            docs="https://docs.mistral.ai/api",
            extra_fields=("random_seed", "safe_prompt"),
            omit_fields=(
                "logit_bias", "logprobs", "safety_identifier", "seed", "store", "stream_options",
                "top_logprobs", "user",
            ),
            note="refuses fields that it does not know; tells usage unasked",
        ),
        "together": Preset(
            base_url="https://api.together.ai/v1",
            key_env="TOGETHER_API_KEY",
            catalog="together",
            docs="https://docs.together.ai/docs/inference/openai-compatibility",
            message_fields=("reasoning", "reasoning_content"),
        ),
        "fireworks": Preset(
            base_url="https://api.fireworks.ai/inference/v1",
            key_env="FIREWORKS_API_KEY",
            catalog="fireworks",
            docs="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
            message_fields=_REASONED,
        ),
        "openrouter": Preset(
            base_url="https://openrouter.ai/api/v1",
            key_env="OPENROUTER_API_KEY",
            catalog="openrouter",
            docs="https://openrouter.ai/docs/guides/features/prompt-caching",
            message_fields=_ROUTED,
            note="`provider`, `models` and `plugins` are not passed on: they change the price",
        ),
        "xai": Preset(
            base_url="https://api.x.ai/v1",
            key_env="XAI_API_KEY",
            catalog="x-ai",
            docs="https://docs.x.ai/docs/api-reference",
            output_field="max_completion_tokens",
            message_fields=_REASONED,
            note="reasoning models refuse penalties and `stop`",
        ),
        "cerebras": Preset(
            base_url="https://api.cerebras.ai/v1",
            key_env="CEREBRAS_API_KEY",
            catalog="cerebras",
            docs="https://inference-docs.cerebras.ai/resources/openai",
            output_field="max_completion_tokens",
            extra_fields=("clear_thinking", "reasoning_format"),
            message_fields=("reasoning",),
            omit_fields=("frequency_penalty", "logit_bias", "presence_penalty"),
        ),
        "sambanova": Preset(
            base_url="https://api.sambanova.ai/v1",
            key_env="SAMBANOVA_API_KEY",
            catalog=None,
            docs="https://docs.sambanova.ai/docs/en/features/openai-compatibility",
        ),
        "deepinfra": Preset(
            base_url="https://api.deepinfra.com/v1/openai",
            key_env="DEEPINFRA_API_KEY",
            catalog=None,
            docs="https://deepinfra.com/docs/advanced/openai_api",
            message_fields=_REASONED,
        ),
        "nvidia": Preset(
            base_url="https://integrate.api.nvidia.com/v1",
            key_env="NVIDIA_API_KEY",
            catalog=None,
            docs="https://docs.api.nvidia.com/nim/reference/llm-apis",
        ),
        "moonshot": Preset(
            base_url="https://api.moonshot.ai/v1",
            key_env="MOONSHOT_API_KEY",
            catalog="moonshotai",
            docs="https://platform.kimi.ai/docs/api/overview",
            message_fields=_REASONED,
            note="thinking models want `reasoning_content` back",
        ),
        "zai": Preset(
            base_url="https://api.z.ai/api/paas/v4",
            key_env="ZAI_API_KEY",
            catalog="zai",
            docs="https://docs.z.ai/api-reference/introduction",
            message_fields=_REASONED,
        ),
        "zhipu": Preset(
            base_url="https://open.bigmodel.cn/api/paas/v4",
            key_env="ZHIPUAI_API_KEY",
            catalog="zhipuai",
            docs="https://docs.bigmodel.cn/cn/guide/develop/openai/introduction",
            message_fields=_REASONED,
        ),
        "alibaba": Preset(
            base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            key_env="DASHSCOPE_API_KEY",
            catalog=None,
            docs="https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
            extra_fields=("enable_thinking", "thinking_budget"),
            message_fields=_REASONED,
            note="Singapore's older host; keys are a region's, whose workspace URL goes into base_url",
        ),
        "novita": Preset(
            base_url="https://api.novita.ai/openai/v1",
            key_env="NOVITA_API_KEY",
            catalog="novita",
            docs="https://novita.ai/docs/guides/llm-api",
            message_fields=_REASONED,
        ),
        "baseten": Preset(
            base_url="https://inference.baseten.co/v1",
            key_env="BASETEN_API_KEY",
            catalog="baseten",
            docs="https://docs.baseten.co/quickstart",
            message_fields=_REASONED,
        ),
        "cohere": Preset(
            base_url="https://api.cohere.ai/compatibility/v1",
            key_env="COHERE_API_KEY",
            catalog="cohere",
            docs="https://docs.cohere.com/docs/compatibility-api",
            omit_fields=(
                "logit_bias", "metadata", "modalities", "parallel_tool_calls", "prompt_cache_key",
                "safety_identifier", "store", "stream_options", "top_logprobs", "user", "verbosity",
            ),
            note="refuses `stream_options`; tells usage unasked",
        ),
        "huggingface": Preset(
            base_url="https://router.huggingface.co/v1",
            key_env="HF_TOKEN",
            catalog=None,
            docs="https://huggingface.co/docs/inference-providers/index",
            note="pin who serves with `org/model:provider`: each has its own price",
        ),
        "github": Preset(
            base_url="https://models.github.ai/inference",
            key_env="GITHUB_TOKEN",
            catalog=None,
            docs="https://docs.github.com/en/github-models/quickstart",
            note="a preview with small limits; the token needs `models: read`",
        ),
        "nebius": Preset(
            base_url="https://api.tokenfactory.nebius.com/v1",
            key_env="NEBIUS_API_KEY",
            catalog=None,
            docs="https://docs.tokenfactory.nebius.com/api-reference/introduction",
            message_fields=_REASONED,
        ),
        "hyperbolic": Preset(
            base_url="https://api.hyperbolic.xyz/v1",
            key_env="HYPERBOLIC_API_KEY",
            catalog=None,
            docs="https://docs.hyperbolic.xyz",
        ),
        "vllm": _local(
            8000,
            "https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html",
            key_env="VLLM_API_KEY",
            extra_fields=("chat_template_kwargs", "min_tokens", "stop_token_ids", "structured_outputs"),
            message_fields=("reasoning", "reasoning_content"),
        ),
        "sglang": _local(
            30000,
            "https://docs.sglang.io/basic_usage/openai_api_completions.html",
            extra_fields=("chat_template_kwargs", "min_tokens", "stop_token_ids"),
            message_fields=_REASONED,
        ),
        "ollama": _local(
            11434,
            "https://docs.ollama.com/api/openai-compatibility",
            message_fields=("reasoning",),
            note="it serves what you have pulled; its context is short unless set",
        ),
        "llamacpp": _local(
            8080,
            "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
            key_env="LLAMA_API_KEY",
            extra_fields=("chat_template_kwargs",),
            message_fields=_REASONED,
        ),
        "lmstudio": _local(1234, "https://lmstudio.ai/docs/developer/openai-compat"),
    }
)  # fmt: skip
"""By name, in the order in which they are told."""

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "google": "gemini",
        "x-ai": "xai",
        "dashscope": "alibaba",
        "moonshotai": "moonshot",
        "zhipuai": "zhipu",
        "llama.cpp": "llamacpp",
        "llama-cpp": "llamacpp",
        "aws": "bedrock",
        "azure-openai": "azure",
    }
)
"""Other names of theirs, the catalogue's among them."""

ENDED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "perplexity": "its chat completions ended on 2026-09-27, and its Agent API is no language of P402's",
    }
)
"""Providers that one would look for here, and why they are not."""


def preset(name: str) -> Preset | None:
    """The preset of a name or an alias, if there is one."""
    return PRESETS.get(ALIASES.get(name, name))


def known_names() -> tuple[str, ...]:
    """Every name that `preset` takes."""
    return (*PRESETS, *ALIASES)


def none_such(name: str) -> str:
    """Why there is no preset of a name, and which are near."""
    if name in ENDED:
        return f"; there is no preset: {ENDED[name]}"
    return nearest(name, known_names())
