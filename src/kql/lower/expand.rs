//! `mv-expand`: arrays and bags to rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::Expr;

use super::column_name;
use super::compute::{ComputeFn, Passing, Pieces, plan_of};
use super::expr::dynamic::typed_element;
use super::expr::value;
use super::{Lower, Lowering, Node, steps, ticks};
use crate::bound::{Rel, RelKind};
use kqlake_value::columns::{ColumnBuilder, ColumnReader, arrow_type};
use kqlake_value::text_column::text_budget;
use kqlake_value::{Type, ValueRef, json};

impl Lowering<'_> {
    /// [`RelKind::Expand`] over its input.
    pub(super) fn expand(&self, rel: &Rel, input: &Rel) -> Lower<Node> {
        let mut node = self.rel(input)?;
        let RelKind::Expand { items, index, limit, bag_as_array, keep_empty, placeholder, .. } = &rel.kind else {
            return Ok(node);
        };
        // Rows of one input row stay in the order of its elements: its position comes first, then the element's.
        let position = if node.order.is_empty() { None } else { Some(self.position(&mut node)?) };
        let element = self.unique_name("__element");
        // A column that its elements replace is not copied beside each of them.
        let gives = |name: &str| {
            let visible = rel.columns.iter().any(|c| column_name(c.id) == name);
            visible
                || rel.hidden.iter().any(|h| column_name(h.id) == name)
                || node.order.iter().any(|k| k.column == name)
                || position.as_deref() == Some(name)
        };
        let passed: Vec<String> = node.plan.schema().columns().into_iter().map(|c| c.name).filter(|name| gives(name)).collect();
        let mut exprs: Vec<Expr> = passed.iter().map(|n| super::named(n)).collect();
        for item in items {
            exprs.push(ticks::resolve(value(&item.expr)?, &node.plan)?.alias(format!("__expand{}", item.id)));
        }
        let plan = steps::project(node.plan, exprs)?;
        let mut fields: Vec<Field> =
            plan.schema().as_arrow().fields()[..passed.len()].iter().map(|f| f.as_ref().clone()).collect();
        fields.extend(items.iter().map(|item| Field::new(column_name(item.id), arrow_type(item.ty), true)));
        if let Some(id) = index {
            fields.push(Field::new(column_name(*id), DataType::Int64, true));
        }
        if let Some(id) = placeholder {
            fields.push(Field::new(column_name(*id), DataType::Boolean, true));
        }
        fields.push(Field::new(&element, DataType::Int64, true));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let work = Arc::new(Expander {
            passed: passed.len(),
            types: items.iter().map(|i| i.ty).collect(),
            index: index.is_some(),
            limit: limit.map(|l| usize::try_from(l.max(0)).unwrap_or(usize::MAX)),
            bag_as_array: *bag_as_array,
            keep_empty: *keep_empty,
            placeholder: placeholder.is_some(),
            schema: schema.clone(),
            text_budget: text_budget(),
        });
        let of = Arc::clone(&work);
        let over = move |kept: &[usize]| Arc::new(of.over(kept)).pieces();
        let passing = Passing { columns: passed.len(), needed: Vec::new(), over: Box::new(over) };
        let plan = plan_of("mv-expand", Some(plan), schema, work.pieces(), Some(passing))?;
        let mut order = node.order;
        if let Some(position) = position {
            order = vec![super::OrderKey::row_numbers(position), super::OrderKey::ascending(element)];
        }
        Ok(Node { plan, order })
    }
}

/// What is needed to expand a batch.
struct Expander {
    passed: usize,
    types: Vec<Type>,
    index: bool,
    limit: Option<usize>,
    bag_as_array: bool,
    keep_empty: bool,
    /// Each row with an element gets one more.
    placeholder: bool,
    schema: SchemaRef,
    /// Bytes of text that a column of a piece may have.
    text_budget: usize,
}

/// Rows of a piece, at most. A cell that gives more is read again for the next piece.
const PIECE_ROWS: usize = 32_768;
/// Bytes of a piece in the columns that are copied beside each element, about.
const PIECE_BYTES: usize = 16 << 20;

/// Where the next piece of a batch begins.
#[derive(Default)]
struct Next {
    row: usize,
    /// Elements of that row that earlier pieces have.
    place: usize,
}

impl Expander {
    /// The same over some of the passed columns.
    fn over(&self, kept: &[usize]) -> Expander {
        let all = kept.iter().copied().chain(self.passed..self.schema.fields().len());
        let fields: Vec<_> = all.map(|at| self.schema.fields()[at].clone()).collect();
        Expander { passed: kept.len(), schema: Arc::new(Schema::new(fields)), types: self.types.clone(), ..*self }
    }

    /// What it makes of each batch.
    fn pieces(self: Arc<Self>) -> ComputeFn {
        ComputeFn::ExpandRows(Arc::new(move |batch: RecordBatch| -> Pieces {
            let (work, mut next) = (Arc::clone(&self), Next::default());
            Box::new(std::iter::from_fn(move || (next.row < batch.num_rows()).then(|| work.piece(&batch, &mut next))))
        }))
    }

    /// Rows of a piece at most: fewer when the columns beside the elements are wide.
    fn max_rows(&self, batch: &RecordBatch) -> usize {
        let bytes: usize = batch.columns()[..self.passed].iter().map(bytes_of).sum();
        (PIECE_BYTES.min(self.text_budget / 4) / (bytes / batch.num_rows().max(1)).max(1)).clamp(1, PIECE_ROWS)
    }

    /// The next rows of a batch, so many at most that no column becomes too long.
    fn piece(&self, batch: &RecordBatch, next: &mut Next) -> Result<RecordBatch, String> {
        let rows = batch.num_rows();
        let mut left = self.max_rows(batch);
        let readers = (0..self.types.len())
            .map(|i| ColumnReader::new(batch.column(self.passed + i), Type::Dynamic))
            .collect::<Result<Vec<_>, _>>()?;
        let mut builders: Vec<ColumnBuilder> = self.types.iter().map(|ty| ColumnBuilder::new(*ty, rows * 2)).collect();
        let mut sources: Vec<u64> = Vec::with_capacity(rows * 2);
        let mut places: Vec<i64> = Vec::with_capacity(rows * 2);
        let mut placeholders: Vec<bool> = Vec::new();
        while next.row < rows && left > 0 {
            let row = next.row;
            let parts: Vec<Elements<'_>> = readers.iter().map(|r| Elements::of(r.get(row), self.bag_as_array)).collect();
            let mut count = parts.iter().map(Elements::len).max().unwrap_or(0);
            if count == 0 && self.keep_empty {
                count = 1;
            }
            let count = count.min(self.limit.unwrap_or(usize::MAX));
            let all = if self.placeholder && count > 0 { count + 1 } else { count };
            let taken = next.place..all.min(next.place.saturating_add(left));
            for place in taken.clone() {
                sources.push(row as u64);
                places.push(place as i64);
                placeholders.push(place == count);
            }
            for ((part, builder), ty) in parts.iter().zip(&mut builders).zip(&self.types) {
                part.write(taken.start..taken.end.min(count), builder, *ty);
                if taken.end > count {
                    builder.push_ref(ValueRef::Null);
                }
            }
            left -= taken.len();
            *next = if taken.end == all { Next { row: row + 1, place: 0 } } else { Next { row, place: taken.end } };
        }
        let picks = UInt64Array::from(sources);
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for i in 0..self.passed {
            columns.push(arrow::compute::take(batch.column(i), &picks, None).map_err(|e| e.to_string())?);
        }
        for builder in &mut builders {
            columns.push(builder.finish()?);
        }
        let places: ArrayRef = Arc::new(Int64Array::from(places));
        if self.index {
            columns.push(places.clone());
        }
        if self.placeholder {
            columns.push(Arc::new(BooleanArray::from(placeholders)));
        }
        columns.push(places);
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| e.to_string())
    }
}

/// Bytes of a column's own rows: a slice keeps the whole buffers that it was cut from.
fn bytes_of(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
}

/// The elements of one cell.
enum Elements<'a> {
    /// Raw JSON of each element.
    Raw(Vec<&'a str>),
    /// Bags' single-key bags or pairs, built.
    Built(Vec<String>),
    /// Null: one row with null.
    Null,
}

impl<'a> Elements<'a> {
    fn of(v: ValueRef<'a>, bag_as_array: bool) -> Elements<'a> {
        let ValueRef::Dynamic(text) = v else { return Elements::Null };
        if let Some(elements) = json::elements(text) {
            return Elements::Raw(elements.collect());
        }
        if let Some(members) = json::members(text) {
            let built = members
                .into_iter()
                .map(|(key, value)| if bag_as_array { format!("[\"{key}\",{value}]") } else { format!("{{\"{key}\":{value}}}") })
                .collect();
            return Elements::Built(built);
        }
        Elements::Raw(vec![text])
    }

    fn len(&self) -> usize {
        match self {
            Elements::Raw(v) => v.len(),
            Elements::Built(v) => v.len(),
            Elements::Null => 1,
        }
    }

    fn write(&self, places: Range<usize>, builder: &mut ColumnBuilder, ty: Type) {
        for place in places {
            let raw = match self {
                Elements::Raw(v) => v.get(place).copied(),
                Elements::Built(v) => v.get(place).map(String::as_str),
                Elements::Null => None,
            };
            match raw {
                Some(raw) if raw.trim() != "null" => {
                    if ty == Type::Dynamic {
                        builder.push_ref(ValueRef::Dynamic(&json::compact(raw)));
                    } else {
                        builder.push(&typed_element(ValueRef::Dynamic(raw), ty));
                    }
                }
                _ => builder.push_ref(ValueRef::Null),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn a_slice_has_the_bytes_of_its_own_rows() {
        let whole: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(|_| "x".repeat(1000))));
        assert!(bytes_of(&whole) >= 1_000_000);
        assert!((2_000..3_000).contains(&bytes_of(&whole.slice(500, 2))));
    }
}
