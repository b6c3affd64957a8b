"""A typer app run as a command: its errors on one line of stderr, and its exit status returned.

0 is success, 1 a failure, 2 a question that is no good, which typer itself says of options. It knows no
command, and what a command's errors mean is said by the command.
"""

import sys
from collections.abc import Callable, Sequence

import typer
import typer.main

from p402.errors import P402Error


class BadQuestion(P402Error):
    """The options do not say something that can be done."""


def bad_question_2(error: Exception) -> int:
    """Exit status of an error: 2 for a bad question, 1 for any other."""
    return 2 if isinstance(error, BadQuestion) else 1


def run_app(
    app: typer.Typer,
    program: str,
    argv: Sequence[str],
    *,
    status: Callable[[Exception], int] = bad_question_2,
    errors: tuple[type[Exception], ...] = (P402Error,),
) -> int:
    """Run an app, and return its exit status.

    Parameters
    ----------
    program
        What a user types before `argv`, such as `p402 sim`; an error names the part too: `p402 sim fit: ...`.
    status
        Exit status of an error.
    errors
        What is said on one line; any other exception is a fault of the code, and is raised.
    """
    command = typer.main.get_command(app)
    try:
        done = command(args=list(argv), prog_name=program, standalone_mode=True)
    except errors as error:
        part = argv[0] if argv and argv[0] in getattr(command, "commands", {}) else ""
        print(f"{program} {part}".rstrip() + f": {error}", file=sys.stderr)
        return status(error)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0
    return done if isinstance(done, int) else 0
