"""A text's vector by the model's definition, in float64 with numpy alone: what the graph is held against.

It shares nothing with the graph but the weights: no operators, no rounding, no onnxruntime. Slow and plain.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HEADS: Final = 12
LAYERS: Final = 6
EPSILON: Final = 1e-12
_erf = np.vectorize(math.erf)
_TYPES: Final = {"F32": np.float32, "I64": np.int64}


def safetensors(path: Path) -> dict[str, Floats]:
    """Tensors of a file by name."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            content, _TYPES[about["dtype"]], math.prod(about["shape"]), 8 + size + about["data_offsets"][0]
        )
        .reshape(about["shape"])
        .astype(np.float64)
        for name, about in header.items()
    }


def _norm(x: Floats, weights: Mapping[str, Floats], name: str) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def vector(weights: Mapping[str, Floats], ids: Sequence[int]) -> Floats:
    """Unit vector, `(384,)`; weights are named as in BERT's own files, and are `(out, in)`."""
    n = len(ids)

    def dense(x: Floats, name: str) -> Floats:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    table = "embeddings"
    x = (
        weights[f"{table}.word_embeddings.weight"][list(ids)]
        + weights[f"{table}.position_embeddings.weight"][:n]
        + weights[f"{table}.token_type_embeddings.weight"][0]
    )
    x = _norm(x, weights, f"{table}.LayerNorm")
    width = x.shape[1] // HEADS
    for number in range(LAYERS):
        place = f"encoder.layer.{number}"
        q, k, v = (
            dense(x, f"{place}.attention.self.{part}").reshape(n, HEADS, width).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(width)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        seen = (shares @ v).transpose(1, 0, 2).reshape(n, -1)
        x = _norm(
            dense(seen, f"{place}.attention.output.dense") + x, weights, f"{place}.attention.output.LayerNorm"
        )
        wide = dense(x, f"{place}.intermediate.dense")
        wide = wide * (1 + _erf(wide / math.sqrt(2))) / 2
        x = _norm(dense(wide, f"{place}.output.dense") + x, weights, f"{place}.output.LayerNorm")
    mean = x.mean(0)
    return np.asarray(mean / np.linalg.norm(mean))
