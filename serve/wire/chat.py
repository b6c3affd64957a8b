"""`POST /v1/chat/completions`: bytes to a `ChatRequest`, or the error that says what is wrong.

OpenAI's own fields are checked for their type only and travel on to the provider unread; `p402`
is taken out. An unknown field outside `p402` passes through: providers have their own.
"""

from typing import Any, Final

from p402.errors import InvalidInput, ModelNotFound, nearest
from p402.request import ChatRequest
from p402.routing.spec import MODES
from serve.wire import checks
from serve.wire.checks import Json
from serve.wire.json import kind, parse_object
from serve.wire.options import parse_options
from serve.wire.transcript import parse_transcript

MAX_CHOICES: Final = 8
MAX_OUTPUT_TOKENS: Final = 1 << 24

_AUTO: Final = ("auto", "p402/auto")
_MODE_MODELS: Final = {f"p402/{mode}": mode for mode in MODES}
_NUMBER: Final = (int, float)
_TYPES: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "temperature": (_NUMBER, "a number"),
    "top_p": (_NUMBER, "a number"),
    "frequency_penalty": (_NUMBER, "a number"),
    "presence_penalty": (_NUMBER, "a number"),
    "seed": ((int,), "a whole number"),
    "stop": ((str, list), "a string or an array of strings"),
    "logprobs": ((bool,), "true or false"),
    "top_logprobs": ((int,), "a whole number"),
    "logit_bias": ((dict,), "an object"),
    "parallel_tool_calls": ((bool,), "true or false"),
    "tool_choice": ((str, dict), "a string or an object"),
    "user": ((str,), "a string"),
    "metadata": ((dict,), "an object"),
    "reasoning_effort": ((str,), "a string"),
}


def parse_chat(body: bytes) -> ChatRequest:
    """Parse a chat request.

    Raises
    ------
    p402.errors.RequestError
        `TooLarge`, `InvalidInput`, `MissingField`, `InvalidMode`, or `ModelNotFound` for a
        `p402/...` model that does not exist; `param` is the dotted path.
    """
    found = parse_object(body)
    model, mode = _model(found.get("model"))
    options = parse_options(found.get("p402"), mode)
    transcript = parse_transcript(found)
    _check_types(found)
    stream = checks.boolean(found["stream"], "stream") if found.get("stream") is not None else False
    include_usage = _include_usage(found, stream=stream)
    max_output = _max_output(found)
    n = 1 if found.get("n") is None else checks.whole(found["n"], "n", 1, MAX_CHOICES)
    found.pop("p402", None)
    return ChatRequest(
        model=model,
        options=options,
        transcript=transcript,
        stream=stream,
        include_usage=include_usage,
        max_output=max_output,
        n=n,
        body=found,
    )


def _model(value: object) -> tuple[str | None, str | None]:
    """Concrete model and mode that a `model` names; each may be None."""
    if value is None or value in _AUTO:
        return None, None
    name = checks.text(value, "model", 256, printable=True)
    if not name.startswith("p402/"):
        return name, None
    if name not in _MODE_MODELS:
        known = ("p402/auto", *_MODE_MODELS)
        raise ModelNotFound(
            f"model: there is no `{name[:100]}`; expected {', '.join(known)} or a model"
            f"{nearest(name, known)}",
            param="model",
        )
    return None, _MODE_MODELS[name]


def _check_types(found: Json) -> None:
    for name in _TYPES.keys() & found.keys():
        value: Any = found[name]
        types, expected = _TYPES[name]
        if value is None:
            continue
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise InvalidInput(f"{name}: found {kind(value)}, expected {expected}", param=name)


def _include_usage(found: Json, *, stream: bool) -> bool:
    wanted = found.get("stream_options")
    if wanted is None:
        return False
    if not stream:
        raise InvalidInput(
            "stream_options: found without `stream`, expected only with it; remove it or set `stream`",
            param="stream_options",
        )
    value = checks.mapping(wanted, "stream_options").get("include_usage")
    return False if value is None else checks.boolean(value, "stream_options.include_usage")


def _max_output(found: Json) -> int | None:
    """The larger of both caps: a provider may know but one of the words, and the hold must cover either."""
    named = [
        checks.whole(found[name], name, 1, MAX_OUTPUT_TOKENS)
        for name in ("max_completion_tokens", "max_tokens")
        if found.get(name) is not None
    ]
    return max(named, default=None)
