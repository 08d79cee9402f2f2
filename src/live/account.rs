//! What the ledger comes to: for each section the units that were listed, and where every one of them is; the holes between
//! windows; what will expire before it is fetched.
//!
//! The equation `listed = committed + pending + expired + failed + filtered` holds by the way units are counted: each is counted
//! once, by its newest row.

use std::collections::BTreeMap;

use super::holes::{Hole, holes};
use super::unit_row::{Place, UnitRow, place, tenant};
use kqlake_import::UnitState;
use kqlake_value::{US_PER_DAY, US_PER_MINUTE};

/// What a section of a tenant comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Account {
    /// Units by where they are.
    pub places: BTreeMap<Place, u64>,
    /// Rows of its units.
    pub rows: u64,
    /// Records that were quarantined.
    pub quarantined: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Stretches of time that no unit in the lake covers.
    pub holes: Vec<Hole>,
    /// When the first unit that is not in the lake expires.
    pub next_expiry: Option<i64>,
    /// Units an hour that were committed of late; `None` where none were.
    pub rate: Option<f64>,
    /// Units that expire before they are fetched at this rate.
    pub at_risk: u64,
    /// Why sources could not be listed the last time.
    pub unlisted: Vec<String>,
}

impl Account {
    /// Units at a place.
    pub(crate) fn count(&self, place: Place) -> u64 {
        self.places.get(&place).copied().unwrap_or(0)
    }

    /// All units.
    pub(crate) fn listed(&self) -> u64 {
        self.places.values().sum()
    }
}

/// The time of late that a rate is taken of: one day.
const OF_LATE: i64 = US_PER_DAY;
/// The least time that a rate is taken of: units of one run may end in the same instant.
const LEAST: i64 = US_PER_MINUTE;

/// The accounts of all sections, by tenant and section.
pub(crate) fn accounts(units: &[UnitRow], now: i64) -> BTreeMap<(String, String), Account> {
    let mut groups: BTreeMap<(String, String), Vec<&UnitRow>> = BTreeMap::new();
    for unit in units {
        groups.entry((tenant(unit).to_owned(), unit.section.clone())).or_default().push(unit);
    }
    groups.into_iter().map(|(name, units)| (name, account(&units, now))).collect()
}

fn account(units: &[&UnitRow], now: i64) -> Account {
    let mut account = Account::default();
    let mut waiting: Vec<Option<i64>> = Vec::new();
    let mut ends: Vec<i64> = Vec::new();
    for unit in units {
        // A row under the source's own name tells of its listing, too.
        if unit.is_listing || (!unit.source.is_empty() && unit.unit == unit.source) {
            if unit.state == UnitState::Failed.into() {
                account.unlisted.push(format!("{}: {}", unit.unit, unit.reason));
            }
            continue;
        }
        let place = place(unit, now);
        *account.places.entry(place).or_default() += 1;
        account.rows += unit.rows;
        account.quarantined += unit.quarantined;
        account.bytes += unit.bytes;
        match place {
            Place::Pending | Place::Failed => waiting.push(unit.expires),
            Place::Committed | Place::Filtered => ends.extend(unit.finished.filter(|end| *end > now - OF_LATE && *end <= now)),
            Place::Expired => {}
        }
    }
    account.next_expiry = waiting.iter().flatten().min().copied();
    if let (Some(first), Some(last)) = (ends.iter().min(), ends.iter().max()) {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = ends.len() as f64 * 3_600e6 / (last - first).max(LEAST) as f64;
        account.rate = Some(rate);
    }
    account.at_risk = at_risk(waiting, account.rate, now);
    account.holes = holes(units, now);
    account
}

/// How many of what waits expires before it is fetched, in the order of expiry.
fn at_risk(waiting: Vec<Option<i64>>, rate: Option<f64>, now: i64) -> u64 {
    let Some(rate) = rate.filter(|rate| *rate > 0.0) else { return 0 };
    let mut expiring: Vec<i64> = waiting.into_iter().flatten().collect();
    expiring.sort_unstable();
    // Those that expire in time go before; those that are late are skipped, and take no time.
    let mut fetched = 0.0;
    let mut lost = 0;
    for expires in expiring {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let hours = (expires - now) as f64 / 3_600e6;
        if (fetched + 1.0) / rate > hours {
            lost += 1;
        } else {
            fetched += 1.0;
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn unit(state: &str, name: &str) -> UnitRow {
        UnitRow {
            section: "Audit events".into(),
            source: "contoso/audit".into(),
            unit: format!("contoso/audit/{name}"),
            state: state.parse().unwrap(),
            ..UnitRow::default()
        }
    }

    #[test]
    fn every_listed_unit_is_at_one_place() {
        let now = 10 * HOUR;
        let expiring = |state: &str, name: &str, expires| UnitRow { expires: Some(expires), ..unit(state, name) };
        let units = [
            unit("done", "a"),
            unit("empty", "b"),
            UnitRow { is_settled: true, quarantined: 3, ..unit("incomplete", "c") },
            unit("incomplete", "d"),
            unit("failed", "e"),
            unit("listed", "f"),
            unit("gone", "g"),
            unit("filtered", "h"),
            unit("expired", "i"),
            expiring("listed", "j", now - 1),
            expiring("failed", "k", now - 1),
            expiring("done", "l", now - 1),
            UnitRow { unit: "contoso/audit".into(), reason: "down".into(), ..unit("failed", "") },
            UnitRow { is_listing: true, reason: "down".into(), ..unit("failed", "Audit.General") },
        ];
        let accounts = accounts(&units, now);
        let account = &accounts[&("contoso".to_owned(), "Audit events".to_owned())];
        let counts = [Place::Committed, Place::Pending, Place::Expired, Place::Failed, Place::Filtered].map(|p| account.count(p));
        assert_eq!((counts, account.listed()), ([4, 2, 3, 2, 1], 12));
        let unlisted = ["contoso/audit: down", "contoso/audit/Audit.General: down"].map(str::to_owned);
        assert_eq!((account.quarantined, account.unlisted.as_slice()), (3, &unlisted[..]));
    }

    #[test]
    fn what_expires_before_it_is_fetched_is_told() {
        let now = 100 * HOUR;
        let mut units: Vec<UnitRow> = (0..60)
            .map(|n| UnitRow { finished: Some(now - HOUR + n * HOUR / 59), ..unit("done", &format!("done{n}")) })
            .collect();
        // 60 an hour: one of those that expire within a minute can still be fetched.
        for n in 0..3 {
            units.push(UnitRow { expires: Some(now + HOUR / 60 + 1), ..unit("listed", &format!("soon{n}")) });
        }
        units.push(UnitRow { expires: Some(now + 24 * HOUR), ..unit("listed", "later") });
        let accounts = accounts(&units, now);
        let account = accounts.values().next().unwrap();
        assert_eq!((account.rate, account.at_risk, account.next_expiry), (Some(60.0), 2, Some(now + HOUR / 60 + 1)));
    }
}
