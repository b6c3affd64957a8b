import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[3] / "datasets/catalog/names.py"


@pytest.fixture(scope="module")
def names() -> ModuleType:
    spec = importlib.util.spec_from_file_location("catalog_names", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SAME = """
anthropic claude-sonnet-4-6 | aws global.anthropic.claude-sonnet-4-6-v1:0
anthropic claude-sonnet-4-6 | openrouter anthropic/claude-sonnet-4.6
anthropic claude-3-7-sonnet-latest | aws regional.anthropic.claude-3-7-sonnet-20250219-v1:0
anthropic claude-3-7-sonnet-latest | openrouter anthropic/claude-3.7-sonnet
groq llama-3.3-70b-versatile | huggingface_novita meta-llama/Llama-3.3-70B-Instruct
groq llama-3.3-70b-versatile | aws meta.llama3-3-70b-instruct-v1:0
groq llama-3.3-70b-versatile | databricks databricks-meta-llama-3-3-70b-instruct
groq openai/gpt-oss-120b | aws openai.gpt-oss-120b-1:0 | cloudflare @cf/openai/gpt-oss-120b
fireworks glm-5p3 | together zai-org/GLM-5.3 | aws global.zai.glm-5.3 | mistral zai-glm-5-3
deepseek deepseek-flash | fireworks deepseek-v4p1-flash | cloudflare @cf/deepseek-ai/deepseek-v4.1-flash-1017
groq meta-llama/llama-4-scout-17b-16e-instruct | aws meta.llama4-scout-17b-instruct-v1:0
"""


@pytest.mark.parametrize("line", SAME.strip().splitlines())
def test_spellings_of_one_model_fold_together(names: ModuleType, line: str) -> None:
    spellings = [spelling.split() for spelling in line.split("|")]
    assert len(spellings) > 1
    assert len({names.key(model, provider) for provider, model in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gpt-5.4", "gpt-5.4-mini"),
        ("claude-opus-4-6", "claude-opus-4-6-fast"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507", "Qwen/Qwen3-235B-A22B-Thinking-2507"),
        ("llama-3.1-8b-instruct", "llama-3.1-8b-instruct-fp8"),
        ("deepseek-v3.2", "deepseek-v3.2-exp"),
    ],
)
def test_different_models_stay_apart(names: ModuleType, one: str, other: str) -> None:
    assert names.key(one) != names.key(other)


@pytest.mark.parametrize(
    "model",
    [
        "text-embedding-3-small",
        "gpt-image-2",
        "whisper-large-v3",
        "gemini-3.8-live",
        "gpt-realtime",
        "llama-guard-3-8b",
    ],
)
def test_what_does_not_chat_is_known_by_name(names: ModuleType, model: str) -> None:
    assert names.NOT_CHAT.search(model)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-5.4",
        "claude-sonnet-4-6",
        "gemini-3.1-flash-lite",
        "olive-1",
        "deliver-7b",
        "Qwen/Qwen3-VL-8B-Instruct",
    ],
)
def test_a_chat_model_is_not_mistaken_for_something_else(names: ModuleType, model: str) -> None:
    assert not names.NOT_CHAT.search(model)
