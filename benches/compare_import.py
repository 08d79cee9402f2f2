#!/usr/bin/env python3
"""Landing generated traces with kqlake and with DuckDB's COPY, side by side, on the same file.

    kqlake generate traces --rows 1000000 --seed 1 -o /tmp/traces.ndjson
    python3 benches/compare_import.py --file /tmp/traces.ndjson --kqlake target/release/kqlake

DuckDB writes month partitions twice: with the bag as text alone, and with twenty typed keys of the bag as columns beside it.
kqlake does what it always does: it recognises records, deduplicates them, keeps the bag, writes typed columns and commits.
Each is run `--runs` times into an empty folder, the median is shown with the bytes that lie there then; the rows are counted.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time

KEYS = [
    ("eventId", None),
    ("environmentType", None),
    ("environmentName", None),
    ("aadTenantId", None),
    ("extensionId", None),
    ("extensionName", None),
    ("extensionPublisher", None),
    ("extensionVersion", None),
    ("clientType", None),
    ("companyName", None),
    ("component", None),
    ("componentVersion", None),
    ("telemetrySchemaVersion", None),
    ("alObjectId", "BIGINT"),
    ("alObjectName", None),
    ("alObjectType", None),
    ("alStackTrace", None),
    ("result", None),
    ("sqlExecutes", "BIGINT"),
    ("sqlRowsRead", "BIGINT"),
]


def with_duckdb(file, folder, keys, threads):
    import duckdb

    begun = time.perf_counter()
    con = duckdb.connect(config={"threads": threads})
    # Read as text, a bag of any keys stays what it is.
    read = f"read_json('{file}', format='newline_delimited'"
    columns = con.execute(f"DESCRIBE SELECT * FROM {read}, sample_size=20000)").fetchall()
    is_nested = lambda ty: ty.startswith(("STRUCT", "MAP", "JSON"))
    listed = ", ".join(f"'{name}': '{'JSON' if is_nested(ty) else ty}'" for name, ty, *_ in columns)
    typed = "".join(
        f", TRY_CAST(customDimensions->>'{key}' AS {ty}) AS cd_{key}" if ty else f", customDimensions->>'{key}' AS cd_{key}"
        for key, ty in (KEYS if keys else [])
    )
    con.execute(
        f"COPY (SELECT *{typed}, date_trunc('month', timestamp)::DATE AS event_month "
        f"FROM {read}, columns={{{listed}}}, maximum_object_size=67108864)) "
        f"TO '{folder}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_month))"
    )
    taken = time.perf_counter() - begun
    rows = con.execute(f"SELECT count(*) FROM read_parquet('{folder}/**/*.parquet')").fetchone()[0]
    return taken, rows


def with_kqlake(kqlake, file, folder):
    begun = time.perf_counter()
    subprocess.run([kqlake, "-q", "--lake", folder, "import", "--from", file], check=True, stdout=subprocess.DEVNULL)
    taken = time.perf_counter() - begun
    # The import's own log lines are rows of the table, too.
    count = "traces | where operation_Name !in ('AppInsightsImporter', 'Office365ActivityImporter') | count"
    answer = subprocess.run([kqlake, "--lake", folder, "query", count, "-f", "csv"], check=True, capture_output=True, text=True)
    return taken, int(answer.stdout.split()[-1])


def size_of(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", required=True, help="traces as NDJSON")
    parser.add_argument("--kqlake", default="target/release/kqlake")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--scratch", help="folder for what is written (a temporary one)")
    options = parser.parse_args()
    contenders = {
        "DuckDB, bag as text": lambda folder: with_duckdb(options.file, folder, False, options.threads),
        "DuckDB, bag and 20 typed keys": lambda folder: with_duckdb(options.file, folder, True, options.threads),
        "kqlake": lambda folder: with_kqlake(options.kqlake, options.file, folder),
    }
    times = {name: [] for name in contenders}
    sizes, counts = {}, {}
    for _ in range(options.runs):
        # Taken in turn, so that what else the machine does falls on all of them.
        for name, run in contenders.items():
            scratch = tempfile.mkdtemp(dir=options.scratch)
            folder = os.path.join(scratch, "out")
            taken, rows = run(folder)
            times[name].append(taken)
            counts[name] = rows
            sizes[name] = size_of(folder)
            shutil.rmtree(scratch)
    own = statistics.median(times["kqlake"])
    for name in contenders:
        median = statistics.median(times[name])
        print(f"{name:32} {median:8.2f} s   {counts[name]:>10} rows   {sizes[name] / 1e6:8.1f} MB   kqlake's rate is {median / own:.2f} times its")


if __name__ == "__main__":
    main()
