//! Audit events in content blobs: when blobs come, what is in them, and which records are there more than once.

mod records;
mod templates;

use std::ops::Range;

pub(crate) use self::records::Writer;
use crate::clock::iso;
use crate::random::{chance, number};
use kqlake_value::parse::datetimes;
use kqlake_value::us_of_datetime;
use kqlake_value::{US_PER_DAY as DAY, US_PER_HOUR as HOUR, US_PER_SECOND as SECOND};

/// How long content can be fetched.
pub(crate) const LIFE: i64 = 7 * DAY;

/// A content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Entra,
    Exchange,
    SharePoint,
    General,
    Dlp,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] = [Kind::Entra, Kind::Exchange, Kind::SharePoint, Kind::General, Kind::Dlp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Entra => "Audit.AzureActiveDirectory",
            Kind::Exchange => "Audit.Exchange",
            Kind::SharePoint => "Audit.SharePoint",
            Kind::General => "Audit.General",
            Kind::Dlp => "DLP.All",
        }
    }

    /// The content type of a name, in any case.
    pub(crate) fn of(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// The tail of the ids of its blobs.
    fn tail(self) -> &'static str {
        match self {
            Kind::Entra => "audit_azureactivedirectory$Audit_AzureActiveDirectory$na0011",
            Kind::Exchange => "audit_exchange$Audit_Exchange$na0011",
            Kind::SharePoint => "audit_sharepoint$Audit_SharePoint$na0011",
            Kind::General => "audit_general$Audit_General$na0011",
            Kind::Dlp => "dlp_all$DLP_All$na0011",
        }
    }

    /// Blobs a week at scale 1.
    fn a_week(self) -> f64 {
        match self {
            Kind::Entra => 24.0,
            Kind::Exchange => 28.0,
            Kind::SharePoint => 42.0,
            Kind::General => 18.0,
            Kind::Dlp => 3.0,
        }
    }
}

/// One content blob: the `index`th of its kind since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Blob {
    pub(crate) kind: Kind,
    pub(crate) index: i64,
}

/// A record: of the blob that it first stood in, and its place there. Copies elsewhere are the same record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    blob: Blob,
    place: u32,
}

/// The audit log of a tenant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Log {
    pub(crate) seed: u64,
    pub(crate) scale: f64,
    /// The fewest and the most records of a blob.
    pub(crate) records: (u32, u32),
}

impl Log {
    /// Microseconds between two blobs of a kind; none where there are no blobs.
    fn period(&self, kind: Kind) -> Option<i64> {
        let a_week = kind.a_week() * self.scale;
        (a_week > 0.0).then(|| ((7 * DAY) as f64 / a_week).clamp(1000.0, 1e17) as i64)
    }

    fn number(&self, blob: Blob, what: u64) -> u64 {
        number(self.seed, &[0xb10b, blob.kind as u64, blob.index as u64, what])
    }

    fn chance(&self, blob: Blob, what: u64, share: f64) -> bool {
        chance(self.seed, &[0xc4a9, blob.kind as u64, blob.index as u64, what], share)
    }

    /// When the blob was made: what lists are filtered by, whole milliseconds.
    pub(crate) fn created(&self, blob: Blob) -> i64 {
        let period = self.period(blob.kind).unwrap_or(DAY);
        let jitter = self.number(blob, 1) % (period as u64 * 9 / 10).max(1);
        let at = blob.index.saturating_mul(period).saturating_add(jitter as i64);
        // The start of the period is never after the millisecond's end, so that the index can be told from this.
        (at.div_euclid(1000) * 1000).max((blob.index.saturating_mul(period)).div_euclid(1000) * 1000 + 1000)
    }

    /// When lists begin to show it: a few come up hours after the time that they are listed under.
    pub(crate) fn available(&self, blob: Blob) -> i64 {
        let late = if self.chance(blob, 2, 0.03) { HOUR + (self.number(blob, 3) % (20 * HOUR as u64)) as i64 } else { 0 };
        self.created(blob) + late
    }

    /// When it is gone.
    pub(crate) fn expires(&self, blob: Blob) -> i64 {
        self.created(blob) + LIFE
    }

    /// True for a blob that can be fetched.
    pub(crate) fn is_there(&self, blob: Blob, now: i64) -> bool {
        self.available(blob) <= now && now < self.expires(blob)
    }

    /// Blobs whose time is in a range, whether they can be fetched or not, in order.
    pub(crate) fn blobs(&self, kind: Kind, time: Range<i64>) -> impl Iterator<Item = Blob> + use<> {
        let log = *self;
        let indexes = match self.period(kind) {
            Some(period) if time.start < time.end => time.start.div_euclid(period) - 1..time.end.div_euclid(period) + 1,
            _ => 0..0,
        };
        indexes.map(move |index| Blob { kind, index }).filter(move |blob| time.contains(&log.created(*blob)))
    }

    /// The blob's id.
    pub(crate) fn id(&self, blob: Blob) -> String {
        let created = self.created(blob);
        let first = created - 60 * SECOND - (self.number(blob, 4) % (1800 * SECOND as u64)) as i64;
        let digits = |micros: i64| iso(micros, 3).chars().filter(char::is_ascii_digit).collect::<String>();
        let serial = self.number(blob, 5) % 1_000_000;
        format!("{}{serial:06}${}{serial:06}${}", digits(first), digits(created), blob.kind.tail())
    }

    /// The blob of an id. `None` for a text that is no id, `Some(None)` for one that no blob has.
    pub(crate) fn find(&self, id: &str) -> Option<Option<Blob>> {
        let mut parts = id.splitn(3, '$');
        let (_, created, tail) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = Kind::ALL.into_iter().find(|kind| kind.tail() == tail)?;
        let digits = |range: Range<usize>| created.get(range).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let text = format!(
            "{}-{}-{}T{}:{}:{}.{}",
            digits(0..4)?,
            digits(4..6)?,
            digits(6..8)?,
            digits(8..10)?,
            digits(10..12)?,
            digits(12..14)?,
            digits(14..17)?
        );
        let created = datetimes::literal(&text).map(us_of_datetime)?;
        Some(self.blobs(kind, created..created + 1).find(|blob| self.id(*blob) == id))
    }

    /// How many records are in it.
    pub(crate) fn size(&self, blob: Blob) -> u32 {
        let blob = self.content(blob);
        let (least, most) = self.records;
        let unit = (self.number(blob, 6) >> 11) as f64 / (1_u64 << 53) as f64;
        // More small ones than large ones.
        least + (unit.powf(1.5) * f64::from(most.saturating_sub(least) + 1)) as u32
    }

    /// The blob whose content this one has: some are there twice.
    fn content(&self, blob: Blob) -> Blob {
        let again = blob.index % 2 != 0 && self.chance(blob, 7, 0.04);
        if again { Blob { index: blob.index - 1, ..blob } } else { blob }
    }

    /// The record at a place of a blob; `None` for one that is malformed.
    pub(crate) fn record(&self, blob: Blob, place: u32) -> Option<Record> {
        let blob = self.content(blob);
        if self.is_malformed(blob, place) {
            return None;
        }
        let is_copy = || self.chance(blob, 1000 + u64::from(place), 0.2);
        // Copies are of places that are no copies themselves: within the blob, of a blob that is near, and of one that is far.
        let (back, places) = match place {
            place if place % 16 == 5 => (0, 5),
            place if place % 8 == 1 => (5, 1),
            place if place % 64 == 3 => (40, 3),
            _ => return Some(Record { blob, place }),
        };
        if is_copy() {
            Some(Record { blob: Blob { index: blob.index - back, ..blob }, place: place - places })
        } else {
            Some(Record { blob, place })
        }
    }

    fn is_malformed(&self, blob: Blob, place: u32) -> bool {
        place % 512 == 7 && self.chance(blob, 8 + u64::from(place), 0.04)
    }

    /// When what a record tells of happened, whole seconds: an hour or so before its blob, and now and then days.
    pub(crate) fn happened(&self, record: Record) -> i64 {
        let delay = self.number(record.blob, (1 << 40) + u64::from(record.place));
        let span = match delay % 100 {
            0..75 => 3600..5400,
            75..95 => 900..3600,
            95..99 => 7200..86_400,
            _ => 86_400..3 * 86_400,
        };
        let seconds = span.start + ((delay >> 8) % (span.end - span.start) as u64) as i64;
        (self.created(record.blob) / SECOND - seconds) * SECOND
    }

    /// A word that all that the record says is drawn from.
    fn word(&self, record: Record) -> u64 {
        self.number(record.blob, (1 << 41) + u64::from(record.place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const NOW: i64 = 1_768_176_000_000_000;
    const LOG: Log = Log { seed: 1, scale: 1.0, records: (1, 40) };

    fn week(log: &Log, kind: Kind) -> Vec<Blob> {
        log.blobs(kind, NOW - LIFE..NOW).collect()
    }

    #[test]
    fn blobs_come_in_the_order_of_their_times_and_each_stands_in_one_window() {
        for scale in [0.3, 1.0, 150.0] {
            let log = Log { scale, ..LOG };
            for kind in Kind::ALL {
                let whole = week(&log, kind);
                let times: Vec<i64> = whole.iter().map(|blob| log.created(*blob)).collect();
                assert!(times.is_sorted());
                let days = (0..7).flat_map(|day| log.blobs(kind, NOW - LIFE + day * DAY..NOW - LIFE + (day + 1) * DAY));
                assert_eq!(days.collect::<Vec<_>>(), whole);
                let expected = kind.a_week() * scale;
                assert!((whole.len() as f64 - expected).abs() <= 2.0, "{} of {expected}", whole.len());
            }
        }
        assert_eq!(week(&Log { scale: 0.0, ..LOG }, Kind::Entra), []);
    }

    #[test]
    fn ids_lead_back_to_their_blobs_and_others_to_none() {
        for kind in Kind::ALL {
            for blob in week(&LOG, kind) {
                assert_eq!(LOG.find(&LOG.id(blob)), Some(Some(blob)));
            }
        }
        let id = LOG.id(week(&LOG, Kind::Exchange)[0]);
        assert_eq!(Log { seed: 2, ..LOG }.find(&id), Some(None));
        assert_eq!(LOG.find(&id.replace("exchange", "mail")), None);
        for wrong in ["", "a$b$c", "2026$x$audit_exchange$Audit_Exchange$na0011"] {
            assert_eq!(LOG.find(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_awkwardness_is_there() {
        let log = Log { scale: 30.0, ..LOG };
        let blobs = week(&log, Kind::SharePoint);
        assert!(blobs.iter().any(|blob| log.available(*blob) > log.created(*blob)), "late");
        assert!(blobs.iter().any(|blob| log.content(*blob) != *blob), "twice");
        let (mut seen, mut copies, mut malformed, mut old) = (BTreeSet::new(), 0, 0, 0);
        for blob in &blobs {
            for place in 0..log.size(*blob) {
                match log.record(*blob, place) {
                    None => malformed += 1,
                    Some(record) => {
                        old += usize::from(log.happened(record) < log.created(*blob) - DAY);
                        copies += usize::from(!seen.insert(log.word(record)));
                    }
                }
            }
        }
        assert!(copies > 50 && malformed > 5 && old > 20, "{copies} {malformed} {old}");
    }

    #[test]
    fn copies_are_of_records_that_are_no_copies() {
        let log = Log { records: (300, 300), ..LOG };
        for blob in week(&log, Kind::General) {
            for record in (0..300).filter_map(|place| log.record(blob, place)) {
                let blob = log.content(record.blob);
                assert!(blob != record.blob || log.record(blob, record.place) == Some(record), "{record:?}");
            }
        }
    }
}
