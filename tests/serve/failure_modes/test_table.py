"""Every row of the table of failure modes has its test, and every test its row."""

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ROWS = 30
POINTS = 16
_ROW = re.compile(r"^\| (\d+) \| [^|]+ \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
_TEST = re.compile(r"^(?:def test_failure_mode_|class TestMode)(\d\d)", re.MULTILINE)


def table() -> list[tuple[int, str, str]]:
    found = _ROW.findall((HERE / "README.md").read_text().partition("## Security")[0])
    return [(int(row), here, more) for row, here, more in found]


def rows_of(name: str) -> set[int]:
    return {int(row) for row in _TEST.findall((HERE / name).read_text())}


def test_the_table_has_each_row_once_and_names_files_that_are_there():
    assert [row for row, _, _ in table()] == list(range(1, ROWS + 1))
    for row, here, more in table():
        assert (HERE / here).exists(), f"row {row}: {here}"
        assert (ROOT / more).exists(), f"row {row}: {more}"


def test_the_security_list_has_each_point_once_and_names_files_that_are_there():
    text = (HERE / "README.md").read_text().partition("## Security")[2]
    points = re.findall(r"^\| (\d+) \| [^|]+ \| (.+) \|$", text, re.MULTILINE)
    assert [int(point) for point, _ in points] == list(range(1, POINTS + 1))
    for point, files in points:
        for name in re.findall(r"`([^`]+)`", files):
            assert (ROOT / name).exists(), f"point {point}: {name}"


def test_each_row_is_named_by_a_test_of_its_file_and_each_test_has_its_row():
    by_file: dict[str, set[int]] = {}
    for row, here, _ in table():
        by_file.setdefault(here, set()).add(row)
    for name, rows in by_file.items():
        assert rows_of(name) == rows, name
    assert {path.name for path in HERE.glob("test_*.py")} - {Path(__file__).name} <= by_file.keys()
