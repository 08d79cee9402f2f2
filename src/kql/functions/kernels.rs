//! Building blocks of functions over whole columns: operands that are constants or columns, and columns of text in and out.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::ArgInfo;
use kqlake_value::columns::{ColumnReader, in_form};
use kqlake_value::json::display;
use kqlake_value::text_column::TextBuilder;
use kqlake_value::texts::Texts;
use kqlake_value::{Type, Value, ValueRef, format, json};

/// Opens a column of any KQL type as its `tostring` text.
fn displayed(array: &ArrayRef, ty: Type) -> Result<Texts, String> {
    match ty {
        Type::String | Type::Guid => Texts::new(array),
        _ => Texts::new(&display(array, ty)?),
    }
}

/// The `tostring` text of each row of a column.
pub(crate) fn display(array: &ArrayRef, ty: Type) -> Result<ArrayRef, String> {
    match ty {
        Type::String | Type::Guid => in_form(array, Type::String),
        // Arrow writes integers as KQL does.
        Type::Int | Type::Long => cast(array, &DataType::Utf8).map_err(|e| e.to_string()),
        Type::Dynamic => {
            let texts = Texts::new(array)?;
            let mut out = TextBuilder::new(array.len());
            let mut buffer = String::new();
            for row in 0..array.len() {
                match texts.text(row) {
                    text if text.starts_with(['"', '{', '[', 'n']) => {
                        buffer.clear();
                        display::push_display(&mut buffer, text);
                        out.push(&buffer);
                    }
                    text => out.push(text),
                }
            }
            out.finish()
        }
        _ => {
            let reader = ColumnReader::new(array, ty)?;
            let mut out = TextBuilder::new(array.len());
            let mut buffer = String::new();
            for row in 0..array.len() {
                buffer.clear();
                format::write_value(&mut buffer, reader.get(row));
                out.push(&buffer);
            }
            out.finish()
        }
    }
}

/// A primitive column made from text, row by row; `None` is null, and so is a missing text.
pub(crate) fn from_text<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    convert: impl Fn(&str) -> Option<T::Native>,
) -> Result<PrimitiveArray<T>, String> {
    let convert = |text: Option<&str>| text.and_then(&convert);
    Ok(match Texts::new(array)? {
        Texts::Utf8(a) => a.iter().map(convert).collect(),
        Texts::View(a) => a.iter().map(convert).collect(),
        Texts::Large(a) => a.iter().map(convert).collect(),
    })
}

/// An argument that is used as text, whatever its type.
#[derive(Debug, Clone)]
pub(crate) struct TextArg {
    constant: Option<String>,
    ty: Type,
}

/// A [`TextArg`] with a batch's column.
#[derive(Debug)]
pub(crate) enum OpenText<'a> {
    /// The same for all rows.
    Constant(&'a str),
    /// A column.
    Column(Texts),
}

impl TextArg {
    /// Prepares an argument.
    pub(crate) fn new(info: &ArgInfo) -> TextArg {
        TextArg { constant: info.constant.as_ref().map(text_of), ty: info.ty }
    }

    /// The text, if it is a constant.
    pub(crate) fn constant(&self) -> Option<&str> {
        self.constant.as_deref()
    }

    /// Opens the argument's column.
    pub(crate) fn open(&self, array: &ArrayRef) -> Result<OpenText<'_>, String> {
        Ok(match &self.constant {
            Some(text) => OpenText::Constant(text),
            None => OpenText::Column(displayed(array, self.ty)?),
        })
    }
}

impl OpenText<'_> {
    /// The text of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> &str {
        match self {
            OpenText::Constant(text) => text,
            OpenText::Column(texts) => texts.text(row),
        }
    }
}

/// An argument of any type, read as values.
#[derive(Debug, Clone)]
pub(crate) struct ValueArg {
    constant: Option<(Value, String)>,
    ty: Type,
}

/// A [`ValueArg`] with a batch's column.
#[derive(Debug)]
pub(crate) enum OpenValue<'a> {
    /// The same for all rows.
    Constant(ValueRef<'a>),
    /// A column.
    Column(ColumnReader),
}

impl ValueArg {
    /// Prepares an argument.
    pub(crate) fn new(info: &ArgInfo) -> ValueArg {
        let constant = info.constant.as_ref().map(|value| {
            let mut text = String::new();
            value.as_ref(&mut text);
            (value.clone(), text)
        });
        ValueArg { constant, ty: info.ty }
    }

    /// Opens the argument's column.
    pub(crate) fn open(&self, array: &ArrayRef) -> Result<OpenValue<'_>, String> {
        Ok(match &self.constant {
            Some((Value::Dynamic(_), text)) if text != "null" && !text.is_empty() => OpenValue::Constant(ValueRef::Dynamic(text)),
            Some((Value::Dynamic(_), _)) => OpenValue::Constant(ValueRef::Null),
            // Only a dynamic value needs the buffer.
            Some((value, _)) => OpenValue::Constant(value.as_scalar()),
            None => OpenValue::Column(ColumnReader::new(array, self.ty)?),
        })
    }
}

impl OpenValue<'_> {
    /// The value of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> ValueRef<'_> {
        match self {
            OpenValue::Constant(value) => *value,
            OpenValue::Column(reader) => reader.get(row),
        }
    }
}

/// The `tostring` text of a value.
pub(crate) fn text_of(value: &Value) -> String {
    let mut buffer = String::new();
    let mut out = String::new();
    match value.as_ref(&mut buffer) {
        ValueRef::Dynamic(text) => display::push_display(&mut out, text),
        other => format::write_value(&mut out, other),
    }
    out
}

/// The `tostring` text of a borrowed value; borrowed itself where the value is text.
pub(crate) fn text_of_ref<'a>(value: ValueRef<'a>) -> std::borrow::Cow<'a, str> {
    match value {
        ValueRef::String(text) | ValueRef::Guid(text) => text.into(),
        ValueRef::Dynamic(text) if text.starts_with('"') => json::unquote(text),
        ValueRef::Dynamic(text) => {
            let mut out = String::new();
            display::push_display(&mut out, text);
            out.into()
        }
        other => format::to_string(other).into(),
    }
}

/// Calls over constants, for the unit tests of the families.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;

    use super::*;
    use crate::functions::ColumnFn;
    use arrow::array::{AsArray, StringArray};
    use arrow::datatypes::Int64Type;

    /// What [`ScalarImpl::Kernel`](crate::functions::ScalarImpl::Kernel) holds.
    pub(crate) type Prepare = fn(&[ArgInfo], Type) -> Result<ColumnFn, String>;

    /// A string.
    pub(crate) fn s(text: &str) -> Value {
        Value::String(text.into())
    }

    /// The one row of a call.
    fn call(kernel: Prepare, args: &[Value], returns: Type) -> ArrayRef {
        let info = |value: &Value| ArgInfo { ty: value.ty().unwrap_or(Type::Dynamic), constant: Some(value.clone()) };
        let infos: Vec<ArgInfo> = args.iter().map(info).collect();
        // The arrays of constants are not read.
        let arrays: Vec<ArrayRef> = args.iter().map(|_| Arc::new(StringArray::new_null(0)) as ArrayRef).collect();
        kernel(&infos, returns).unwrap()(&arrays, 1).unwrap()
    }

    /// The text of a call's result.
    pub(crate) fn text(kernel: Prepare, args: &[Value]) -> Option<String> {
        let array = call(kernel, args, Type::String);
        array.as_string::<i32>().iter().next().flatten().map(str::to_owned)
    }

    /// The number of a call's result.
    pub(crate) fn long(kernel: Prepare, args: &[Value]) -> Option<i64> {
        call(kernel, args, Type::Long).as_primitive::<Int64Type>().iter().next().flatten()
    }
}
