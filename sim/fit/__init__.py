"""A world that is like a log: fitted to its first days, and judged on days and policies it has not seen."""
