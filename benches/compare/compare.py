#!/usr/bin/env python3
"""Eighteen questions in kqlake, DuckDB and Polars over the same rows: answers are compared, then times.

    kqlake generate traces --rows 1000000 --days 365 --start 2025-01-01 -o /tmp/traces.ndjson
    kqlake generate audit --rows 300000 --days 365 --start 2025-01-01 -o /tmp/audit.ndjson
    kqlake generate message-trace --rows 300000 --days 365 --start 2025-01-01 -o /tmp/mail.ndjson
    kqlake --lake /tmp/lake import --from /tmp/traces.ndjson /tmp/audit.ndjson /tmp/mail.ndjson
    kqlake --lake /tmp/lake compact
    python3 benches/compare/compare.py --lake /tmp/lake --kqlake target/release/kqlake --days /tmp/days

Engines:

    kqlake      the whole process, its start included
    own files   DuckDB over kqlake's own Parquet files, with their promoted columns
    flattened   DuckDB over a file a day, ordered by time, with the keys of the bag that the questions use as typed columns
    as text     DuckDB over a file a day, with the bag (of audit records: the whole record) as JSON text alone
    Polars      over kqlake's own files, for the questions that are written for it

The day files are made from the lake's own rows, once, below --days. DuckDB and Polars run in this process, which has them loaded;
each question has a fresh connection, and reads of the files' footers are part of the time, as they are for kqlake. Each time is the
median of --runs. Whatever an engine gives (CSV, an Arrow table, a frame) becomes Python's rows after its time is taken. Needs:
pip install duckdb polars deltalake pyarrow
"""

import argparse
import csv
import io
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time

import duckdb
import pyarrow
from deltalake import DeltaTable

from questions import QUESTIONS, Dialect, own_files, as_text, flattened

TABLES = {"traces": "timestamp", "AuditRecords": "CreationTime", "MessageTrace": "receivedDateTime"}

# What somebody flattens by hand: the keys that the questions use, typed.
FLATTENED = {
    "traces": ["eventId", "extensionName", "failureReason", "alStackTrace", "clientType", "authorizationStatus", "userType"],
    "AuditRecords": ["Operation", "Workload", "UserId", "ClientIP"],
    "MessageTrace": ["status", "senderAddress", "size"],
}
SPANS = ["serverExecutionTime", "executionTime", "totalTime"]


def lake_files(args, table):
    files = DeltaTable(os.path.join(args.lake, table)).file_uris()
    return f"read_parquet({files}, hive_partitioning = true, union_by_name = true)"


def day_files(args, table, kind):
    return f"read_parquet('{args.days}/{table}-{kind}/*/*.parquet', hive_partitioning = true)"


def make_day_files(args, table, kind):
    folder = f"{args.days}/{table}-{kind}"
    if os.path.exists(f"{folder}/done"):
        return
    os.makedirs(args.days, exist_ok=True)
    source, time_column = lake_files(args, table), TABLES[table]
    con = duckdb.connect(config={"threads": 2, "memory_limit": "4GB"})
    if table == "traces":
        names = [r[0] for r in con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
        plain = [n for n in names if not n.startswith(("customDimensions_", "_", "event_month"))]
        columns = [f'"{n}"' for n in plain]
        if kind == "flattened":
            columns += [f"customDimensions->>'{key}' AS cd_{key}" for key in FLATTENED[table]]
            columns += [f'"customDimensions_{key}" AS cd_{key}' for key in SPANS]
    elif kind == "flattened":
        columns = [time_column, "Id" if table == "AuditRecords" else "id"] + FLATTENED[table] + ["Raw"]
    else:
        columns = [time_column, "Raw"]
    # A month at a time: ten million rows are more than the memory that a sort of them all would take.
    for (month,) in con.execute(f"SELECT DISTINCT event_month FROM {source} ORDER BY 1").fetchall():
        con.execute(
            f"COPY (SELECT {', '.join(columns)}, CAST({time_column} AS DATE) AS day FROM {source} "
            f"WHERE event_month = '{month}' ORDER BY {time_column}) "
            f"TO '{folder}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day), OVERWRITE_OR_IGNORE)"
        )
    open(f"{folder}/done", "w").close()


def cell(value):
    """A value of any engine in one form: numbers as numbers, nothing as the empty text, instants as their seconds."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return "" if isinstance(value, float) and math.isnan(value) else float(value)
    text = str(value)
    try:
        return float(text)
    except ValueError:
        return text.replace("T", " ")[:19] if text[:2] == "20" and text[4:5] == "-" else text


def same(left, right):
    if len(left) != len(right):
        return False
    key = lambda row: tuple(f"{c:.6g}" if isinstance(c, float) else c for c in row)
    close = lambda a, b: a == b or (isinstance(a, float) and isinstance(b, float) and abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1))
    return all(all(close(a, b) for a, b in zip(l, r)) and len(l) == len(r) for l, r in zip(sorted(left, key=key), sorted(right, key=key)))


def run_kqlake(args, kql):
    out = subprocess.run([args.kqlake, "--lake", args.lake, "query", "-", "-f", "csv"], input=kql.encode(), capture_output=True)
    if out.returncode:
        raise RuntimeError(out.stderr.decode())
    return out.stdout


def rows_of(answer):
    """The rows of what an engine gave; making Python's objects of them is no part of any engine's time."""
    if isinstance(answer, bytes):
        csv.field_size_limit(1 << 30)
        return list(csv.reader(io.StringIO(answer.decode())))[1:]
    if isinstance(answer, pyarrow.Table):
        return list(zip(*[column.to_pylist() for column in answer.columns]))
    return answer.rows()


def run_duckdb(args, sql):
    con = duckdb.connect(config={"threads": args.threads})
    con.execute("SET TimeZone = 'UTC'")
    return con.sql(sql).to_arrow_table()


def engines(args, question):
    yield "kqlake", lambda: run_kqlake(args, question.kql)
    table = question.table
    dialects = {
        "own files": Dialect(lake_files(args, table), own_files),
        "flattened": Dialect(day_files(args, table, "flattened"), flattened),
        "as text": Dialect(day_files(args, table, "text"), as_text),
    }
    for name, dialect in dialects.items():
        yield name, lambda dialect=dialect: run_duckdb(args, question.sql(dialect))
    if question.polars is not None:
        import polars as pl

        # The first file says what columns there are: the widest one comes first.
        files = DeltaTable(os.path.join(args.lake, table)).file_uris()
        files = sorted(files, key=lambda file: -len(pl.read_parquet_schema(file)))
        scan = lambda: pl.scan_parquet(files, hive_partitioning=True, missing_columns="insert", extra_columns="ignore")
        yield "Polars", lambda: question.polars(pl, scan())


def cpu():
    of = lambda who: sum(resource.getrusage(who)[:2])
    return of(resource.RUSAGE_SELF) + of(resource.RUSAGE_CHILDREN)


def measured(work, runs, clock):
    work()
    times = []
    for _ in range(runs):
        begun = clock()
        answer = work()
        times.append(clock() - begun)
    return statistics.median(times), rows_of(answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--lake", default="data/lake")
    parser.add_argument("--kqlake", default="target/release/kqlake")
    parser.add_argument("--days", default="/tmp/days", help="folder of the day files")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--cpu", action="store_true", help="CPU time in place of time by the clock, for a machine that is busy")
    parser.add_argument("--only", help="a part of the names of the questions to ask")
    parser.add_argument("--json", help="a file for the figures")
    args = parser.parse_args()
    for table in TABLES:
        for kind in ("flattened", "text"):
            make_day_files(args, table, kind)
    others = ["own files", "flattened", "as text", "Polars"]
    print(f"{'question':26} {'kqlake':>8}  " + "".join(f"{name:>20}" for name in others))
    ratios, figures, wrong = {name: [] for name in others}, {}, []
    for question in QUESTIONS:
        if args.only and args.only not in question.name:
            continue
        times, reference = {}, None
        for name, work in engines(args, question):
            try:
                taken, rows = measured(work, args.runs, cpu if args.cpu else time.perf_counter)
            except Exception as err:  # an engine that cannot answer is shown, and the others go on
                print(f"{question.name}: {name}: {str(err).splitlines()[0]}", file=sys.stderr)
                continue
            rows = [[cell(c) for c in row] for row in rows]
            if question.any_rows:
                rows = [[len(rows)]]
            if reference is None:
                reference = rows
            elif not same(reference, rows):
                wrong.append(f"{question.name}: {name} answers {len(rows)} rows, {rows[:2]}; kqlake {len(reference)}, {reference[:2]}")
            times[name] = taken
        figures[question.name] = times
        if "kqlake" not in times:
            continue
        shown = ""
        for name in others:
            if name in times:
                ratio = times[name] / times["kqlake"]
                ratios[name].append(ratio)
                shown += f"{times[name] * 1000:10.0f} ms {ratio:5.2f}x"
            else:
                shown += f"{'-':>20}"
        print(f"{question.name:26} {times['kqlake'] * 1000:5.0f} ms  {shown}", flush=True)
    mean = lambda values: math.exp(statistics.fmean(map(math.log, values))) if values else float("nan")
    print(f"{'geometric mean':37}" + "".join(f"{mean(ratios[name]):19.2f}x" for name in others))
    print(f"{'least':37}" + "".join(f"{min(ratios[name], default=float('nan')):19.2f}x" for name in others))
    if args.json:
        with open(args.json, "w") as out:
            json.dump(figures, out, indent=1)
    for line in wrong:
        print(f"DIFFERS: {line}")
    sys.exit(1 if wrong else 0)


main()
