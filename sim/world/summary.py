"""What a run came to, as sums over its rows: kept while batches go by, so that memory stays bounded."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import RenderableType
from rich.table import Table

MIB = 1 << 20
MILLION = 1_000_000


@dataclass(slots=True)
class Summary:
    """Sums of a run.

    Attributes
    ----------
    quality, value, best, regret
        Sums; the first is over answered requests, the others over those that chose.
    by_status
        Requests by `ok`, `failed`, `refused`.
    hits, wrong_hits
        Requests that were given a kept answer, and those of them whose answer was to another question.
    hits_direct_nano
        What the hits would have cost at the baseline: part of `direct_nano`.
    """

    world: str
    strategy: str
    seed: int
    rounds: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    hits: int = 0
    wrong_hits: int = 0
    hits_direct_nano: int = 0
    attempts: int = 0
    cost_nano: int = 0
    direct_nano: int = 0
    quality: float = 0.0
    value: float = 0.0
    best: float = 0.0
    regret: float = 0.0
    seconds: float = 0.0
    log_bytes: int | None = None
    peak_mib: float | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch of rows."""
        self.rounds += batch.num_rows
        for row in pc.value_counts(batch.column("status")).to_pylist():
            self.by_status[row["values"]] = self.by_status.get(row["values"], 0) + row["counts"]
        self.hits += pc.sum(batch.column("cached")).as_py() or 0
        self.wrong_hits += pc.sum(batch.column("wrong")).as_py() or 0
        given = batch.filter(batch.column("cached")).column("direct_nano")
        self.hits_direct_nano += pc.sum(given).as_py() or 0
        for name in ("attempts", "cost_nano", "direct_nano"):
            setattr(self, name, getattr(self, name) + int(pc.sum(batch.column(name)).as_py() or 0))
        for name in ("quality", "value", "best", "regret"):
            setattr(self, name, getattr(self, name) + float(pc.sum(batch.column(name)).as_py() or 0.0))

    def document(self) -> dict[str, Any]:
        """Everything as plain values, with what follows from it."""
        chose = self.rounds - self.by_status.get("refused", 0) - self.hits
        return {
            **asdict(self),
            "hit_share": self.hits / self.rounds if self.rounds else None,
            "wrong_share_of_hits": self.wrong_hits / self.hits if self.hits else None,
            "mean_value": self.value / chose if chose else None,
            "mean_regret": self.regret / chose if chose else None,
            "rounds_per_s": self.rounds / self.seconds if self.seconds else None,
            "log_bytes_per_million": None
            if self.log_bytes is None or not self.rounds
            else round(self.log_bytes * MILLION / self.rounds),
        }

    def shown(self) -> RenderableType:
        """The same for people."""
        told = self.document()
        table = Table(title=f"world {self.world}, strategy {self.strategy}, seed {self.seed}")
        table.add_column("figure")
        table.add_column("value", justify="right")
        counts = ", ".join(f"{status} {n:,}" for status, n in sorted(self.by_status.items()))
        table.add_row("requests", f"{self.rounds:,} ({counts})")
        if self.hits:
            table.add_row("answered from the cache", f"{self.hits:,} ({told['hit_share']:.1%})")
            table.add_row(
                "of those, an answer to another question",
                f"{self.wrong_hits:,} ({told['wrong_share_of_hits']:.2%})",
            )
            table.add_row("direct cost of the cache's answers, USD", f"{self.hits_direct_nano / 1e9:,.4f}")
        table.add_row("calls to providers", f"{self.attempts:,}")
        table.add_row("cost, USD", f"{self.cost_nano / 1e9:,.4f}")
        table.add_row("direct cost of what was answered, USD", f"{self.direct_nano / 1e9:,.4f}")
        for name in ("mean_value", "mean_regret"):
            table.add_row(name.replace("_", " "), "none" if told[name] is None else f"{told[name]:.4f}")
        table.add_row("regret", f"{self.regret:,.1f}")
        table.add_row("seconds", f"{self.seconds:,.1f} ({told['rounds_per_s'] or 0:,.0f} requests/s)")
        if self.peak_mib is not None:
            table.add_row("peak memory, MiB", f"{self.peak_mib:,.0f}")
        if self.log_bytes is not None:
            table.add_row("log, MiB", f"{self.log_bytes / MIB:,.1f}")
            per = told["log_bytes_per_million"] or 0
            table.add_row("log as written, MiB per million rounds", f"{per / MIB:,.0f}")
        return table


def bytes_under(folder: Path) -> int:
    """Bytes of all files in a folder and below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
