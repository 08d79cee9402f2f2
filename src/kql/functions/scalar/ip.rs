//! IP addresses: parsing, comparing, ranges, and addresses within text.
//!
//! An address may carry the length of its network (`192.168.1.0/24`). Where several lengths are given, the shortest counts.
//! What is no address gives null (for text results the empty text). Source: the Kusto documentation's page of each function.
//!
//! Networks are those of the `ipnet` crate. Texts are read here: neither it nor the standard library takes leading zeros, an
//! address without the length of its network, or a length that counts the bits of an IPv4 end.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv4Subnets, Ipv6Net};

use super::arrays::array;
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef, json};

const BOOL: Returns = Returns::Type(Type::Bool);
const LONG: Returns = Returns::Type(Type::Long);
const TEXT: Returns = Returns::Type(Type::String);

const ONE: &[Param] = &[Param::req("ip", ArgType::String)];
const COMPARED: &[Param] =
    &[Param::req("ip1", ArgType::String), Param::req("ip2", ArgType::String), Param::opt("prefix", ArgType::Integer)];
const MASKED: &[Param] = &[Param::req("ip", ArgType::String), Param::req("prefix", ArgType::Integer)];
const RANGE: &[Param] = &[Param::req("ip", ArgType::String), Param::req("ip_range", ArgType::String)];
const RANGES: &[Param] = &[Param::req("ip", ArgType::StringOrDynamic), Param::req("ranges", ArgType::StringOrDynamic)];
const IN_TEXT: &[Param] = &[Param::req("source", ArgType::StringOrDynamic), Param::req("ip", ArgType::String)];
const ANY_IN_TEXT: &[Param] = &[Param::req("source", ArgType::StringOrDynamic), Param::req("ips", ArgType::StringOrDynamic)];

/// The functions of IP addresses.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "format_ipv4",
        &[Param::req("ip", ArgType::OneOf(&[Type::String, Type::Int, Type::Long])), Param::opt("prefix", ArgType::Integer)],
        TEXT,
        ScalarImpl::Text(|args, out| format_v4(args, out, false)),
        "An IPv4 address as text, without the bits behind a network's length.",
    ),
    ScalarFn::new(
        "format_ipv4_mask",
        &[Param::req("ip", ArgType::OneOf(&[Type::String, Type::Int, Type::Long])), Param::opt("prefix", ArgType::Integer)],
        TEXT,
        ScalarImpl::Text(|args, out| format_v4(args, out, true)),
        "An IPv4 network in CIDR notation.",
    ),
    ScalarFn::new(
        "has_any_ipv4",
        ANY_IN_TEXT,
        BOOL,
        ScalarImpl::Row(|args| has_any(args, false)),
        "True when a text holds any of several IPv4 addresses.",
    )
    .variadic(),
    ScalarFn::new(
        "has_any_ipv4_prefix",
        ANY_IN_TEXT,
        BOOL,
        ScalarImpl::Row(|args| has_any(args, true)),
        "True when a text holds an IPv4 address that starts with any of several prefixes.",
    )
    .variadic(),
    ScalarFn::new(
        "has_ipv4",
        IN_TEXT,
        BOOL,
        ScalarImpl::Row(|args| has_any(args, false)),
        "True when a text holds an IPv4 address.",
    ),
    ScalarFn::new(
        "has_ipv4_prefix",
        IN_TEXT,
        BOOL,
        ScalarImpl::Row(|args| has_any(args, true)),
        "True when a text holds an IPv4 address that starts with a prefix.",
    ),
    ScalarFn::new(
        "ipv4_compare",
        COMPARED,
        LONG,
        ScalarImpl::Row(compare_v4),
        "-1, 0 or 1 as an IPv4 address is below, equal to or above another.",
    ),
    ScalarFn::new(
        "ipv4_is_in_any_range",
        RANGES,
        BOOL,
        ScalarImpl::Row(|args| in_any_range(args, in_range_v4)),
        "True when an IPv4 address is in any of several networks.",
    )
    .variadic(),
    ScalarFn::new(
        "ipv4_is_in_range",
        RANGE,
        BOOL,
        ScalarImpl::Row(|args| in_range(args, in_range_v4)),
        "True when an IPv4 address is in a network.",
    ),
    ScalarFn::new(
        "ipv4_is_match",
        COMPARED,
        BOOL,
        ScalarImpl::Row(|args| matches(&compare_v4(args))),
        "True when two IPv4 addresses are in the same network.",
    ),
    ScalarFn::new(
        "ipv4_is_private",
        ONE,
        BOOL,
        ScalarImpl::Row(is_private),
        "True when an IPv4 address belongs to a private network (RFC 1918).",
    ),
    ScalarFn::new(
        "ipv4_netmask_suffix",
        ONE,
        LONG,
        ScalarImpl::Row(|args| text(args[0]).and_then(parse_v4).map_or(Value::Null, |net| Value::Long(net.prefix_len().into()))),
        "The length of an IPv4 address' network; 32 when none is given.",
    ),
    ScalarFn::new(
        "ipv4_range_to_cidr_list",
        &[Param::req("start_ip", ArgType::String), Param::req("end_ip", ArgType::String)],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(cidr_list),
        "The networks that make up a range of IPv4 addresses.",
    ),
    ScalarFn::new(
        "ipv6_compare",
        COMPARED,
        LONG,
        ScalarImpl::Row(compare_v6),
        "-1, 0 or 1 as an IPv6 or IPv4 address is below, equal to or above another.",
    ),
    ScalarFn::new(
        "ipv6_is_in_any_range",
        RANGES,
        BOOL,
        ScalarImpl::Row(|args| in_any_range(args, in_range_v6)),
        "True when an IPv6 or IPv4 address is in any of several networks.",
    )
    .variadic(),
    ScalarFn::new(
        "ipv6_is_in_range",
        RANGE,
        BOOL,
        ScalarImpl::Row(|args| in_range(args, in_range_v6)),
        "True when an IPv6 or IPv4 address is in a network.",
    ),
    ScalarFn::new(
        "ipv6_is_match",
        COMPARED,
        BOOL,
        ScalarImpl::Row(|args| matches(&compare_v6(args))),
        "True when two IPv6 or IPv4 addresses are in the same network.",
    ),
    ScalarFn::new(
        "parse_ipv4",
        ONE,
        LONG,
        ScalarImpl::Row(|args| parse_v4_masked(text(args[0]), Some(32))),
        "The number of an IPv4 address.",
    ),
    ScalarFn::new(
        "parse_ipv4_mask",
        MASKED,
        LONG,
        ScalarImpl::Row(|args| parse_v4_masked(text(args[0]), args[1].as_i64())),
        "The number of an IPv4 address without the bits behind a network's length.",
    ),
    ScalarFn::new(
        "parse_ipv6",
        ONE,
        TEXT,
        ScalarImpl::Text(|args, out| parse_v6_masked(text(args[0]), Some(128), out)),
        "The full spelling of an IPv6 or IPv4 address.",
    ),
    ScalarFn::new(
        "parse_ipv6_mask",
        MASKED,
        TEXT,
        ScalarImpl::Text(|args, out| parse_v6_masked(text(args[0]), args[1].as_i64(), out)),
        "The full spelling of an IPv6 or IPv4 address without the bits behind a network's length.",
    ),
];

/// The text of a string or of a dynamic string.
fn text(value: ValueRef<'_>) -> Option<std::borrow::Cow<'_, str>> {
    match value {
        ValueRef::String(text) => Some(text.into()),
        ValueRef::Dynamic(text) => Some(json::unquote(text)),
        _ => None,
    }
}

/// Splits off the length of the network; `None` when it is no number up to `full`.
fn split_length(text: &str, full: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        None => Some((text, full)),
        Some((address, length)) if length.bytes().all(|b| b.is_ascii_digit()) => {
            length.parse().ok().filter(|length| *length <= full).map(|length| (address, length))
        }
        Some(_) => None,
    }
}

/// An IPv4 address in dotted form, leading zeros allowed.
fn address_v4(text: &str) -> Option<Ipv4Addr> {
    let mut address = 0u32;
    let mut parts = 0;
    for part in text.split('.') {
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        address = address.checked_shl(8)? | u32::from(part.parse::<u8>().ok()?);
        parts += 1;
    }
    (parts == 4).then_some(address.into())
}

/// An IPv4 address and the length of its network.
fn parse_v4(text: impl AsRef<str>) -> Option<Ipv4Net> {
    let (address, length) = split_length(text.as_ref().trim(), 32)?;
    Ipv4Net::new(address_v4(address)?, length).ok()
}

/// The address without the bits behind a network's length, which is 32 at most.
fn masked_v4(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    Ipv4Net::new(address, length).map_or(address, |net| net.network())
}

/// The shorter of an own and a given length of the network; `None` when the given one is out of its range.
fn shorter_prefix(own: u8, given: Option<i64>, full: u8) -> Option<u8> {
    let given = u8::try_from(given?).ok().filter(|g| *g <= full)?;
    Some(own.min(given))
}

fn parse_v4_masked(text: Option<impl AsRef<str>>, length: Option<i64>) -> Value {
    let masked =
        text.and_then(parse_v4).and_then(|net| Some(masked_v4(net.addr(), shorter_prefix(net.prefix_len(), length, 32)?)));
    masked.map_or(Value::Null, |address| Value::Long(address.to_bits().into()))
}

fn format_v4(args: &[ValueRef<'_>], out: &mut String, with_length: bool) -> bool {
    let given = match args.get(1) {
        None => Some(32),
        Some(length) => length.as_i64(),
    };
    let parsed = match args[0] {
        ValueRef::Int(_) | ValueRef::Long(_) => {
            args[0].as_i64().and_then(|v| u32::try_from(v).ok()).map(|address| Ipv4Net::from(Ipv4Addr::from(address)))
        }
        other => text(other).and_then(parse_v4),
    };
    let Some((net, length)) = parsed.and_then(|net| Some((net, shorter_prefix(net.prefix_len(), given, 32)?))) else {
        return false;
    };
    out.push_str(&masked_v4(net.addr(), length).to_string());
    if with_length {
        out.push_str(&format!("/{length}"));
    }
    true
}

/// The prefix argument of a comparison; absent it is the whole address.
fn prefix_argument(args: &[ValueRef<'_>], full: i64) -> Option<i64> {
    args.get(2).map_or(Some(full), |length| length.as_i64())
}

fn compare_v4(args: &[ValueRef<'_>]) -> Value {
    let parsed = || {
        let (a, b) = (parse_v4(text(args[0])?)?, parse_v4(text(args[1])?)?);
        let length = shorter_prefix(a.prefix_len().min(b.prefix_len()), prefix_argument(args, 32), 32)?;
        Some(masked_v4(a.addr(), length).cmp(&masked_v4(b.addr(), length)))
    };
    parsed().map_or(Value::Null, |of| Value::Long(of as i64))
}

fn matches(compared: &Value) -> Value {
    match compared {
        Value::Long(of) => Value::Bool(*of == 0),
        _ => Value::Null,
    }
}

fn in_range_v4(ip: &str, range: &str) -> Option<bool> {
    let (address, range) = (parse_v4(ip)?, parse_v4(range)?);
    Some(range.contains(&address.network()))
}

fn in_range(args: &[ValueRef<'_>], test: fn(&str, &str) -> Option<bool>) -> Value {
    match (text(args[0]), text(args[1])) {
        (Some(ip), Some(range)) => test(&ip, &range).map_or(Value::Null, Value::Bool),
        _ => Value::Null,
    }
}

/// The texts of string arguments and of dynamic arrays of strings.
fn each_text(args: &[ValueRef<'_>], mut f: impl FnMut(&str)) {
    for arg in args {
        match array(*arg) {
            Some(elements) => elements.iter().filter(|e| e.starts_with('"')).for_each(|e| f(&json::unquote(e))),
            None => {
                if let Some(text) = text(*arg) {
                    f(&text);
                }
            }
        }
    }
}

/// True when any range holds the address, false when none of the well-formed ones does, null when there is nothing to test.
fn in_any_range(args: &[ValueRef<'_>], test: fn(&str, &str) -> Option<bool>) -> Value {
    let Some(ip) = text(args[0]) else { return Value::Null };
    let mut result = None;
    each_text(&args[1..], |range| {
        if result != Some(true) {
            result = test(&ip, range).or(result);
        }
    });
    result.map_or(Value::Null, Value::Bool)
}

fn is_private(args: &[ValueRef<'_>]) -> Value {
    const PRIVATE: [Ipv4Net; 3] = [
        Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
        Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
        Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    ];
    let Some(net) = text(args[0]).and_then(parse_v4) else { return Value::Null };
    Value::Bool(PRIVATE.iter().any(|private| private.contains(&net)))
}

fn cidr_list(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let (Some(start), Some(end)) = (text(args[0]).and_then(parse_v4), text(args[1]).and_then(parse_v4)) else {
        return false;
    };
    if start.addr() > end.addr() {
        return false;
    }
    out.push('[');
    for (i, net) in Ipv4Subnets::new(start.addr(), end.addr(), 0).enumerate() {
        out.push_str(&format!("{}\"{net}\"", if i > 0 { "," } else { "" }));
    }
    out.push(']');
    true
}

/// An address on the scale of IPv6.
#[derive(Debug, Clone, Copy)]
struct V6 {
    net: Ipv6Net,
    /// Written with an IPv4 address at its end; such an address also stands for its mapped form.
    dotted: bool,
}

/// Leading bits of an IPv4 address on the scale of IPv6.
const MAPPED_BITS: u8 = 96;

/// An IPv6 address, an IPv4 address, or an IPv6 address with an IPv4 end. In the last two the length counts the bits of IPv4.
fn parse_v6(text: impl AsRef<str>) -> Option<V6> {
    let text = text.as_ref().trim();
    if !text.contains(':') {
        let net = parse_v4(text)?;
        let net = Ipv6Net::new(net.addr().to_ipv6_mapped(), net.prefix_len() + MAPPED_BITS).ok()?;
        return Some(V6 { net, dotted: true });
    }
    let dotted = text.contains('.');
    let (address, length) = split_length(text, 128)?;
    let length = if !text.contains('/') {
        128
    } else if dotted && length <= 32 {
        length + MAPPED_BITS
    } else {
        length
    };
    let address = address.split_once('%').map_or(address, |(address, _zone)| address);
    Some(V6 { net: Ipv6Net::new(address.parse().ok()?, length).ok()?, dotted })
}

impl V6 {
    /// For comparisons an address with an IPv4 end is the mapped IPv4 address.
    fn mapped(self) -> Ipv6Net {
        match self.net.addr().segments() {
            [0, 0, 0, 0, 0, 0, high, low] if self.dotted => {
                let address = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low);
                Ipv6Net::new(address, self.net.prefix_len()).unwrap_or(self.net)
            }
            _ => self.net,
        }
    }
}

/// The address without the bits behind a network's length, which is 128 at most.
fn masked_v6(net: Ipv6Net, length: u8) -> Ipv6Addr {
    Ipv6Net::new(net.addr(), length).map_or(net.addr(), |net| net.network())
}

fn compare_v6(args: &[ValueRef<'_>]) -> Value {
    let parsed = || {
        let (a, b) = (parse_v6(text(args[0])?)?.mapped(), parse_v6(text(args[1])?)?.mapped());
        let length = shorter_prefix(a.prefix_len().min(b.prefix_len()), prefix_argument(args, 128), 128)?;
        Some(masked_v6(a, length).cmp(&masked_v6(b, length)))
    };
    parsed().map_or(Value::Null, |of| Value::Long(of as i64))
}

fn in_range_v6(ip: &str, range: &str) -> Option<bool> {
    let (address, range) = (parse_v6(ip)?.mapped(), parse_v6(range)?.mapped());
    Some(range.contains(&address.network()))
}

fn parse_v6_masked(text: Option<impl AsRef<str>>, length: Option<i64>, out: &mut String) -> bool {
    let masked = text.and_then(parse_v6).and_then(|v| Some(masked_v6(v.net, shorter_prefix(v.net.prefix_len(), length, 128)?)));
    let Some(address) = masked else { return false };
    for (i, group) in address.segments().iter().enumerate() {
        if i > 0 {
            out.push(':');
        }
        out.push_str(&format!("{group:04x}"));
    }
    true
}

/// True when the text holds the address (or one that starts with the prefix) between characters that are no letters and digits.
fn has_address(source: &str, wanted: &str, prefix: bool) -> bool {
    let whole = address_v4(wanted).is_some();
    let is_prefix = prefix && wanted.ends_with('.') && {
        let parts = wanted.matches('.').count();
        let filled = format!("{wanted}{}", ["0.0.0", "0.0", "0"].get(parts.wrapping_sub(1)).unwrap_or(&"."));
        address_v4(&filled).is_some()
    };
    if !whole && !is_prefix {
        return false;
    }
    let mut from = 0;
    while let Some(at) = source[from..].find(wanted).map(|at| at + from) {
        let opens = source[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '.');
        // The address is what runs on in digits and points.
        let rest = &source[at..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let closes = rest[end..].chars().next().is_none_or(|c| !c.is_alphanumeric());
        // A point behind the address ends a sentence.
        let found = rest[..end].trim_end_matches('.');
        if opens && closes && address_v4(found).is_some() && (is_prefix || found == wanted) {
            return true;
        }
        from = at + 1;
    }
    false
}

fn has_any(args: &[ValueRef<'_>], prefix: bool) -> Value {
    let Some(source) = text(args[0]) else { return Value::Bool(false) };
    let mut found = false;
    each_text(&args[1..], |wanted| found = found || has_address(&source, wanted, prefix));
    Value::Bool(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ValueRef::{Dynamic, Long, String as S};

    fn call(name: &str, args: &[ValueRef<'_>]) -> String {
        match FUNCTIONS.iter().find(|f| f.name == name).unwrap().imp {
            ScalarImpl::Text(f) => {
                let mut out = String::new();
                if f(args, &mut out) { out } else { "null".to_owned() }
            }
            ScalarImpl::Row(f) => match f(args) {
                Value::Null => "null".to_owned(),
                Value::Long(v) => v.to_string(),
                Value::Bool(v) => v.to_string(),
                other => format!("{other:?}"),
            },
            _ => String::new(),
        }
    }

    #[test]
    fn addresses_are_parsed_compared_and_written() {
        for (name, args, expected) in [
            ("parse_ipv4", vec![S("127.0.0.1")], "2130706433"),
            ("parse_ipv4", vec![S("192.1.168.2/24")], "3221334016"),
            ("parse_ipv4", vec![S("1.2.3")], "null"),
            ("parse_ipv4", vec![S("1.2.3.256")], "null"),
            ("parse_ipv4_mask", vec![S("127.0.0.1"), Long(24)], "2130706432"),
            ("parse_ipv4_mask", vec![S("127.0.0.1"), Long(33)], "null"),
            ("format_ipv4", vec![Long(3232235777), Long(24)], "192.168.1.0"),
            ("format_ipv4", vec![S("192.168.1.1/24"), Long(-1)], "null"),
            ("format_ipv4_mask", vec![S("192.168.1.1/24"), Long(32)], "192.168.1.0/24"),
            ("ipv4_compare", vec![S("192.168.1.1"), S("192.168.1.255")], "-1"),
            ("ipv4_compare", vec![S("192.168.1.1/30"), S("192.168.1.255/24")], "0"),
            ("ipv4_is_match", vec![S("192.168.1.1"), S("192.168.1.0"), Long(31)], "true"),
            ("ipv4_is_match", vec![S("x"), S("192.168.1.0")], "null"),
            ("ipv4_is_in_range", vec![S("192.168.1.6"), S("192.168.1.1/24")], "true"),
            ("ipv4_is_in_any_range", vec![S("192.168.1.6"), S("10.0.0.0/8"), Dynamic(r#"["x","192.168.1.0/24"]"#)], "true"),
            ("ipv4_is_in_any_range", vec![S("192.168.1.6"), Dynamic(r#"["10.0.0.0/8"]"#)], "false"),
            ("ipv4_is_private", vec![S("172.31.1.1")], "true"),
            ("ipv4_is_private", vec![S("172.32.1.1")], "false"),
            ("ipv4_netmask_suffix", vec![S("10.1.2.3/16")], "16"),
            (
                "ipv4_range_to_cidr_list",
                vec![S("1.1.128.0"), S("1.1.140.255")],
                r#"["1.1.128.0/21","1.1.136.0/22","1.1.140.0/24"]"#,
            ),
            ("ipv4_range_to_cidr_list", vec![S("0.0.0.0"), S("255.255.255.255")], r#"["0.0.0.0/0"]"#),
            ("parse_ipv6", vec![S("192.168.255.255/24")], "0000:0000:0000:0000:0000:ffff:c0a8:ff00"),
            ("parse_ipv6_mask", vec![S("::192.168.255.255/24"), Long(128)], "0000:0000:0000:0000:0000:0000:c0a8:ff00"),
            ("parse_ipv6_mask", vec![S("fe80::85d:e82c:9446:7994/120"), Long(124)], "fe80:0000:0000:0000:085d:e82c:9446:7900"),
            ("ipv6_compare", vec![S("192.168.1.1"), S("::ffff:c0a8:0101")], "0"),
            ("ipv6_compare", vec![S("::192.168.1.1/30"), S("192.168.1.255/24")], "0"),
            ("ipv6_is_match", vec![S("fe80::85d:e82c:9446:7994"), S("fe80::85d:e82c:9446:7995"), Long(127)], "true"),
            ("ipv6_is_in_range", vec![S("a5e:f127:8a9d:146d:e102:b5d3:c755:abcd"), S("0:0:0:0:0:ffff:c0a8:ac/60")], "false"),
        ] {
            assert_eq!(call(name, &args), expected, "{name} {args:?}");
        }
    }

    #[test]
    fn addresses_in_text_stand_alone() {
        for (source, wanted, prefix, expected) in [
            ("05:04:54 127.0.0.1 GET /favicon.ico", "127.0.0.1", false, true),
            ("05:04:54 127.0.0.256 GET", "127.0.0.256", false, false),
            ("05:04:54127.0.0.1 GET", "127.0.0.1", false, false),
            ("at 127.0.0.1.", "127.0.0.1", false, true),
            ("at 127.0.0.11", "127.0.0.1", false, false),
            ("at 127.0.0.1 GET", "127.0.", true, true),
            ("at 127.0.0.1 GET", "127.0", true, false),
            ("at 127.0.0.256 GET", "127.0.", true, false),
        ] {
            let name = if prefix { "has_ipv4_prefix" } else { "has_ipv4" };
            assert_eq!(call(name, &[S(source), S(wanted)]), expected.to_string(), "{source} {wanted}");
        }
        assert_eq!(call("has_any_ipv4", &[S("a 1.2.3.4"), Dynamic(r#"["4.3.2.1","1.2.3.4"]"#)]), "true");
    }
}
