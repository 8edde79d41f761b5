"""The columns of a row, and the table of them that people read."""

from pathlib import Path

import pytest

from lrbench.factors import FACTORS
from lrbench.record import (
    BY_NAME,
    CATEGORICAL,
    COLUMNS,
    FLAT,
    NAMES,
    NESTED,
    arrow_schema,
    check_row,
    column_table,
    with_column_table,
)
from lrbench.tests.helpers.rows import make_row

README = Path(__file__).parents[2] / "results" / "README.md"


def test_the_readme_has_the_table_of_the_schema():
    """results/README.md lists every column with its type, unit and meaning, as the code has them."""
    text = README.read_text(encoding="utf-8")
    assert column_table() in text
    assert with_column_table(text) == text, "type: python -m lrbench.record results/README.md"


def test_the_table_has_a_line_for_every_column():
    """Each column is one line, with its type set as code: Markdown takes <float64> for a tag."""
    lines = column_table().splitlines()
    for column in COLUMNS:
        assert f"| `{column.name}` | `{column.type}` | {column.unit} | {column.meaning} |" in lines


def test_writing_the_table_leaves_the_rest_alone():
    """Only what stands between the markers is written anew; a text without them is refused."""
    text = "before\n<!-- columns -->\nstale\n<!-- end of columns -->\nafter\n"
    assert with_column_table(text).startswith("before\n<!-- columns -->\n\n### Identity\n")
    assert with_column_table(text).endswith("<!-- end of columns -->\nafter\n")
    assert "stale" not in with_column_table(text)
    with pytest.raises(ValueError, match="columns"):
        with_column_table("before <!-- end of columns -->")


def test_every_factor_is_a_column():
    """What was asked stands in the row under the factor's own name."""
    assert {*FACTORS, "replicate"} <= set(NAMES)


def test_every_column_is_flat_or_nested_once():
    """Column names are unique, and flat and nested columns are all of them, in order."""
    assert len(set(NAMES)) == len(NAMES)
    assert [name for name in NAMES if name in FLAT] == FLAT
    assert set(FLAT) | set(NESTED) == set(NAMES)
    assert not set(FLAT) & set(NESTED)


def test_units_stand_in_the_names():
    """A column in seconds, MiB, MHz, joules or °C says so in its name."""
    words = {"s": "_seconds", "MiB": "_mib", "MHz": "_mhz", "J": "_joules", "°C": "_celsius", "images/s": "_per_second"}
    for column in COLUMNS:
        if column.unit in words:
            assert words[column.unit] in column.name, column


def test_arrow_reads_every_type():
    """The schema has a field for each column, with the types that the table names."""
    schema = arrow_schema()
    assert schema.names == NAMES
    assert str(schema.field("applied_lr").type) == "list<element: list<element: double>>" or (
        str(schema.field("applied_lr").type) == "list<item: list<item: double>>"
    )
    assert str(schema.field("seed").type) == "int64"
    assert str(schema.field("flags_held").type) == "bool"
    assert arrow_schema(["epochs", "status"]).names == ["epochs", "status"]


def test_a_checked_row_has_every_column_in_order():
    """Columns that a row lacks are null, and the order is the table's."""
    row = check_row(make_row(3))
    assert list(row) == NAMES
    assert row["final_accuracy"] == 0.003
    assert row["kernel_names"] is None


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("final_acuracy", 0.5, ValueError),
        ("final_accuracy", "0.5", TypeError),
        ("final_accuracy", True, TypeError),
        ("epochs", 3.0, TypeError),
        ("epochs", True, TypeError),
        ("epochs", 2**31, ValueError),
        ("seed", 2**63, ValueError),
        ("flags_held", 1, TypeError),
        ("status", 3, TypeError),
        ("error", "\udcff", ValueError),
        ("predictions", (1, 2), TypeError),
        ("predictions", 3, TypeError),
    ],
)
def test_a_row_that_parquet_cannot_hold_is_refused(column, value, error):
    """What no column can hold is refused before it reaches the disk, where it would stop every later fold."""
    with pytest.raises(error):
        check_row(make_row(0, **{column: value}))


@pytest.mark.parametrize(
    ("column", "value"),
    [("final_accuracy", 1), ("seed", 2**63 - 1), ("error", "ünïcode"), ("final_loss", float("nan"))],
)
def test_a_value_at_the_edge_is_a_row(column, value):
    """Whole numbers in number columns, the largest seed, any text and NaN are values."""
    assert str(check_row(make_row(0, **{column: value}))[column]) == str(value)


def test_texts_with_few_values_are_categoricals():
    """Factors that are texts read as categoricals; names of trials, errors and digests do not."""
    assert {"scheduler", "workload", "precision", "status", "gpu_name"} <= set(CATEGORICAL)
    assert not {"trial_id", "trial", "error", "weights_sha256", "started_at"} & set(CATEGORICAL)
    assert all(BY_NAME[name].type == "string" for name in CATEGORICAL)
