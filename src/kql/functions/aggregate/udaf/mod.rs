//! An aggregate of the registry as a DataFusion aggregate.
//!
//! The state between phases is one Binary column: what [`Accumulate::state`] gives. A group's state can be merged in any
//! number of pieces, so partial aggregation, repartitioning and spilling need nothing more.
//!
//! Row order: an aggregate marked `ordered` may be called with one argument more than it was bound with, the row's
//! position (`Int64` or `UInt64`) in the serialized input. The answer then follows the positions, whatever phases,
//! partitions and batches the rows come through. A DataFusion `ORDER BY` on such a position works the same way, because
//! the ordering columns are passed behind the arguments. Without positions rows count in the order they arrive.

mod fast;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, resources_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};

use crate::functions::codec::{Decoder, write_bytes, write_i64, write_value};
use crate::functions::constants::scalar;
use crate::functions::{Accumulate, AggregateFn, AggregateImpl, ArgInfo};
use kqlake_value::columns::{ColumnBuilder, ColumnReader, arrow_type};
use kqlake_value::text_column::text_budget;
use kqlake_value::{Type, Value, ValueRef};

/// The DataFusion aggregate that computes one call of an aggregate function.
///
/// `args` are the call's bound arguments in the order of the expressions that the call will be given (without the
/// predicate of an `…if` form, which becomes the call's filter). Constants that the function refuses, and functions
/// without a computation of their own ([`AggregateImpl::Native`]), show as an error when the call is planned.
pub(crate) fn udaf(function: &'static AggregateFn, args: Vec<ArgInfo>, returns: Type) -> AggregateUDF {
    let identity = format!("{}/{returns}/{args:?}", function.name);
    let call = AggregateCall { function, args, returns, budget: text_budget() / 2 };
    AggregateUDF::new_from_impl(KqlAggregate {
        call: Arc::new(call),
        identity,
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

/// One call of an aggregate: what a new state is made from.
#[derive(Debug)]
struct AggregateCall {
    function: &'static AggregateFn,
    args: Vec<ArgInfo>,
    returns: Type,
    /// Bytes that the states of many groups may have in one operator.
    budget: usize,
}

/// True for an aggregate of a plan whose states may outgrow their budget: over rows that are ordered by their groups they do not, since
/// each group leaves when its last row has come.
pub fn has_large_states(aggregate: &AggregateUDF) -> bool {
    aggregate.inner().is::<KqlAggregate>()
}

impl AggregateCall {
    fn new_state(&self) -> Result<Box<dyn Accumulate>> {
        match self.function.imp {
            AggregateImpl::Rows(make) => {
                make(&self.args, self.returns).map_err(|why| DataFusionError::Plan(format!("{}: {why}", self.function.name)))
            }
            AggregateImpl::Native(_) => {
                Err(DataFusionError::Internal(format!("{} has a native computation", self.function.name)))
            }
            AggregateImpl::Unsupported(why) => {
                Err(DataFusionError::Plan(format!("{} is not supported: {why}", self.function.name)))
            }
        }
    }

    /// A new state for rows that come with positions, or without.
    fn new_any(self: &Arc<Self>, positioned: bool) -> Result<Box<dyn Accumulate>> {
        if positioned { Ok(Box::new(ByPosition::new(Arc::clone(self)))) } else { self.new_state() }
    }

    /// Opens the argument columns, and the positions if there are any.
    fn open(&self, values: &[ArrayRef]) -> Result<(Vec<ColumnReader>, Option<ArrayRef>)> {
        if values.len() < self.args.len() {
            return Err(DataFusionError::Internal(format!(
                "{} was bound with {} arguments and called with {}",
                self.function.name,
                self.args.len(),
                values.len()
            )));
        }
        let readers = values
            .iter()
            .zip(&self.args)
            .map(|(array, arg)| ColumnReader::new(array, arg.ty))
            .collect::<std::result::Result<Vec<_>, String>>()
            .map_err(|why| DataFusionError::Execution(format!("{}: {why}", self.function.name)))?;
        let positions = match values.get(self.args.len()) {
            Some(array) if self.function.ordered => Some(cast(array, &DataType::Int64)?),
            _ => None,
        };
        Ok((readers, positions))
    }
}

/// The aggregate as DataFusion sees it.
#[derive(Clone)]
struct KqlAggregate {
    call: Arc<AggregateCall>,
    identity: String,
    signature: Signature,
}

impl fmt::Debug for KqlAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KqlAggregate({})", self.call.function.name)
    }
}

impl PartialEq for KqlAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for KqlAggregate {}

impl Hash for KqlAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl KqlAggregate {
    fn positioned(&self, args: &AccumulatorArgs<'_>) -> bool {
        self.call.function.ordered && args.exprs.len() + args.order_bys.len() > self.call.args.len()
    }
}

impl AggregateUDFImpl for KqlAggregate {
    fn name(&self) -> &str {
        self.call.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        // Planning asks for the type first: what the function refuses is said here, before anything runs.
        self.call.new_state()?;
        Ok(arrow_type(self.call.returns))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "state"), DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let state = self.call.new_any(self.positioned(&args))?;
        Ok(Box::new(SingleGroup { call: Arc::clone(&self.call), state: Some(state) }))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let positioned = self.positioned(&args);
        if !positioned && let Some(fast) = fast::groups(self.call.function, &self.call.args, self.call.returns) {
            return Ok(fast);
        }
        Ok(Box::new(Groups {
            call: Arc::clone(&self.call),
            positioned,
            states: Vec::new(),
            sizes: Vec::new(),
            total: 0,
            touched: Vec::new(),
        }))
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(scalar(&self.call.new_state()?.finish(), self.call.returns))
    }
}

/// What a state is counted for, as many times: it is copied into a column when its group leaves.
const COPIES: usize = 2;

/// The state of all rows, for a summary without keys.
#[derive(Debug)]
struct SingleGroup {
    call: Arc<AggregateCall>,
    /// None once its value or its state was given: it may be as large as the memory limit allows, and is there once.
    state: Option<Box<dyn Accumulate>>,
}

impl SingleGroup {
    fn open(&mut self) -> Result<&mut Box<dyn Accumulate>> {
        let name = self.call.function.name;
        self.state.as_mut().ok_or_else(|| DataFusionError::Internal(format!("{name}: it was given before")))
    }
}

impl Accumulator for SingleGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (columns, positions) = self.call.open(values)?;
        let positions = positions.as_ref().map(|p| p.as_primitive::<Int64Type>());
        let rows = values.first().map_or(0, |v| v.len());
        let state = self.open()?;
        let mut args: Vec<ValueRef<'_>> = Vec::with_capacity(columns.len() + 1);
        for row in 0..rows {
            args.clear();
            args.extend(columns.iter().map(|c| c.get(row)));
            args.extend(positions.map(|p| ValueRef::Long(p.value(row))));
            state.update(&args);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.open()?;
        let mut out = ColumnBuilder::new(self.call.returns, 1);
        if let Some(state) = self.state.take() {
            state.finish_into(&mut out);
        }
        let column = out.finish().map_err(DataFusionError::Execution)?;
        drop(out);
        ScalarValue::try_from_array(&column, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + COPIES * self.state.as_ref().map_or(0, |state| state.size())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.open()?.state();
        self.state = None;
        Ok(vec![ScalarValue::Binary(Some(state))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let state = self.open()?;
        for other in state_column(states)?.as_binary::<i32>().iter().flatten() {
            state.merge(other);
        }
        Ok(())
    }
}

/// The column of states; whatever kind of binary it comes as.
pub(super) fn state_column(states: &[ArrayRef]) -> Result<ArrayRef> {
    let column = states.first().ok_or_else(|| DataFusionError::Internal("an aggregate's state column is missing".to_owned()))?;
    Ok(if column.data_type() == &DataType::Binary { Arc::clone(column) } else { cast(column, &DataType::Binary)? })
}

/// The states of many groups.
struct Groups {
    call: Arc<AggregateCall>,
    positioned: bool,
    states: Vec<Box<dyn Accumulate>>,
    /// What `total` counts for each group, so that one batch touches only its own groups.
    sizes: Vec<usize>,
    total: usize,
    touched: Vec<usize>,
}

impl Groups {
    fn grow(&mut self, groups: usize) -> Result<()> {
        while self.states.len() < groups {
            let state = self.call.new_any(self.positioned)?;
            let size = state.size();
            self.total += size;
            self.sizes.push(size);
            self.states.push(state);
        }
        Ok(())
    }

    /// Brings the count of bytes up to date for the groups of one batch.
    ///
    /// # Errors
    /// There are more of them than the budget has. States are on their way from one operator to the next all at once, and what does not
    /// fit the pool is written to disk and read back in batches of rows, however large these are: so much would pass the limit long
    /// before it is refused. One large group is left to the pool.
    fn recount(&mut self) -> Result<()> {
        self.touched.sort_unstable();
        self.touched.dedup();
        for group in self.touched.drain(..) {
            let size = self.states[group].size();
            self.total = self.total - self.sizes[group] + size;
            self.sizes[group] = size;
        }
        if self.total > self.call.budget {
            let largest = self.sizes.iter().max().copied().unwrap_or_default();
            if self.total - largest > self.call.budget {
                let name = self.call.function.name;
                return Err(resources_datafusion_err!("{name}: the groups' values do not fit in their share of the memory"));
            }
        }
        Ok(())
    }

    fn emit(&mut self, emit_to: EmitTo) -> Vec<Box<dyn Accumulate>> {
        let sizes = emit_to.take_needed(&mut self.sizes);
        self.total -= sizes.iter().sum::<usize>();
        emit_to.take_needed(&mut self.states)
    }
}

/// True where a row passes the call's filter.
pub(super) fn passes_filter(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|f| f.is_valid(row) && f.value(row))
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.grow(groups)?;
        let (columns, positions) = self.call.open(values)?;
        let positions = positions.as_ref().map(|p| p.as_primitive::<Int64Type>());
        let mut args: Vec<ValueRef<'_>> = Vec::with_capacity(columns.len() + 1);
        for (row, &group) in group_indices.iter().enumerate() {
            if !passes_filter(filter, row) {
                continue;
            }
            args.clear();
            args.extend(columns.iter().map(|c| c.get(row)));
            args.extend(positions.map(|p| ValueRef::Long(p.value(row))));
            self.states[group].update(&args);
            self.touched.push(group);
        }
        self.recount()
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let states = self.emit(emit_to);
        let mut out = ColumnBuilder::new(self.call.returns, states.len());
        for state in states {
            state.finish_into(&mut out);
        }
        out.finish().map_err(DataFusionError::Execution)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let before = self.total;
        let states = self.emit(emit_to);
        // A buffer that grows would be there twice.
        let mut out = BinaryBuilder::with_capacity(states.len(), before - self.total);
        for state in states {
            out.append_value(state.state());
        }
        Ok(vec![Arc::new(out.finish())])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], groups: usize) -> Result<()> {
        self.grow(groups)?;
        let column = state_column(values)?;
        let states = column.as_binary::<i32>();
        for (row, &group) in group_indices.iter().enumerate() {
            if states.is_valid(row) {
                self.states[group].merge(states.value(row));
                self.touched.push(group);
            }
        }
        self.recount()
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let (columns, positions) = self.call.open(values)?;
        let positions = positions.as_ref().map(|p| p.as_primitive::<Int64Type>());
        let rows = values.first().map_or(0, |v| v.len());
        let mut out = BinaryBuilder::with_capacity(rows, rows * 16);
        let mut args: Vec<ValueRef<'_>> = Vec::with_capacity(columns.len() + 1);
        for row in 0..rows {
            let mut state = self.call.new_any(self.positioned)?;
            if passes_filter(filter, row) {
                args.clear();
                args.extend(columns.iter().map(|c| c.get(row)));
                args.extend(positions.map(|p| ValueRef::Long(p.value(row))));
                state.update(&args);
            }
            out.append_value(state.state());
        }
        Ok(vec![Arc::new(out.finish())])
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + COPIES * self.total
            + self.states.capacity() * size_of::<Box<dyn Accumulate>>()
            + self.sizes.capacity() * size_of::<usize>()
            + self.touched.capacity() * size_of::<usize>()
    }
}

/// The state of an order-sensitive aggregate whose rows come with positions: the rows themselves, played back in the
/// order of their positions at the end.
#[derive(Debug)]
struct ByPosition {
    call: Arc<AggregateCall>,
    /// Position, and where the row's arguments start in `bytes`; each row ends where the next starts.
    rows: Vec<(i64, usize, usize)>,
    bytes: Vec<u8>,
}

impl ByPosition {
    fn new(call: Arc<AggregateCall>) -> ByPosition {
        ByPosition { call, rows: Vec::new(), bytes: Vec::new() }
    }
}

impl Accumulate for ByPosition {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        let Some((ValueRef::Long(position), args)) = args.split_last() else { return };
        let start = self.bytes.len();
        for arg in args {
            write_value(&mut self.bytes, *arg);
        }
        self.rows.push((*position, start, self.bytes.len()));
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + self.rows.len() * 6);
        for (position, start, end) in &self.rows {
            write_i64(&mut out, *position);
            write_bytes(&mut out, &self.bytes[*start..*end]);
        }
        out
    }

    fn merge(&mut self, state: &[u8]) {
        let mut decoder = Decoder::new(state);
        while let (Some(position), Some(args)) = (decoder.i64(), decoder.bytes()) {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(args);
            self.rows.push((position, start, self.bytes.len()));
        }
    }

    fn finish(&self) -> Value {
        self.played().map_or(Value::Null, |state| state.finish())
    }

    fn finish_into(&self, out: &mut ColumnBuilder) {
        match self.played() {
            Some(state) => state.finish_into(out),
            None => out.push(&Value::Null),
        }
    }

    fn size(&self) -> usize {
        // The rows are played into a state at the end, which has their values once more.
        size_of_val(self) + 2 * self.bytes.capacity() + self.rows.capacity() * size_of::<(i64, usize, usize)>()
    }
}

impl ByPosition {
    /// The state of the rows in their order.
    fn played(&self) -> Option<Box<dyn Accumulate>> {
        // The same call made a state before the query started; it cannot fail now.
        let mut state = self.call.new_state().ok()?;
        let mut rows = self.rows.clone();
        rows.sort_by_key(|r| r.0);
        let mut args = Vec::with_capacity(self.call.args.len());
        for (_, start, end) in rows {
            let mut decoder = Decoder::new(&self.bytes[start..end]);
            args.clear();
            while let Some(value) = decoder.value() {
                args.push(value);
            }
            state.update(&args);
        }
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Registry;
    use arrow::array::Int64Array;

    fn call(name: &str, ty: Type) -> Arc<AggregateCall> {
        let function = Registry::get().aggregate(name).unwrap();
        Arc::new(AggregateCall { function, args: vec![ArgInfo { ty, constant: None }], returns: Type::Dynamic, budget: 1 << 20 })
    }

    fn groups(call: &Arc<AggregateCall>, positioned: bool) -> Groups {
        Groups { call: Arc::clone(call), positioned, states: Vec::new(), sizes: Vec::new(), total: 0, touched: Vec::new() }
    }

    fn longs(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[test]
    fn positions_put_rows_of_several_streams_in_order() {
        let call = call("make_list", Type::Long);
        let mut last = groups(&call, true);
        for (values, positions) in [([30, 10], [3, 1]), ([20, 0], [2, 0])] {
            let mut partial = groups(&call, true);
            partial.update_batch(&[longs(&values), longs(&positions)], &[0, 0], None, 1).unwrap();
            let states = partial.state(EmitTo::All).unwrap();
            last.merge_batch(&states, &[0], 1).unwrap();
        }
        let lists = last.evaluate(EmitTo::All).unwrap();
        assert_eq!(lists.as_string::<i32>().value(0), "[0,10,20,30]");
    }

    #[test]
    fn groups_keep_their_own_rows_and_bytes_are_given_back() {
        let call = call("make_list", Type::Long);
        let mut all = groups(&call, false);
        let filter = BooleanArray::from(vec![Some(true), None, Some(true), Some(false)]);
        all.update_batch(&[longs(&[1, 2, 3, 4])], &[0, 0, 1, 1], Some(&filter), 3).unwrap();
        let first = all.evaluate(EmitTo::First(1)).unwrap();
        let rest = all.evaluate(EmitTo::All).unwrap();
        let text = |array: &ArrayRef, row| array.as_string::<i32>().value(row).to_owned();
        assert_eq!([text(&first, 0), text(&rest, 0), text(&rest, 1)], ["[1]", "[3]", "[]"]);
        assert_eq!(all.total, 0);
    }

    #[test]
    fn many_groups_have_a_budget_that_one_large_group_does_not_take() {
        let call = call("make_list", Type::Long);
        let row = |n: i64| longs(&vec![n; 1000]);
        let mut one = groups(&call, false);
        let rows: Vec<usize> = vec![0; 1000];
        let filled = (0..300).try_for_each(|n| one.update_batch(&[row(n * 1_000_000)], &rows, None, 2));
        assert!(filled.is_ok() && one.total > call.budget, "{}", one.total);
        let mut many = groups(&call, false);
        let each: Vec<usize> = (0..1000).collect();
        let full = (0..300).try_for_each(|n| many.update_batch(&[row(n * 1_000_000)], &each, None, 1000));
        assert!(matches!(full, Err(DataFusionError::ResourcesExhausted(_))), "{full:?}");
    }
}
