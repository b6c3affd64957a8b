"""What a Gemini model takes, by its id: how its thinking is steered, and which words it knows.

An id that tells no generation (`gemini-flash-latest`, one of tomorrow) is taken for the newest.

Sources: Gemini API and Vertex AI, Thinking and Thought signatures (read 2026-11-26); refusals by models in
googleapis/js-genai 1609 (candidates), PublicAffairs/openai-gemini 63 (penalties), ENTERPILOT/GoModel 862
(levels), anomalyco/opencode 50504 (ids of calls).
"""

import re
from dataclasses import dataclass
from typing import Any, Final

_ID: Final = re.compile(r"gemini-(\d{1,2})(?:[.-](\d)(?!\d))?")
_NEWEST: Final = (99, 0)
_THINKS: Final = (2, 5)
_LEVELS: Final = (3, 0)
_LAST_MINIMAL: Final = (3, 6)
"""Flash models take the level `MINIMAL` up to here."""

_BUDGETS: Final = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}
"""Thinking tokens by effort, as Google's own OpenAI-compatible endpoint has them."""
_MOST_BUDGET: Final = 24_576
_MOST_BUDGET_PRO: Final = 32_768
_LEAST_BUDGET: Final = 512
_LEAST_BUDGET_PRO: Final = 128
_LOW_BUDGET: Final = 2_048
_MEDIUM_BUDGET: Final = 12_288


@dataclass(frozen=True, slots=True)
class Model:
    """What its id tells.

    Attributes
    ----------
    made
        Its generation, major and minor.
    pro
        Whether it is of the large size, which cannot but think.
    """

    made: tuple[int, int]
    pro: bool

    @property
    def names_calls(self) -> bool:
        """Whether calls and their results carry ids, and thoughts behind calls must come back signed."""
        return self.made >= _LEVELS

    @property
    def shows_results(self) -> bool:
        """Whether a tool's result may hold images."""
        return self.made >= _LEVELS

    @property
    def forms_with_tools(self) -> bool:
        """Whether an answer may be given a form where tools are on offer."""
        return self.made >= _LEVELS

    @property
    def takes_penalties(self) -> bool:
        """Whether it knows frequency and presence penalties."""
        return self.made < _THINKS

    @property
    def thinks(self) -> bool:
        """Whether its thinking can be steered."""
        return self.made >= _THINKS

    @property
    def always_thinks(self) -> bool:
        """Whether it thinks even where the client asks for `none`."""
        return self.made >= _LEVELS or (self.thinks and self.pro)

    def of_effort(self, effort: str) -> dict[str, Any]:
        """`thinkingConfig` for a `reasoning_effort`; the nearest that the model takes."""
        shown = effort != "none"
        if self.made >= _LEVELS:
            return {"thinkingLevel": self._level(effort), "includeThoughts": shown}
        if effort == "none":
            return {"thinkingBudget": _LEAST_BUDGET_PRO if self.pro else 0, "includeThoughts": False}
        return {"thinkingBudget": _BUDGETS.get(effort, self._most), "includeThoughts": True}

    def of_budget(self, tokens: int) -> dict[str, Any]:
        """`thinkingConfig` for a number of thinking tokens."""
        if self.made >= _LEVELS:
            named = "low" if tokens <= _LOW_BUDGET else "medium" if tokens <= _MEDIUM_BUDGET else "high"
            return {"thinkingLevel": self._level(named), "includeThoughts": True}
        least = _LEAST_BUDGET_PRO if self.pro else _LEAST_BUDGET
        return {"thinkingBudget": min(max(tokens, least), self._most), "includeThoughts": True}

    @property
    def _most(self) -> int:
        return _MOST_BUDGET_PRO if self.pro else _MOST_BUDGET

    def _level(self, effort: str) -> str:
        match effort:
            case "none" | "minimal":
                return "MINIMAL" if not self.pro and self.made <= _LAST_MINIMAL else "LOW"
            case "low":
                return "LOW"
            case "medium":
                return "HIGH" if self.pro and self.made == _LEVELS else "MEDIUM"
            case _:
                return "HIGH"


def model_of(name: str) -> Model:
    """What the provider's id of a model tells."""
    low = name.lower()
    found = _ID.search(low)
    made = _NEWEST if found is None else (int(found[1]), int(found[2] or 0))
    return Model(made, pro="-pro" in low)
