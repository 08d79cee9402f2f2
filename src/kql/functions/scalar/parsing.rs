//! Parsing of texts with a structure of their own: URLs, paths, CSV, XML, command lines and JSON by path.

use roxmltree::{Document, Node};

use super::conversion::convert;
use super::regexes::typed;
use crate::functions::kernels::{TextArg, text_of, text_of_ref};
use crate::functions::{ArgInfo, ArgType, ColumnFn, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::columns::ColumnBuilder;
use kqlake_value::json::display::push_display;
use kqlake_value::json::path_text::{self, Root};
use kqlake_value::json::{self, Path, PathStep};
use kqlake_value::text_column::TextBuilder;
use kqlake_value::{Json, Type, Value, ValueRef};

const DYNAMIC: Returns = Returns::Type(Type::Dynamic);

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new("parse_url", &[Param::req("url", ArgType::String)], DYNAMIC, ScalarImpl::Row(|args| with_text(args, parse_url)), "The parts of a URL as a bag.")
        .aliases(&["parseurl"]),
    ScalarFn::new(
        "parse_urlquery",
        &[Param::req("query", ArgType::String)],
        DYNAMIC,
        ScalarImpl::Row(|args| with_text(args, |query| Value::Dynamic(bag([("Query Parameters", parameters(query))])))),
        "The parameters of a URL's query as a bag.",
    )
    .aliases(&["parseurlquery"]),
    ScalarFn::new("parse_path", &[Param::req("path", ArgType::String)], DYNAMIC, ScalarImpl::Row(|args| with_text(args, parse_path)), "The parts of a file's path as a bag."),
    ScalarFn::new(
        "parse_version",
        &[Param::req("version", ArgType::String)],
        Returns::Type(Type::Decimal),
        ScalarImpl::Row(|args| with_text(args, parse_version)),
        "A version of up to four parts as a number that compares like it: Kusto's number divided by 10^18, for which decimals have room.",
    )
    .caution("the number is Kusto's divided by 10^18: it compares with other versions as Kusto's does, not with other numbers"),
    ScalarFn::new(
        "parse_csv",
        &[Param::req("csv_text", ArgType::StringOrDynamic)],
        DYNAMIC,
        ScalarImpl::Row(|args| with_text(args, parse_csv)),
        "The fields of the first record of a CSV text as an array.",
    )
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "parse_xml",
        &[Param::req("xml", ArgType::StringOrDynamic)],
        DYNAMIC,
        ScalarImpl::Row(|args| with_text(args, parse_xml)),
        "An XML text as a bag: attributes are keys with `@`, text is `#text`, repeated elements are arrays; null if it is no XML.",
    )
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "parse_command_line",
        &[Param::req("command_line", ArgType::StringOrDynamic), Param::req("parser_type", ArgType::String).constant()],
        Returns::With(|args| match args[1].constant.as_ref().map(text_of).as_deref() {
            Some("windows") => Ok(Type::Dynamic),
            _ => Err("the only kind of command line is \"windows\"".into()),
        }),
        ScalarImpl::Row(|args| with_text(args, parse_command_line)),
        "The arguments of a Windows command line as an array.",
    ),
    ScalarFn::new(
        "extract_json",
        &[Param::req("jsonPath", ArgType::String).constant(), Param::req("dataSource", ArgType::StringOrDynamic), Param::opt("type", ArgType::TypeLiteral)],
        Returns::With(|args| typed(args, 2)),
        ScalarImpl::Kernel(extract_json),
        "What a JSON text holds at a path, as text or converted to a type.",
    )
    .aliases(&["extractjson"]),
    ScalarFn::new(
        "format_bytes",
        &[Param::req("size", ArgType::Number), Param::opt("precision", ArgType::Number).constant(), Param::opt("units", ArgType::String).constant()],
        Returns::With(|args| match args.get(2).and_then(|u| u.constant.as_ref()).map(text_of) {
            Some(unit) if !unit.is_empty() && !UNITS.contains(&unit.as_str()) => Err(format!("there is no unit '{unit}': use {}", UNITS.join(", "))),
            _ => Ok(Type::String),
        }),
        ScalarImpl::Row(format_bytes),
        "A number of bytes in the unit that suits it, or in a given one.",
    )
    .naming(Naming::FirstArg),
];

/// Hands the first argument's text over; empty text gives null.
fn with_text(args: &[ValueRef<'_>], f: impl FnOnce(&str) -> Value) -> Value {
    match args.first().map(|text| text_of_ref(*text)) {
        Some(text) if !text.is_empty() => f(&text),
        _ => Value::Null,
    }
}

/// A bag in the order of its entries.
fn bag<const N: usize>(entries: [(&str, Json); N]) -> Json {
    Json::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// One to four numbers of up to eight digits with points between them, each worth 10^8 times the next; parts that are missing are
/// zero, and what is no version is null (Kusto documentation, "parse_version()"). Kusto's number has up to 32 digits before the
/// point: it is counted in the least unit of a decimal, which keeps the order.
fn parse_version(text: &str) -> Value {
    let parts: Vec<&str> = text.trim().split('.').collect();
    let is_part = |part: &&str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if parts.len() > 4 || !parts.iter().all(is_part) {
        return Value::Null;
    }
    let number = |at: usize| parts.get(at).and_then(|part| part.parse::<i128>().ok()).unwrap_or(0);
    Value::Decimal((0..4).fold(0, |version, at| version * 100_000_000 + number(at)))
}

/// `k1=v1&k2=v2` as a bag.
fn parameters(query: &str) -> Json {
    let query = query.strip_prefix('?').unwrap_or(query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    Json::Object(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (k.to_owned(), v.into())).collect())
}

/// The parts of RFC 3986, appendix B, with user and port removed from the host.
fn parse_url(url: &str) -> Value {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && !scheme.contains('/') => (scheme, rest),
        _ => ("", rest),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    // The colons of an IPv6 address are in brackets.
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (host, ""),
    };
    Value::Dynamic(bag([
        ("Scheme", scheme.into()),
        ("Host", host.into()),
        ("Port", port.into()),
        ("Path", path.into()),
        ("Username", name.into()),
        ("Password", password.into()),
        ("Query Parameters", parameters(query)),
        ("Fragment", fragment.into()),
    ]))
}

fn parse_path(path: &str) -> Value {
    let is_separator = |c: char| c == '/' || c == '\\';
    let (scheme, rest) = path.split_once("://").unwrap_or(("", path));
    let drive = matches!(rest.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    let root = if drive { &rest[..3] } else { "" };
    // A second stream of a file is behind a colon in its name.
    let name_from = rest.rfind(is_separator).map_or(0, |at| at + 1);
    let (file, stream) = rest[name_from..].split_once(':').unwrap_or((&rest[name_from..], ""));
    let directory = &rest[..name_from];
    let directory = if directory.len() <= root.len().max(1) { directory } else { &directory[..name_from - 1] };
    let directory_name = if directory == root { "" } else { directory.rsplit(is_separator).next().unwrap_or("") };
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    Value::Dynamic(bag([
        ("Scheme", scheme.into()),
        ("RootPath", root.into()),
        ("DirectoryPath", directory.into()),
        ("DirectoryName", directory_name.into()),
        ("Filename", file.into()),
        ("Extension", extension.into()),
        ("AlternateDataStreamName", stream.into()),
    ]))
}

/// RFC 4180.
fn parse_csv(text: &str) -> Value {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => Value::Dynamic(record.iter().map(Json::from).collect()),
        _ => Value::Null,
    }
}

fn parse_xml(text: &str) -> Value {
    /// Elements nested deeper than this make null of the document, as the rest of the engine makes of such JSON.
    const DEEPEST: usize = 100;
    let Ok(document) = Document::parse(text.trim_start()) else { return Value::Null };
    let root = document.root_element();
    match element(root, DEEPEST) {
        Some(content) => Value::Dynamic(bag([(qualified(root).as_str(), content)])),
        None => Value::Null,
    }
}

/// An element's name with its prefix, as it was written.
fn qualified(node: Node<'_, '_>) -> String {
    let name = node.tag_name();
    match name.namespace().and_then(|uri| node.lookup_prefix(uri)) {
        Some(prefix) if !prefix.is_empty() => format!("{prefix}:{}", name.name()),
        _ => name.name().to_owned(),
    }
}

/// An element's content: null, a text, or a bag.
fn element(node: Node<'_, '_>, depth: usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    let mut entries = serde_json::Map::new();
    for attribute in node.attributes() {
        entries.insert(format!("@{}", attribute.name()), attribute.value().into());
    }
    let mut text = String::new();
    for child in node.children() {
        if child.is_element() {
            let (name, content) = (qualified(child), element(child, depth)?);
            match entries.get_mut(&name) {
                None => {
                    entries.insert(name, content);
                }
                // An element's own content is never an array.
                Some(Json::Array(several)) => several.push(content),
                Some(first) => {
                    let before = first.take();
                    *first = Json::Array(vec![before, content]);
                }
            }
        } else if let Some(piece) = child.text().filter(|_| child.is_text()) {
            text.push_str(piece);
            if !piece.trim_ascii().is_empty() {
                // Its place among the children.
                entries.insert("#text".to_owned(), Json::Null);
            }
        }
    }
    let only_text = entries.keys().all(|key| key == "#text");
    if only_text {
        return Some(if text.is_empty() { Json::Null } else { text.into() });
    }
    if let Some(place) = entries.get_mut("#text") {
        *place = text.trim().into();
    }
    Some(Json::Object(entries))
}

/// The rules of `CommandLineToArgvW`: 2n backslashes before a quote are n, and the quote opens or closes; 2n+1 are n and the
/// quote stands for itself; other backslashes stand for themselves.
fn parse_command_line(text: &str) -> Value {
    let mut arguments: Vec<Json> = Vec::new();
    let mut current: Option<String> = None;
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' if !quoted => arguments.extend(current.take().map(Json::from)),
            '"' => {
                let argument = current.get_or_insert_default();
                if quoted && chars.peek() == Some(&'"') {
                    chars.next();
                    argument.push('"');
                } else {
                    quoted = !quoted;
                }
            }
            '\\' => {
                let argument = current.get_or_insert_default();
                let mut count = 1;
                while chars.next_if_eq(&'\\').is_some() {
                    count += 1;
                }
                if chars.peek() == Some(&'"') {
                    argument.extend(std::iter::repeat_n('\\', count / 2));
                    if count % 2 == 1 {
                        chars.next();
                        argument.push('"');
                    }
                } else {
                    argument.extend(std::iter::repeat_n('\\', count));
                }
            }
            _ => current.get_or_insert_default().push(c),
        }
    }
    arguments.extend(current.map(Json::from));
    Value::Dynamic(Json::Array(arguments))
}

fn extract_json(args: &[ArgInfo], returns: Type) -> Result<ColumnFn, String> {
    let text = args[0].constant.as_ref().map(text_of).ok_or("the path must be a constant")?;
    let steps = path_text::parse(&text, Root::Optional)
        .ok_or_else(|| format!("'{text}' is no JSON path; write it as $.name[0]['other name']"))?;
    let steps: Vec<PathStep> = steps.into_iter().map(PathStep::from).collect();
    let path = Path::new(&steps);
    let source = TextArg::new(&args[1]);
    Ok(Box::new(move |arrays, rows| {
        let sources = source.open(&arrays[1])?;
        if returns == Type::String {
            let mut out = TextBuilder::new(rows);
            let mut buffer = String::new();
            for row in 0..rows {
                buffer.clear();
                if let Some(part) = path.get(sources.get(row)) {
                    push_display(&mut buffer, part);
                }
                out.push(&buffer);
            }
            return out.finish();
        }
        let mut out = ColumnBuilder::new(returns, rows);
        for row in 0..rows {
            out.push(
                &path.get(sources.get(row)).map_or(Value::Null, |part| convert(ValueRef::Dynamic(&json::compact(part)), returns)),
            );
        }
        out.finish()
    }))
}

/// Units of format_bytes(), each 1,024 times the one before.
const UNITS: [&str; 7] = ["Bytes", "KB", "MB", "GB", "TB", "PB", "EB"];

fn format_bytes(args: &[ValueRef<'_>]) -> Value {
    let Some(size) = args.first().and_then(|v| v.as_f64()) else { return Value::String(String::new()) };
    let precision = args.get(1).and_then(|v| v.as_f64()).unwrap_or(0.0).clamp(0.0, 15.0) as usize;
    let wanted = args.get(2).and_then(|v| v.as_str()).and_then(|unit| UNITS.iter().position(|u| *u == unit));
    let fitting = || (0..UNITS.len() - 1).take_while(|power| size.abs() >= 1024f64.powi(*power as i32 + 1)).count();
    let power = wanted.unwrap_or_else(fitting);
    Value::String(format!("{:.precision$} {}", size / 1024f64.powi(power as i32), UNITS[power]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: Value) -> String {
        text_of(&value)
    }

    #[test]
    fn urls() {
        assert_eq!(
            shown(parse_url("scheme://user:pass@host:1234/this/is?k1=v1&k2=v=2#frag")),
            r#"{"Scheme":"scheme","Host":"host","Port":"1234","Path":"/this/is","Username":"user","Password":"pass","Query Parameters":{"k1":"v1","k2":"v=2"},"Fragment":"frag"}"#
        );
        let part = |url: &str, key: &str| match parse_url(url) {
            Value::Dynamic(json) => json[key].as_str().unwrap_or("?").to_owned(),
            _ => String::new(),
        };
        assert_eq!(part("https://[::1]:80/x", "Host"), "[::1]");
        assert_eq!(part("https://example.com", "Host"), "example.com");
        assert_eq!(part("example.com/a:b", "Path"), "example.com/a:b");
    }

    #[test]
    fn paths() {
        for (path, want) in [
            (r"C:\temp\file.txt", ["", r"C:\", r"C:\temp", "temp", "file.txt", "txt", ""]),
            (r"temp\file.txt", ["", "", "temp", "temp", "file.txt", "txt", ""]),
            ("file://C:/temp/file.txt:some.exe", ["file", "C:/", "C:/temp", "temp", "file.txt", "txt", "some.exe"]),
            (r"\\shared\users\temp\file.txt.gz", ["", "", r"\\shared\users\temp", "temp", "file.txt.gz", "gz", ""]),
            ("/usr/lib/temp/file.txt", ["", "", "/usr/lib/temp", "temp", "file.txt", "txt", ""]),
            (r"C:\file", ["", r"C:\", r"C:\", "", "file", "", ""]),
            ("file", ["", "", "", "", "file", "", ""]),
        ] {
            let Value::Dynamic(Json::Object(parts)) = parse_path(path) else { panic!() };
            assert_eq!(parts.values().map(|v| v.as_str().unwrap()).collect::<Vec<_>>(), want, "{path}");
        }
    }

    #[test]
    fn records_and_command_lines() {
        assert_eq!(shown(parse_csv("a,\"b \"\"q\"\", c\",\nd")), r#"["a","b \"q\", c",""]"#);
        for (line, want) in [
            (r#"echo "hello world!" print$?"#, r#"["echo","hello world!","print$?"]"#),
            (r#"a\\b d"e f"g h"#, r#"["a\\\\b","de fg","h"]"#),
            (r#"a\\\"b c d"#, r#"["a\\\"b","c","d"]"#),
            (r#"a\\\\"b c" """#, r#"["a\\\\b c",""]"#),
            ("", "[]"),
        ] {
            assert_eq!(shown(parse_command_line(line)), want, "{line}");
        }
    }

    #[test]
    fn xml() {
        for (xml, want) in [
            ("<e/>", r#"{"e":null}"#),
            ("<e>text</e>", r#"{"e":"text"}"#),
            ("<e name=\"value\"/>", r#"{"e":{"@name":"value"}}"#),
            ("<e name='v'>text</e>", "{\"e\":{\"@name\":\"v\",\"#text\":\"text\"}}"),
            ("<e> <a>1</a> <a>2</a> <b><![CDATA[<x>]]></b></e>", r#"{"e":{"a":["1","2"],"b":"<x>"}}"#),
            ("<e> text <a>t</a></e>", "{\"e\":{\"#text\":\"text\",\"a\":\"t\"}}"),
            ("<e><a>t</a>text</e>", "{\"e\":{\"a\":\"t\",\"#text\":\"text\"}}"),
            ("<a", ""),
        ] {
            assert_eq!(shown(parse_xml(xml)), want, "{xml}");
        }
        assert_eq!(parse_xml(&("<a>".repeat(500) + &"</a>".repeat(500))), Value::Null);
    }

    #[test]
    fn sizes() {
        let bytes = |args: &[ValueRef<'_>]| shown(format_bytes(args));
        assert_eq!(bytes(&[ValueRef::Long(564)]), "564 Bytes");
        assert_eq!(bytes(&[ValueRef::Long(10332), ValueRef::Long(1)]), "10.1 KB");
        assert_eq!(bytes(&[ValueRef::Long(20_010_332), ValueRef::Long(0), ValueRef::String("KB")]), "19541 KB");
        assert_eq!(bytes(&[ValueRef::Long(20_010_332), ValueRef::Long(0), ValueRef::String("")]), "19 MB");
    }
}
