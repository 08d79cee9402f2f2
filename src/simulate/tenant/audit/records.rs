//! The text of audit records, written as fast as memory takes it.

use super::templates::{self, Field, Template};
use super::{Blob, Log, Record};
use kqlake_value::format::{InstantText, hex_digits, random_guid};
use kqlake_value::splitmix64::first;

const DOCUMENTS: [&str; 16] = [
    "Plan",
    "Budget 2026",
    "Minutes",
    "Forecast",
    "Vertrag",
    "Übersicht",
    "Résumé",
    "Invoice 4711",
    "Roadmap",
    "Offer",
    "Price list",
    "Onboarding",
    "Holidays",
    "Report Q4",
    "Drawing",
    "会議メモ",
];
const SITES: [&str; 8] = ["marketing", "sales", "hr", "finance", "projects", "it", "research", "board"];

/// Writes the records of a log.
#[derive(Debug)]
pub(crate) struct Writer {
    log: Log,
    tenant: String,
    users: Vec<User>,
}

/// A user as records name one.
#[derive(Debug)]
struct User {
    principal: String,
    personal: String,
    id: String,
}

impl Writer {
    /// A writer for a tenant with these users, given as principal name and object id.
    pub(crate) fn new(log: Log, tenant: &str, users: impl IntoIterator<Item = (String, String)>) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let users =
            users.into_iter().map(|(principal, id)| User { personal: principal.chars().map(plain).collect(), principal, id });
        Self { log, tenant: tenant.to_owned(), users: users.collect() }
    }

    /// The record's id.
    pub(crate) fn id(&self, record: Record) -> String {
        let mut out = Vec::with_capacity(36);
        guid(&mut out, id_word(self.log.word(record)));
        String::from_utf8(out).unwrap_or_default()
    }

    /// Appends what stands at a place of a blob: a record, or what a malformed one is.
    pub(crate) fn write(&self, out: &mut Vec<u8>, blob: Blob, place: u32) {
        match self.log.record(blob, place) {
            Some(record) => self.record(out, record),
            None => out.extend_from_slice(self.malformed(blob, place).as_bytes()),
        }
    }

    /// A record that no table can take: without an id, or with a time that is none.
    pub(crate) fn malformed(&self, blob: Blob, place: u32) -> String {
        let blob = self.log.content(blob);
        let word = self.log.number(blob, (1 << 42) + u64::from(place));
        let serial = word >> 32;
        if word.is_multiple_of(2) {
            format!(
                r#"{{"CreationTime":"2026-01-08T16:44:07","Operation":"FileModified","OrganizationId":"{}","RecordType":6,"UserKey":"{serial}","UserType":0,"Version":1,"Workload":"OneDrive","UserId":"nobody@contoso.com"}}"#,
                self.tenant
            )
        } else {
            let mut id = Vec::with_capacity(36);
            guid(&mut id, id_word(word));
            format!(
                r#"{{"CreationTime":"0001-13-45T99:99:99","Id":"{}","Operation":"FileModified","OrganizationId":"{}","RecordType":6,"UserKey":"{serial}","UserType":0,"Version":1,"Workload":"OneDrive","UserId":"nobody@contoso.com"}}"#,
                String::from_utf8_lossy(&id),
                self.tenant
            )
        }
    }

    fn record(&self, out: &mut Vec<u8>, record: Record) {
        let word = self.log.word(record);
        let template = pick(templates::of(record.blob.kind), first(word ^ 1));
        let Some(template) = template else { return };
        let user_word = first(word ^ 2);
        let user = self.users.get((user_word % self.users.len().max(1) as u64) as usize);
        for (literal, field) in &template.parts {
            out.extend_from_slice(literal.as_bytes());
            match field {
                Field::Id => guid(out, id_word(word)),
                Field::Time => time(out, self.log.happened(record)),
                Field::Tenant => out.extend_from_slice(self.tenant.as_bytes()),
                Field::User => out.extend_from_slice(user.map_or("Unknown", |user| user.principal.as_str()).as_bytes()),
                Field::Personal => out.extend_from_slice(user.map_or("Unknown", |user| user.personal.as_str()).as_bytes()),
                Field::UserId => out.extend_from_slice(user.map_or("Unknown", |user| user.id.as_str()).as_bytes()),
                Field::Guid(number) => {
                    let high = first(word ^ (0x100 + u64::from(*number)));
                    guid(out, (high, first(high)));
                }
                Field::Address => {
                    let word = first(word ^ 4);
                    out.extend_from_slice(if word.is_multiple_of(2) { b"203.0.113." } else { b"198.51.100." });
                    decimal(out, word >> 8 & 0xff);
                }
                Field::Number => decimal(out, first(word ^ 5) % 1000),
                Field::Document => out.extend_from_slice(chosen(&DOCUMENTS, first(word ^ 6)).as_bytes()),
                Field::Site => out.extend_from_slice(chosen(&SITES, first(word ^ 7)).as_bytes()),
                Field::Opaque => hex(out, first(word ^ 8)),
            }
        }
        out.extend_from_slice(template.last.as_bytes());
    }
}

/// The two halves of a record's id.
fn id_word(word: u64) -> (u64, u64) {
    (first(word ^ 0x1d), first(word ^ 0x2d))
}

fn chosen<'a>(of: &[&'a str], word: u64) -> &'a str {
    of.get((word % of.len().max(1) as u64) as usize).copied().unwrap_or_default()
}

fn pick(templates: &[Template], word: u64) -> Option<&Template> {
    let total: u64 = templates.iter().map(|template| template.weight).sum();
    let mut at = word % total.max(1);
    templates.iter().find(|template| match at.checked_sub(template.weight) {
        Some(rest) => {
            at = rest;
            false
        }
        None => true,
    })
}

fn hex(out: &mut Vec<u8>, word: u64) {
    out.extend(word.to_be_bytes().iter().flat_map(|byte| hex_digits(*byte)));
}

/// A guid of version 4 from two words.
fn guid(out: &mut Vec<u8>, (high, low): (u64, u64)) {
    out.extend_from_slice(&random_guid(high, low));
}

/// `2026-01-08T16:44:07`, of an instant in microseconds since 1970.
fn time(out: &mut Vec<u8>, micros: i64) {
    out.extend_from_slice(InstantText::of_us(micros).with_digits(0).as_bytes());
}

fn decimal(out: &mut Vec<u8>, number: u64) {
    let mut text = [0; 20];
    let (mut at, mut rest) = (text.len(), number);
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, LIFE};
    use super::*;
    use crate::clock::iso;
    use serde_json::Value;

    const NOW: i64 = 1_768_176_000_000_000;

    #[test]
    fn every_record_is_json_with_its_id_and_its_time() {
        let log = Log { seed: 3, scale: 1.0, records: (1, 600) };
        let writer = Writer::new(log, "tenant", [("amy@contoso.com".to_owned(), "an id".to_owned())]);
        let mut malformed = 0;
        for kind in Kind::ALL {
            for blob in log.blobs(kind, NOW - LIFE..NOW) {
                for place in 0..log.size(blob) {
                    let mut text = Vec::new();
                    writer.write(&mut text, blob, place);
                    let value: Value = serde_json::from_slice(&text).unwrap();
                    match log.record(blob, place) {
                        Some(record) => {
                            assert_eq!(value["Id"], writer.id(record));
                            assert_eq!(value["CreationTime"], iso(log.happened(record), 0));
                            uuid::Uuid::parse_str(&writer.id(record)).unwrap();
                        }
                        None => {
                            malformed += 1;
                            assert_eq!(String::from_utf8(text).unwrap(), writer.malformed(blob, place));
                            assert!(value.get("Id").is_none() || value["CreationTime"] == "0001-13-45T99:99:99");
                        }
                    }
                }
            }
        }
        assert!(malformed > 0);
    }

    #[test]
    fn numbers_and_guids_are_written_in_full() {
        let mut out = Vec::new();
        for number in [0, 7, 10, 999, u64::MAX] {
            decimal(&mut out, number);
            out.push(b' ');
        }
        assert_eq!(out, b"0 7 10 999 18446744073709551615 ");
        let mut text = Vec::new();
        guid(&mut text, (0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef));
        assert_eq!(text, b"01234567-89ab-4def-8123-456789abcdef");
    }
}
