"""Puts this folder on the path, so that tests and the scripts beside them share `worlds` and `plain`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
