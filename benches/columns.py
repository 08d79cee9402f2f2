#!/usr/bin/env python3
"""Where the bytes of Parquet files are: the columns that take most, with their encodings, footers, and what is beside the columns
(page indexes and bloom filters).

    python3 benches/columns.py /tmp/lake/traces/event_month=2026-01-01/*.parquet
"""
import collections
import os
import sys

import pyarrow.parquet as pq

SHOWN = 30


def main():
    stored, plain, dictionary = collections.Counter(), collections.Counter(), collections.Counter()
    encodings = collections.defaultdict(set)
    rows = footers = whole = 0
    for file in sys.argv[1:]:
        metadata = pq.ParquetFile(file).metadata
        rows += metadata.num_rows
        footers += metadata.serialized_size
        whole += os.path.getsize(file)
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                name = column.path_in_schema
                stored[name] += column.total_compressed_size
                plain[name] += column.total_uncompressed_size
                encodings[name].update(column.encodings)
                if column.dictionary_page_offset:
                    dictionary[name] += column.data_page_offset - column.dictionary_page_offset
    columns = sum(stored.values())
    print(f'{len(sys.argv) - 1} files, {rows} rows, {whole} bytes: columns {columns}, footers {footers}, '
          f'beside them {whole - columns - footers}')
    print(f'{"bytes":>12} {"uncompressed":>12} {"dictionary":>12}  column')
    for name, size in stored.most_common(SHOWN):
        print(f'{size:>12} {plain[name]:>12} {dictionary[name]:>12}  {name} ({", ".join(sorted(encodings[name]))})')


main()
