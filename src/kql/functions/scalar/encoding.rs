//! Encodings of text: base64, URL escapes, compressed base64, punycode and code points.
//!
//! Text that cannot be decoded gives the empty string (for arrays and guids: null), as the Kusto documentation of each
//! function says.

use std::io::{Cursor, Read, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use uuid::Uuid;

use super::punycode;
use crate::functions::kernels::text_of_ref;
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Json, Type, Value, ValueRef, json};

const STRING: Returns = Returns::Type(Type::String);
const TEXT: &[Param] = &[Param::req("string", ArgType::String)];

/// Text that is decompressed is at most this long; longer gives the empty string, so that a small row cannot take all memory.
const LONGEST: u64 = 256 << 20;

/// An entry for a function of one string that appends its result.
const fn text(name: &'static str, f: fn(&[ValueRef<'_>], &mut String) -> bool, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, TEXT, STRING, ScalarImpl::Text(f), doc)
}

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    text("base64_encode_tostring", |args, out| with_text(args, |text| STANDARD.encode_string(text, out)), "The text in base64.")
        .aliases(&["base64_encodestring"]),
    text("base64_decode_tostring", base64_decode, "The text that base64 stands for; empty if it is not UTF-8.")
        .aliases(&["base64_decodestring"]),
    ScalarFn::new(
        "base64_decode_toarray",
        TEXT,
        Returns::Type(Type::Dynamic),
        ScalarImpl::Row(base64_decode_array),
        "The bytes that base64 stands for as an array.",
    ),
    ScalarFn::new(
        "base64_encode_fromarray",
        &[Param::req("array", ArgType::Dynamic)],
        STRING,
        ScalarImpl::Row(base64_encode_array),
        "An array of bytes in base64; empty if it is no such array.",
    ),
    ScalarFn::new(
        "base64_encode_fromguid",
        &[Param::req("guid", ArgType::Guid)],
        STRING,
        ScalarImpl::Row(base64_encode_guid),
        "A guid's bytes in base64.",
    ),
    ScalarFn::new(
        "base64_decode_toguid",
        TEXT,
        Returns::Type(Type::Guid),
        ScalarImpl::Row(base64_decode_guid),
        "The guid whose bytes base64 stands for.",
    ),
    text(
        "url_encode",
        |args, out| with_text(args, |text| url_encode(text, "+", out)),
        "The text escaped for a URL's query; a space becomes `+`.",
    ),
    text(
        "url_encode_component",
        |args, out| with_text(args, |text| url_encode(text, "%20", out)),
        "The text escaped for any part of a URL.",
    ),
    text("url_decode", url_decode, "The text without URL escapes."),
    text(
        "gzip_compress_to_base64_string",
        |args, out| with_text(args, |text| STANDARD.encode_string(gzip(text.as_bytes()), out)),
        "The text compressed by gzip, in base64.",
    ),
    text(
        "gzip_decompress_from_base64_string",
        |args, out| decompress(args, out, |bytes| Box::new(MultiGzDecoder::new(bytes))),
        "The text that was compressed by gzip_compress_to_base64_string().",
    ),
    text(
        "zlib_compress_to_base64_string",
        |args, out| with_text(args, |text| STANDARD.encode_string(zlib(text.as_bytes()), out)),
        "The text compressed by zlib, in base64.",
    ),
    text(
        "zlib_decompress_from_base64_string",
        |args, out| decompress(args, out, |bytes| Box::new(ZlibDecoder::new(bytes))),
        "The text that was compressed by zlib_compress_to_base64_string().",
    ),
    text(
        "punycode_from_string",
        |args, out| with_text(args, |text| out.push_str(&punycode::encode(text).unwrap_or_default())),
        "The text in punycode.",
    ),
    text(
        "punycode_to_string",
        |args, out| with_text(args, |text| out.push_str(&punycode::decode(text).unwrap_or_default())),
        "The text that punycode stands for.",
    ),
    text(
        "punycode_domain_to_string",
        |args, out| with_text(args, |text| punycode::encode_domain(text, out)),
        "An internationalised domain name in its ASCII form.",
    ),
    text(
        "punycode_domain_from_string",
        |args, out| with_text(args, |text| punycode::decode_domain(text, out)),
        "The internationalised domain name of an ASCII form.",
    ),
    ScalarFn::new(
        "unicode_codepoints_from_string",
        &[Param::req("value", ArgType::Any)],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Text(codepoints),
        "The characters' code points as an array.",
    )
    .aliases(&["to_utf8"]),
    ScalarFn::new(
        "unicode_codepoints_to_string",
        &[Param::req("values", ArgType::OneOf(&[Type::Int, Type::Long, Type::Dynamic]))],
        STRING,
        ScalarImpl::Text(from_codepoints),
        "The text of code points, given one by one or as arrays.",
    )
    .aliases(&["make_string"])
    .variadic(),
    ScalarFn::new(
        "isascii",
        &[Param::req("value", ArgType::Any)],
        Returns::Type(Type::Bool),
        ScalarImpl::Row(|args| Value::Bool(args.first().is_none_or(|text| text_of_ref(*text).is_ascii()))),
        "Whether all characters are ASCII.",
    ),
    ScalarFn::new(
        "isutf8",
        &[Param::req("value", ArgType::Any)],
        Returns::Type(Type::Bool),
        ScalarImpl::Row(|_| Value::Bool(true)),
        "Whether the text is valid UTF-8: here, always.",
    ),
];

/// Hands the first argument's text over.
fn with_text(args: &[ValueRef<'_>], f: impl FnOnce(&str)) -> bool {
    if let Some(text) = args.first() {
        f(&text_of_ref(*text));
    }
    true
}

/// The bytes of a base64 text.
fn base64_bytes(args: &[ValueRef<'_>]) -> Option<Vec<u8>> {
    STANDARD.decode(text_of_ref(*args.first()?).as_bytes()).ok()
}

fn base64_decode(args: &[ValueRef<'_>], out: &mut String) -> bool {
    if let Some(text) = base64_bytes(args).and_then(|bytes| String::from_utf8(bytes).ok()) {
        out.push_str(&text);
    }
    true
}

fn base64_decode_array(args: &[ValueRef<'_>]) -> Value {
    base64_bytes(args).map_or(Value::Null, |bytes| Value::Dynamic(bytes.into_iter().map(Json::from).collect()))
}

fn base64_encode_array(args: &[ValueRef<'_>]) -> Value {
    let bytes = match args.first() {
        Some(ValueRef::Dynamic(array)) => {
            json::elements(array).and_then(|e| e.map(|byte| byte.parse::<u8>().ok()).collect::<Option<Vec<u8>>>())
        }
        _ => None,
    };
    Value::String(bytes.map(|b| STANDARD.encode(b)).unwrap_or_default())
}

/// The bytes of a guid are those of .NET: the first three groups in little-endian order.
fn base64_encode_guid(args: &[ValueRef<'_>]) -> Value {
    let guid = match args.first() {
        Some(ValueRef::Guid(guid)) => Uuid::parse_str(guid).ok(),
        _ => None,
    };
    Value::String(guid.map(|g| STANDARD.encode(g.to_bytes_le())).unwrap_or_default())
}

fn base64_decode_guid(args: &[ValueRef<'_>]) -> Value {
    let bytes = base64_bytes(args).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    bytes.map_or(Value::Null, |bytes| Value::Guid(Uuid::from_bytes_le(bytes).to_string()))
}

/// Text as a part of an address. Microsoft's engine writes the digits in lower case, which the crate `percent-encoding` cannot.
fn url_encode(text: &str, space: &str, out: &mut String) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'*' | b'(' | b')' => {
                out.push(char::from(byte))
            }
            b' ' => out.push_str(space),
            _ => {
                let _ = write!(out, "%{byte:02x}");
            }
        }
    }
}

fn url_decode(args: &[ValueRef<'_>], out: &mut String) -> bool {
    with_text(args, |text| {
        let spaced = text.replace('+', " ");
        out.push_str(&percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy());
    })
}

/// Raw deflate. What is too short to gain by it is stored as it is.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    /// A stored block costs five bytes; a compressed one of so short a text seldom costs less than it saves.
    const STORED_BELOW: usize = 64;
    let level = if bytes.len() < STORED_BELOW { Compression::none() } else { Compression::default() };
    let mut encoder = DeflateEncoder::new(Vec::new(), level);
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// RFC 1952, without time and name.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    out.extend(deflate(bytes));
    let mut crc = Crc::new();
    crc.update(bytes);
    out.extend(crc.sum().to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

/// RFC 1950.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    const MOD: u32 = 65521;
    let mut out = vec![0x78, 0x01];
    out.extend(deflate(bytes));
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % MOD;
        (a, (b + a) % MOD)
    });
    out.extend((b << 16 | a).to_be_bytes());
    out
}

fn decompress(args: &[ValueRef<'_>], out: &mut String, decoder: fn(Cursor<Vec<u8>>) -> Box<dyn Read>) -> bool {
    let Some(bytes) = base64_bytes(args) else { return true };
    let mut text = String::new();
    let read = decoder(Cursor::new(bytes)).take(LONGEST + 1).read_to_string(&mut text);
    if read.is_ok_and(|length| length as u64 <= LONGEST) {
        out.push_str(&text);
    }
    true
}

fn codepoints(args: &[ValueRef<'_>], out: &mut String) -> bool {
    use std::fmt::Write as _;
    with_text(args, |text| {
        out.push('[');
        for (i, c) in text.chars().enumerate() {
            let _ = write!(out, "{}{}", if i > 0 { "," } else { "" }, u32::from(c));
        }
        out.push(']');
    })
}

fn from_codepoints(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let mut push = |code: i64| {
        if let Some(c) = u32::try_from(code).ok().and_then(char::from_u32) {
            out.push(c);
        }
    };
    for arg in args {
        match arg {
            ValueRef::Dynamic(text) => match json::elements(text) {
                Some(elements) => elements.filter_map(|e| e.parse().ok()).for_each(&mut push),
                None => {
                    text.parse().map(&mut push).ok();
                }
            },
            other => {
                other.as_i64().map(&mut push);
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, args: &[ValueRef<'_>]) -> Value {
        let function = FUNCTIONS.iter().find(|f| f.name == name).unwrap();
        match function.imp {
            ScalarImpl::Text(f) => {
                let mut out = String::new();
                assert!(f(args, &mut out));
                Value::String(out)
            }
            ScalarImpl::Row(f) => f(args),
            _ => panic!("{name}"),
        }
    }

    #[test]
    fn known_encodings() {
        for (name, input, want) in [
            ("base64_encode_tostring", "Kusto", "S3VzdG8="),
            ("base64_decode_tostring", "S3VzdG8=", "Kusto"),
            ("base64_decode_tostring", "U3RyaW5n0KHR0tGA0L7Rh9C60LA=", ""),
            ("url_encode", "https://a/b c~\u{e9}", "https%3a%2f%2fa%2fb+c%7e%c3%a9"),
            ("url_encode_component", "a b", "a%20b"),
            ("url_decode", "a%2fb+c", "a/b c"),
            (
                "gzip_compress_to_base64_string",
                "1234567890qwertyuiop",
                "H4sIAAAAAAAA/wEUAOv/MTIzNDU2Nzg5MHF3ZXJ0eXVpb3A6m7f2FAAAAA==",
            ),
            ("zlib_compress_to_base64_string", "1234567890qwertyuiop", "eAEBFADr/zEyMzQ1Njc4OTBxd2VydHl1aW9wOAkGdw=="),
            ("gzip_decompress_from_base64_string", "x0x0x0", ""),
            ("unicode_codepoints_from_string", "K\u{24b0}", "[75,9392]"),
        ] {
            assert_eq!(call(name, &[ValueRef::String(input)]), Value::String(want.into()), "{name}");
        }
        let guid = "ae3133f2-6e22-49ae-b06a-16e6a9b212eb";
        assert_eq!(call("base64_encode_fromguid", &[ValueRef::Guid(guid)]), Value::String("8jMxriJurkmwahbmqbIS6w==".into()));
        assert_eq!(call("base64_decode_toguid", &[ValueRef::String("8jMxriJurkmwahbmqbIS6w==")]), Value::Guid(guid.into()));
        assert_eq!(call("base64_encode_fromarray", &[ValueRef::Dynamic("[75, 117]")]), Value::String("S3U=".into()));
        assert_eq!(call("base64_encode_fromarray", &[ValueRef::Dynamic("[256]")]), Value::String(String::new()));
        assert_eq!(
            call("unicode_codepoints_to_string", &[ValueRef::Long(75), ValueRef::Dynamic("[117,115]")]),
            Value::String("Kus".into())
        );
    }

    #[test]
    fn compression_is_undone() {
        let text = "a long text, a long text, a long text ".repeat(100);
        assert!(deflate(text.as_bytes()).len() < text.len() / 10);
        for kind in ["gzip", "zlib"] {
            let Value::String(packed) = call(&format!("{kind}_compress_to_base64_string"), &[ValueRef::String(&text)]) else {
                panic!()
            };
            assert_eq!(
                call(&format!("{kind}_decompress_from_base64_string"), &[ValueRef::String(&packed)]),
                Value::String(text.clone())
            );
        }
    }
}
