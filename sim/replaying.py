"""`p402 replay`: a log (`sim.replay`), or with `--table` a table of every arm's outcomes (`sim.table`).

The two are never mixed: a log knows one arm's outcome a round, a table all of them. Each is imported when
it is asked for.
"""


def main(argv: list[str]) -> int:
    """Run `p402 replay ARGV`; see the two commands for their exit status."""
    if any(word == "--table" or word.startswith("--table=") for word in argv):
        from sim.table.command import main as table  # noqa: PLC0415 - the other is not needed

        return table(argv)
    from sim.replay.command import main as log  # noqa: PLC0415

    return log(argv)
