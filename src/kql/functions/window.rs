//! The window functions over serialized input: row_number, prev, next, row_cumsum, row_rank_dense, row_rank_min and
//! row_window_session.
//!
//! The input is one ordered stream of rows. A [`Window`] is made for one call and handed the call's argument columns batch
//! by batch; it remembers what it needs of earlier rows. `next` also needs rows that come later: [`Window::look_ahead`]
//! tells how many, and the caller holds a batch back until it has that many rows behind it, or the input has ended.

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;

use super::ArgInfo;
use super::aggregate::codec::Held;
use super::aggregate::order::order;
use kqlake_value::columns::{ColumnBuilder, ColumnReader};
use kqlake_value::{Type, Value, ValueRef};

/// One call of a window function, between two batches.
#[derive(Debug)]
pub struct Window {
    types: Vec<Type>,
    returns: Type,
    call: Call,
}

#[derive(Debug)]
enum Call {
    /// The number of the next row, and where numbering restarts.
    RowNumber {
        next: i64,
        start: i64,
    },
    /// The last `offset` values of the rows before.
    Prev {
        offset: usize,
        default: Value,
        before: Option<ArrayRef>,
    },
    Next {
        offset: usize,
        default: Value,
    },
    Sum(Sum),
    /// `rank` is the current row's, `rows` the number of rows since the restart.
    Rank {
        dense: bool,
        last: Option<Held>,
        rank: i64,
        rows: i64,
    },
    /// Start of the session and the value before, and how long it may last, in ticks.
    Session {
        start: Option<i64>,
        before: Option<i64>,
        from_first: i64,
        between: i64,
    },
}

#[derive(Debug)]
enum Sum {
    Integer(i64),
    Real(f64),
    Decimal(i128),
}

/// True for the functions that [`Window`] computes.
pub fn is_window(name: &str) -> bool {
    matches!(name, "row_number" | "prev" | "next" | "row_cumsum" | "row_rank_dense" | "row_rank_min" | "row_window_session")
}

fn constant(args: &[ArgInfo], place: usize, what: &str) -> Result<Option<Value>, String> {
    match args.get(place) {
        None => Ok(None),
        Some(arg) => arg.constant.clone().map(Some).ok_or_else(|| format!("{what} must be a constant")),
    }
}

fn integer(value: Option<Value>, default: i64) -> Result<i64, String> {
    match value {
        None => Ok(default),
        Some(Value::Int(v)) => Ok(v.into()),
        Some(Value::Long(v)) => Ok(v),
        Some(_) => Err("a constant integer is expected".to_owned()),
    }
}

impl Window {
    /// A call before its first row. The error refuses the query.
    pub fn new(name: &str, args: &[ArgInfo], returns: Type) -> Result<Window, String> {
        let offset = |what| -> Result<usize, String> {
            let offset = integer(constant(args, 1, what)?, 1)?;
            usize::try_from(offset).map_err(|_| format!("{what} must not be negative"))
        };
        let default = || Ok::<Value, String>(constant(args, 2, "the default value")?.unwrap_or(Value::Null));
        let call = match name {
            "row_number" => {
                let start = integer(constant(args, 0, "the first row's number")?, 1)?;
                Call::RowNumber { next: start, start }
            }
            "prev" => Call::Prev { offset: offset("the number of rows to go back")?, default: default()?, before: None },
            "next" => Call::Next { offset: offset("the number of rows to go forward")?, default: default()? },
            "row_cumsum" => Call::Sum(match returns {
                Type::Real => Sum::Real(0.0),
                Type::Decimal => Sum::Decimal(0),
                _ => Sum::Integer(0),
            }),
            "row_rank_dense" | "row_rank_min" => Call::Rank { dense: name == "row_rank_dense", last: None, rank: 0, rows: 0 },
            "row_window_session" => {
                let span = |place, what| match constant(args, place, what)? {
                    Some(Value::TimeSpan(ticks)) => Ok(ticks),
                    _ => Err(format!("{what} must be a constant timespan")),
                };
                Call::Session {
                    start: None,
                    before: None,
                    from_first: span(1, "the greatest distance from the session's first value")?,
                    between: span(2, "the greatest distance between neighbors")?,
                }
            }
            other => return Err(format!("{other} is no window function")),
        };
        Ok(Window { types: args.iter().map(|a| a.ty).collect(), returns, call })
    }

    /// How many rows behind a batch must be known to compute it.
    pub fn look_ahead(&self) -> usize {
        match &self.call {
            Call::Next { offset, .. } => *offset,
            _ => 0,
        }
    }

    /// The values for the next `rows` rows.
    ///
    /// `args` are the call's argument columns for these rows; `following` the same columns for the rows behind them, at
    /// least [`Window::look_ahead`] rows unless the input ends there (empty slices where the call does not look ahead).
    pub fn next_batch(&mut self, args: &[ArrayRef], rows: usize, following: &[ArrayRef]) -> Result<ArrayRef, String> {
        let readers = args.iter().zip(&self.types).map(|(a, ty)| ColumnReader::new(a, *ty)).collect::<Result<Vec<_>, _>>()?;
        let mut out = ColumnBuilder::new(self.returns, rows);
        let value = |place: usize, row: usize| readers.get(place).map_or(ValueRef::Null, |r| r.get(row));
        let restart = |place: usize, row: usize| value(place, row) == ValueRef::Bool(true);
        match &mut self.call {
            Call::RowNumber { next, start } => {
                for row in 0..rows {
                    if restart(1, row) {
                        *next = *start;
                    }
                    out.push_ref(ValueRef::Long(*next));
                    *next = next.wrapping_add(1);
                }
            }
            Call::Prev { offset, default, before } => {
                let column = args.first().ok_or("prev needs a column")?;
                let known = before.as_ref().map_or(0, |b| b.len());
                let all = match before {
                    Some(before) => concat(&[before.as_ref(), column.as_ref()]).map_err(|e| e.to_string())?,
                    None => ArrayRef::clone(column),
                };
                let reader = ColumnReader::new(&all, self.types[0])?;
                for row in 0..rows {
                    match (row + known).checked_sub(*offset) {
                        Some(at) => out.push_ref(reader.get(at)),
                        None => out.push(default),
                    }
                }
                let keep = (*offset).min(all.len());
                *before = Some(all.slice(all.len() - keep, keep));
            }
            Call::Next { offset, default } => {
                let behind = match following.first() {
                    Some(column) => Some(ColumnReader::new(column, self.types[0])?),
                    None => None,
                };
                let available = following.first().map_or(0, |c| c.len());
                for row in 0..rows {
                    let at = row + *offset;
                    match &behind {
                        _ if at < rows => out.push_ref(value(0, at)),
                        Some(behind) if at - rows < available => out.push_ref(behind.get(at - rows)),
                        _ => out.push(default),
                    }
                }
            }
            Call::Sum(sum) => {
                for row in 0..rows {
                    let (v, restart) = (value(0, row), restart(1, row));
                    match sum {
                        Sum::Integer(sum) => {
                            *sum = if restart { 0 } else { *sum }.wrapping_add(v.as_i64().unwrap_or(0));
                            out.push_ref(if self.returns == Type::Int {
                                ValueRef::Int(*sum as i32)
                            } else {
                                ValueRef::Long(*sum)
                            });
                        }
                        Sum::Real(sum) => {
                            *sum = if restart { 0.0 } else { *sum } + v.as_f64().unwrap_or(0.0);
                            out.push_ref(ValueRef::Real(*sum));
                        }
                        Sum::Decimal(sum) => {
                            let v = if let ValueRef::Decimal(v) = v { v } else { 0 };
                            *sum = if restart { 0 } else { *sum }.wrapping_add(v);
                            out.push_ref(ValueRef::Decimal(*sum));
                        }
                    }
                }
            }
            Call::Rank { dense, last, rank, rows: seen } => {
                for row in 0..rows {
                    let v = value(0, row);
                    if restart(1, row) {
                        (*last, *rank, *seen) = (None, 0, 0);
                    }
                    *seen += 1;
                    let changed = last.as_ref().is_none_or(|l| order(l.as_ref(), v).is_ne());
                    if changed {
                        *rank = if *dense { *rank + 1 } else { *seen };
                        *last = Some(Held::from(v));
                    }
                    out.push_ref(ValueRef::Long(*rank));
                }
            }
            Call::Session { start, before, from_first, between } => {
                for row in 0..rows {
                    let ValueRef::DateTime(now) = value(0, row) else {
                        // Without a value there is no session, and the next value starts one.
                        (*start, *before) = (None, None);
                        out.push_ref(ValueRef::Null);
                        continue;
                    };
                    let reaches = |then: &Option<i64>, span: i64| then.is_none_or(|then| now - then >= span);
                    if restart(3, row) || reaches(start, *from_first) || reaches(before, *between) {
                        *start = Some(now);
                    }
                    *before = Some(now);
                    out.push_ref(start.map_or(ValueRef::Null, ValueRef::DateTime));
                }
            }
        }
        out.finish()
    }
}

/// The whole column of a call over input that is in memory at once.
pub fn whole_column(name: &str, args: &[ArgInfo], returns: Type, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef, String> {
    Window::new(name, args, returns)?.next_batch(columns, rows, &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, BooleanArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    fn longs(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn info(ty: Type, constant: Option<Value>) -> ArgInfo {
        ArgInfo { ty, constant }
    }

    /// Runs a call over batches of one, two, … rows, so that every state crosses a batch border.
    fn run(name: &str, args: &[ArgInfo], columns: &[ArrayRef]) -> Vec<Option<i64>> {
        let rows = columns[0].len();
        let mut window = Window::new(name, args, Type::Long).unwrap();
        let (mut out, mut at, mut size) = (Vec::new(), 0, 1);
        while at < rows {
            let n = size.min(rows - at);
            let batch: Vec<ArrayRef> = columns.iter().map(|c| c.slice(at, n)).collect();
            let behind = window.look_ahead().min(rows - at - n);
            let following: Vec<ArrayRef> = columns.iter().map(|c| c.slice(at + n, behind)).collect();
            let result = window.next_batch(&batch, n, &following).unwrap();
            out.extend(result.as_primitive::<Int64Type>().iter());
            (at, size) = (at + n, size + 1);
        }
        out
    }

    #[test]
    fn neighbors_are_found_across_batches() {
        let column = [longs(&[1, 2, 3, 4, 5, 6])];
        let args = |offset, default| {
            [info(Type::Long, None), info(Type::Long, Some(Value::Long(offset))), info(Type::Long, Some(default))]
        };
        assert_eq!(run("prev", &args(2, Value::Null), &column), [None, None, Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(run("next", &args(3, Value::Long(-1)), &column), [4, 5, 6, -1, -1, -1].map(Some));
    }

    #[test]
    fn restarts_count_from_the_start_again() {
        let restart: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true, false, false]));
        let columns = [longs(&[5, 5, 7, 7, 1]), restart];
        let args = [info(Type::Long, None), info(Type::Bool, None)];
        assert_eq!(run("row_cumsum", &args, &columns), [5, 10, 7, 14, 15].map(Some));
        assert_eq!(run("row_rank_min", &args, &columns), [1, 1, 1, 1, 3].map(Some));
        assert_eq!(run("row_rank_dense", &args, &columns), [1, 1, 1, 1, 2].map(Some));
        let numbered = [info(Type::Long, Some(Value::Long(0))), info(Type::Bool, None)];
        assert_eq!(run("row_number", &numbered, &columns), [0, 1, 0, 1, 2].map(Some));
    }
}
