//! What autocluster, basket and diffpatterns share: frequent combinations of column values.
//!
//! A pattern is a set of items, a column's value each, and the rows that have all of them. Only closed patterns are searched
//! at: those that no further item fits without losing a row. They are enumerated as in T. Uno and others, "LCM: An Efficient
//! Algorithm for Enumerating Frequent Closed Item Sets" (2003).

use super::table::{PluginInput, RowTableBuilder};
use super::{PluginArg, column, constant};
use crate::functions::codec::OwnedValue;
use crate::functions::interner::Interner;
use crate::room::{CountedVec, Held};
use kqlake_value::{Column, Type, Value, ValueRef};

/// Patterns that one search may find; what is found first is kept.
const MOST: usize = 20_000;

/// A set of items and the rows that have them.
#[derive(Debug, Clone)]
pub(super) struct ItemSet {
    /// Places in [`Items::items`], ascending.
    pub items: Vec<usize>,
    /// Rows, ascending.
    pub rows: Vec<u32>,
}

/// A value of a column.
#[derive(Debug)]
pub(super) struct Item {
    /// The column's place in the input.
    pub column: usize,
    /// Its value.
    pub value: OwnedValue,
    rows: CountedVec<u32>,
}

/// The rows as items.
#[derive(Debug)]
pub(super) struct Items {
    /// Frequent values.
    pub items: Vec<Item>,
    /// Columns that patterns are made of.
    pub columns: Vec<usize>,
    /// Each row's weight.
    pub weights: Vec<f64>,
    /// For each row, its items.
    by_row: Vec<Vec<usize>>,
    _memory: Held,
}

impl Items {
    /// Reads the rows. `least` is the weight that an item must have.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(super) fn read(input: &PluginInput, left_out: &[usize], weights: Vec<f64>, least: f64) -> Result<Items, String> {
        let columns: Vec<usize> = (0..input.visible).filter(|c| !left_out.contains(c)).collect();
        let mut items = Vec::new();
        for column in &columns {
            let mut values = Interner::default();
            let mut numbers: CountedVec<u32> = CountedVec::default();
            for row in 0..input.rows {
                numbers.push(values.number([input.get(*column, row)])?)?;
            }
            let mut weight_of = CountedVec::default();
            weight_of.append(&vec![0.0; values.len()])?;
            for (number, weight) in numbers.iter().zip(&weights) {
                weight_of[*number as usize] += weight;
            }
            let mut item_of = CountedVec::default();
            for (number, weight) in weight_of.iter().copied().enumerate() {
                // What is missing is no pattern's value: it could not be distinguished from a wildcard.
                let value = values.tuple(number as u32).next().map(OwnedValue::from).unwrap_or_default();
                let missing = matches!(value.as_ref(), ValueRef::Null | ValueRef::String(""));
                let kept = weight >= least && weight > 0.0 && !missing;
                item_of.push(kept.then_some(items.len()))?;
                if kept {
                    items.push(Item { column: *column, value, rows: CountedVec::default() });
                }
            }
            for (row, number) in (0..).zip(numbers.iter()) {
                if let Some(item) = item_of[*number as usize] {
                    items[item].rows.push(row)?;
                }
            }
        }
        // A row has an item a column at most.
        let of_rows: usize = items.iter().map(|item: &Item| item.rows.len()).sum();
        // A list that grows has room for four items at first.
        let room = input.rows * size_of::<Vec<usize>>() + (4 * input.rows).min(4 * of_rows).max(2 * of_rows) * size_of::<usize>();
        let memory = Held::of(room)?;
        let mut by_row = vec![Vec::new(); input.rows];
        for (i, item) in items.iter().enumerate() {
            for row in item.rows.iter() {
                by_row[*row as usize].push(i);
            }
        }
        Ok(Items { items, columns, weights, by_row, _memory: memory })
    }

    /// The weight of rows.
    pub(super) fn weight(&self, rows: &[u32]) -> f64 {
        rows.iter().map(|r| self.weights[*r as usize]).sum()
    }

    /// The closed patterns of at least one item whose rows satisfy `keep`, grown by at most `depth` choices.
    ///
    /// `keep` must not hold for a part of rows for which it does not hold as a whole.
    pub(super) fn closed(&self, depth: usize, keep: &dyn Fn(&[u32]) -> bool) -> Vec<ItemSet> {
        let all: Vec<u32> = (0..self.weights.len() as u32).collect();
        let mut found = Vec::new();
        if all.is_empty() {
            return found;
        }
        let root = ItemSet { items: self.closure(&all), rows: all };
        self.grow(&root, None, depth, keep, &mut found);
        if !root.items.is_empty() {
            found.push(root);
        }
        found
    }

    /// The items that all these rows have.
    fn closure(&self, rows: &[u32]) -> Vec<usize> {
        let Some((first, rest)) = rows.split_first() else { return Vec::new() };
        let mut items = self.by_row[*first as usize].clone();
        for row in rest {
            if items.is_empty() {
                break;
            }
            let theirs = &self.by_row[*row as usize];
            items.retain(|i| theirs.binary_search(i).is_ok());
        }
        items
    }

    fn grow(
        &self,
        pattern: &ItemSet,
        last: Option<usize>,
        depth: usize,
        keep: &dyn Fn(&[u32]) -> bool,
        found: &mut Vec<ItemSet>,
    ) {
        if depth == 0 {
            return;
        }
        for item in last.map_or(0, |l| l + 1)..self.items.len() {
            if found.len() >= MOST {
                return;
            }
            if pattern.items.binary_search(&item).is_ok() {
                continue;
            }
            let rows = intersect(&pattern.rows, &self.items[item].rows);
            if rows.is_empty() || !keep(&rows) {
                continue;
            }
            let items = self.closure(&rows);
            // An earlier item in the closure means that the pattern is found from there.
            if items.iter().take_while(|i| **i < item).any(|i| pattern.items.binary_search(i).is_err()) {
                continue;
            }
            let next = ItemSet { items, rows };
            self.grow(&next, Some(item), depth - 1, keep, found);
            found.push(next);
        }
    }
}

fn intersect(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (mut i, mut j, mut out) = (0, 0, Vec::with_capacity(a.len().min(b.len())));
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                out.push(a[i]);
                i += 1;
                j += 1;
            }
        }
    }
    out
}

/// The weight column among the arguments: its place, if one is named.
pub(super) fn weight_column(args: &[PluginArg], place: usize) -> Option<usize> {
    column(args, place).ok()
}

/// Each row's weight: the weight column's value, or 1.
pub(super) fn weights(input: &PluginInput, column: Option<usize>) -> Vec<f64> {
    (0..input.rows).map(|row| column.map_or(1.0, |c| input.get(c, row).as_f64().unwrap_or(0.0).max(0.0))).collect()
}

/// The wildcards of the types: null (the empty string), or what the arguments from a place on give for their type.
pub(super) struct Wildcards(Vec<(Type, Value)>);

impl Wildcards {
    /// Reads the arguments.
    pub(super) fn read(args: &[PluginArg], place: usize) -> Wildcards {
        let given = (place..args.len()).filter_map(|i| match (&args[i], constant(args, i)) {
            (PluginArg::Constant(_, ty), Some(value)) => Some((*ty, value.clone())),
            _ => None,
        });
        Wildcards(given.collect())
    }

    fn of(&self, ty: Type) -> &Value {
        self.0.iter().find(|(t, _)| *t == ty).map_or(&Value::Null, |(_, v)| v)
    }
}

/// The columns of a result: what is counted, and the columns of the patterns.
pub(super) fn columns(input: &[Column], left_out: &[usize], counted: &[(&str, Type)]) -> Vec<Column> {
    let own = input.iter().enumerate().filter(|(i, _)| !left_out.contains(i)).map(|(_, c)| c.clone());
    counted.iter().map(|(name, ty)| Column::new(*name, *ty)).chain(own).collect()
}

/// Appends a pattern's row.
pub(super) fn push(
    output: &mut RowTableBuilder,
    input: &PluginInput,
    items: &Items,
    pattern: &ItemSet,
    counted: &[ValueRef<'_>],
    wildcards: &Wildcards,
) {
    let mut row: Vec<OwnedValue> = counted.iter().map(|v| OwnedValue::from(*v)).collect();
    for column in &items.columns {
        let value =
            pattern.items.iter().map(|i| &items.items[*i]).find(|item| item.column == *column).map(|item| item.value.clone());
        row.push(value.unwrap_or_else(|| {
            let mut text = String::new();
            OwnedValue::from(wildcards.of(input.columns[*column].ty).as_ref(&mut text))
        }));
    }
    output.push(row.iter().map(OwnedValue::as_ref));
}

/// A percentage with so many digits behind the point.
pub(super) fn percent(part: f64, whole: f64, digits: i32) -> f64 {
    if whole <= 0.0 {
        return 0.0;
    }
    let scale = 10f64.powi(digits);
    // The sum of no weights is a negative zero; adding zero makes it the usual one.
    (part / whole * 100.0 * scale).round() / scale + 0.0
}
