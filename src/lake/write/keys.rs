//! Keys of rows as 128-bit hashes, and the keys of the files at rest.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use xxhash_rust::xxh3::xxh3_128;
use xxhash_rust::xxh64::xxh64;

use crate::data::file::open_file;
use crate::day::day_of;
use crate::error::LakeError;
use crate::tables::{OnSameKey, TableDef};

/// Keys that are kept in memory between landings.
const CACHED_KEYS: usize = 2 << 20;

/// A hash table of values that are hashes already.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh64(bytes, self.0);
    }

    fn write_u128(&mut self, v: u128) {
        self.0 = v as u64;
    }
}

/// A set of key hashes.
pub(crate) type KeySet = HashSet<u128, BuildHasherDefault<Identity>>;
/// Values by key hash.
pub(crate) type KeyMap<V> = HashMap<u128, V, BuildHasherDefault<Identity>>;

/// Keys of rows, with what orders rows of the same key (greater is newer; no value is least).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct RowKeys {
    /// One hash a row.
    pub keys: Vec<u128>,
    /// One value a row, or nothing for tables whose landed rows stay.
    pub orders: Vec<i64>,
}

impl RowKeys {
    /// The order value of a row.
    pub(crate) fn order(&self, row: usize) -> i64 {
        self.orders.get(row).copied().unwrap_or(i64::MIN)
    }

    /// Adds a batch's rows; columns are found by name. In tables whose landed rows stay, a key counts within its day.
    ///
    /// # Errors
    /// With `strict`, a key column has no value or is missing.
    pub(crate) fn extend(&mut self, def: &TableDef, batch: &RecordBatch, strict: bool) -> Result<(), LakeError> {
        let mut columns: Vec<Option<&ArrayRef>> = Vec::with_capacity(def.key.len());
        for &name in &def.key {
            let column = batch.column_by_name(name);
            if strict && column.is_none_or(|c| c.null_count() > 0) {
                let column = def.columns.iter().find(|c| c.name == name).map_or("", |c| c.name);
                return Err(LakeError::Missing { table: def.name, column });
            }
            columns.push(column);
        }
        let by_day = def.on_same_key == OnSameKey::Keep;
        let times = batch.column_by_name(def.time).filter(|_| by_day);
        let times = times.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let mut scratch: Vec<u8> = Vec::new();
        for row in 0..batch.num_rows() {
            scratch.clear();
            for column in &columns {
                push_key(&mut scratch, *column, row);
            }
            if let Some(times) = times {
                scratch.extend_from_slice(&day_of(times.value(row)).to_le_bytes());
            }
            self.keys.push(xxh3_128(&scratch));
        }
        if let OnSameKey::NewestBy(name) = def.on_same_key {
            match batch.column_by_name(name) {
                Some(column) => push_orders(&mut self.orders, column),
                None => self.orders.resize(self.keys.len(), i64::MIN),
            }
        }
        Ok(())
    }
}

/// The bytes of one key column's value, told apart from every other value and from its neighbours.
fn push_key(out: &mut Vec<u8>, column: Option<&ArrayRef>, row: usize) {
    let Some(column) = column.filter(|c| c.is_valid(row)) else {
        out.push(0);
        return;
    };
    let number = match column.data_type() {
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(row).as_bytes();
            out.push(1);
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text);
            return;
        }
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
        DataType::Int32 => i64::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Timestamp(..) => {
            column.as_primitive_opt::<TimestampMicrosecondType>().map_or(i64::MIN, |times| times.value(row))
        }
        _ => i64::MIN,
    };
    out.push(2);
    out.extend_from_slice(&number.to_le_bytes());
}

fn push_orders(out: &mut Vec<i64>, column: &ArrayRef) {
    let mut push = |values: &[i64]| {
        out.extend((0..column.len()).map(|row| if column.is_valid(row) { values[row] } else { i64::MIN }));
    };
    if let Some(values) = column.as_primitive_opt::<Int64Type>() {
        push(values.values());
    } else if let Some(values) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        push(values.values());
    } else {
        out.extend(std::iter::repeat_n(i64::MIN, column.len()));
    }
}

/// Names of the columns of a definition that a file of it is read by for keys and their order.
pub(crate) fn key_columns(def: &TableDef) -> Vec<&'static str> {
    let mut names = def.key.clone();
    names.push(match def.on_same_key {
        OnSameKey::NewestBy(column) => column,
        OnSameKey::Keep => def.time,
    });
    names
}

/// The keys of files at rest. Files never change, so what was read once stays true.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    files: HashMap<String, Arc<RowKeys>>,
    age: VecDeque<String>,
    keys: usize,
}

impl KeyCache {
    /// The keys of a file's rows, in the file's order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn load(&self, def: &'static TableDef, dir: &Path, file: &str) -> Result<Arc<RowKeys>, LakeError> {
        let id = format!("{}/{file}", def.name);
        if let Some(found) = self.0.lock().unwrap_or_else(PoisonError::into_inner).files.get(&id) {
            return Ok(found.clone());
        }
        let path = dir.join(file);
        let mut keys = RowKeys::default();
        for batch in open_file(def.name, &path, Some(&key_columns(def)))? {
            let batch = batch.map_err(|e| LakeError::of_file(def.name, &path, &e))?;
            keys.extend(def, &batch, false)?;
        }
        let keys = Arc::new(keys);
        self.keep(id, keys.clone());
        Ok(keys)
    }

    /// Remembers the keys of a file that was just written.
    pub(crate) fn put(&self, def: &TableDef, file: &str, keys: RowKeys) {
        self.keep(format!("{}/{file}", def.name), Arc::new(keys));
    }

    fn keep(&self, id: String, keys: Arc<RowKeys>) {
        if keys.keys.len() > CACHED_KEYS / 4 {
            return;
        }
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = &mut *cached;
        cached.keys += keys.keys.len();
        if let Some(before) = cached.files.insert(id.clone(), keys) {
            cached.keys -= before.keys.len();
        } else {
            cached.age.push_back(id);
        }
        while cached.keys > CACHED_KEYS {
            let Some(oldest) = cached.age.pop_front() else { break };
            if let Some(gone) = cached.files.remove(&oldest) {
                cached.keys -= gone.keys.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::tables;

    #[test]
    fn keys_tell_neighbouring_columns_apart() {
        let def = tables::find("CallSegments").expect("table");
        let schema =
            Arc::new(Schema::new(["callId", "sessionId", "id"].map(|name| Field::new(name, DataType::Utf8, true)).to_vec()));
        let column = |values: [&str; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let batch = RecordBatch::try_new(schema, vec![column(["ab", "a", "ab"]), column(["c", "bc", "c"]), column(["", "", ""])])
            .expect("batch");
        let mut keys = RowKeys::default();
        keys.extend(def, &batch, true).expect("keys");
        assert_ne!(keys.keys[0], keys.keys[1]);
        assert_eq!(keys.keys[0], keys.keys[2]);
        assert_eq!(keys.order(0), i64::MIN);
    }
}
