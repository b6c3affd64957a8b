"""`python -m experiments.bench.ope`."""

import os
import sys

from experiments.bench.ope.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
