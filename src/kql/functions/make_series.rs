//! `make-series`: arrays over an axis of equal steps.
//!
//! Rules: Kusto documentation, "make-series operator". Buckets without rows get the default; the end of the axis does not
//! belong to it, except for the older `in range()`. Where no start or end is given, each series has its own: its first and
//! last bucket with rows.

use std::collections::{BTreeMap, HashMap};

use arrow::record_batch::RecordBatch;

use crate::computation::{Compute, RowStream};
use kqlake_value::columns::{ColumnBuilder, ColumnReader, to_value};
use kqlake_value::{self as value, Type, Value, ValueRef, format, json};

/// Elements that an array may have.
const MAX_POINTS: usize = 1_048_576;

/// One series.
#[derive(Debug, Clone)]
pub(crate) struct SeriesColumn {
    /// Type of the aggregate.
    pub ty: Type,
    /// What is in a bucket without rows.
    pub default: Value,
}

/// The operator's parameters. Input columns: keys, the bucket, one value a series.
#[derive(Debug, Clone)]
pub(crate) struct MakeSeries {
    /// Types of the keys.
    pub keys: Vec<Type>,
    /// Type of the axis.
    pub axis: Type,
    /// First bucket, if given.
    pub from: Option<Value>,
    /// End, if given.
    pub to: Option<Value>,
    /// Step: a timespan for a datetime axis, else of the axis' type.
    pub step: Value,
    /// The end belongs to the axis.
    pub inclusive: bool,
    /// The series.
    pub series: Vec<SeriesColumn>,
    /// One row of defaults for an empty input.
    pub nonempty: bool,
}

/// A place on the axis as a number: whole ticks or units where the axis has them.
#[derive(Debug, Clone, Copy, PartialEq)]
enum AxisPoint {
    /// As wide as the distance between the ends of an axis.
    Whole(i128),
    Real(f64),
}

fn place(v: ValueRef<'_>) -> Option<AxisPoint> {
    Some(match v {
        ValueRef::DateTime(t) | ValueRef::TimeSpan(t) => AxisPoint::Whole(t.into()),
        ValueRef::Int(v) => AxisPoint::Whole(v.into()),
        ValueRef::Long(v) => AxisPoint::Whole(v.into()),
        ValueRef::Real(v) => AxisPoint::Real(v),
        ValueRef::Decimal(v) => AxisPoint::Real(v as f64 / 1e18),
        _ => return None,
    })
}

impl AxisPoint {
    /// How many steps from `start`.
    fn steps(self, start: AxisPoint, step: AxisPoint) -> Option<i64> {
        match (self, start, step) {
            (AxisPoint::Whole(v), AxisPoint::Whole(start), AxisPoint::Whole(step)) if step != 0 => {
                i64::try_from((v - start).div_euclid(step)).ok()
            }
            (v, start, step) => {
                let steps = (v.real() - start.real()) / step.real();
                // Buckets are multiples of the step; rounding removes what binary fractions add.
                steps.is_finite().then(|| steps.round() as i64)
            }
        }
    }

    /// How many whole steps (which are greater than zero) from `start`, and whether a part of one is left.
    fn distance(self, start: AxisPoint, step: AxisPoint) -> (i64, bool) {
        match (self, start, step) {
            (AxisPoint::Whole(v), AxisPoint::Whole(start), AxisPoint::Whole(step)) => {
                let away = v - start;
                (i64::try_from(away.div_euclid(step)).unwrap_or(i64::MAX), away.rem_euclid(step) != 0)
            }
            (v, start, step) => {
                let steps = (v.real() - start.real()) / step.real();
                (steps.floor() as i64, steps.fract() != 0.0)
            }
        }
    }

    /// Whether it is before another; as reals, ticks since year 1 would not be distinguished.
    fn before(self, other: AxisPoint) -> bool {
        match (self, other) {
            (AxisPoint::Whole(a), AxisPoint::Whole(b)) => a < b,
            (a, b) => a.real() < b.real(),
        }
    }

    fn real(self) -> f64 {
        match self {
            AxisPoint::Whole(v) => v as f64,
            AxisPoint::Real(v) => v,
        }
    }

    fn at(self, step: AxisPoint, n: i64) -> AxisPoint {
        match (self, step) {
            (AxisPoint::Whole(v), AxisPoint::Whole(step)) => AxisPoint::Whole(v + step * i128::from(n)),
            (v, step) => AxisPoint::Real(v.real() + step.real() * n as f64),
        }
    }
}

impl MakeSeries {
    fn axis_value(&self, place: AxisPoint) -> Value {
        match (place, self.axis) {
            (AxisPoint::Real(v), _) => Value::Real(v),
            (AxisPoint::Whole(v), axis) => match (i64::try_from(v), axis) {
                (Ok(t), Type::DateTime) => value::datetime(t).map_or(Value::Null, Value::DateTime),
                (Ok(t), Type::TimeSpan) => Value::TimeSpan(t),
                (Ok(v), _) => Value::Long(v),
                (Err(_), _) => Value::Null,
            },
        }
    }

    /// The axis: its start and how many points it has.
    fn axis_points(
        &self,
        buckets: impl Iterator<Item = AxisPoint>,
        step: AxisPoint,
    ) -> Result<Option<(AxisPoint, usize)>, String> {
        let given = |v: &Option<Value>| -> Option<AxisPoint> {
            let mut text = String::new();
            v.as_ref().and_then(|v| place(v.as_ref(&mut text)))
        };
        let (mut least, mut greatest): (Option<AxisPoint>, Option<AxisPoint>) = (None, None);
        for b in buckets {
            if least.is_none_or(|l| b.before(l)) {
                least = Some(b);
            }
            if greatest.is_none_or(|g| g.before(b)) {
                greatest = Some(b);
            }
        }
        let Some(start) = given(&self.from).or(least) else { return Ok(None) };
        let points = match (given(&self.to), greatest) {
            (Some(to), _) => {
                // Without a start the axis begins at the first bucket.
                let (whole, part) = to.distance(start, step);
                if self.inclusive { whole.saturating_add(1) } else { whole.saturating_add(part.into()) }
            }
            (None, Some(last)) => last.steps(start, step).unwrap_or(i64::MAX).saturating_add(1),
            (None, None) => 0,
        };
        let points = usize::try_from(points.max(0)).unwrap_or(usize::MAX);
        if points > MAX_POINTS {
            return Err(format!("a series would have {points} points; at most {MAX_POINTS} are possible"));
        }
        Ok(Some((start, points)))
    }
}

impl Compute for MakeSeries {
    fn name(&self) -> &str {
        "make-series"
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        SeriesRows::new(self)?.over(input)
    }

    fn stream(&self) -> Option<Result<Box<dyn RowStream>, String>> {
        Some(SeriesRows::new(self).map(|rows| Box::new(rows) as Box<dyn RowStream>))
    }
}

/// Text of the arrays in a batch of the result, after which the next one begins.
const BATCH_TEXT: usize = 1 << 20;

/// [`MakeSeries`] at work: all buckets are kept, and each series is written when it goes out.
struct SeriesRows {
    op: MakeSeries,
    step: AxisPoint,
    groups: Vec<Group>,
    index: HashMap<String, usize>,
    held: usize,
    /// The series that are not out yet, once the input has ended.
    left: std::vec::IntoIter<Group>,
    /// The axis of the series before, as text: mostly they are all the same.
    axis: (Option<(AxisPoint, usize)>, String),
}

/// The rows of one series: their buckets and, one row after the other, their values.
struct Group {
    key: Vec<Value>,
    /// Whole numbers, or the bits of reals.
    places: Vec<i64>,
    values: Vec<Value>,
}

impl SeriesRows {
    fn new(op: &MakeSeries) -> Result<SeriesRows, String> {
        let mut text = String::new();
        let step = place(op.step.as_ref(&mut text))
            .filter(|s| s.real() > 0.0 && s.real().is_finite())
            .ok_or("the step must be a finite number greater than zero")?;
        Ok(SeriesRows {
            op: op.clone(),
            step,
            groups: Vec::new(),
            index: HashMap::new(),
            held: 0,
            left: Vec::new().into_iter(),
            axis: (None, "[]".to_owned()),
        })
    }

    fn point(&self, packed: i64) -> AxisPoint {
        match self.op.axis {
            Type::Real | Type::Decimal => AxisPoint::Real(f64::from_bits(packed as u64)),
            _ => AxisPoint::Whole(packed.into()),
        }
    }

    /// Writes the arrays of a series; gives the bytes of their texts.
    fn write(&mut self, group: &Group, arrays: &mut [ColumnBuilder]) -> Result<usize, String> {
        let (step, count) = (self.step, self.op.series.len());
        let places: Vec<AxisPoint> = group.places.iter().map(|packed| self.point(*packed)).collect();
        // Where the query does not say where the axis begins or ends, the series' own rows do.
        let axis = self.op.axis_points(places.iter().copied(), step)?;
        let (start, points) = axis.unwrap_or((AxisPoint::Whole(0), 0));
        let mut scratch = String::new();
        if self.axis.0 != Some((start, points)) {
            let values = (0..points).map(|n| self.op.axis_value(start.at(step, n as i64)));
            self.axis = (Some((start, points)), array(values, |out, value| write_element(out, &value, &mut scratch)));
        }
        let buckets: BTreeMap<i64, usize> =
            places.iter().enumerate().filter_map(|(row, at)| Some((at.steps(start, step)?, row))).collect();
        let mut bytes = self.axis.1.len();
        for (i, series) in self.op.series.iter().enumerate() {
            let value = |n| buckets.get(&n).map_or(&series.default, |row| &group.values[row * count + i]);
            let out = array((0..points as i64).map(value), |out, value| write_element(out, value, &mut scratch));
            bytes += out.len();
            arrays[i].push_ref(ValueRef::Dynamic(&out));
        }
        arrays[count].push_ref(ValueRef::Dynamic(&self.axis.1));
        Ok(bytes)
    }
}

impl RowStream for SeriesRows {
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, String> {
        let keys = self.op.keys.len();
        let readers = (0..batch.num_columns())
            .map(|i| {
                let ty = match i {
                    i if i < keys => self.op.keys[i],
                    i if i == keys => self.op.axis,
                    i => self.op.series[i - keys - 1].ty,
                };
                ColumnReader::new(batch.column(i), ty)
            })
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            // Neither null nor NaN nor an infinity has a place.
            let Some(at) = place(readers[keys].get(row)).filter(|at| at.real().is_finite()) else { continue };
            let packed = match at {
                AxisPoint::Real(v) => v.to_bits() as i64,
                AxisPoint::Whole(v) => i64::try_from(v).map_err(|_| "a bucket is beyond the range of the axis")?,
            };
            let key: Vec<Value> = (0..keys).map(|i| to_value(readers[i].get(row))).collect();
            let name = format!("{key:?}");
            let found = match self.index.get(&name).copied() {
                Some(found) => found,
                None => {
                    // The key's texts lie in the index and in the group.
                    self.held += size_of::<Group>() + 2 * name.len() + keys * size_of::<Value>() + 128;
                    self.groups.push(Group { key, places: Vec::new(), values: Vec::new() });
                    self.index.insert(name, self.groups.len() - 1);
                    self.groups.len() - 1
                }
            };
            let group = &mut self.groups[found];
            let room = |group: &Group| group.places.capacity() * size_of::<i64>() + group.values.capacity() * size_of::<Value>();
            let before = room(group);
            group.places.push(packed);
            group.values.extend(readers[keys + 1..].iter().map(|r| to_value(r.get(row))));
            self.held += room(group) - before;
        }
        Ok(Vec::new())
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>, String> {
        if self.groups.is_empty() && self.op.nonempty && self.op.keys.is_empty() {
            self.groups.push(Group { key: Vec::new(), places: Vec::new(), values: Vec::new() });
        }
        self.index = HashMap::new();
        self.left = std::mem::take(&mut self.groups).into_iter();
        Ok(Vec::new())
    }

    fn more(&mut self) -> Result<Option<RecordBatch>, String> {
        let mut builders: Vec<ColumnBuilder> = self.op.keys.iter().map(|ty| ColumnBuilder::new(*ty, 0)).collect();
        let mut arrays: Vec<ColumnBuilder> = (0..=self.op.series.len()).map(|_| ColumnBuilder::new(Type::Dynamic, 0)).collect();
        let (mut bytes, mut rows) = (0, 0);
        while bytes < BATCH_TEXT
            && let Some(group) = self.left.next()
        {
            bytes += self.write(&group, &mut arrays)?;
            builders.iter_mut().zip(&group.key).for_each(|(builder, value)| builder.push(value));
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let columns: Vec<_> = builders.iter_mut().chain(&mut arrays).map(ColumnBuilder::finish).collect::<Result<_, _>>()?;
        let batch = RecordBatch::try_from_iter(columns.into_iter().enumerate().map(|(i, c)| (format!("c{i}"), c)));
        batch.map(Some).map_err(|e| e.to_string())
    }

    fn held(&self) -> usize {
        self.held
    }
}

/// An array's text.
fn array<T>(items: impl Iterator<Item = T>, mut write: impl FnMut(&mut String, T)) -> String {
    let mut out = String::from("[");
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.push(',');
        }
        write(&mut out, item);
    }
    out.push(']');
    out
}

/// A value as an element of a dynamic array.
fn write_element(out: &mut String, value: &Value, scratch: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::TimeSpan(_) => {
            format::write_json_string(out, &format::to_string(value.as_ref(scratch)));
        }
        other => json::write_value(out, other.as_ref(scratch)),
    }
}
