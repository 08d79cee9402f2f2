//! Times as T-SQL, MySQL, Snowflake and BigQuery write them: what counts and shifts them, their parts, and their texts in a form.

use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, DataType, Expr, Ident, TimezoneInfo};

use super::super::made::{binary, case, cast, interval, number, text};
use super::super::refusal::{Refusal, refused};
use super::super::times::{TIME_OF, iso};
use super::{call, call_quoted, is_null, literal, whole};

type Result<T> = std::result::Result<T, Refusal>;

/// A part of a time, with the short names of T-SQL.
fn part(name: &str) -> Option<&'static str> {
    Some(match name.to_lowercase().as_str() {
        "year" | "years" | "yyyy" | "yy" => "year",
        "quarter" | "quarters" | "qq" | "q" => "quarter",
        "month" | "months" | "mm" | "m" => "month",
        "week" | "weeks" | "wk" | "ww" => "week",
        "day" | "days" | "dd" | "d" => "day",
        "hour" | "hours" | "hh" => "hour",
        "minute" | "minutes" | "mi" | "n" => "minute",
        "second" | "seconds" | "ss" | "s" => "second",
        "millisecond" | "milliseconds" | "ms" => "millisecond",
        "microsecond" | "microseconds" | "mcs" => "microsecond",
        "dayofyear" | "dy" | "y" | "doy" => "doy",
        "iso_week" | "isowk" | "isoww" => "iso_week",
        "weekday" | "dw" | "w" => "weekday",
        _ => return None,
    })
}

/// The part that an argument names, as a word or as a text.
fn part_of(e: &Expr) -> Option<&'static str> {
    match e {
        Expr::Identifier(Ident { value, .. }) => part(value),
        e => literal(e).and_then(part),
    }
}

/// The unit that times are shifted and counted by; a day of the week or of the year is a day.
fn unit_of(e: &Expr, function: &str) -> Result<&'static str> {
    match part_of(e) {
        Some("doy" | "weekday") => Ok("day"),
        Some("iso_week") | None => Err(refused(
            format!("{e} is no unit that {function} counts in"),
            "year, quarter, month, week, day, hour, minute, second, millisecond or microsecond, without quotes",
        )),
        Some(unit) => Ok(unit),
    }
}

/// True where an argument is the name of a part, and may be no column.
pub(super) fn is_part(e: &Expr) -> bool {
    matches!(e, Expr::Identifier(name) if name.quote_style.is_none()) && part_of(e).is_some()
}

/// A time: a text is read as one of ISO 8601, and a number that is written out as T-SQL does.
///
/// # Errors
/// A text that is written out is none.
pub(super) fn time(e: &Expr) -> Result<Expr> {
    let timestamp = DataType::Timestamp(None, TimezoneInfo::None);
    if is_null(e) {
        return Ok(cast(CastKind::Cast, e, timestamp));
    }
    // T-SQL counts days from 1900, as in DATEADD(day, DATEDIFF(day, 0, x), 0).
    if let Some(days) = whole(e) {
        let first = cast(CastKind::Cast, &text("1900-01-01"), timestamp);
        return Ok(binary(first, BinaryOperator::Plus, interval(&format!("{days} day"))));
    }
    match literal(e) {
        Some(written) => match iso(written) {
            Some(iso) => Ok(cast(CastKind::Cast, &text(&iso), timestamp)),
            None => Err(refused(format!("'{written}' is no time"), "write it as '2026-01-05' or '2026-01-05 10:00:00'")),
        },
        None => Ok(call_quoted(TIME_OF, [e.clone()])),
    }
}

/// `DATEADD(part, number, time)`
pub(super) fn add(unit: &Expr, number: &Expr, to: &Expr) -> Result<Expr> {
    let unit = unit_of(unit, "DATEADD")?;
    let to = time(to)?;
    if is_null(number) {
        return Ok(cast(CastKind::Cast, number, DataType::Timestamp(None, TimezoneInfo::None)));
    }
    match whole(number) {
        Some(number) => {
            let (number, unit) = if unit == "quarter" { (number.saturating_mul(3), "month") } else { (number, unit) };
            Ok(binary(to, BinaryOperator::Plus, interval(&format!("{number} {unit}"))))
        }
        None => Ok(call(&["kql", "datetime_add"], [text(unit), number.clone(), to])),
    }
}

/// How many bounds of a unit lie between two times, as T-SQL's `DATEDIFF` counts them. A week begins on a Sunday.
pub(super) fn between(unit: &Expr, from: &Expr, to: &Expr) -> Result<Expr> {
    let unit = unit_of(unit, "DATEDIFF")?;
    let (from, to) = (time(from)?, time(to)?);
    let count = |unit: &str, to, from| call(&["kql", "datetime_diff"], [text(unit), to, from]);
    if unit != "week" {
        return Ok(count(unit, to, from));
    }
    let start = |e| call(&["kql", "startofweek"], [e]);
    Ok(binary(count("day", start(to), start(from)), BinaryOperator::Divide, number(7)))
}

/// How many days lie between two times.
pub(super) fn days_between(to: &Expr, from: &Expr) -> Result<Expr> {
    Ok(call(&["kql", "datetime_diff"], [text("day"), time(to)?, time(from)?]))
}

/// The first argument of `DATEPART` and `DATETRUNC` as a text.
///
/// # Errors
/// It is none that all dialects have in the same way.
pub(super) fn settle_part(function: &str, first: &mut Expr) -> Result<()> {
    let named = match first {
        Expr::Identifier(Ident { value, .. }) => part(value),
        // A text is as the library knows it.
        _ => return Ok(()),
    };
    let is_trunc = function.ends_with("trunc");
    let part = match named {
        Some("iso_week") => "week",
        Some("doy") if is_trunc => "day",
        Some("week") if is_trunc => {
            return Err(refused(
                format!(
                    "{function} does not know the part {first}: a week of T-SQL begins on a Sunday, or as SET DATEFIRST says"
                ),
                "date_trunc('week', x) begins on Monday, kql.startofweek(x) on Sunday",
            ));
        }
        Some("week" | "weekday") | None => {
            return Err(refused(
                format!("{function} does not know the part {first}"),
                "date_part('dow', x), which is 0 on a Sunday, and 'week' for weeks of ISO 8601",
            ));
        }
        Some(part) => part,
    };
    *first = text(part);
    Ok(())
}

/// `DATE_TRUNC` with a word for its part, which stands first in Snowflake and last in BigQuery. `Ok(None)` where it has a text.
pub(super) fn trunc(function: &str, arguments: &[Expr]) -> Result<Option<Expr>> {
    let [first, second] = arguments else { return Ok(None) };
    if literal(first).is_some() {
        return Ok(None);
    }
    let is_big_query = function == "timestamp_trunc";
    let (part, of) = match (is_part(first) && !is_big_query, is_part(second)) {
        (false, false) => return Ok(None),
        (true, true) => {
            let what = format!("DATE_TRUNC({first}, {second}): either may be the part");
            return Err(refused(what, "date_trunc('month', x), with the part in quotes"));
        }
        (true, false) => (first, second),
        (false, true) => (second, first),
    };
    match part_of(part) {
        Some("week") => Err(refused(
            format!("{part} begins on another day in each dialect"),
            "date_trunc('week', x) begins on Monday, kql.startofweek(x) on Sunday",
        )),
        Some("iso_week") => Ok(Some(call(&["date_trunc"], [text("week"), time(of)?]))),
        Some(part @ ("year" | "quarter" | "month" | "day" | "hour" | "minute" | "second" | "millisecond" | "microsecond")) => {
            Ok(Some(call(&["date_trunc"], [text(part), time(of)?])))
        }
        _ => Err(refused(format!("{part} is no part that a time is cut to"), "date_trunc('month', x)")),
    }
}

/// The last day of a month, some months further.
pub(super) fn end_of_month(of: &Expr, months: Option<&Expr>) -> Result<Expr> {
    let months = match months.map(whole) {
        None => 0,
        Some(Some(months)) => months,
        Some(None) => return Err(refused("EOMONTH takes months that are written out", "kql.endofmonth(x, months)")),
    };
    let month = call(&["date_trunc"], [text("month"), time(of)?]);
    let next = binary(month, BinaryOperator::Plus, interval(&format!("{} month", months.saturating_add(1))));
    let last = binary(next, BinaryOperator::Minus, interval("1 day"));
    Ok(cast(CastKind::Cast, &last, DataType::Date))
}

/// `DATENAME`: a month and a day of the week have names, other parts numbers.
pub(super) fn name(part: &Expr, of: &Expr) -> Result<Expr> {
    let of = time(of)?;
    let form = |form: &str, of| call(&["to_char"], [of, text(form)]);
    Ok(match part_of(part) {
        Some("month") => form("%B", of),
        Some("weekday") => form("%A", of),
        Some(part @ ("year" | "quarter" | "day" | "doy" | "hour" | "minute" | "second")) => {
            let number = call(&["date_part"], [text(part), of]);
            cast(CastKind::Cast, &cast(CastKind::Cast, &number, DataType::BigInt(None)), DataType::Varchar(None))
        }
        _ => return Err(refused(format!("DATENAME does not know the part {part}"), "to_char(x, '%B'), date_part('week', x)")),
    })
}

/// `FORMAT` of .NET: a time in a form of letters.
pub(super) fn format(of: &Expr, form: &str) -> Result<Expr> {
    let Some(turned) = form_of_net(form) else {
        return Err(refused(
            format!("FORMAT takes a form of a time here, such as 'yyyy-MM-dd HH:mm', and '{form}' is none"),
            "to_char(x, '%Y-%m-%d') for a time, and round(x, 2) for a number",
        ));
    };
    Ok(call(&["to_char"], [time(of)?, text(&turned)]))
}

/// A form of .NET as `to_char` takes it. A form of one letter means another form, which differs from language to language.
fn form_of_net(form: &str) -> Option<String> {
    let (mut out, mut any, mut chars) = (String::new(), false, form.chars().peekable());
    while let Some(letter) = chars.next() {
        match letter {
            '\'' => loop {
                match chars.next()? {
                    '\'' => break,
                    '%' => out.push_str("%%"),
                    other => out.push(other),
                }
            },
            '\\' => out.push(chars.next()?),
            '%' => return None,
            letter if letter.is_ascii_alphabetic() => {
                let mut count = 1;
                while chars.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                if matches!(letter, 'T' | 'Z') && count == 1 {
                    out.push(letter);
                    continue;
                }
                out.push_str(match (letter, count) {
                    ('y', 4) => "%Y",
                    ('y', 2) => "%y",
                    ('M', 4) => "%B",
                    ('M', 3) => "%b",
                    ('M', 2) => "%m",
                    ('M', 1) => "%-m",
                    ('d', 4) => "%A",
                    ('d', 3) => "%a",
                    ('d', 2) => "%d",
                    ('d', 1) => "%-d",
                    ('H', 2) => "%H",
                    ('H', 1) => "%-H",
                    ('h', 2) => "%I",
                    ('h', 1) => "%-I",
                    ('m', 2) => "%M",
                    ('m', 1) => "%-M",
                    ('s', 2) => "%S",
                    ('s', 1) => "%-S",
                    ('f', 3) => "%3f",
                    ('f', 6) => "%6f",
                    ('t', 2) => "%p",
                    _ => return None,
                });
                any = true;
            }
            // Of numbers.
            '0' | '#' => return None,
            other => out.push(other),
        }
    }
    (any && form.chars().count() > 1).then_some(out)
}

/// `strftime`, whose form stands first in SQLite and last in DuckDB.
pub(super) fn strftime(arguments: &[Expr]) -> Result<Option<Expr>> {
    let [first, second] = arguments else { return Ok(None) };
    let is_form = |e: &Expr| literal(e).is_some_and(|form| form.contains('%'));
    let (form, of) = match (is_form(first), is_form(second)) {
        (true, false) => (first, second),
        (false, true) => (second, first),
        _ => return Ok(None),
    };
    Ok(Some(call(&["to_char"], [time(of)?, form.clone()])))
}

/// Refuses forms of `date_format` that MySQL reads in another way than `to_char`, whose other name it is here.
pub(super) fn check_form_of_my_sql(form: &str) -> Result<()> {
    let mut chars = form.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            continue;
        }
        match chars.next() {
            Some('Y' | 'y' | 'm' | 'd' | 'H' | 'I' | 'S' | 'T' | 'p' | 'b' | 'a' | 'j' | '%') => {}
            other => {
                let what = other.map(|other| format!("%{other}")).unwrap_or_default();
                return Err(refused(
                    format!("`{what}` means one thing to MySQL's DATE_FORMAT and another to to_char"),
                    "to_char(x, '%Y-%m-%d %H:%M') has %M for minutes, %B for the name of a month and %A for that of a day",
                ));
            }
        }
    }
    Ok(())
}

/// The forms of `CONVERT`'s styles.
const STYLES: [(i64, &str); 25] = [
    (8, "%H:%M:%S"),
    (20, "%Y-%m-%d %H:%M:%S"),
    (21, "%Y-%m-%d %H:%M:%S%.3f"),
    (23, "%Y-%m-%d"),
    (24, "%H:%M:%S"),
    (25, "%Y-%m-%d %H:%M:%S%.3f"),
    (101, "%m/%d/%Y"),
    (102, "%Y.%m.%d"),
    (103, "%d/%m/%Y"),
    (104, "%d.%m.%Y"),
    (105, "%d-%m-%Y"),
    (106, "%d %b %Y"),
    (107, "%b %d, %Y"),
    (108, "%H:%M:%S"),
    (110, "%m-%d-%Y"),
    (111, "%Y/%m/%d"),
    (112, "%Y%m%d"),
    (120, "%Y-%m-%d %H:%M:%S"),
    (121, "%Y-%m-%d %H:%M:%S%.3f"),
    (126, "%Y-%m-%dT%H:%M:%S%.3f"),
    (127, "%Y-%m-%dT%H:%M:%S%.3fZ"),
    (3, "%d/%m/%y"),
    (4, "%d.%m.%y"),
    (1, "%m/%d/%y"),
    (12, "%y%m%d"),
];

/// `CONVERT(varchar(n), time, style)`, with the text of the type last.
pub(super) fn convert(of: &Expr, style: &Expr, ty: &str) -> Result<Expr> {
    let form = whole(style).and_then(|style| STYLES.iter().find(|(known, _)| *known == style)).map(|(_, form)| *form);
    let (name, length) = ty.split_once('(').unwrap_or((ty, "max"));
    let is_text = ["varchar", "nvarchar", "char", "nchar"].contains(&name.trim().to_lowercase().as_str());
    match form {
        Some(form) if is_text => {
            let made = call(&["to_char"], [time(of)?, text(form)]);
            Ok(match length.trim_end_matches([')', ' ']).trim().parse::<u32>() {
                Ok(length) => call(&["left"], [made, number(length)]),
                Err(_) => made,
            })
        }
        Some(form) if name.trim().to_lowercase().contains("date") => Err(refused(
            format!("CONVERT of a text to {ty} by a style is not supported"),
            format!("to_timestamp(text, '{form}'), or to_date(text, '{form}')"),
        )),
        _ => Err(refused(
            format!("CONVERT to {ty} with the style {style} is not supported"),
            "the styles of times are 20, 23, 101 to 112, 120, 121 and 126; to_char(x, '%Y-%m-%d') takes any form",
        )),
    }
}

/// Zones whose time is that of the lake.
const UTC: [&str; 6] = ["utc", "etc/utc", "gmt", "z", "+00:00", "universal"];

/// `AT TIME ZONE`: what a clock of the zone shows.
pub(super) fn at_zone(of: &Expr, zone: &Expr) -> Result<Expr> {
    let Some(name) = literal(zone) else {
        return Err(refused("AT TIME ZONE takes a zone that is written out", "kql.datetime_utc_to_local(x, zone)"));
    };
    if UTC.contains(&name.to_lowercase().as_str()) {
        return time(of);
    }
    let is_local = matches!(of, Expr::TypedString(_))
        || literal(of).is_some()
        || matches!(of, Expr::Cast { expr, .. } if literal(expr).is_some());
    if is_local {
        return Err(refused(
            "AT TIME ZONE of a time that is written out: is it that of the zone, or of UTC?",
            format!(
                "kql.datetime_local_to_utc(x, '{name}') for a time of the zone, kql.datetime_utc_to_local(x, '{name}') for one of UTC"
            ),
        ));
    }
    if name.to_lowercase().ends_with(" time") {
        return Err(refused(format!("'{name}' is a zone of Windows"), "zones have names of IANA here, such as 'Europe/Berlin'"));
    }
    Ok(call(&["kql", "datetime_utc_to_local"], [time(of)?, zone.clone()]))
}

/// `CHOOSE(i, a, b)`
pub(super) fn choose(place: &Expr, values: &[Expr]) -> Expr {
    let mut made = None;
    for (at, value) in values.iter().enumerate().rev() {
        made = Some(case(binary(place.clone(), BinaryOperator::Eq, number(at + 1)), value.clone(), made));
    }
    made.unwrap_or_else(|| Expr::Identifier(Ident::new("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_dot_net_become_those_of_to_char() {
        for (form, expected) in [
            ("yyyy-MM-dd HH:mm:ss.fff", Some("%Y-%m-%d %H:%M:%S.%3f")),
            ("d. MMMM yyyy 'um' h:mm tt", Some("%-d. %B %Y um %-I:%M %p")),
            ("yyyyMMdd", Some("%Y%m%d")),
            ("d", None),
            ("N2", None),
            ("0.00", None),
            ("#,##0", None),
            ("q", None),
        ] {
            assert_eq!(form_of_net(form).as_deref(), expected, "{form}");
        }
    }
}
