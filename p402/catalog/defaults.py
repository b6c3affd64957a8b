"""Which deployments are named in the code, checked against the catalogue.

Three steer: `COST_CHAIN` (what cost mode tries first), `BASELINE` (unless the request or the tenant's
`baseline_model` names another) and `FAST_HARDWARE` (the prior time to a first token). The other modes
choose among all arms by score, and their lists in `DEFAULT_ARMS` are documentation; `SUCCESSORS` only
words a hint. No setting replaces the chain or the lists. A build of the catalogue fails while
`validate_defaults` finds a fault, since several names of the product's own pages exist nowhere.
Ids and reasons from the catalogue as of 2026-11-22. It knows nothing of scores.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from p402.catalog.model import Catalog, is_priced

_SEARCHES: Final = re.compile(r"(?:^|[/-])sonar(?:-|$)|-online$|-deep-research$")


def searches(model: str) -> bool:
    """Whether a model searches by itself and bills that by use, of which its tokens' prices say nothing.

    OpenRouter's page of o3-deep-research ("always uses the 'web_search' tool which adds additional cost");
    fees for a request to Perplexity's models, as their clients compute them (read 2026-11-26).
    """
    return _SEARCHES.search(model) is not None


DEFAULT_ARMS: Final[Mapping[str, tuple[str, ...]]] = {
    "cost": (
        "deepseek/deepseek-flash",
        "anthropic/claude-haiku-5-5",
        "google/gemini-3.1-flash-lite",
        "groq/openai/gpt-oss-20b",
    ),
    "quality": (
        "anthropic/claude-opus-4-6",
        "openai/gpt-5.4",
        "google/gemini-3.1-pro-preview",
    ),
    "speed": (
        "groq/llama-3.3-70b-versatile",
        "groq/openai/gpt-oss-120b",
        "groq/llama-3.1-8b-instant",
        "cerebras/gpt-oss-120b",
    ),
    "balanced": (
        "anthropic/claude-sonnet-4-6",
        "google/gemini-3.1-pro-preview",
        "deepseek/deepseek-flash",
        "anthropic/claude-haiku-5-5",
        "google/gemini-3.1-flash-lite",
    ),
}
"""Deployment ids typical of each mode, in order. Only the first of `cost` steer, as `COST_CHAIN`."""

COST_CHAIN: Final = DEFAULT_ARMS["cost"][:3]
"""Arms that `cost` tries first among the eligible (promise P4)."""

BASELINE: Final = "openai/gpt-5.4"
"""What savings are measured against when neither caller nor tenant names a model: the flagship that a
client of the OpenAI API would have called, and not the dearest model there is, which would flatter us."""

FAST_HARDWARE: Final = frozenset(
    {"groq", "cerebras", "huggingface_groq", "huggingface_cerebras", "huggingface_sambanova"}
)
"""Providers on dedicated inference hardware, whose prior time to first token is lower (promise P6)."""


class Successor(NamedTuple):
    """Today's neighbour of a name that is retired or never was."""

    deployment: str
    reason: str


SUCCESSORS: Final[Mapping[str, Successor]] = {
    "deepseek-chat": Successor("deepseek/deepseek-flash", "removed by DeepSeek; this is its successor"),
    "deepseek-reasoner": Successor(
        "deepseek/deepseek-v4-pro", "removed by DeepSeek; its reasoning model today"
    ),
    "claude-haiku-4-6": Successor("anthropic/claude-haiku-5-5", "never existed; the current Haiku"),
    "gemini-3.1-flash": Successor("google/gemini-3.1-flash-lite", "never existed; same generation"),
    "gemini-3.1-ultra": Successor("google/gemini-4-argon", "never existed; Google's largest today"),
    "gemini-3.1-pro": Successor("google/gemini-3.1-pro-preview", "sold by Google as a preview only"),
}
"""Names on the product's pages that no provider serves; never resolved silently, only suggested."""


def validate_defaults(catalog: Catalog) -> list[str]:
    """Say what is wrong with the lists above, one sentence a problem; an empty list is good."""
    problems: list[str] = []
    uses = [(f"mode {mode}", arm) for mode, arms in DEFAULT_ARMS.items() for arm in arms]
    uses += [("the baseline", BASELINE)]
    uses += [(f"the successor of {name}", successor.deployment) for name, successor in SUCCESSORS.items()]
    for use, arm in uses:
        deployment = catalog.by_id.get(arm)
        if deployment is None:
            problems.append(f"{use} names {arm}, which is not in the catalogue")
            continue
        if deployment.status != "active":
            problems.append(f"{use} names {arm}, which is {deployment.status}")
        if not is_priced(deployment):
            problems.append(f"{use} names {arm}, which has no price")
        if deployment.context_window is None:
            problems.append(f"{use} names {arm}, whose context window is unknown")
    unknown = FAST_HARDWARE - {d.provider for d in catalog.deployments}
    problems += [f"fast hardware names provider {p}, which is not in the catalogue" for p in sorted(unknown)]
    for name in SUCCESSORS:
        problems += [
            f"{name} is served by {d.id}"
            for d in catalog.named(name)
            if _alive(d.status, d.provider, d.family)
        ]
    return problems


def _alive(status: str, provider: str, family: str) -> bool:
    """Whether the lab itself still serves it; resellers may keep old names."""
    return status == "active" and provider == family
