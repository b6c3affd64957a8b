"""Which lab alone can read back the reasoning that an assistant message holds.

Labs sign or encrypt what a model thought and expect it back unchanged; another lab's endpoint refuses
it or drops it. Its shapes are the labs' and change, so nothing is checked here: what is not
recognised binds nothing, and travels on. It knows nothing of sessions or arms.

Sources: Anthropic, extended thinking (`thinking` and `redacted_thinking` blocks, which LiteLLM carries in
`thinking_blocks`); OpenRouter, `reasoning_details` and its `format`; OpenAI, `encrypted_content` of reasoning
items; Google, `extra_content.google.thought_signature` of its OpenAI-compatible endpoint.
"""

from typing import Any, Final

from serve.wire.checks import Json

UNTOLD: Final = ""
"""The lab of a seal whose form does not tell it."""

_HOLDERS: Final = ("thinking_blocks", "reasoning_details", "content")
_SEALED: Final = {
    "thinking": ("signature",),
    "redacted_thinking": ("data", "signature"),
    "reasoning.text": ("signature",),
}
"""Fields of a piece of a type that carry what one lab alone can read."""

_LABS: Final = ("anthropic", "google", "openai", "xai")


def sealed_by(message: Json) -> str | None:
    """Family of the lab whose thinking signature or encrypted reasoning the message carries.

    `UNTOLD` where the form of the seal does not tell; None where nothing is sealed.
    """
    lab = UNTOLD if message.get("encrypted_content") else None
    for name in _HOLDERS:
        pieces = message.get(name)
        for piece in pieces if isinstance(pieces, list) else ():
            found = _lab_of(piece, name)
            if found is not None:
                lab = found or lab or UNTOLD
    calls = message.get("tool_calls")
    if _is_signed(message) or (isinstance(calls, list) and any(_is_signed(call) for call in calls)):
        lab = "google"
    return lab


def _lab_of(piece: object, holder: str) -> str | None:
    """The lab that sealed a piece of a message."""
    if not isinstance(piece, dict):
        return None
    kind = piece.get("type")
    if holder == "thinking_blocks" and piece.get("signature"):
        return "anthropic"
    if isinstance(kind, str) and any(piece.get(name) for name in _SEALED.get(kind, ())):
        return _told(piece) if kind.startswith("reasoning.") else "anthropic"
    if piece.get("encrypted_content") or kind == "reasoning.encrypted":
        return _told(piece)
    return None


def _told(piece: dict[str, Any]) -> str:
    """The lab that OpenRouter's `format` names, such as `anthropic-claude-v1`."""
    said = piece.get("format")
    name = said.partition("-")[0] if isinstance(said, str) else UNTOLD
    return name if name in _LABS else UNTOLD


def _is_signed(holder: object) -> bool:
    """Whether a message or a tool call carries a thought signature of Google's."""
    extra = holder.get("extra_content") if isinstance(holder, dict) else None
    google = extra.get("google") if isinstance(extra, dict) else None
    return isinstance(google, dict) and bool(google.get("thought_signature"))
