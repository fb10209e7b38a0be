"""CSV files (or TSV, also gzipped) as a table.

Every cell is read as text, and what a column holds is decided over the whole of it by `scan`: numbers if every cell
that is not null is one, bools if every one is true or false, else text. An empty cell is null, "" is an empty text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from driftd.core.event import Column
from driftd.core.fault import UserError
from driftd.files.cells import (
    BOOL_WORDS,
    Form,
    Has,
    coded,
    object_numbers,
    object_times,
    settle,
    text_number,
    text_numbers,
    text_times,
)
from driftd.files.table import Batch, Report, Table, batch_rows

BLOCK: Final = 1 << 20
"""Bytes parsed at once; a row must fit in."""


class CsvTable(Table):
    """Columns are known by the header in the first line."""

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(files)
        for path in self.files:
            with _opened(path, ()) as (reader, _):
                self.same_columns(path, reader.schema.names)
        self.holds: dict[str, Has] = {}

    def scan(self, report: Report) -> Mapping[str, Has]:
        maybe = dict.fromkeys(self.columns, Has.NUMBER | Has.BOOL)
        finite = dict.fromkeys(self.columns, False)
        filled = dict.fromkeys(self.columns, False)
        for _, block, done in self._blocks(self.columns):
            for name, texts in zip(self.columns, block.columns, strict=True):
                if texts.null_count == len(texts):
                    continue
                filled[name] = True
                if maybe[name] & Has.NUMBER:
                    values = text_numbers(texts)
                    if values is None:
                        maybe[name] &= ~Has.NUMBER
                    elif not finite[name]:
                        finite[name] = bool(pc.any(pc.is_finite(values)).as_py())
                if maybe[name] & Has.BOOL and not pc.all(pc.is_in(texts.drop_null(), value_set=_BOOLS)).as_py():
                    maybe[name] &= ~Has.BOOL
            report(done)
        for name in self.columns:
            if maybe[name] & Has.NUMBER and finite[name]:
                self.holds[name] = Has.NUMBER
            elif filled[name]:
                self.holds[name] = Has.BOOL if maybe[name] & Has.BOOL else Has.TEXT
            else:
                self.holds[name] = Has.NOTHING
        return self.holds

    def batches(self, forms: Mapping[str, Form]) -> Iterator[Batch]:
        if not self.holds:
            self.scan(lambda _: None)
        for path, block, done in self._blocks(tuple(forms)):
            columns = {
                name: self._column(path, name, texts, form)
                for (name, form), texts in zip(forms.items(), block.columns, strict=True)
            }
            yield Batch(len(block), columns, done, str(path))

    def _column(self, path: Path, name: str, texts: pa.Array, form: Form) -> Column:
        holds = self.holds[name]
        if form == "times":
            try:
                return text_times(texts) if holds is not Has.NUMBER else _number_times(texts)
            except ValueError as fault:
                raise UserError(f"{path}: column {name!r}: {fault}", "write it as RFC 3339") from fault
        if form == "numbers":
            values = text_numbers(texts)
            if values is not None:
                return settle(np.array(values.to_numpy(zero_copy_only=False), np.float64))
            return object_numbers(coded(texts, text_number))
        if holds is Has.NUMBER:
            return coded(texts, text_number)
        return coded(texts, BOOL_WORDS.__getitem__ if holds is Has.BOOL else lambda text: text)

    def _blocks(self, wanted: Sequence[str]) -> Iterator[tuple[Path, pa.RecordBatch, int]]:
        most = batch_rows(len(wanted))
        for number, path in enumerate(self.files):
            with _opened(path, self.columns, wanted) as (reader, raw):
                for block in reader:
                    done = self.before(number) + min(raw.tell(), self.sizes[number])
                    for start in range(0, len(block), most):
                        yield path, block.slice(start, most), done


def _number_times(texts: pa.Array) -> list[object]:
    return object_times(coded(texts, text_number))


_BOOLS: Final = pa.array(list(BOOL_WORDS))


@contextmanager
def _opened(
    path: Path, columns: Sequence[str], wanted: Sequence[str] = ()
) -> Iterator[tuple[pyarrow.csv.CSVStreamingReader, pa.NativeFile]]:
    suffixes = path.name.lower().split(".")
    try:
        with pa.OSFile(str(path)) as raw:
            stream = pa.CompressedInputStream(raw, "gzip") if suffixes[-1] == "gz" else raw
            yield (
                pyarrow.csv.open_csv(
                    stream,
                    read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK),
                    parse_options=pyarrow.csv.ParseOptions(
                        delimiter="\t" if "tsv" in suffixes[-2:] else ",",
                        newlines_in_values=True,
                        # In a file of one column an empty line is a null.
                        ignore_empty_lines=len(columns) != 1,
                    ),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types=dict.fromkeys(columns, pa.string()),
                        include_columns=list(wanted),
                        null_values=[""],
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                    ),
                ),
                raw,
            )
    except (OSError, pa.ArrowException) as fault:
        if "Empty CSV" in str(fault):
            raise UserError(f"{path} is empty", "it needs a header and at least one row") from fault
        raise UserError(
            f"{path} cannot be read as CSV: {fault}", "correct it there, or write it again with a CSV library"
        ) from fault
