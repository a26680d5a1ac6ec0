import csv
import json
from pathlib import Path

import pytest

from vae_jax import report

ROWS = [{"method": "ours", "aupro": 0.8764}, {"method": "floor", "aupro": None}]


def test_table_rounds_aligns_and_marks_what_is_missing():
    table = report.format_table(ROWS, {"method": "method", "aupro": "AUPRO"})
    assert table.splitlines() == [
        "| method | AUPRO |",
        "| ------ | ----: |",
        "| ours   | 0.876 |",
        "| floor  |     - |",
    ]


def test_csv_has_one_column_for_each_key_of_any_row(tmp_path):
    report.write_csv(Path(tmp_path) / "rows.csv", [*ROWS, {"extra": 1}])
    with open(tmp_path / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["aupro"] for row in rows] == ["0.8764", "", ""]
    assert rows[2]["extra"] == "1"


def test_text_in_a_csv_is_no_formula(tmp_path):
    """The name of a category is that of a folder, which anybody may have named."""
    rows = [{"category": "=1+1", "aupro": -0.5}, {"category": "\x1bscrew"}]
    report.write_csv(Path(tmp_path) / "rows.csv", rows)
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert lines == ["category,aupro", "./=1+1,-0.5", r"\x1bscrew,"]


def test_json_is_replaced_whole_or_not_at_all(tmp_path):
    path = Path(tmp_path) / "results.json"
    report.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        report.write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
