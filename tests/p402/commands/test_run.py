"""A command's exit status and its errors on one line."""

import pytest
import typer

from p402.commands.run import BadQuestion, run_app
from p402.errors import ConfigError, P402Error


def app_of(*parts):
    app = typer.Typer(pretty_exceptions_enable=False)
    for part in parts:
        app.command(part.__name__)(part)
    return app


def fine() -> None:
    """Nothing is wrong."""


def wrong() -> None:
    raise BadQuestion("found none; expected one")


def broken() -> None:
    raise ConfigError("a file is no good")


def leaves() -> None:
    raise typer.Exit(130)


def faulty() -> None:
    raise ValueError("a fault of the code")


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["fine"], 0, ""),
        (["--help"], 0, ""),
        (["wrong"], 2, "p402 sim wrong: found none; expected one\n"),
        (["broken"], 1, "p402 sim broken: a file is no good\n"),
        (["leaves"], 130, ""),
    ],
)
def test_the_status_says_what_became_of_it_and_an_error_is_one_line(capsys, argv, status, said):
    assert run_app(app_of(fine, wrong, broken, leaves), "p402 sim", argv) == status
    assert capsys.readouterr().err == said


def test_an_unknown_part_and_an_unknown_option_are_status_2(capsys):
    app = app_of(fine, wrong)
    assert [run_app(app, "p402 sim", argv) for argv in (["fime"], ["fine", "--loud"])] == [2, 2]
    assert "No such" in capsys.readouterr().err


def test_a_command_without_parts_is_named_by_its_program(capsys):
    assert run_app(app_of(wrong), "p402 plan", []) == 2
    assert capsys.readouterr().err == "p402 plan: found none; expected one\n"


def test_a_command_says_which_errors_are_its_own_and_what_they_mean(capsys):
    app = app_of(faulty)
    with pytest.raises(ValueError, match="a fault of the code"):
        run_app(app, "p402 plan", [])
    ours = (P402Error, ValueError)
    assert run_app(app, "p402 plan", [], status=lambda _error: 2, errors=ours) == 2
    assert capsys.readouterr().err == "p402 plan: a fault of the code\n"
