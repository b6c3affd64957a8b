"""Every line of an export is a row or damage, with its number, in every form that exports come in."""

import csv
import gzip
import io
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.errors import StoreError
from p402.store.imported.lines import Bad, Row, rows_of


def read(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return list(rows_of(path))


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson.gz", "a.json", "a"])
def test_json_lines_come_with_their_lines_whatever_the_file_is_called(tmp_path, name):
    found = read(tmp_path, name, b'{"a":1}\n\n {"a":0.10}\r\n[1]\n{"a"\n"x"\n')
    assert found[:3] == [
        Row(1, {"a": 1}),
        Row(3, {"a": Decimal("0.10")}),
        Bad(4, "found an array, expected an object"),
    ]
    assert [(type(row), row.line) for row in found[3:]] == [(Bad, 5), (Bad, 6)]


@pytest.mark.parametrize(
    "data",
    [b'[{"a":1},{"a":2},3]', b'{"data":[{"a":1},{"a":2},3],"meta":{}}', b'\xef\xbb\xbf[{"a":1},{"a":2},3]'],
)
def test_an_array_gives_its_elements_by_number(tmp_path, data):
    assert read(tmp_path, "a.json", data) == [
        Row(1, {"a": 1}), Row(2, {"a": 2}), Bad(3, "found a number, expected an object")
    ]  # fmt: skip


def test_one_object_over_several_lines_is_one_row(tmp_path):
    assert read(tmp_path, "a.json", b'{\n "a": 1\n}\n') == [Row(1, {"a": 1})]


def test_a_csv_row_has_the_line_it_begins_at_and_a_wrong_one_is_damage(tmp_path):
    data = b'\xef\xbb\xbfid,text\n1,"two\nlines"\n2\n3,\xff\n4,end\n'
    assert read(tmp_path, "a.csv", data) == [
        Row(2, {"id": "1", "text": "two\nlines"}),
        Bad(4, "found 1 cells, expected 2 as in the header"),
        Bad(5, "found a byte that is not UTF-8; save the file as UTF-8"),
        Row(6, {"id": "4", "text": "end"}),
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            min_size=2,
            max_size=2,
        )
    )
)
def test_what_a_csv_writer_wrote_is_read_back(tmp_path_factory, rows):
    out = io.StringIO()
    csv.writer(out).writerows([["a", "b"], *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(out.getvalue().encode())
    assert [list(row.fields.values()) for row in rows_of(path)] == rows


def test_a_long_prompt_fits_a_cell(tmp_path):
    assert read(tmp_path, "a.csv", b"a\n" + b"x" * 300_000 + b"\n")[0].fields == {"a": "x" * 300_000}


def test_a_line_that_is_not_utf_8_is_damage(tmp_path):
    (bad,) = read(tmp_path, "a.jsonl", b'{"a":"\xff"}\n')
    assert (bad.line, type(bad)) == (1, Bad)


@pytest.mark.parametrize("name", ["nowhere.jsonl", "cut.jsonl.gz", "no.jsonl.gz"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    whole = gzip.compress(json.dumps({"a": "x" * 1000}).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-12])
    (tmp_path / "no.jsonl.gz").write_bytes(b"plain")
    with pytest.raises(StoreError, match=f"{name}.*expected an export"):
        list(rows_of(tmp_path / name))


def test_a_damaged_gzip_file_is_an_error_that_names_it(tmp_path):
    data = bytearray(gzip.compress(b'{"a":1}\n' * 10_000))
    data[20] ^= 0xFF
    data[25] ^= 0xFF
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"a\.jsonl\.gz"):
        list(rows_of(path))
