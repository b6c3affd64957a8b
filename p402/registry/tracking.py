"""The record of learning: MLflow runs, the versions they propose, and which of those is live.

MLflow is the record, never the transport: the gateway reads the weights file and knows nothing of
this. Everything lies under one folder, a SQLite database beside its artifacts; weights are plain
JSON, nothing is pickled and nothing leaves the machine. Time is the caller's.
It knows no evidence and judges nothing.

Source of the facts about MLflow 3.17.2: reference/plumbing.md, section 5, measured in November 2026.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Final

import msgspec

from p402.errors import StoreError
from p402.registry.published import Published

EXPERIMENT: Final = "p402-balanced"
MODEL: Final = "p402-balanced-weights"
CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"
WEIGHTS_FILE: Final = "weights.json"
DATABASE: Final = "mlflow.db"

ABANDONED_MS: Final = 6 * 3_600_000
"""A run that is still open after so long belongs to a process that was killed."""

_DIGEST_CHARS: Final = 36  # the column's width


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a run was fed: a name, where it lies, and the digest that its owner gives it."""

    name: str
    source: str
    digest: str


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a run says.

    Attributes
    ----------
    name
        As MLflow lists it.
    started_ms, ended_ms
        Wall time, ms since 1970 UTC.
    params, tags
        Plain text by name.
    metrics
        Numbers by name; those that are not finite are left out, as the artifacts have them.
    documents
        JSON artifacts by file name.
    tables
        Artifacts by file name: column name to values, for MLflow's table view.
    figures
        Matplotlib figures by file name.
    dataset
        What it was fed; None where it was fed nothing.
    weights
        What it proposes, as JSON: registered as a version of the model. None to register nothing.
    """

    name: str
    started_ms: int
    ended_ms: int
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, list[Any]]] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    dataset: Dataset | None = None
    weights: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run that is recorded, and the version that it registered (None if it proposed nothing)."""

    run_id: str
    model_version: int | None


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version: its run, its tags, and the weights its artifact holds."""

    number: int
    run_id: str
    tags: Mapping[str, str]
    weights: Mapping[str, Any]


class Tracking:
    """MLflow under one folder, made when absent.

    Raises
    ------
    StoreError
        From every method: the database or its artifacts cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = f"sqlite:///{self.root / DATABASE}"
        """For `mlflow ui --backend-store-uri`."""
        with self._speaking():
            self.root.mkdir(parents=True, exist_ok=True)
            # An explicit URI at every client: a global one would leak into child processes.
            self._client = _mlflow().MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            self._experiment = self._open_experiment()

    def record(self, run: Run) -> Recorded:
        """Write a run with all it says; register its weights and call them `challenger`.

        A run that is cut short is marked failed where that is still possible; one whose process
        was killed is marked so by the next.
        """
        client = self._client
        with self._speaking():
            self._close_abandoned(run.started_ms)
            begun = client.create_run(
                self._experiment, start_time=run.started_ms, tags=dict(run.tags), run_name=run.name
            )
            run_id = str(begun.info.run_id)
            status = "FAILED"
            try:
                self._log(run_id, run)
                version = None if run.weights is None else self._register(run_id, run)
                status = "FINISHED"
            finally:
                client.set_terminated(run_id, status, run.ended_ms)
            if version is not None:
                client.set_registered_model_alias(MODEL, CHALLENGER, str(version))
        return Recorded(run_id, version)

    def align(self, published: Published) -> None:
        """Call `champion` what is in force, and note on it what was before; idempotent.

        Weights that no run of this record proposed (the start's, or those of a record that was lost)
        have no version here: then nothing is champion.
        """
        with self._speaking():
            before, now = self.alias(CHAMPION), published.model_version
            if now is None or self._run_of(now) != published.run_id:
                if before is not None:
                    self._client.delete_registered_model_alias(MODEL, CHAMPION)
                return
            if before == now:
                return
            noted = {
                "previous": "none" if before is None else str(before),
                "published_version": str(published.version),
            }
            for name, value in noted.items():
                self._client.set_model_version_tag(MODEL, str(now), name, value)
            self._client.set_registered_model_alias(MODEL, CHAMPION, str(now))

    def tag_run(self, run_id: str, **tags: str) -> None:
        """Add tags to a run that is over: what became of its proposal."""
        with self._speaking():
            for name, value in tags.items():
                self._client.set_tag(run_id, name, value)

    def alias(self, name: str) -> int | None:
        """Number of the version that has an alias; None if none has."""
        with self._speaking():
            try:
                model = self._client.get_registered_model(MODEL)
            except _mlflow().exceptions.MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
            found = dict(model.aliases).get(name)
            return None if found is None else int(found)

    def version(self, number: int) -> Version:
        """A registered version and its weights; `StoreError` names those there are."""
        with self._speaking():
            found = self._find(number)
            if found is None:
                raise StoreError(f"{MODEL} has no version {number}; expected {self._known()}")
            run_id = str(found.run_id)
            return Version(number, run_id, dict(found.tags), self._document(run_id, WEIGHTS_FILE))

    def _find(self, number: int) -> Any:
        try:
            return self._client.get_model_version(MODEL, str(number))
        except _mlflow().exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _run_of(self, number: int) -> str | None:
        found = self._find(number)
        return None if found is None else str(found.run_id)

    def _known(self) -> str:
        """The last versions there are, in words."""
        found = self._client.search_model_versions(f"name = '{MODEL}'", max_results=10)
        numbers = sorted(int(version.version) for version in found)
        return f"one of the last, {numbers}" if numbers else "one that `p402 learn --once` registers first"

    def _document(self, run_id: str, name: str) -> Mapping[str, Any]:
        path = Path(self._client.download_artifacts(run_id, name))
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise StoreError(
                f"{path}: {error}; expected weights as JSON; the artifact was edited: choose another version"
            ) from error

    def _open_experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        artifacts = (self.root / "artifacts").as_uri()
        try:
            return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts))
        except _mlflow().exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(self._client.get_experiment_by_name(EXPERIMENT).experiment_id)

    def _log(self, run_id: str, run: Run) -> None:
        entities = _mlflow().entities
        finite = {name: value for name, value in run.metrics.items() if isfinite(value)}
        self._client.log_batch(
            run_id,
            metrics=[entities.Metric(name, value, run.ended_ms, 0) for name, value in finite.items()],
            params=[entities.Param(name, value) for name, value in run.params.items()],
        )
        if run.dataset is not None:
            digest = run.dataset.digest[:_DIGEST_CHARS]
            dataset = entities.Dataset(run.dataset.name, digest, "local", run.dataset.source)
            purpose = entities.InputTag("mlflow.data.context", "evidence")
            self._client.log_inputs(run_id, [entities.DatasetInput(dataset, [purpose])])
        for name, document in run.documents.items():
            self._client.log_dict(run_id, document, name)
        for name, table in run.tables.items():
            # What `log_table` writes, without its detour through pandas and what that deprecates.
            rows = [list(row) for row in zip(*table.values(), strict=True)]
            self._client.log_dict(run_id, {"columns": list(table), "data": rows}, name)
        if run.tables:
            listed = [{"path": name, "type": "table"} for name in run.tables]
            self._client.set_tag(run_id, "mlflow.loggedArtifacts", msgspec.json.encode(listed).decode())
        for name, figure in run.figures.items():
            self._client.log_figure(run_id, figure, name)
        if run.weights is not None:
            self._client.log_dict(run_id, dict(run.weights), WEIGHTS_FILE)

    def _register(self, run_id: str, run: Run) -> int:
        try:
            self._client.create_registered_model(MODEL)
        except _mlflow().exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = self._client.create_model_version(
            MODEL, f"runs:/{run_id}/{WEIGHTS_FILE}", run_id, tags=dict(run.tags)
        )
        return int(made.version)

    def _close_abandoned(self, now_ms: int) -> None:
        """Runs of processes that were killed do not stay open for ever."""
        query = f"attributes.status = 'RUNNING' AND attributes.start_time < {now_ms - ABANDONED_MS}"
        for run in self._client.search_runs([self._experiment], query):
            self._client.set_terminated(run.info.run_id, "KILLED", now_ms)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """MLflow's and its database's failures as our own, with where and what to do."""
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - heavy; comes with mlflow

        failures = (_mlflow().exceptions.MlflowException, SQLAlchemyError, OSError)
        try:
            yield
        except failures as error:
            first = str(error).strip().split("\n", 1)[0]
            raise StoreError(
                f"MLflow in {self.root}: {first}; expected a database and artifacts that can be written; "
                f"mend them, or pass another --tracking"
            ) from error


def has_record(root: Path) -> bool:
    """Whether anything was ever tracked under `root`; imports nothing heavy."""
    return (root / DATABASE).exists()


def _mlflow() -> Any:
    """The package, imported at its first use and told to keep to itself."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.entities  # noqa: PLC0415 - two seconds that only learning needs

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    return mlflow
