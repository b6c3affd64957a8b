"""What a model's name says: whether it chats, whose it is, and which other names mean the same model.

Providers spell one model many ways (`claude-sonnet-4-6`, `global.anthropic.claude-sonnet-4-6-v1:0`,
`anthropic/claude-sonnet-4.6`). `key` folds such spellings together; it serves to join sources and to
count models apart from deployments, never to resolve an id at run time.
"""

import re
from collections import Counter
from collections.abc import Iterable

NOT_CHAT = re.compile(
    r"""embed|rerank|whisper|tts|transcri|image|audio|ocr|moderation|guard|safety|realtime|[-/]live|voice|sora|veo|
    imagen|dall-e|flux|speech|orpheus|lyria|video|robotics|bge-|gte-|m2m100|distilbert|indictrans|sonic|banana|
    gemini-omni|babbage|davinci|curie|(^|/)ada$|text-(ada|express|lite)|titan-text|^ft:|\.ft-|turbo-instruct|translat|
    computer-use|-base(-|$)|search-api|search-preview|canopylabs|voyage|clarifai|e5-|whereisai""",
    re.VERBOSE | re.IGNORECASE,
)
"""Names of what is no chat model: other modalities, classifiers, raw completion, fine-tune placeholders."""

FAMILIES: tuple[tuple[str, str], ...] = (
    (r"nemotron", "nvidia"),
    (r"claude", "anthropic"),
    (r"deepseek|^r1-1776", "deepseek"),
    (r"^(gpt|o1|o3|o4|chatgpt|codex|openai)", "openai"),
    (r"gemini|gemma|palm", "google"),
    (r"mistral|mixtral|ministral|codestral|devstral|magistral|pixtral|voxtral", "mistral"),
    (r"qwen|qwq|qvq", "qwen"),
    (r"grok", "xai"),
    (r"^(command|c4ai|aya|north)", "cohere"),
    (r"^(nova|titan)", "amazon"),
    (r"^(phi|mai|wizardlm)", "microsoft"),
    (r"kimi|moonshot", "moonshotai"),
    (r"glm", "zai"),
    (r"minimax", "minimax"),
    (r"jamba", "ai21"),
    (r"granite", "ibm"),
    (r"sonar|pplx", "perplexity"),
    (r"ernie", "baidu"),
    (r"hermes", "nousresearch"),
    (r"llama|muse", "meta"),
    (r"mimo", "xiaomi"),
    (r"^step", "stepfun"),
    (r"palmyra", "writer"),
    (r"seed", "bytedance"),
    (r"hunyuan|^hy\d", "tencent"),
    (r"trinity|arcee", "arcee"),
    (r"mercury", "inception"),
)
"""Lab by a pattern of the folded name; the first that fits. A derived model belongs to its maker."""

LABS = {
    lab: lab
    for lab in (
        "anthropic",
        "openai",
        "google",
        "deepseek",
        "mistral",
        "cohere",
        "moonshotai",
        "zai",
        "minimax",
        "perplexity",
        "meta",
        "arcee",
    )
} | {"xai": "x-ai"}
"""Provider id that is a lab's own, where it has one."""

_SAME = {"deepseek-flash": "deepseek-v4-1-flash", "deepseek-v4-1-flash-1017": "deepseek-v4-1-flash"}
"""Names that a source declares the same: model-prices 0.0.5, `aliases` and `bases`, read 2026-11-22."""

_STEPS: tuple[tuple[str, str], ...] = (
    (r"^@cf/", ""),
    (r"^.*/", ""),
    (r"^(global|regional|us|eu|apac)\.", ""),
    (r"^deepseek\.", "deepseek-"),
    (r"^(anthropic|meta|mistral|amazon|openai|google|qwen|nvidia|moonshotai|zai|writer|cohere|ai21)\.", ""),
    (r"-v\d+:\d+$|(-\d)?:\d+$", ""),
    (r"^databricks-", ""),
    (r"^zai-(?=glm)|^meta-(?=llama)", ""),
    (r"[._@ ]", "-"),
    (r"-20\d\d-?[01]\d-?[0-3]\d(?=-|$|:)|-[01]\d-20\d\d(?=-|$)", ""),
    (r"-(instruct|it|latest|preview|maas)(?=-|$|:)", ""),
    (r"^llama-?v?(?=\d)", "llama-"),
    (r"^(llama-4-[a-z]+)-17b(-\d+e)?(?=-|$)", r"\1"),
    (r"^claude-(\d(?:-\d)?)-(opus|sonnet|haiku)", r"claude-\2-\1"),
    (r"^(claude-[a-z]+-\d)-0$", r"\1"),
    (r"^gemini-(flash|pro)-(\d-\d)", r"gemini-\2-\1"),
    (r"^qwen-(?=\d)", "qwen"),
)


def key(model: str, provider: str = "") -> str:
    """Fold the spellings of one model into one name; `provider` unlocks its own habits."""
    name = model.lower()
    if provider.startswith("fireworks"):
        name = re.sub(r"(?<=\d)p(?=\d)", ".", name)
    if provider == "groq":
        name = re.sub(r"-(versatile|instant)$", "", name)
    for pattern, replacement in _STEPS:
        name = re.sub(pattern, replacement, name)
    return _SAME.get(name, name)


def family(folded: str, model: str, provider: str) -> str:
    """Lab of a model: by its folded name, else by the id's organisation, else the provider."""
    for pattern, lab in FAMILIES:
        if re.search(pattern, folded):
            return lab
    organisation = model.removeprefix("@cf/").split("/")[0].lower() if "/" in model else provider
    return re.sub(r"[^a-z0-9]+", "-", organisation.removeprefix("huggingface_"))


def canonical(rows: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Canonical name of each folded key, from (key, provider, model id) rows.

    The lab's own shortest id where the lab sells it, else the spelling most providers use.
    """
    spellings: dict[str, Counter[str]] = {}
    own: dict[str, list[str]] = {}
    for folded, provider, model in rows:
        plain = re.sub(r"-latest$", "", re.sub(r"^.*/", "", model.lower()))
        spellings.setdefault(folded, Counter())[plain] += 1
        if LABS.get(family(folded, model, provider)) == provider:
            own.setdefault(folded, []).append(plain)
    names: dict[str, str] = {}
    for folded, votes in sorted(spellings.items()):
        mine = own.get(folded)
        best = min(mine, key=_short) if mine else min(votes, key=lambda s: (-votes[s], *_short(s)))
        names[folded] = folded if best in names.values() else best
    return names


def _short(name: str) -> tuple[int, str]:
    return len(name), name
