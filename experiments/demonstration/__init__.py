"""The parts of `p402 demo`: its traffic, its processes, its figures, its report."""
