#!/usr/bin/env python3
"""The three company-open queries over the same lake in kqlake, DuckDB and Polars, side by side.

    kqlake generate traces --rows 1000000 --gzip -o /tmp/traces.ndjson.gz
    kqlake --lake /tmp/lake import --from /tmp/traces.ndjson.gz
    python3 benches/compare.py --lake /tmp/lake --kqlake target/release/kqlake

Each engine answers with promoted columns and with the JSON bag, five times, the process's start included; the median is
shown. An engine that is not installed (pip install duckdb polars deltalake) is left out. The answers are compared.
"""

import argparse
import csv
import io
import statistics
import subprocess
import sys
import time

GROUP = ["extensionId", "extensionName", "extensionVersion", "clientType"]

QUERIES = {
    "external calls": ("RT0019", "serverExecutionTime"),
    "long SQL": ("RT0005", "executionTime"),
}


def kql(event, column):
    by = ", ".join(f"{g} = tostring(customDimensions.{g})" for g in GROUP)
    return f"""traces
| where customDimensions.eventId == '{event}'
| where isnotempty(customDimensions.alStackTrace)
| extend StackTrace = tostring(customDimensions.alStackTrace), ms = toreal(totimespan(customDimensions.{column})) / 10000
| where StackTrace has 'OnCompanyOpen' or StackTrace has 'OnCompanyOpenCompleted'
| summarize calls = count(), total = sum(ms), worst = max(ms) by {by}
| order by calls desc, extensionId asc, extensionVersion asc, clientType asc"""


def sql(event, column, table, promoted):
    def dim(name):
        return f'"customDimensions_{name}"' if promoted else f"customDimensions->>'{name}'"

    # hh:mm:ss.fffffff, with days in front where there are any, into milliseconds
    text = dim(column) if not promoted else None
    if promoted:
        ms = f'"customDimensions_{column}" / 10000.0'
    else:
        ms = (
            f"(CASE WHEN regexp_matches({text}, '^\\d+\\.') THEN CAST(split_part({text}, '.', 1) AS BIGINT) ELSE 0 END * 86400"
            f" + CAST(regexp_extract({text}, '(\\d+):(\\d+):', 1) AS BIGINT) * 3600"
            f" + CAST(regexp_extract({text}, '(\\d+):(\\d+):', 2) AS BIGINT) * 60"
            f" + CAST(regexp_extract({text}, ':([0-9.]+)$', 1) AS DOUBLE)) * 1000"
        )
    by = ", ".join(f"coalesce({dim(g)}, '') AS {g}" for g in GROUP)
    return f"""SELECT {by}, count(*) AS calls, sum({ms}) AS total, max({ms}) AS worst
FROM {table}
WHERE {dim('eventId')} = '{event}'
  AND regexp_matches({dim('alStackTrace')}, '(?i)\\bOnCompanyOpen(Completed)?\\b')
GROUP BY ALL ORDER BY calls DESC, extensionId, extensionVersion, clientType"""


def timed(work, runs):
    seconds, rows = [], None
    for _ in range(runs):
        start = time.perf_counter()
        rows = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), rows


def run_kqlake(args, query):
    command = [args.kqlake, "--lake", args.lake, "query", "-", "-f", "csv"]
    out = subprocess.run(command, input=query, text=True, capture_output=True, check=True).stdout
    return [(*(r[g] for g in GROUP), int(r["calls"]), float(r["total"]), float(r["worst"])) for r in csv.DictReader(io.StringIO(out))]


def engines(args):
    yield "kqlake", lambda event, column: run_kqlake(args, kql(event, column))
    try:
        from deltalake import DeltaTable

        files = DeltaTable(f"{args.lake}/traces").file_uris()
    except ImportError:
        print("deltalake is not installed: DuckDB and Polars are left out", file=sys.stderr)
        return
    try:
        import duckdb

        table = f"read_parquet({files}, hive_partitioning = true, union_by_name = true)"

        def run_duckdb(promoted):
            def run(event, column):
                rows = duckdb.connect().sql(sql(event, column, table, promoted)).fetchall()
                return [(*r[:5], float(r[5]), float(r[6])) for r in rows]

            return run

        yield "DuckDB, promoted columns", run_duckdb(True)
        yield "DuckDB, JSON", run_duckdb(False)
    except ImportError:
        print("duckdb is not installed", file=sys.stderr)
    try:
        import polars as pl

        def run_polars(event, column):
            dim = lambda name: pl.col(f"customDimensions_{name}")
            ms = dim(column) / 10000.0
            found = (
                pl.scan_parquet(files, hive_partitioning=True, missing_columns="insert")
                .filter(dim("eventId") == event)
                .filter(dim("alStackTrace").str.contains(r"(?i)\bOnCompanyOpen(Completed)?\b"))
                .group_by([dim(g).fill_null("").alias(g) for g in GROUP])
                .agg(pl.len().alias("calls"), ms.sum().alias("total"), ms.max().alias("worst"))
                .sort(["calls", "extensionId", "extensionVersion", "clientType"], descending=[True, False, False, False])
                .collect()
            )
            return found.rows()

        yield "Polars, promoted columns", run_polars
    except ImportError:
        print("polars is not installed", file=sys.stderr)


def same(a, b):
    close = lambda x, y: x == y or (isinstance(x, float) and abs(x - y) <= 1e-6 * max(abs(x), abs(y)))
    return len(a) == len(b) and all(all(close(x, y) for x, y in zip(r, s)) for r, s in zip(sorted(a), sorted(b)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--lake", default="data/lake")
    parser.add_argument("--kqlake", default="target/release/kqlake")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    print(f"{'query':16} {'engine':28} {'median':>10}  answer")
    for name, (event, column) in QUERIES.items():
        reference = None
        for engine, run in engines(args):
            median, rows = timed(lambda: run(event, column), args.runs)
            reference = rows if reference is None else reference
            verdict = f"{len(rows)} rows" if same(reference, rows) else "DIFFERS"
            print(f"{name:16} {engine:28} {median * 1000:8.0f} ms  {verdict}")


main()
