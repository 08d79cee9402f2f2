//! Graphs: nodes and edges of a graph's rows, and what operators ask of them.
//!
//! Rules: Kusto documentation, "make-graph operator" and "Graph operators". A node's id is unique; where several rows have it,
//! each property has the first value there is. Edges make the nodes that no table has.

mod components;
mod found;
mod matches;
mod outputs;
mod shortest;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take, take_record_batch};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::utils::memory::get_record_batch_memory_size;

use self::matches::{DepthFirst, Matcher};
use self::shortest::Shortest;
use super::column_name;
use super::expr::physical;
use crate::bound::graph::{BoundGraphQuery, GraphQuestion, GraphShape, GraphStep, Matches};
use crate::bound::{BoundColumn, BoundExpr};
use crate::computation::{Compute, RowStream};
use crate::functions::interner::Interner;
use crate::room::{CountedVec, Held};
use kqlake_value::columns::{ColumnReader, arrow_type, in_form};
use kqlake_value::{Type, ValueRef};

/// Columns of a graph's input before the properties: whether a row is an edge, a node's id or an edge's source, an edge's target.
const LEADING: usize = 3;

/// A graph in memory. Nodes and edges are named by their places.
struct Graph {
    /// The nodes' ids, then their properties.
    nodes: RecordBatch,
    /// The edges' properties.
    edges: RecordBatch,
    /// Each edge's source.
    sources: Vec<u32>,
    /// Each edge's target.
    targets: Vec<u32>,
    /// Edges by their source.
    outgoing: Adjacency,
    /// Edges by their target.
    incoming: Adjacency,
}

/// The edges of each node, in one list.
struct Adjacency {
    /// Where each node's edges begin, and the end.
    starts: Vec<usize>,
    edges: Vec<u32>,
}

impl Adjacency {
    /// The edges by the node at one of their ends.
    fn by(ends: &[u32], nodes: usize) -> Adjacency {
        let mut starts = vec![0; nodes + 1];
        for end in ends {
            starts[*end as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut edges = vec![0; ends.len()];
        for (edge, end) in (0..).zip(ends) {
            edges[next[*end as usize]] = edge;
            next[*end as usize] += 1;
        }
        Adjacency { starts, edges }
    }

    /// A node's edges, in their order.
    fn of(&self, node: u32) -> &[u32] {
        &self.edges[self.starts[node as usize]..self.starts[node as usize + 1]]
    }
}

impl Compute for BoundGraphQuery {
    fn name(&self) -> &str {
        "graph"
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        GraphRows::new(self).over(input)
    }

    fn stream(&self) -> Option<Result<Box<dyn RowStream>, String>> {
        Some(Ok(Box::new(GraphRows::new(self))))
    }
}

/// The rows of a graph's nodes and edges, then the graph, of which matches are made as they are asked for.
struct GraphRows {
    query: BoundGraphQuery,
    input: Vec<RecordBatch>,
    search: Option<Search>,
    held: usize,
}

/// A search for matches at work.
enum Search {
    Depth(DepthFirst),
    Shortest(Shortest),
}

impl GraphRows {
    fn new(query: &BoundGraphQuery) -> GraphRows {
        GraphRows { query: query.clone(), input: Vec::new(), search: None, held: 0 }
    }
}

impl RowStream for GraphRows {
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, String> {
        // The graph is another copy of its rows.
        self.held += 2 * get_record_batch_memory_size(&batch);
        self.input.push(batch);
        Ok(Vec::new())
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>, String> {
        let graph = Graph::new(&self.query.shape, std::mem::take(&mut self.input))?;
        let Some(graph) = graph else { return Ok(Vec::new()) };
        self.held = graph.bytes();
        let batch = match &self.query.question {
            GraphQuestion::Nodes => graph.nodes,
            GraphQuestion::Edges => {
                let key = graph.nodes.column(0);
                let end = |ends: &[u32]| taken(key, ends);
                let mut columns = vec![end(&graph.sources)?, end(&graph.targets)?];
                columns.extend(graph.edges.columns().iter().cloned());
                batch_of(columns, graph.edges.num_rows())?
            }
            GraphQuestion::Matches(pattern) => {
                let matcher = Matcher::new(graph, pattern.clone())?;
                let search = match pattern.matches {
                    Matches::AnyShortest | Matches::AllShortest => Search::Shortest(Shortest::new(matcher)?),
                    _ => Search::Depth(DepthFirst::new(matcher)?),
                };
                self.held += match &search {
                    Search::Shortest(search) => search.bytes(),
                    Search::Depth(search) => search.bytes(),
                };
                self.search = Some(search);
                return Ok(Vec::new());
            }
        };
        Ok(vec![batch])
    }

    fn more(&mut self) -> Result<Option<RecordBatch>, String> {
        match &mut self.search {
            None => Ok(None),
            Some(Search::Depth(search)) => search.next(),
            Some(Search::Shortest(search)) => search.next(),
        }
    }

    fn held(&self) -> usize {
        self.held
    }
}

/// The nodes and edges of a graph's rows by their places.
struct Places {
    /// Where the id of each node is first: whether it is an edge's target, and the row.
    firsts: CountedVec<(bool, u32)>,
    /// The node of each row that tells of one.
    nodes: CountedVec<u32>,
    /// Each edge's source.
    sources: CountedVec<u32>,
    /// Each edge's target.
    targets: CountedVec<u32>,
}

impl Places {
    /// Numbers the nodes in the order of their first appearance. `ids` are nodes' ids or edges' sources, and edges' targets.
    fn of(ids: [&ArrayRef; 2], key: Type, node_rows: &[u32], edge_rows: &[u32]) -> Result<Places, String> {
        let [ids, targets] = [ColumnReader::new(ids[0], key)?, ColumnReader::new(ids[1], key)?];
        let mut keys = Interner::default();
        let mut firsts = CountedVec::default();
        let mut place_of = |id, is_target: bool, row: u32| -> Result<u32, String> {
            let place = keys.number([id])?;
            if place as usize == firsts.len() {
                firsts.push((is_target, row))?;
            }
            Ok(place)
        };
        let (mut nodes, mut sources, mut ends) = (CountedVec::default(), CountedVec::default(), CountedVec::default());
        for row in node_rows {
            nodes.push(place_of(ids.get(*row as usize), false, *row)?)?;
        }
        for row in edge_rows {
            sources.push(place_of(ids.get(*row as usize), false, *row)?)?;
            ends.push(place_of(targets.get(*row as usize), true, *row)?)?;
        }
        Ok(Places { firsts, nodes, sources, targets: ends })
    }
}

impl Graph {
    /// The graph of the rows of an input; `None` for no rows. There are two copies of the rows at a time, for which the caller has
    /// room: first those of the input and all in one piece, then that piece and nodes and edges.
    fn new(shape: &GraphShape, input: Vec<RecordBatch>) -> Result<Option<Graph>, String> {
        let Some(first) = input.first() else { return Ok(None) };
        let all = concat_batches(&first.schema(), &input).map_err(text)?;
        drop(input);
        let key_type = shape.key.ty;
        let types = [Type::Bool, key_type, key_type].into_iter().chain(shape.nodes.iter().chain(&shape.edges).map(|c| c.ty));
        let columns: Vec<ArrayRef> = all.columns().iter().zip(types).map(|(c, ty)| in_form(c, ty)).collect::<Result<_, _>>()?;
        drop(all);
        let is_edge = columns[0].as_boolean_opt().ok_or("a graph's rows do not tell nodes from edges")?;
        let _rows = Held::of(2 * is_edge.len() * size_of::<u32>())?;
        let places = |edges: bool| -> Vec<u32> {
            (0..).zip(is_edge.iter()).filter(|(_, is)| is.unwrap_or_default() == edges).map(|(row, _)| row).collect()
        };
        let (node_rows, edge_rows) = (places(false), places(true));
        let Places { firsts, nodes: node_places, sources, targets } =
            Places::of([&columns[1], &columns[2]], key_type, &node_rows, &edge_rows)?;
        let key = first_of(&columns, &firsts)?;
        let mut of_nodes = vec![key.clone()];
        of_nodes.extend(shape.id.iter().map(|_| key.clone()));
        let (properties, edge_properties) = columns[LEADING..].split_at(shape.nodes.len());
        let _first_known = Held::of(firsts.len() * size_of::<Option<u32>>())?;
        for (array, column) in properties.iter().zip(&shape.nodes) {
            let reader = ColumnReader::new(array, column.ty)?;
            let mut first_known: Vec<Option<u32>> = vec![None; firsts.len()];
            for (place, row) in node_places.iter().zip(&node_rows) {
                // A string is never null: an empty one is none.
                let known = &mut first_known[*place as usize];
                if known.is_none() && !matches!(reader.get(*row as usize), ValueRef::Null | ValueRef::String("")) {
                    *known = Some(*row);
                }
            }
            of_nodes.push(take(array, &UInt32Array::from(first_known), None).map_err(text)?);
        }
        let known = shape.id.iter().chain(&shape.nodes);
        let nodes = named(std::iter::once(&shape.key).chain(known), of_nodes, firsts.len())?;
        let of_edges = edge_properties.iter().map(|column| taken(column, &edge_rows));
        let edges = named(&shape.edges, of_edges.collect::<Result<_, _>>()?, edge_rows.len())?;
        drop(columns);
        let mut graph = Graph::of(nodes, edges, sources.to_vec(), targets.to_vec())?;
        for step in &shape.steps {
            graph = graph.after(step)?;
        }
        Ok(Some(graph))
    }

    /// Bytes in memory.
    fn bytes(&self) -> usize {
        let adjacency = |of: &Adjacency| size_of_val(of.starts.as_slice()) + size_of_val(of.edges.as_slice());
        get_record_batch_memory_size(&self.nodes)
            + get_record_batch_memory_size(&self.edges)
            + size_of_val(self.sources.as_slice())
            + size_of_val(self.targets.as_slice())
            + adjacency(&self.outgoing)
            + adjacency(&self.incoming)
    }

    fn of(nodes: RecordBatch, edges: RecordBatch, sources: Vec<u32>, targets: Vec<u32>) -> Result<Graph, String> {
        // Two lists of edges by nodes, and a copy of where one's begin.
        let _memory = Held::of(3 * nodes.num_rows() * size_of::<usize>() + 2 * sources.len() * size_of::<u32>())?;
        let outgoing = Adjacency::by(&sources, nodes.num_rows());
        let incoming = Adjacency::by(&targets, nodes.num_rows());
        Ok(Graph { nodes, edges, sources, targets, outgoing, incoming })
    }

    /// The graph that an operator makes of this one.
    fn after(self, step: &GraphStep) -> Result<Graph, String> {
        match step {
            GraphStep::Nodes(condition) => {
                let kept = holds(condition, &self.nodes)?;
                let mut next = 0;
                let new: Vec<Option<u32>> = kept
                    .iter()
                    .map(|kept| {
                        kept.then(|| {
                            next += 1;
                            next - 1
                        })
                    })
                    .collect();
                let end = |node: &u32| new[*node as usize];
                let between = |edge: &usize| end(&self.sources[*edge]).zip(end(&self.targets[*edge])).is_some();
                let edges: Vec<u32> = (0..self.sources.len()).filter(between).map(|edge| edge as u32).collect();
                let ends = |of: &[u32]| edges.iter().filter_map(|edge| end(&of[*edge as usize])).collect();
                let nodes = filter_record_batch(&self.nodes, &BooleanArray::from(kept)).map_err(text)?;
                let (sources, targets) = (ends(&self.sources), ends(&self.targets));
                Graph::of(nodes, rows(&self.edges, &edges)?, sources, targets)
            }
            GraphStep::Edges(condition) => {
                let kept = holds(condition, &self.edges)?;
                let edges: Vec<u32> = (0..).zip(kept).filter(|(_, kept)| *kept).map(|(edge, _)| edge).collect();
                let ends = |of: &[u32]| edges.iter().map(|edge| of[*edge as usize]).collect();
                let (sources, targets) = (ends(&self.sources), ends(&self.targets));
                let properties = rows(&self.edges, &edges)?;
                Graph::of(self.nodes, properties, sources, targets)
            }
            GraphStep::Mark { column, strong } => {
                let numbers = if *strong { components::strong(&self) } else { components::weak(&self) };
                let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from(numbers));
                let mut fields: Vec<Arc<Field>> = self.nodes.schema().fields().iter().cloned().collect();
                fields.push(Arc::new(field(column)));
                let mut columns = self.nodes.columns().to_vec();
                columns.push(numbers);
                let nodes = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(text)?;
                Ok(Graph { nodes, ..self })
            }
        }
    }
}

/// The values of ids at their first appearances: `(whether it is that of a target, row)`.
fn first_of(columns: &[ArrayRef], firsts: &[(bool, u32)]) -> Result<ArrayRef, String> {
    let _places = Held::of(firsts.len() * size_of::<(usize, usize)>())?;
    let places: Vec<(usize, usize)> = firsts.iter().map(|(is_target, row)| (usize::from(*is_target), *row as usize)).collect();
    arrow::compute::interleave(&[columns[1].as_ref(), columns[2].as_ref()], &places).map_err(text)
}

/// Rows by their places.
fn rows(batch: &RecordBatch, places: &[u32]) -> Result<RecordBatch, String> {
    take_record_batch(batch, &UInt32Array::from(places.to_vec())).map_err(text)
}

/// Values by their places.
fn taken(column: &ArrayRef, places: &[u32]) -> Result<ArrayRef, String> {
    take(column, &UInt32Array::from(places.to_vec()), None).map_err(text)
}

fn field(column: &BoundColumn) -> Field {
    Field::new(column_name(column.id), arrow_type(column.ty), true)
}

/// A batch whose columns have the names that expressions know them by.
fn named<'c>(
    columns: impl IntoIterator<Item = &'c BoundColumn>,
    arrays: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, String> {
    let fields: Vec<Field> = columns.into_iter().map(field).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(text)
}

/// A batch of columns whose names do not matter.
fn batch_of(columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, String> {
    let fields: Vec<Field> =
        columns.iter().enumerate().map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(text)
}

/// An expression's value for each row.
fn values(e: &BoundExpr, batch: &RecordBatch) -> Result<ArrayRef, String> {
    let value = physical(e, &batch.schema())?.evaluate(batch).map_err(text)?;
    value.into_array(batch.num_rows()).map_err(text)
}

/// Whether a condition is true, for each row.
fn holds(e: &BoundExpr, batch: &RecordBatch) -> Result<Vec<bool>, String> {
    let values = values(e, batch)?;
    let values = values.as_boolean_opt().ok_or("a condition gave something other than a bool")?;
    Ok(values.iter().map(|value| value.unwrap_or_default()).collect())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
