//! Messages and their traces: a row a recipient, visible within minutes or much later, whose status may change twice.

use std::ops::Range;

use super::calls;
use super::instant::{DAY, HOUR, MINUTE, SECOND};
use super::people::{self, DOMAIN};
use super::rng::Seeded;
use super::slots::{self, Slot};

/// Messages of a working day at the scale 1.
const A_DAY: f64 = 150.0;

/// A state of a message's delivery to one recipient, with its spellings in both services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Getting,
    Pending,
    Failed,
    Delivered,
    Expanded,
    Quarantined,
    FilteredAsSpam,
}

impl Status {
    /// As Graph writes it.
    pub(crate) fn camel(self) -> &'static str {
        match self {
            Status::Getting => "gettingStatus",
            Status::Pending => "pending",
            Status::Failed => "failed",
            Status::Delivered => "delivered",
            Status::Expanded => "expanded",
            Status::Quarantined => "quarantined",
            Status::FilteredAsSpam => "filteredAsSpam",
        }
    }

    /// As the reporting web service writes it.
    pub(crate) fn pascal(self) -> &'static str {
        match self {
            Status::Getting => "GettingStatus",
            Status::Pending => "Pending",
            Status::Failed => "Failed",
            Status::Delivered => "Delivered",
            Status::Expanded => "Expanded",
            Status::Quarantined => "Quarantined",
            Status::FilteredAsSpam => "FilteredAsSpam",
        }
    }
}

/// One message to one recipient.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// That of the message: the same for all its recipients.
    pub(crate) id: String,
    pub(crate) message_id: String,
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) subject: Option<String>,
    pub(crate) received: i64,
    pub(crate) size: u64,
    pub(crate) from_ip: Option<String>,
    pub(crate) to_ip: Option<String>,
    /// When each status came to be visible, from the first on. Never empty.
    pub(crate) statuses: Vec<(i64, Status)>,
    /// What names it: hour, number in the hour, number of the recipient.
    pub(crate) name: [i64; 3],
}

impl Trace {
    /// The status that is visible at an instant, and how many came before it.
    pub(crate) fn status(&self, now: i64) -> Option<(Status, usize)> {
        let passed = self.statuses.iter().filter(|(at, _)| *at <= now).count();
        Some((self.statuses[passed.checked_sub(1)?].1, passed - 1))
    }
}

/// The rows of messages received in a time that are visible at an instant, the newest first.
pub(crate) fn visible(seeded: Seeded, time: Range<i64>, now: i64) -> Vec<Trace> {
    let mut traces: Vec<Trace> = slots::between(seeded, "mail", A_DAY, time.start..time.end.min(now))
        .into_iter()
        .flat_map(|slot| message(seeded, slot))
        .filter(|trace| trace.status(now).is_some())
        .collect();
    traces.sort_by(|a, b| b.received.cmp(&a.received).then_with(|| a.name.cmp(&b.name)));
    traces
}

/// The rows of the message of an id.
pub(crate) fn find(seeded: Seeded, id: &str) -> Vec<Trace> {
    let slot = calls::slot_named(seeded, "mail", A_DAY, id).filter(|slot| slot.number >= 0);
    let traces = slot.map(|slot| message(seeded, slot)).unwrap_or_default();
    traces.into_iter().filter(|trace| trace.id.eq_ignore_ascii_case(id)).collect()
}

/// All rows of a message.
fn message(seeded: Seeded, slot: Slot) -> Vec<Trace> {
    let mut rng = seeded.rng("message", &slot.name());
    let id = calls::named(seeded, &mut rng, slot);
    let inbound = rng.percent(45);
    let outside =
        format!("{}@{}", rng.pick(&["orders", "info", "billing", "bob"]), rng.pick(&["northwind.example", "fabrikam.com"]));
    let person = people::somebody(seeded, &mut rng);
    let sender = if inbound { outside.clone() } else { person.mail.clone() };
    let recipients = match rng.below(100) {
        0 => 40,
        1..20 => rng.between(2, 5),
        _ => 1,
    };
    let message_id = format!("<{}@{}>", rng.hex(16), if inbound { "mail.example" } else { DOMAIN });
    let subject = match rng.below(20) {
        0 => None,
        1 => Some(String::from("Größe, «quoted», \"double\" & <tags>")),
        number => Some(format!("Message {} of {number}", slot.hour % 10_000)),
    };
    let size = 2_000 + rng.below(400_000);
    let hidden = rng.percent(10);
    let mut traces = Vec::new();
    for number in 0..recipients {
        let name = [slot.hour, slot.number, number];
        let mut rng = seeded.rng("trace", &name);
        let recipient = match (inbound, number) {
            (false, 0) if rng.percent(60) => outside.clone(),
            // One address each, so that id and recipient name a row.
            _ if recipients > 1 && number > 0 => format!("list.{number}@{DOMAIN}"),
            _ => people::somebody(seeded, &mut rng).mail,
        };
        let visible = match rng.below(100) {
            0..3 => rng.between(HOUR, 24 * HOUR - MINUTE),
            _ => rng.between(30 * SECOND, 10 * MINUTE),
        } + slot.at;
        let last = match rng.below(100) {
            0..80 => Status::Delivered,
            80..87 => Status::Failed,
            87..92 => Status::FilteredAsSpam,
            92..96 => Status::Quarantined,
            _ => Status::Expanded,
        };
        let statuses = match rng.below(100) {
            0..5 => {
                let pending = visible + rng.between(5 * MINUTE, 2 * HOUR);
                vec![(visible, Status::Getting), (pending, Status::Pending), (pending + rng.between(HOUR, 20 * HOUR), last)]
            }
            5..12 => vec![(visible, Status::Getting), (visible + rng.between(MINUTE, HOUR), last)],
            _ => vec![(visible, last)],
        };
        let address = |net: &str, rng: &mut super::rng::SeededRng| (!hidden).then(|| format!("{net}.{}", 1 + rng.below(250)));
        let (from_ip, to_ip) = (address("203.0.113", &mut rng), address("198.51.100", &mut rng));
        traces.push(Trace {
            id: id.clone(),
            message_id: message_id.clone(),
            sender: sender.clone(),
            recipient,
            subject: subject.clone(),
            received: slot.at,
            size,
            from_ip,
            to_ip,
            statuses,
            name,
        });
    }
    traces
}

/// A step of a message's way.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) at: i64,
    pub(crate) event: &'static str,
    pub(crate) detail: &'static str,
    pub(crate) data: String,
}

/// The steps of a row that are visible at an instant.
pub(crate) fn steps(trace: &Trace, now: i64) -> Vec<Step> {
    let step = |at: i64, event, detail, name: &str| {
        let data = format!(
            "<root><MEP Name=\"ServerHostName\" String=\"{name}\"/><MEP Name=\"MessageBytes\" Integer=\"{}\"/></root>",
            trace.size
        );
        Step { at, event, detail, data }
    };
    let mut steps = vec![step(trace.received, "Receive", "Message received by: host-1", "host-1")];
    for (at, status) in trace.statuses.iter().filter(|(at, _)| *at <= now) {
        match status {
            Status::Getting => {}
            Status::Pending => steps.push(step(*at, "Defer", "Message deferred: 451 4.7.0 try later", "host-2")),
            Status::Failed => steps.push(step(*at, "Fail", "550 5.1.1 recipient unknown", "host-2")),
            Status::Expanded => steps.push(step(*at, "Expand", "Distribution group expanded", "host-2")),
            Status::Quarantined | Status::FilteredAsSpam => steps.push(step(*at, "Spam", "Spam confidence 6", "host-2")),
            Status::Delivered => steps.push(step(*at, "Deliver", "The message was delivered", "host-3")),
        }
    }
    steps
}

/// How far back rows can be asked for.
pub(crate) const RETENTION: i64 = 90 * DAY;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tenant::instant::parse;

    const SEEDED: Seeded = Seeded { seed: 9, scale: 1.0 };

    #[test]
    fn id_and_recipient_name_a_row() {
        let now = parse("2026-01-12T00:00:00Z").unwrap();
        let traces = visible(SEEDED, now - 10 * DAY..now, now);
        assert!(traces.len() > 1000);
        let keys: BTreeSet<(&str, &str)> = traces.iter().map(|trace| (trace.id.as_str(), trace.recipient.as_str())).collect();
        assert_eq!(keys.len(), traces.len());
        assert!(find(SEEDED, &traces[0].id).iter().any(|trace| trace.name == traces[0].name));
        let ids: BTreeSet<&str> = traces.iter().map(|trace| trace.id.as_str()).collect();
        assert!(ids.len() < traces.len(), "some messages have several recipients");
    }

    #[test]
    fn statuses_change_up_to_twice_and_end_final() {
        let now = parse("2026-01-12T00:00:00Z").unwrap();
        let traces = visible(SEEDED, now - 10 * DAY..now, now);
        let changing = |times: usize| traces.iter().filter(|trace| trace.statuses.len() == times + 1).count();
        assert!(changing(2) > 20 && changing(1) > 20 && changing(0) > 500);
        for trace in &traces {
            assert!(trace.statuses.windows(2).all(|pair| pair[0].0 < pair[1].0));
            assert!(!matches!(trace.statuses.last(), Some((_, Status::Pending | Status::Getting))));
            assert_eq!(trace.status(trace.statuses[0].0 - 1), None);
        }
    }

    #[test]
    fn some_rows_are_seen_only_hours_later() {
        let now = parse("2026-01-09T12:00:00Z").unwrap();
        let at_once = visible(SEEDED, now - DAY..now - 11 * MINUTE, now).len();
        let in_the_end = visible(SEEDED, now - DAY..now - 11 * MINUTE, now + 2 * DAY).len();
        assert!(at_once < in_the_end, "{at_once} {in_the_end}");
    }
}
