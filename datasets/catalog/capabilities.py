"""Find what the dated capability snapshot says of a deployment, and say how it was found.

Steps, first hit wins: the same provider and the exact id; the same provider and the same folded
name, if only one fits; the same model at its own lab, marked as inherited.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from names import key

PROVIDERS: dict[str, tuple[str, ...]] = {
    "aws": ("amazon-bedrock",),
    "cloudflare": ("cloudflare-workers-ai",),
    "fireworks": ("fireworks-ai",),
    "google": ("google", "google-vertex", "google-vertex-anthropic"),
    "meta": ("meta", "llama"),
    "novita": ("novita-ai",),
    "together": ("togetherai",),
    "x-ai": ("xai",),
}
"""Provider ids of models.dev, where they differ from genai-prices'; `huggingface_*` is `huggingface`."""

LAB_PROVIDERS: dict[str, tuple[str, ...]] = {
    "amazon": ("amazon-bedrock",),
    "meta": ("meta", "llama"),
    "qwen": ("alibaba",),
    "zai": ("zai", "zhipuai"),
}
"""Where a lab's own models are listed in models.dev, if not under the lab's name."""


class Facts(NamedTuple):
    """One row of the snapshot."""

    provider: str
    model: str
    name: str
    context: int | None
    output: int | None
    tools: bool | None
    vision: bool | None
    schema: bool | None
    reasoning: bool | None
    open_weights: bool | None
    released: str | None
    status: str | None
    text: bool | None
    source: str


class Found(NamedTuple):
    """Facts, and whether they were read from the lab and not from the deployment itself."""

    facts: Facts
    inherited: bool


class Snapshot:
    """The capability snapshot, indexed for joining."""

    def __init__(self, path: Path) -> None:
        header, *rows = json.loads(path.read_text(encoding="utf-8"))
        expected = ["provider", "model", *Facts._fields[2:]]
        if header != expected:
            raise SystemExit(f"{path.name}: columns {header} found, {expected} expected; extract it anew")
        self.exact: dict[tuple[str, str], Facts] = {}
        self.folded: dict[tuple[str, str], list[Facts]] = {}
        for row in rows:
            facts = Facts(*row)
            self.exact[facts.provider, facts.model.lower()] = facts
            self.folded.setdefault((facts.provider, key(facts.model, facts.provider)), []).append(facts)

    def find(self, provider: str, model: str, folded: str, lab: str) -> Found | None:
        """Facts of a deployment, or None."""
        own = providers_of(provider)
        for name in own:
            if facts := self.exact.get((name, model.lower())):
                return Found(facts, inherited=False)
        if facts := self._by_name(own, folded):
            return Found(facts, inherited=False)
        if facts := self._by_name(LAB_PROVIDERS.get(lab, (lab,)), folded):
            return Found(facts, inherited=True)
        return None

    def _by_name(self, providers: tuple[str, ...], folded: str) -> Facts | None:
        for name in providers:
            rows = self.folded.get((name, folded), [])
            if rows and len({row[3:10] for row in rows}) == 1:
                return rows[0]
            exact = [row for row in rows if row.model.lower() == folded]
            if exact:
                return exact[0]
        return None


def providers_of(provider: str) -> tuple[str, ...]:
    """Provider ids of models.dev that stand for one of genai-prices."""
    return ("huggingface",) if provider.startswith("huggingface_") else PROVIDERS.get(provider, (provider,))


def statuses(path: Path) -> dict[str, dict[str, Any]]:
    """Retirement by models.dev provider and exact model id."""
    data: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return data
