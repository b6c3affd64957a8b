"""Whether an assistant message holds reasoning that only its own lab can read back.

Labs sign or encrypt what a model thought and expect it back unchanged; another lab's endpoint refuses
it or drops it. Its shapes are the labs' and change, so nothing is checked here: what is not
recognised binds nothing, and travels on. It knows nothing of sessions or arms.

Sources: Anthropic, extended thinking (`thinking` and `redacted_thinking` blocks, which LiteLLM carries in
`thinking_blocks`); OpenRouter, `reasoning_details`; OpenAI, `encrypted_content` of reasoning items;
Google, `extra_content.google.thought_signature` of its OpenAI-compatible endpoint.
"""

from typing import Final

from serve.wire.checks import Json

_HOLDERS: Final = ("thinking_blocks", "reasoning_details", "content")
_SEALED: Final = {
    "thinking": ("signature",),
    "redacted_thinking": ("data", "signature"),
    "reasoning.text": ("signature",),
}
"""Fields of a piece of a type that carry what one lab alone can read."""


def holds_sealed_reasoning(message: Json) -> bool:
    """Whether the message carries a thinking signature or encrypted reasoning."""
    if message.get("encrypted_content"):
        return True
    for name in _HOLDERS:
        pieces = message.get(name)
        if isinstance(pieces, list) and any(_is_sealed(piece, name) for piece in pieces):
            return True
    calls = message.get("tool_calls")
    return _is_signed(message) or (isinstance(calls, list) and any(_is_signed(call) for call in calls))


def _is_sealed(piece: object, holder: str) -> bool:
    if not isinstance(piece, dict):
        return False
    if piece.get("encrypted_content") or piece.get("type") == "reasoning.encrypted":
        return True
    if holder == "thinking_blocks" and piece.get("signature"):
        return True
    kind = piece.get("type")
    return isinstance(kind, str) and any(piece.get(name) for name in _SEALED.get(kind, ()))


def _is_signed(holder: object) -> bool:
    """Whether a message or a tool call carries a thought signature of Google's."""
    extra = holder.get("extra_content") if isinstance(holder, dict) else None
    google = extra.get("google") if isinstance(extra, dict) else None
    return isinstance(google, dict) and bool(google.get("thought_signature"))
