import os
import shutil

import pytest

from p402.registry.tracking import DATABASE, Tracking


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """An MLflow database with its tables: making them takes two seconds."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("migrated") / DATABASE
    MlflowClient(tracking_uri=f"sqlite:///{path}", registry_uri=f"sqlite:///{path}")
    return path


@pytest.fixture
def tracking(tmp_path, migrated):
    root = tmp_path / "mlflow"
    root.mkdir()
    shutil.copy(migrated, root / DATABASE)
    return Tracking(root)
