"""Answers that may be given again, kept for all workers of one Redis; or in a worker's memory without one."""
