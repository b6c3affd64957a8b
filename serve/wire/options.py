"""The `p402` object of a request and the modes hidden in `model`, to `Options`.

Strict: an unknown field is refused with the nearest known one, because a misspelt `max_cost`
that is ignored costs money. Weights become multiples of 2**-20 that sum to exactly one.
"""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from p402.errors import InvalidInput, InvalidMode, nearest
from p402.limits import MAX_TTL_S
from p402.request import Options, Weights
from p402.routing.scale import PARAM_ONE
from p402.routing.spec import CAPABILITIES, MODES, TASKS
from p402.units import PICO_PER_USD
from serve.wire import checks
from serve.wire.checks import Json

FIELDS: Final = (
    "mode",
    "cache",
    "cache_ttl",
    "prefer_providers",
    "exclude_providers",
    "require_capabilities",
    "max_cost",
    "max_cost_usd",
    "session_id",
    "failover",
    "task",
    "task_type",
    "action_type",
    "tags",
    "explain",
    "dry_run",
)
NO_OPTIONS: Final = Options()

_KNOWN: Final = frozenset(FIELDS)
_WEIGHTS: Final = ("cost", "quality", "speed")
_MOST_PICO: Final = (1 << 53) - 1
_MOST_PROVIDERS: Final = 64


def parse_options(value: object, model_mode: str | None) -> Options:
    """Options of a request's `p402` value, None if absent, and of the mode its `model` named."""
    if value is None:
        return NO_OPTIONS if model_mode is None else Options(mode=model_mode)
    found = checks.mapping(value, "p402")
    if not found.keys() <= _KNOWN:
        checks.refuse_unknown(found, FIELDS, "p402")
    mode, weights = _mode(found.get("mode"), model_mode)
    given: dict[str, Any] = {"mode": mode, "weights": weights}
    for name, entry in found.items():
        if entry is not None and name in _READ:
            field, read, other = _READ[name]
            if other is not None:
                _check_agreement(found, name, other)
            given[field] = read(entry, f"p402.{name}")
    return Options(**given)


def _mode(value: object, model_mode: str | None) -> tuple[str | None, Weights | None]:
    if value is None:
        return model_mode, None
    if isinstance(value, dict):
        if model_mode is not None:
            raise _contradiction(model_mode, "weights")
        return "custom", parse_weights(value)
    if not isinstance(value, str) or value not in MODES:
        hint = nearest(value[:64], MODES) if isinstance(value, str) else ""
        message = checks.wrong(
            "p402.mode", value, f"one of {', '.join(MODES)}, or an object of weights{hint}"
        ).message
        raise InvalidMode(message, param="p402.mode")
    if model_mode is not None and model_mode != value:
        raise _contradiction(model_mode, f"`{value}`")
    return value, None


def _contradiction(model_mode: str, other: str) -> InvalidMode:
    return InvalidMode(
        f"p402.mode: found {other} while `model` names the mode `{model_mode}`; send one of them",
        param="p402.mode",
    )


def parse_weights(found: Json) -> Weights:
    """Weights as given, in any unit, to multiples of 2**-20 that sum to 2**20: largest remainder first."""
    for name in found:
        if name not in _WEIGHTS:
            raise InvalidMode(
                f"p402.mode.{name[:64]}: unknown weight; "
                f"expected {', '.join(_WEIGHTS)}{nearest(name[:64], _WEIGHTS)}",
                param=f"p402.mode.{name[:64]}",
            )
    parts: list[Fraction] = []
    for name in _WEIGHTS:
        weight = found.get(name, 0)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
            message = checks.wrong(f"p402.mode.{name}", weight, "a number of 0 or more").message
            raise InvalidMode(message, param=f"p402.mode.{name}")
        parts.append(Fraction(weight))
    total = sum(parts, Fraction(0))
    if total == 0:
        raise InvalidMode("p402.mode: found weights that are all 0, expected one above 0", param="p402.mode")
    exact = [part * PARAM_ONE / total for part in parts]
    shares = [int(share) for share in exact]
    order = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    for i in order[: PARAM_ONE - sum(shares)]:
        shares[i] += 1
    cost, quality, speed = shares
    return Weights(quality=quality, cost=cost, speed=speed)


def _ttl(value: object, path: str) -> int:
    return checks.whole(value, path, 1, MAX_TTL_S)


def _providers(value: object, path: str) -> tuple[str, ...]:
    return checks.words(value, path, _MOST_PROVIDERS)


def _capabilities(value: object, path: str) -> tuple[str, ...]:
    return checks.words(value, path, len(CAPABILITIES), CAPABILITIES)


def session_id(value: object, path: str) -> str:
    """Name of a session."""
    return checks.text(value, path, 256, printable=True)


def _action(value: object, path: str) -> str:
    return checks.text(value, path, 64, printable=True)


def _tags(value: object, path: str) -> dict[str, str]:
    return checks.labels(value, path, 16, 256)


def _max_cost(value: object, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise checks.wrong(path, value, "an amount in USD of 0 or more")
    return min(int(Decimal(str(value)) * PICO_PER_USD), _MOST_PICO)


def _task(value: object, path: str) -> str:
    if not isinstance(value, str) or value not in TASKS:
        hint = nearest(value[:64], TASKS) if isinstance(value, str) else ""
        raise checks.wrong(path, value, f"one of {', '.join(TASKS)}{hint}")
    return value


def _check_agreement(found: Json, name: str, other: str) -> None:
    """Refuse a field that was given under both of its names with two values."""
    if found.get(other) not in (None, found[name]):
        alias, proper = (name, other) if name in _ALIASES else (other, name)
        raise InvalidInput(
            f"p402.{alias}: found another value than in `p402.{proper}`, its other name; send one",
            param=f"p402.{alias}",
        )


_ALIASES: Final = frozenset({"max_cost_usd", "task_type"})
_READ: Final[dict[str, tuple[str, Callable[[object, str], object], str | None]]] = {
    "cache": ("cache", checks.boolean, None),
    "cache_ttl": ("cache_ttl_s", _ttl, None),
    "prefer_providers": ("prefer_providers", _providers, None),
    "exclude_providers": ("exclude_providers", _providers, None),
    "require_capabilities": ("require_capabilities", _capabilities, None),
    "max_cost": ("max_cost_pico", _max_cost, "max_cost_usd"),
    "max_cost_usd": ("max_cost_pico", _max_cost, "max_cost"),
    "session_id": ("session_id", session_id, None),
    "failover": ("failover", checks.boolean, None),
    "task": ("task", _task, "task_type"),
    "task_type": ("task", _task, "task"),
    "action_type": ("action_type", _action, None),
    "tags": ("tags", _tags, None),
    "explain": ("explain", checks.boolean, None),
    "dry_run": ("dry_run", checks.boolean, None),
}
"""By name: the field of `Options`, how it is read, and the other name it has."""
