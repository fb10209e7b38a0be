"""Files far larger than memory: what a build holds does not depend on how many rows there are."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

ROWS = 2_500_000
PROGRAM = """
import resource, sys
from pathlib import Path
from driftd.files.build import BuildOptions, build
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made = build([Path(sys.argv[1])], BuildOptions("m"))
print(made.reference.events, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_millions_of_rows_in_bounded_memory(tmp_path, form):
    rng = np.random.default_rng(1)
    path = tmp_path / f"t.{form}"
    words = np.array([f"word{i}" for i in range(500)])
    schema = pa.schema([(name, pa.float64()) for name in "abcd"] + [("w", pa.string()), ("i", pa.int64())])
    # One row group of all rows is the hardest to read piece by piece.
    if form == "parquet":
        columns = [rng.normal(size=ROWS) for _ in "abcd"]
        table = pa.table([*columns, words[rng.integers(0, 500, ROWS)], np.arange(ROWS)], schema=schema)
        pq.write_table(table, path, row_group_size=ROWS)
        assert table.nbytes > 100 << 20
    else:
        with pyarrow.csv.CSVWriter(path, schema) as file:
            for start in range(0, ROWS, 100_000):
                columns = [rng.normal(size=100_000) for _ in "abcd"]
                some = [*columns, words[rng.integers(0, 500, 100_000)], np.arange(start, start + 100_000)]
                file.write_table(pa.table(some, schema=schema))
        assert path.stat().st_size > 100 << 20
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True)
    rows, growth_mib = map(int, done.stdout.split())
    assert rows == ROWS
    assert growth_mib < 200  # measured: about 90
