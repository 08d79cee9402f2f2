//! The bytes of aggregate states: compact, self-describing, and safe to read whatever they hold.
//!
//! States travel between the phases of one query and through its spill files; they are never kept longer.

use kqlake_value::ValueRef;

/// Appends an unsigned number in 7-bit groups.
pub(crate) fn write_u64(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends a signed number, small magnitudes short.
pub(crate) fn write_i64(out: &mut Vec<u8>, v: i64) {
    write_u64(out, ((v << 1) ^ (v >> 63)) as u64);
}

/// Appends a real.
pub(crate) fn write_f64(out: &mut Vec<u8>, v: f64) {
    out.extend_from_slice(&v.to_le_bytes());
}

/// Appends bytes and their length.
pub(crate) fn write_bytes(out: &mut Vec<u8>, v: &[u8]) {
    write_u64(out, v.len() as u64);
    out.extend_from_slice(v);
}

/// Appends a value of any type.
pub(crate) fn write_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.push(0),
        ValueRef::Bool(false) => out.push(1),
        ValueRef::Bool(true) => out.push(2),
        ValueRef::Int(v) => {
            out.push(3);
            write_i64(out, v.into());
        }
        ValueRef::Long(v) => {
            out.push(4);
            write_i64(out, v);
        }
        ValueRef::Real(v) => {
            out.push(5);
            write_f64(out, v);
        }
        ValueRef::Decimal(v) => {
            out.push(6);
            out.extend_from_slice(&v.to_le_bytes());
        }
        ValueRef::String(v) => {
            out.push(7);
            write_bytes(out, v.as_bytes());
        }
        ValueRef::DateTime(v) => {
            out.push(8);
            write_i64(out, v);
        }
        ValueRef::TimeSpan(v) => {
            out.push(9);
            write_i64(out, v);
        }
        ValueRef::Guid(v) => {
            out.push(10);
            write_bytes(out, v.as_bytes());
        }
        ValueRef::Dynamic(v) => {
            out.push(11);
            write_bytes(out, v.as_bytes());
        }
    }
}

/// Reads what the writers wrote. Every reader gives `None` at the end of the bytes or where they make no sense.
#[derive(Debug, Clone)]
pub(crate) struct Decoder<'a> {
    bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads from the start of these bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { bytes }
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(n)?;
        self.bytes = tail;
        Some(head)
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    /// An unsigned number.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        let mut v = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            v |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(v);
            }
        }
        None
    }

    /// A signed number.
    pub(crate) fn i64(&mut self) -> Option<i64> {
        let v = self.u64()?;
        Some((v >> 1) as i64 ^ -((v & 1) as i64))
    }

    /// A real.
    pub(crate) fn f64(&mut self) -> Option<f64> {
        self.take(8)?.try_into().ok().map(f64::from_le_bytes)
    }

    /// Eight bytes, little endian.
    pub(crate) fn fixed_u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// Bytes with their length.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u64()?).ok()?;
        self.take(len)
    }

    /// Text with its length.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A value of any type.
    pub(crate) fn value(&mut self) -> Option<ValueRef<'a>> {
        Some(match self.u8()? {
            0 => ValueRef::Null,
            1 => ValueRef::Bool(false),
            2 => ValueRef::Bool(true),
            3 => ValueRef::Int(self.i64()? as i32),
            4 => ValueRef::Long(self.i64()?),
            5 => ValueRef::Real(self.f64()?),
            6 => ValueRef::Decimal(i128::from_le_bytes(self.take(16)?.try_into().ok()?)),
            7 => ValueRef::String(self.text()?),
            8 => ValueRef::DateTime(self.i64()?),
            9 => ValueRef::TimeSpan(self.i64()?),
            10 => ValueRef::Guid(self.text()?),
            11 => ValueRef::Dynamic(self.text()?),
            _ => return None,
        })
    }
}

/// An owned value that keeps a dynamic as its text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum OwnedValue {
    /// Null of any type but string.
    #[default]
    Null,
    /// bool
    Bool(bool),
    /// int
    Int(i32),
    /// long
    Long(i64),
    /// real
    Real(f64),
    /// decimal, scaled by 10^18
    Decimal(Box<i128>),
    /// string
    String(Box<str>),
    /// datetime in ticks
    DateTime(i64),
    /// timespan in ticks
    TimeSpan(i64),
    /// guid
    Guid(Box<str>),
    /// dynamic as JSON text
    Dynamic(Box<str>),
}

impl From<ValueRef<'_>> for OwnedValue {
    fn from(value: ValueRef<'_>) -> OwnedValue {
        match value {
            ValueRef::Null => OwnedValue::Null,
            ValueRef::Bool(v) => OwnedValue::Bool(v),
            ValueRef::Int(v) => OwnedValue::Int(v),
            ValueRef::Long(v) => OwnedValue::Long(v),
            ValueRef::Real(v) => OwnedValue::Real(v),
            ValueRef::Decimal(v) => OwnedValue::Decimal(Box::new(v)),
            ValueRef::String(v) => OwnedValue::String(v.into()),
            ValueRef::DateTime(v) => OwnedValue::DateTime(v),
            ValueRef::TimeSpan(v) => OwnedValue::TimeSpan(v),
            ValueRef::Guid(v) => OwnedValue::Guid(v.into()),
            ValueRef::Dynamic(v) => OwnedValue::Dynamic(v.into()),
        }
    }
}

impl OwnedValue {
    /// Borrows the value.
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            OwnedValue::Null => ValueRef::Null,
            OwnedValue::Bool(v) => ValueRef::Bool(*v),
            OwnedValue::Int(v) => ValueRef::Int(*v),
            OwnedValue::Long(v) => ValueRef::Long(*v),
            OwnedValue::Real(v) => ValueRef::Real(*v),
            OwnedValue::Decimal(v) => ValueRef::Decimal(**v),
            OwnedValue::String(v) => ValueRef::String(v),
            OwnedValue::DateTime(v) => ValueRef::DateTime(*v),
            OwnedValue::TimeSpan(v) => ValueRef::TimeSpan(*v),
            OwnedValue::Guid(v) => ValueRef::Guid(v),
            OwnedValue::Dynamic(v) => ValueRef::Dynamic(v),
        }
    }

    /// Bytes held beside the value itself.
    pub(crate) fn heap_size(&self) -> usize {
        match self {
            OwnedValue::String(v) | OwnedValue::Guid(v) | OwnedValue::Dynamic(v) => v.len(),
            OwnedValue::Decimal(_) => 16,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_and_broken_bytes_end() {
        let values = [
            ValueRef::Null,
            ValueRef::Bool(true),
            ValueRef::Int(i32::MIN),
            ValueRef::Long(i64::MIN),
            ValueRef::Long(i64::MAX),
            ValueRef::Real(-0.5),
            ValueRef::Decimal(-7),
            ValueRef::String("é"),
            ValueRef::DateTime(-1),
            ValueRef::TimeSpan(300),
            ValueRef::Guid("g"),
            ValueRef::Dynamic("[1]"),
        ];
        let mut bytes = Vec::new();
        for value in values {
            write_value(&mut bytes, value);
        }
        let mut decoder = Decoder::new(&bytes);
        for value in values {
            assert_eq!(decoder.value(), Some(value));
        }
        assert_eq!(decoder.value(), None);
        assert_eq!(Decoder::new(&[7, 200, 1, b'x']).value(), None);
        assert_eq!(Decoder::new(&[4, 0x80, 0x80]).value(), None);
    }
}
