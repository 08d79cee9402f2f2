//! The columns of the matches of a pattern.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::record_batch::RecordBatch;

use super::found::Found;
use super::{Graph, batch_of, taken, values};
use crate::bound::graph::{EachFold, GraphPattern, MatchValue};
use kqlake_value::columns::{ColumnBuilder, ColumnReader};
use kqlake_value::{Json, Type, Value};

/// The columns of matches, and the values over all nodes or edges that they take from.
pub(super) struct Outputs(Vec<(MatchValue, ArrayRef)>);

impl Outputs {
    pub(super) fn new(graph: &Graph, pattern: &GraphPattern) -> Result<Outputs, String> {
        let all = |value: &MatchValue| match value {
            MatchValue::Node { value, .. } | MatchValue::Each { value, inner_nodes: true, .. } => values(value, &graph.nodes),
            MatchValue::Edge { value, .. } | MatchValue::Each { value, inner_nodes: false, .. } => values(value, &graph.edges),
            MatchValue::Degree { incoming, .. } => {
                let edges = if *incoming { &graph.incoming } else { &graph.outgoing };
                let degrees = (0..graph.nodes.num_rows() as u32).map(|node| edges.of(node).len() as i64);
                Ok(Arc::new(Int64Array::from_iter_values(degrees)) as ArrayRef)
            }
        };
        let outputs = pattern.outputs.iter().map(|output| Ok((output.value.clone(), all(&output.value)?)));
        outputs.collect::<Result<_, String>>().map(Outputs)
    }

    /// Bytes in memory, those of the graph's own columns among them.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(_, all)| all.get_array_memory_size()).sum()
    }

    /// A row a match.
    pub(super) fn batch(&self, found: &Found) -> Result<RecordBatch, String> {
        let columns = self.0.iter().map(|(value, all)| column(value, all, found));
        batch_of(columns.collect::<Result<_, String>>()?, found.count)
    }
}

fn column(value: &MatchValue, all: &ArrayRef, found: &Found) -> Result<ArrayRef, String> {
    match value {
        MatchValue::Node { node, .. } | MatchValue::Degree { node, .. } => taken(all, &found.nodes[*node]),
        // An edge of one hop has one edge a match.
        MatchValue::Edge { edge, .. } => taken(all, &found.paths[*edge].edges),
        MatchValue::Each { edge, inner_nodes, value, fold } => {
            let rows = Rows::new(found, *edge, *inner_nodes);
            if *fold == EachFold::Array {
                return arrays(all, value.ty, rows, found.count);
            }
            let values = all.as_boolean_opt().ok_or("a condition gave something other than a bool")?;
            let is_true = |place: &u32| values.is_valid(*place as usize) && values.value(*place as usize);
            let folded = rows.map(|row| match fold {
                EachFold::All => row.iter().all(is_true),
                _ => row.iter().any(is_true),
            });
            Ok(Arc::new(folded.map(Some).collect::<BooleanArray>()))
        }
    }
}

/// The edges of each match, or the nodes between them.
struct Rows<'f> {
    ends: std::slice::Iter<'f, usize>,
    all: &'f [u32],
    inner_nodes: bool,
    /// The end of the last row's edges.
    edge: usize,
    /// The end of the last row.
    at: usize,
}

impl<'f> Rows<'f> {
    fn new(found: &'f Found, edge: usize, inner_nodes: bool) -> Rows<'f> {
        let paths = &found.paths[edge];
        let all = if inner_nodes { &paths.inner } else { &paths.edges };
        Rows { ends: paths.ends.iter(), all, inner_nodes, edge: 0, at: 0 }
    }
}

impl<'f> Iterator for Rows<'f> {
    type Item = &'f [u32];

    fn next(&mut self) -> Option<&'f [u32]> {
        let end = *self.ends.next()?;
        let edges = end - self.edge;
        self.edge = end;
        let len = if self.inner_nodes { edges.saturating_sub(1) } else { edges };
        let row = &self.all[self.at..self.at + len];
        self.at += len;
        Some(row)
    }
}

/// An array of values for each row.
fn arrays<'r>(values: &ArrayRef, ty: Type, rows: impl Iterator<Item = &'r [u32]>, count: usize) -> Result<ArrayRef, String> {
    let reader = ColumnReader::new(values, ty)?;
    let mut builder = ColumnBuilder::new(Type::Dynamic, count);
    for row in rows {
        let items: Vec<Json> = row.iter().map(|place| reader.get(*place as usize).to_json()).collect();
        builder.push(&Value::Dynamic(Json::Array(items)));
    }
    builder.finish()
}
