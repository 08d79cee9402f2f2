//! ipv4_lookup and ipv6_lookup: rows joined to a table of address ranges.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::table::{PluginInput, RowTable, free_column_name};
use super::{ParamKind, Plugin, PluginArg, PluginParam, column};
use crate::functions::ArgType;
use crate::functions::interner::Interner;
use crate::room::{CountedVec, Held};
use kqlake_value::{Column, Value};

const TABLE: PluginParam = PluginParam::req("LookupTable", ParamKind::Table);
const SOURCE: PluginParam = PluginParam::req("SourceIPv4Key", ParamKind::Column(ArgType::String));
const KEY: PluginParam = PluginParam::req("IPv4LookupKey", ParamKind::LookupColumn(ArgType::String));
const EXTRA: PluginParam = PluginParam::req("ExtraKey", ParamKind::Column(ArgType::Any));
const UNMATCHED: PluginParam = PluginParam::opt("return_unmatched", ParamKind::Constant(ArgType::Bool));

/// ipv4_lookup: the table's columns, then those of the lookup table without its extra keys.
///
/// Addresses and ranges (`10.0.0.0/8`) match where they agree in the bits that the shorter of the two prefixes has. Every
/// matching row of the lookup table makes a row. Extra keys, up to three, are columns that both tables have and that must
/// be equal.
pub(super) const IPV4: Plugin = Plugin {
    name: "ipv4_lookup",
    params: &[TABLE, SOURCE, KEY, UNMATCHED],
    repeats: false,
    schema: |columns, args| schema(columns, args, false).map(Some),
    run: |input, args| run(input, args, false),
    doc: "Rows joined to a table of IPv4 ranges.",
};

/// The form with one extra key.
pub(super) const IPV4_EXTRA_1: Plugin = Plugin { params: &[TABLE, SOURCE, KEY, EXTRA, UNMATCHED], ..IPV4 };
/// The form with two extra keys.
pub(super) const IPV4_EXTRA_2: Plugin = Plugin { params: &[TABLE, SOURCE, KEY, EXTRA, EXTRA, UNMATCHED], ..IPV4 };
/// The form with three extra keys.
pub(super) const IPV4_EXTRA_3: Plugin = Plugin { params: &[TABLE, SOURCE, KEY, EXTRA, EXTRA, EXTRA, UNMATCHED], ..IPV4 };

/// ipv6_lookup: the columns of the lookup table, then the table's. Microsoft's language service shows them the other way
/// round, as for ipv4_lookup, and so does a check, which asks for the schema.
pub(super) const IPV6: Plugin = Plugin {
    name: "ipv6_lookup",
    params: &[
        TABLE,
        PluginParam::req("SourceIPv6Key", ParamKind::Column(ArgType::String)),
        PluginParam::req("IPv6LookupKey", ParamKind::LookupColumn(ArgType::String)),
        UNMATCHED,
    ],
    repeats: false,
    schema: |columns, args| schema(columns, args, false).map(Some),
    run: |input, args| run(input, args, true),
    doc: "Rows joined to a table of IPv6 ranges.",
};

/// The parts of the call.
struct LookupCall<'a> {
    lookup: &'a RowTable,
    source: usize,
    key: usize,
    unmatched: bool,
    /// Places of the extra keys in the table and in the lookup table.
    extra: Vec<(usize, usize)>,
}

fn call<'a>(columns: &[Column], args: &'a [PluginArg]) -> Result<LookupCall<'a>, String> {
    let Some(PluginArg::Table(lookup)) = args.first() else { return Err("the first argument must be a table".to_owned()) };
    let mut unmatched = false;
    let mut extra = Vec::new();
    for arg in args.iter().skip(3) {
        match arg {
            PluginArg::Constant(value, _) => unmatched = *value == Value::Bool(true),
            PluginArg::Column(at) => {
                let name = &columns[*at].name;
                let there = lookup
                    .columns
                    .iter()
                    .position(|c| c.name == *name)
                    .ok_or_else(|| format!("the lookup table has no column {name}"))?;
                extra.push((*at, there));
            }
            _ => {}
        }
    }
    Ok(LookupCall { lookup, source: column(args, 1)?, key: column(args, 2)?, unmatched, extra })
}

/// The columns of the lookup table that go into the result.
fn shown(call: &LookupCall<'_>) -> Vec<usize> {
    (0..call.lookup.columns.len()).filter(|c| !call.extra.iter().any(|(_, there)| there == c)).collect()
}

fn schema(columns: &[Column], args: &[PluginArg], lookup_first: bool) -> Result<Vec<Column>, String> {
    let call = call(columns, args)?;
    let own = columns.iter();
    let shown = shown(&call);
    let there = shown.iter().map(|c| &call.lookup.columns[*c]);
    let all: Vec<&Column> = if lookup_first { there.chain(own).collect() } else { own.chain(there).collect() };
    let mut out: Vec<Column> = Vec::with_capacity(all.len());
    for column in all {
        out.push(Column::new(free_column_name(&column.name, &out), column.ty));
    }
    Ok(out)
}

/// An address or range: its bits at the top of a 128-bit number, and how many of them count.
fn parse(text: &str, v6: bool) -> Option<(u128, u8)> {
    let (address, prefix) = match text.trim().split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.trim().parse::<u8>().ok()?)),
        None => (text.trim(), None),
    };
    let (bits, width) = if v6 {
        let address = address.parse::<Ipv6Addr>().ok().or_else(|| address.parse::<Ipv4Addr>().ok().map(|v4| v4.to_ipv6_mapped()));
        (address?.to_bits(), 128)
    } else {
        (u128::from(address.parse::<Ipv4Addr>().ok()?.to_bits()) << 96, 32)
    };
    let prefix = match prefix {
        // An IPv4 range among IPv6 ones counts from the mapped address's 96 leading bits.
        Some(p) if v6 && address.contains('.') && !address.contains(':') => p.checked_add(96)?,
        Some(p) => p,
        None => width,
    };
    (prefix <= width).then_some((mask(bits, prefix), prefix))
}

fn mask(bits: u128, prefix: u8) -> u128 {
    if prefix == 0 { 0 } else { bits & (u128::MAX << (128 - prefix)) }
}

/// Bytes of a range of the lookup table: its slot in a table that grows, and its rows.
const RANGE: usize = 256;

fn run(input: &PluginInput, args: &[PluginArg], v6: bool) -> Result<RowTable, String> {
    let call = call(&input.columns, args)?;
    let lookup = PluginInput::new(call.lookup, call.lookup.columns.len())?;
    let mut memory = Held::default();
    let mut keys = Interner::default();
    // Rows of the lookup table by prefix length, then by extra keys and masked bits.
    let mut ranges: BTreeMap<u8, HashMap<(u32, u128), Vec<u32>>> = BTreeMap::new();
    for row in 0..lookup.rows {
        if let Some((bits, prefix)) = lookup.get(call.key, row).as_str().and_then(|text| parse(text, v6)) {
            let key = keys.number(call.extra.iter().map(|(_, there)| lookup.get(*there, row)))?;
            memory.grow(RANGE)?;
            ranges.entry(prefix).or_default().entry((key, bits)).or_default().push(row as u32);
        }
    }
    let (mut own_rows, mut there_rows): (CountedVec<Option<u32>>, CountedVec<Option<u32>>) = Default::default();
    for row in 0..input.rows {
        let before = own_rows.len();
        if let Some((bits, prefix)) = input.get(call.source, row).as_str().and_then(|text| parse(text, v6)) {
            let key = keys.number(call.extra.iter().map(|(own, _)| input.get(*own, row)))?;
            for (length, rows) in &ranges {
                let mut take = |found: &[u32]| -> Result<(), String> {
                    for there in found {
                        own_rows.push(Some(row as u32))?;
                        there_rows.push(Some(*there))?;
                    }
                    Ok(())
                };
                if *length <= prefix {
                    if let Some(found) = rows.get(&(key, mask(bits, *length))) {
                        take(found)?;
                    }
                } else {
                    // The row itself holds a range, wider than these.
                    let mut found: Vec<u32> = rows
                        .iter()
                        .filter(|((k, b), _)| *k == key && mask(*b, prefix) == bits)
                        .flat_map(|(_, r)| r)
                        .copied()
                        .collect();
                    found.sort_unstable();
                    take(&found)?;
                }
            }
        }
        if before == own_rows.len() && call.unmatched {
            own_rows.push(Some(row as u32))?;
            there_rows.push(None)?;
        }
    }
    let own = (0..input.visible).map(|c| input.take(c, &own_rows)).collect::<Result<Vec<_>, _>>()?;
    let there = shown(&call).into_iter().map(|c| lookup.take(c, &there_rows)).collect::<Result<Vec<_>, _>>()?;
    let arrays = if v6 { there.into_iter().chain(own).collect() } else { own.into_iter().chain(there).collect() };
    RowTable::from_arrays(schema(input.table_columns(), args, v6)?, arrays, own_rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ranges_keep_their_leading_bits() {
        assert_eq!(parse("10.1.2.3/8", false), parse("10.0.0.0/8", false));
        assert_eq!(parse("10.1.2.3", false).map(|p| p.1), Some(32));
        assert_eq!(parse("::ffff:1.2.3.4", true), parse("1.2.3.4", true));
        assert_eq!((parse("1.2.3", false), parse("1.2.3.4/33", false)), (None, None));
    }
}
