//! Hashes. Kusto's `hash()` is xxHash64 of a text's UTF-8 bytes or of a number's little-endian bytes (a datetime's and a
//! timespan's are its ticks); the cryptographic hashes are taken of the `tostring` text, and the empty text has none.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh64::xxh64;

use crate::functions::kernels::text_of_ref;
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::format::write_hex;
use kqlake_value::{Type, Value, ValueRef};

const SOURCE: &[Param] = &[Param::req("source", ArgType::Any)];
const STRING: Returns = Returns::Type(Type::String);

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "hash",
        &[Param::req("source", ArgType::Any), Param::opt("mod", ArgType::Integer)],
        Returns::Type(Type::Long),
        ScalarImpl::Row(hash),
        "The xxHash64 of a value, or its remainder by a number.",
    )
    .aliases(&["hash_xxhash64"]),
    ScalarFn::new(
        "hash_md5",
        SOURCE,
        STRING,
        ScalarImpl::Text(digest::<Md5>),
        "The MD5 hash of a value's text in hexadecimal digits.",
    ),
    ScalarFn::new(
        "hash_sha1",
        SOURCE,
        STRING,
        ScalarImpl::Text(digest::<Sha1>),
        "The SHA-1 hash of a value's text in hexadecimal digits.",
    ),
    ScalarFn::new(
        "hash_sha256",
        SOURCE,
        STRING,
        ScalarImpl::Text(digest::<Sha256>),
        "The SHA-256 hash of a value's text in hexadecimal digits.",
    ),
    ScalarFn::new(
        "hash_combine",
        &[Param::req("hash", ArgType::Any), Param::req("hash", ArgType::Any)],
        Returns::Type(Type::Long),
        ScalarImpl::Unsupported("how Microsoft's engine combines hashes is not published"),
        "Two or more hashes combined to one.",
    )
    .variadic(),
    ScalarFn::new(
        "hash_many",
        &[Param::req("value", ArgType::Any)],
        Returns::Type(Type::Long),
        ScalarImpl::Unsupported("how Microsoft's engine combines hashes is not published"),
        "The combined hash of several values.",
    )
    .variadic(),
];

fn hash(args: &[ValueRef<'_>]) -> Value {
    let hash = match args.first() {
        None | Some(ValueRef::Null) => return Value::Null,
        Some(ValueRef::Bool(v)) => xxh64(&[u8::from(*v)], 0),
        Some(ValueRef::Int(v)) => xxh64(&v.to_le_bytes(), 0),
        Some(ValueRef::Long(v) | ValueRef::TimeSpan(v) | ValueRef::DateTime(v)) => xxh64(&v.to_le_bytes(), 0),
        Some(ValueRef::Real(v)) => xxh64(&v.to_le_bytes(), 0),
        Some(ValueRef::Guid(v)) => match uuid::Uuid::parse_str(v) {
            Ok(guid) => xxh64(&guid.to_bytes_le(), 0),
            Err(_) => return Value::Null,
        },
        Some(other) => xxh64(text_of_ref(*other).as_bytes(), 0),
    };
    match args.get(1).map(|m| m.as_i64()) {
        None => Value::Long(hash as i64),
        // The remainder is of the unsigned hash, so that it is between 0 and the modulus.
        Some(Some(modulus)) if modulus > 0 => Value::Long((hash % modulus as u64) as i64),
        Some(_) => Value::Null,
    }
}

fn digest<D: Digest>(args: &[ValueRef<'_>], out: &mut String) -> bool {
    let Some(value) = args.first() else { return true };
    let text = text_of_ref(*value);
    if !text.is_empty() {
        write_hex(out, &D::digest(text.as_bytes()));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        assert_eq!(hash(&[ValueRef::String("World")]), Value::Long(1_846_988_464_401_551_951));
        assert_eq!(hash(&[ValueRef::String("World"), ValueRef::Long(100)]), Value::Long(51));
        assert_eq!(hash(&[ValueRef::DateTime(635_556_672_000_000_000)]), Value::Long(1_380_966_698_541_616_202));
        assert_eq!(hash(&[ValueRef::String("World"), ValueRef::Long(0)]), Value::Null);
        let sha1 = |value| {
            let mut out = String::new();
            digest::<Sha1>(&[value], &mut out);
            out
        };
        assert_eq!(sha1(ValueRef::String("World")), "70c07ec18ef89c5309bbb0937f3a6342411e1fdd");
        assert_eq!(sha1(ValueRef::DateTime(637_134_336_000_000_000)), "e903e533f4d636b4fc0dcf3cf81e7b7f330de776");
        assert_eq!(sha1(ValueRef::String("")), "");
    }
}
