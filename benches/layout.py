"""Times questions that a layout of files is made for: python3 benches/layout.py PROGRAM LAKE [RUNS].

The least time of some runs of the whole process, in milliseconds. The lake holds the generated traces of README.md.
"""

import subprocess
import sys
import time

QUESTIONS = [
    (
        "failure reasons",
        'traces | where customDimensions.eventId in ("RT0004","RT0002") | summarize count() by tostring(customDimensions.failureReason)',
    ),
    (
        "external calls",
        'traces | where customDimensions.eventId == "RT0019" or customDimensions.eventId == "RT0008" | summarize n=count(), d=avg(totimespan(customDimensions.serverExecutionTime)) by tostring(customDimensions.extensionName)',
    ),
    (
        "events by hour",
        'traces | summarize count() by tostring(customDimensions.eventId), bin(timestamp, 1h) | count',
    ),
    (
        "one day",
        'traces | where timestamp between (datetime(2025-06-15) .. 1d) | summarize count() by tostring(customDimensions.eventId)',
    ),
    (
        "one day, one event",
        'traces | where timestamp between (datetime(2025-06-15) .. 1d) and customDimensions.eventId == "RT0005" | project timestamp, message, user_Id | count',
    ),
    (
        "top 100",
        'traces | top 100 by timestamp desc | project timestamp, message, customDimensions',
    ),
    (
        "users a day",
        'traces | summarize dcount(user_Id) by bin(timestamp, 1d) | count',
    ),
    (
        "text search",
        'traces | where message has "Succeeded" | count',
    ),
    (
        "bag search",
        'traces | where customDimensions has "Contoso Sandbox" | count',
    ),
    (
        "count",
        'traces | count',
    ),
    (
        "one item",
        'traces | where itemId == "36cf0b02-4297-4793-a11c-f7e2af35eb49" | project timestamp, message',
    ),
]


def main():
    program, lake = sys.argv[1:3]
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    for name, query in QUESTIONS:
        least = None
        for _ in range(runs):
            began = time.time()
            command = [program, "--lake", lake, "query", query, "-f", "csv"]
            subprocess.run(command, capture_output=True, text=True, check=True)
            took = time.time() - began
            least = took if least is None else min(least, took)
        print(f"{name:20} {least * 1000:7.0f} ms", flush=True)


main()
