"""What vector a text's tokens have: one run of the graph, on the thread that asks.

One text a run and no padding, so a vector never depends on company. It knows no text, no files' names and no
event loop.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

DIMS: Final = 384
_FOLDER: Final = "session.model_external_initializers_file_folder_path"
_ERRORS_ONLY: Final = 3


class Model:
    """The graph, loaded.

    Parameters
    ----------
    graph
        Bytes of `data/minilm.onnx`.
    folder
        Where the file lies that has the graph's weights.
    """

    def __init__(self, graph: bytes, folder: Path) -> None:
        import onnxruntime as ort  # noqa: PLC0415 - an extra, and not for those without a cache

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # it is fused by hand
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(_FOLDER, str(folder))
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def vector(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Unit vector of a text's tokens, `(384,)`."""
        (vector,) = self._session.run(["vector"], {"ids": ids})
        found: NDArray[np.float32] = np.asarray(vector, dtype=np.float32)
        found.flags.writeable = False
        return found
