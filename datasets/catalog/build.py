"""Compile the catalogue: prices from genai-prices, capabilities and status from the vendored snapshots.

    python datasets/catalog/build.py           # write p402/catalog/data/catalog.json
    python datasets/catalog/build.py --check   # exit 1 if that file is not what would be written

Needs the `catalog` extra and no network. The same inputs give the same bytes.
"""

import argparse
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from capabilities import Found, Snapshot, providers_of, statuses
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo
from names import NOT_CHAT, canonical, family, key
from prices import BEYOND_TOKENS, period_prices, periods, values

from p402.catalog.codec import dump
from p402.catalog.defaults import validate_defaults
from p402.catalog.model import Capabilities, Catalog, Deployment, Mark, Marks, Source, counts, is_priced

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "p402" / "catalog" / "data" / "catalog.json"
SKIPPED_PROVIDERS = {"elevenlabs", "openai-decisions", "voyageai"}
"""Sellers of other things than chat completions."""


def why_not(provider: str, model: ModelInfo) -> str | None:
    """Reason to leave an entry out of the catalogue, or None."""
    if provider in SKIPPED_PROVIDERS:
        return "provider sells no chat"
    if model.id.endswith((":batch", ":free")) or model.id.startswith("~"):
        return "route variant (:batch, :free, ~alias)"
    if provider == "openrouter" and "/" not in model.id:
        return "legacy key without an organisation"
    if NOT_CHAT.search(model.id):
        return "no chat model by name"
    if any(BEYOND_TOKENS & values(price).keys() for _, price in period_prices(model)):
        return "billed by more than text tokens"
    return None


def deployment(
    provider: str, model: ModelInfo, name: str, folded: str, found: Found | None, status: Any
) -> Deployment:
    """One row of the catalogue, every value with its origin."""
    prices, rounded = periods(model, storage=provider == "openrouter" and model.id.startswith("google/"))
    lab = family(folded, model.id, provider)
    facts = found.facts if found else None
    read = found and Mark(found.facts.source, _origin(found) if found.inherited else None)
    source = Mark("genai-prices")
    context = model.context_window or (facts.context if facts else None)
    known = (
        Capabilities(facts.tools, facts.vision, facts.schema, facts.reasoning) if facts else Capabilities()
    )
    retired = status or ("deprecated" if model.deprecated else None)
    return Deployment(
        provider=provider,
        model=model.id,
        model_family=name,
        family=lab,
        name=model.name or (facts.name if facts else model.id),
        context_window=context,
        output_limit=facts.output if facts else None,
        capabilities=known,
        prices=prices,
        status=retired or "active",
        released=facts.released if facts else None,
        open_weights=facts.open_weights if facts else None,
        price_rounded=rounded,
        sources=Marks(
            price=source if prices else None,
            context=None if context is None else source if model.context_window else read,
            output_limit=read if facts and facts.output else None,
            capabilities=read if known != Capabilities() else None,
            status=Mark("model-prices") if status else source if retired else None,
        ),
    )


def _origin(found: Found) -> str:
    return f"{found.facts.provider}/{found.facts.model}"


def correct(row: Deployment, entry: dict[str, Any]) -> Deployment:
    """Fill in one unknown value; a value that is known needs no correction and ends the build."""
    field, value = entry["field"], entry["value"]
    mark = {"context_window": "context", "output_limit": "output_limit"}.get(field)
    if mark is None:
        raise SystemExit(f"{row.id}: cannot correct {field!r}; expected context_window or output_limit")
    if getattr(row, field) is not None:
        raise SystemExit(f"{row.id}: {field} is {getattr(row, field)} in the sources; remove the correction")
    parts = {f: getattr(row, f) for f in row.__struct_fields__}
    marks = {f: getattr(row.sources, f) for f in row.sources.__struct_fields__}
    return Deployment(**parts | {field: value, "sources": Marks(**marks | {mark: Mark("corrections")})})


def build() -> tuple[Catalog, Counter[str]]:
    """Compile the catalogue, and count what was left out and why."""
    notes = tomllib.loads((HERE / "corrections.toml").read_text(encoding="utf-8"))
    snapshot = Snapshot(HERE / "capabilities.json")
    retired = statuses(HERE / "status.json")
    left_out: Counter[str] = Counter()
    kept: list[tuple[str, ModelInfo, str]] = []
    for provider in get_snapshot().providers:
        for model in provider.models:
            reason = why_not(provider.id, model)
            if reason:
                left_out[reason] += 1
            else:
                kept.append((provider.id, model, key(model.id, provider.id)))
    names = canonical((folded, provider, model.id) for provider, model, folded in kept)
    rows: dict[str, Deployment] = {}
    for provider, model, folded in kept:
        found = snapshot.find(provider, model.id, folded, family(folded, model.id, provider))
        status = next((s for p in providers_of(provider) if (s := retired.get(p, {}).get(model.id))), None)
        row = deployment(provider, model, names[folded], folded, found, status)
        if found and found.facts.text is False:
            left_out["answers with something else than text"] += 1
        elif not is_priced(row) and (row.prices or not found):
            left_out["no output price, or nothing known at all"] += 1
        else:
            rows[row.id] = row
    for entry in notes.get("correction", []):
        rows[entry["id"]] = correct(rows[entry["id"]], entry)
    catalog = Catalog(
        version="",
        built_on=notes["built_on"].isoformat(),
        sources={name: Source(**source) for name, source in notes["sources"].items()},
        aliases=notes["aliases"],
        deployments=tuple(rows.values()),
    )
    check_defaults(catalog)
    return catalog, left_out


def check_defaults(catalog: Catalog) -> None:
    """End the build where a deployment that the code names cannot do what it is named for."""
    problems = validate_defaults(catalog)
    if problems:
        raise SystemExit(
            "p402/catalog/defaults.py does not fit this catalogue; mend its names:\n" + "\n".join(problems)
        )


def main() -> None:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    catalog, left_out = build()
    data = dump(catalog)
    if arguments.check:
        if not TARGET.exists() or TARGET.read_bytes() != data:
            raise SystemExit(f"{TARGET.name} is not what its sources compile to; run this without --check")
        return
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(data)
    print(f"{TARGET.name}: {len(data):,} bytes; {counts(catalog.deployments)}")
    rounded = sum(d.price_rounded for d in catalog.deployments)
    print(f"left out: {dict(left_out.most_common())}; rounded: {rounded}")


if __name__ == "__main__":
    main()
