"""The questions: each in KQL, and in SQL for three layouts of the same rows."""

from dataclasses import dataclass
from typing import Callable, Optional

SPANS = {"serverExecutionTime", "executionTime", "totalTime"}


@dataclass
class Dialect:
    """A table, and how a layout spells a key of its bag."""

    table: str
    key: Callable[[str], str]


def own_files(key):
    """A promoted column where kqlake has one, else the bag. Spans are ticks of 100 ns."""
    return f"customDimensions->>'{key}'" if key == "unpromoted" else f'"customDimensions_{key}"'


def flattened(key):
    return f"cd_{key}"


def as_text(key):
    text = f"(customDimensions->>'{key}')"
    if key not in SPANS:
        return text
    # [d.]hh:mm:ss.fffffff in ticks
    return (
        f"CASE WHEN {text} IS NULL OR {text} = '' THEN NULL ELSE CAST(round((CASE WHEN position('.' IN split_part({text}, ':', 1)) > 0"
        f" THEN CAST(split_part({text}, '.', 1) AS DOUBLE) * 86400 ELSE 0 END"
        f" + CAST(regexp_extract({text}, '(\\d+):', 1) AS DOUBLE) * 3600 + CAST(split_part({text}, ':', 2) AS DOUBLE) * 60"
        f" + CAST(split_part({text}, ':', 3) AS DOUBLE)) * 1e7) AS BIGINT) END"
    )


@dataclass
class Question:
    name: str
    table: str
    kql: str
    sql: Callable[[Dialect], str]
    polars: Optional[Callable] = None
    # Only how many rows there are is the same everywhere.
    any_rows: bool = False


ON_OPEN = r"(?i)\bOnCompanyOpen(Completed)?\b"
BY = ["extensionName", "clientType"]


def company_open_kql(event, span):
    by = ", ".join(f"{k} = tostring(customDimensions.{k})" for k in BY)
    return f"""traces
| where customDimensions.eventId == '{event}'
| where tostring(customDimensions.alStackTrace) has 'OnCompanyOpen' or tostring(customDimensions.alStackTrace) has 'OnCompanyOpenCompleted'
| summarize calls = count(), total = sum(toreal(totimespan(customDimensions.{span}))) / 10000 by {by}"""


def company_open_sql(event, span):
    def sql(d):
        by = ", ".join(f"coalesce({d.key(k)}, '') AS {k}" for k in BY)
        return f"""SELECT {by}, count(*), sum({d.key(span)}) / 10000.0 FROM {d.table}
WHERE {d.key('eventId')} = '{event}' AND regexp_matches({d.key('alStackTrace')}, '{ON_OPEN}') GROUP BY ALL"""

    return sql


def company_open_polars(event, span):
    def polars(pl, scan):
        key = lambda name: pl.col(f"customDimensions_{name}")
        found = scan.filter(key("eventId") == event).filter(key("alStackTrace").str.contains(ON_OPEN))
        return found.group_by([key(k).fill_null("").alias(k) for k in BY]).agg(pl.len(), key(span).sum() / 10000.0).collect()

    return polars


def audit_key(d, name):
    return f"(Raw->>'{name}')" if d.key is as_text else name


QUESTIONS = [
    Question(
        "external calls",
        "traces",
        company_open_kql("RT0019", "serverExecutionTime"),
        company_open_sql("RT0019", "serverExecutionTime"),
        company_open_polars("RT0019", "serverExecutionTime"),
    ),
    Question(
        "long SQL",
        "traces",
        company_open_kql("RT0005", "executionTime"),
        company_open_sql("RT0005", "executionTime"),
        company_open_polars("RT0005", "executionTime"),
    ),
    Question(
        "failure reasons",
        "traces",
        "traces | where customDimensions.eventId in ('RT0002', 'RT0004') | summarize count() by tostring(customDimensions.failureReason)",
        lambda d: f"SELECT coalesce({d.key('failureReason')}, ''), count(*) FROM {d.table} "
        f"WHERE {d.key('eventId')} IN ('RT0002', 'RT0004') GROUP BY 1",
        lambda pl, scan: scan.filter(pl.col("customDimensions_eventId").is_in(["RT0002", "RT0004"]))
        .group_by(pl.col("customDimensions_failureReason").fill_null(""))
        .len()
        .collect(),
    ),
    Question(
        "events by hour",
        "traces",
        "traces | summarize count() by event = tostring(customDimensions.eventId), hour = bin(timestamp, 1h)",
        lambda d: f"SELECT coalesce({d.key('eventId')}, ''), date_trunc('hour', timestamp), count(*) FROM {d.table} GROUP BY ALL",
        lambda pl, scan: scan.group_by(pl.col("customDimensions_eventId").fill_null(""), pl.col("timestamp").dt.truncate("1h"))
        .len()
        .collect(),
    ),
    Question(
        "p95 by extension, iff",
        "traces",
        """traces | where customDimensions.eventId in ('RT0005', 'RT0019')
| extend ms = toreal(totimespan(iff(isnotempty(customDimensions.executionTime), customDimensions.executionTime,
    customDimensions.serverExecutionTime))) / 10000
| summarize calls = count(), worst = max(ms), average = avg(ms) by tostring(customDimensions.extensionName)""",
        lambda d: f"SELECT coalesce({d.key('extensionName')}, ''), count(*), max(ms), avg(ms) FROM (SELECT *, "
        f"coalesce({d.key('executionTime')}, {d.key('serverExecutionTime')}) / 10000.0 AS ms FROM {d.table} "
        f"WHERE {d.key('eventId')} IN ('RT0005', 'RT0019')) GROUP BY 1",
    ),
    Question(
        "text search",
        "traces",
        "traces | where message has 'Succeeded' | count",
        lambda d: f"SELECT count(*) FROM {d.table} WHERE regexp_matches(message, '(?i)\\bSucceeded\\b')",
        lambda pl, scan: scan.filter(pl.col("message").str.contains(r"(?i)\bSucceeded\b")).select(pl.len()).collect(),
    ),
    Question(
        "top 100 newest",
        "traces",
        "traces | order by timestamp desc, itemId asc | take 100 | project timestamp, message, itemId, user_Id",
        lambda d: f"SELECT timestamp, message, itemId, user_Id FROM {d.table} ORDER BY timestamp DESC, itemId LIMIT 100",
        lambda pl, scan: scan.select("timestamp", "message", "itemId", "user_Id")
        .sort(["timestamp", "itemId"], descending=[True, False])
        .head(100)
        .collect(),
    ),
    Question(
        "one day",
        "traces",
        "traces | where timestamp >= datetime(2025-06-15) and timestamp < datetime(2025-06-16) "
        "| summarize count() by tostring(customDimensions.eventId)",
        lambda d: f"SELECT coalesce({d.key('eventId')}, ''), count(*) FROM {d.table} "
        + "WHERE timestamp >= '2025-06-15 00:00:00+00' AND timestamp < '2025-06-16 00:00:00+00'"
        + ("" if d.key is own_files else " AND day = '2025-06-15'")
        + " GROUP BY 1",
    ),
    Question(
        "users a day",
        "traces",
        "traces | where isnotempty(user_Id) | distinct user_Id, day = bin(timestamp, 1d) | summarize users = count() by day",
        lambda d: f"SELECT date_trunc('day', timestamp), count(DISTINCT user_Id) FROM {d.table} WHERE user_Id <> '' GROUP BY 1",
        lambda pl, scan: scan.filter(pl.col("user_Id") != "")
        .group_by(pl.col("timestamp").dt.truncate("1d"))
        .agg(pl.col("user_Id").n_unique())
        .collect(),
    ),
    Question(
        "a key of the bag alone",
        "traces",
        "traces | where customDimensions.eventId == 'RT0003' | summarize count() by tostring(customDimensions['unpromoted']), "
        "tostring(customDimensions.userType)",
        lambda d: f"SELECT coalesce(customDimensions->>'unpromoted', ''), coalesce({d.key('userType')}, ''), count(*) FROM {d.table} "
        f"WHERE {d.key('eventId')} = 'RT0003' GROUP BY ALL",
    ),
    Question(
        "both stages of a sign-in",
        "traces",
        """traces | where customDimensions.eventId == 'RT0003' | project session_Id, user_Id
| join kind=inner (traces | where customDimensions.eventId == 'RT0004' | project session_Id, status = tostring(customDimensions.authorizationStatus))
    on session_Id | summarize count() by status""",
        lambda d: f"SELECT status, count(*) FROM (SELECT session_Id FROM {d.table} WHERE {d.key('eventId')} = 'RT0003') a JOIN "
        f"(SELECT session_Id, coalesce({d.key('authorizationStatus')}, '') AS status FROM {d.table} WHERE {d.key('eventId')} = 'RT0004') b "
        "USING (session_Id) GROUP BY 1",
    ),
    Question("take 10", "traces", "traces | take 10", lambda d: f"SELECT * FROM {d.table} LIMIT 10", any_rows=True),
    Question(
        "count",
        "traces",
        "traces | count",
        lambda d: f"SELECT count(*) FROM {d.table}",
        lambda pl, scan: scan.select(pl.len()).collect(),
    ),
    Question(
        "audit: operations",
        "AuditRecords",
        "AuditRecords | summarize count() by Workload, Operation",
        lambda d: f"SELECT coalesce({audit_key(d, 'Workload')}, ''), coalesce({audit_key(d, 'Operation')}, ''), count(*) FROM {d.table} GROUP BY ALL",
    ),
    Question(
        "audit: one user",
        "AuditRecords",
        "AuditRecords | where UserId == 'user0232@contoso.com' | summarize count() by Operation, bin(CreationTime, 30d)",
        lambda d: f"SELECT {audit_key(d, 'Operation')}, to_timestamp(floor((epoch(CreationTime) + 62135596800) / 2592000) * 2592000 - 62135596800), "
        f"count(*) FROM {d.table} WHERE {audit_key(d, 'UserId')} = 'user0232@contoso.com' GROUP BY ALL",
    ),
    Question(
        "audit: addresses a user",
        "AuditRecords",
        "AuditRecords | where CreationTime between (datetime(2025-03-01) .. datetime(2025-03-31T23:59:59)) and isnotempty(ClientIP) "
        "| distinct UserId, ClientIP | summarize addresses = count() by UserId | order by addresses desc, UserId asc | take 20",
        lambda d: f"SELECT {audit_key(d, 'UserId')}, count(DISTINCT {audit_key(d, 'ClientIP')}) FROM {d.table} WHERE CreationTime >= '2025-03-01 00:00:00+00' "
        f"AND CreationTime <= '2025-03-31 23:59:59+00' AND {audit_key(d, 'ClientIP')} <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
    ),
    Question(
        "mail: statuses a month",
        "MessageTrace",
        "MessageTrace | summarize count(), sum(size) by status, startofmonth(receivedDateTime)",
        lambda d: f"SELECT {audit_key(d, 'status')}, date_trunc('month', receivedDateTime), count(*), "
        f"sum(CAST({audit_key(d, 'size')} AS BIGINT)) FROM {d.table} GROUP BY ALL",
    ),
    Question(
        "mail: failed by sender",
        "MessageTrace",
        "MessageTrace | where status == 'failed' | summarize failed = count() by senderAddress | order by failed desc, senderAddress asc | take 10",
        lambda d: f"SELECT {audit_key(d, 'senderAddress')}, count(*) FROM {d.table} WHERE {audit_key(d, 'status')} = 'failed' "
        "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10",
    ),
]
