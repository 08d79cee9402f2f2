//! Call records: visible some time after the call, and written anew while more of it becomes known.

use std::ops::Range;

use serde_json::{Value, json};

use super::instant::{DAY, HOUR, MINUTE, SECOND, zulu};
use super::people::{self, Person};
use super::rng::{Seeded, SeededRng};
use super::slots::{self, Slot};

/// Calls of a working day at the scale 1.
const A_DAY: f64 = 24.0;
/// How long a call record can be read, from the call's begin.
pub(crate) const RETENTION: i64 = 30 * DAY;
/// The longest call, and the longest time until a record is visible.
const LONGEST: i64 = 4 * HOUR + 150 * MINUTE;

/// A call. What is known of it depends on the version.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// When each version became visible, from version 1 on.
    pub(crate) versions: Vec<i64>,
    slot: Slot,
    peer_to_peer: bool,
    sessions: usize,
    organizer: Person,
}

impl Call {
    fn of(seeded: Seeded, slot: Slot) -> Call {
        let mut rng = seeded.rng("call", &slot.name());
        let id = named(seeded, &mut rng, slot);
        // Once a week there is one that everybody joins.
        let town_hall = slot.number < 0;
        let peer_to_peer = !town_hall && rng.percent(40);
        let sessions = match rng.below(100) {
            _ if town_hall => 500,
            _ if peer_to_peer => 1,
            0..3 => rng.between(61, 190),
            3..20 => rng.between(8, 30),
            _ => rng.between(2, 7),
        };
        let end = slot.at + rng.between(20, if peer_to_peer { 3_000 } else { 10_000 }) * SECOND;
        let delay = match rng.below(10) {
            0 => rng.between(31, 149),
            _ => rng.between(4, 30),
        };
        let mut versions = vec![end + delay * MINUTE];
        let later = rng.below(100);
        if later < 35 || sessions > 60 {
            versions.push(versions[0] + rng.between(20, 400) * MINUTE);
        }
        if later < 10 {
            versions.push(versions[1] + rng.between(2, 20) * HOUR);
        }
        let organizer = people::somebody(seeded, &mut rng);
        Call { id, start: slot.at, end, versions, slot, peer_to_peer, sessions: sessions as usize, organizer }
    }

    /// The version that is visible at an instant; 0 for none.
    pub(crate) fn version(&self, now: i64) -> usize {
        self.versions.iter().filter(|visible| **visible <= now).count()
    }

    /// The sessions that a version has, by number: the first of a long history do not have all yet, and one that the next version
    /// has no more.
    pub(crate) fn sessions(&self, version: usize) -> Vec<usize> {
        match version < self.versions.len() && self.sessions > 1 {
            true => {
                let known = (self.sessions * (version + 1) / (self.versions.len() + 1)).max(1);
                (0..known).chain([self.sessions + version]).collect()
            }
            false => (0..self.sessions).collect(),
        }
    }
}

/// An id that says which slot it is of, to those who know the seed.
pub(super) fn named(seeded: Seeded, rng: &mut SeededRng, slot: Slot) -> String {
    let mut id = rng.guid();
    id.truncate(24);
    id + &format!("{:012x}", ((slot.hour as u64 & 0xf_ffff) << 28 | (slot.number as u64 & 0xfff_ffff)) ^ mask(seeded))
}

/// The slot that an id is of, if it is one of [`named`].
pub(super) fn slot_named(seeded: Seeded, kind: &str, a_day: f64, id: &str) -> Option<Slot> {
    let packed = u64::from_str_radix(id.get(24..)?, 16).ok()? ^ mask(seeded);
    let (hour, number) = ((packed >> 28) as i64, (packed & 0xfff_ffff) as i64);
    match number {
        0xfff_ffff => Some(Slot { at: hour * HOUR, hour, number: -1 }),
        _ => slots::of_hour(seeded, kind, a_day, hour).into_iter().find(|slot| slot.number == number),
    }
}

fn mask(seeded: Seeded) -> u64 {
    seeded.rng("mask of ids", &[]).bits() & 0xffff_ffff_ffff
}

/// The call of an id.
pub(crate) fn find(seeded: Seeded, id: &str) -> Option<Call> {
    let slot = slot_named(seeded, "calls", A_DAY, id)?;
    let call = Call::of(seeded, slot);
    let exists = slots(seeded, slot.at..slot.at + 1).any(|other| other == slot);
    (exists && call.id.eq_ignore_ascii_case(id)).then_some(call)
}

/// The calls that began in a time and of which something is visible at an instant, in the order of their begins.
pub(crate) fn visible(seeded: Seeded, time: Range<i64>, now: i64) -> Vec<Call> {
    let mut calls: Vec<Call> = slots(seeded, time.start..time.end.min(now)).map(|slot| Call::of(seeded, slot)).collect();
    calls.retain(|call| call.version(now) > 0);
    calls.sort_by_key(|call| call.start);
    calls
}

/// The versions that become visible in a time (the begin excluded, the end included): call and version.
pub(crate) fn becoming_visible(seeded: Seeded, time: Range<i64>) -> Vec<(Call, usize)> {
    let mut all = Vec::new();
    // The last version of a call comes up to so much after the first.
    for slot in slots(seeded, time.start - LONGEST - 30 * HOUR..time.end) {
        let call = Call::of(seeded, slot);
        for (number, at) in call.versions.clone().into_iter().enumerate() {
            if time.start < at && at <= time.end {
                all.push((call.clone(), number + 1));
            }
        }
    }
    all.sort_by_key(|(call, version)| call.versions[version - 1]);
    all
}

fn slots(seeded: Seeded, time: Range<i64>) -> impl Iterator<Item = Slot> {
    let first = time.start.div_euclid(7 * DAY);
    let town_halls = (first..=time.end.div_euclid(7 * DAY)).map(|week| {
        // Mondays at ten: the weeks of 1970 began on Thursdays.
        let at = week * 7 * DAY + 4 * DAY + 10 * HOUR;
        Slot { at, hour: at / HOUR, number: -1 }
    });
    let town_halls: Vec<Slot> = town_halls.filter(|slot| time.contains(&slot.at)).collect();
    slots::between(seeded, "calls", A_DAY, time).into_iter().chain(town_halls)
}

/// The call record of a version as Graph writes it, without its sessions.
pub(crate) fn record(seeded: Seeded, tenant: &str, call: &Call, version: usize) -> Value {
    let mut rng = seeded.rng("call's record", &call.slot.name());
    let thread = rng.hex(24);
    let participants: Vec<Value> =
        call.sessions(version).into_iter().take(130).map(|n| identities(tenant, &caller(seeded, call, n))).collect();
    json!({
        "id": call.id,
        "version": version,
        "type": if call.peer_to_peer { "peerToPeer" } else { "groupCall" },
        "modalities": if call.sessions > 3 { json!(["audio", "video", "videoBasedScreenSharing"]) } else { json!(["audio"]) },
        "lastModifiedDateTime": zulu(call.versions[version.clamp(1, call.versions.len()) - 1]),
        "startDateTime": zulu(call.start),
        "endDateTime": zulu(call.end),
        "joinWebUrl": if call.peer_to_peer { Value::Null } else {
            json!(format!("https://teams.microsoft.com/l/meetup-join/19%3ameeting_{thread}%40thread.v2/0"))
        },
        "organizer": identities(tenant, &call.organizer),
        "participants": participants,
    })
}

/// The participants (v2) of some sessions.
pub(crate) fn participants(seeded: Seeded, tenant: &str, call: &Call, numbers: &[usize]) -> Vec<Value> {
    numbers
        .iter()
        .map(|&n| {
            let person = caller(seeded, call, n);
            json!({
                "id": seeded.guid("participant", &[call.slot.hour, call.slot.number, n as i64]),
                "administrativeUnitInfos": [],
                "identity": {
                    "application": null, "device": null, "phone": null, "guest": null, "onPremises": null, "encrypted": null,
                    "endpointType": null, "user": people::identity(tenant, &person),
                }
            })
        })
        .collect()
}

fn identities(tenant: &str, person: &Person) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.identitySet", "application": null, "device": null, "phone": null, "guest": null,
        "user": people::identity(tenant, person),
    })
}

/// Who called in a session.
fn caller(seeded: Seeded, call: &Call, number: usize) -> Person {
    match number {
        0 => call.organizer.clone(),
        _ => people::somebody(seeded, &mut seeded.rng("caller", &[call.slot.hour, call.slot.number, number as i64])),
    }
}

/// Some sessions by number, with their segments if asked for.
pub(crate) fn sessions(seeded: Seeded, tenant: &str, call: &Call, numbers: &[usize], segments: bool) -> Vec<Value> {
    numbers.iter().map(|number| session(seeded, tenant, call, *number, segments)).collect()
}

/// The id of a session: that of the call where two people called each other.
pub(crate) fn session_id(seeded: Seeded, call: &Call, number: usize) -> String {
    match call.peer_to_peer {
        true => call.id.clone(),
        false => seeded.guid("session", &[call.slot.hour, call.slot.number, number as i64]),
    }
}

/// How many segments a session has.
pub(crate) fn segments(seeded: Seeded, call: &Call, number: usize) -> usize {
    1 + seeded.rng("segments", &[call.slot.hour, call.slot.number, number as i64]).percent(15) as usize
}

/// The id of a segment: that of its session for the first.
pub(crate) fn segment_id(seeded: Seeded, call: &Call, session: usize, number: usize) -> String {
    match number {
        0 => session_id(seeded, call, session),
        _ => seeded.guid("segment", &[call.slot.hour, call.slot.number, session as i64, number as i64]),
    }
}

fn session(seeded: Seeded, tenant: &str, call: &Call, number: usize, with_segments: bool) -> Value {
    let name = [call.slot.hour, call.slot.number, number as i64];
    let mut rng = seeded.rng("session's content", &name);
    let person = caller(seeded, call, number);
    let length = call.end - call.start;
    let start = call.start + if number == 0 { 0 } else { rng.below(length as u64 / 3 + 1) as i64 };
    let end = (start + length / 2 + rng.below(length as u64 / 2 + 1) as i64).min(call.end);
    let failure = match rng.below(40) {
        0 => json!({"stage": "callSetup", "reason": "DeniedOrUnavailable"}),
        1 => json!({"stage": "midcall", "reason": "NetworkError"}),
        _ => Value::Null,
    };
    let (caller, callee) = ends(tenant, &person, &mut rng, call.peer_to_peer.then(|| caller(seeded, call, 1)));
    let mut session = json!({
        "id": session_id(seeded, call, number),
        "modalities": ["audio"],
        "startDateTime": zulu(start),
        "endDateTime": zulu(end),
        "failureInfo": failure,
        "isTest": false,
        "caller": caller,
        "callee": callee,
    });
    if with_segments {
        let count = segments(seeded, call, number);
        let mut parts = Vec::new();
        for part in 0..count {
            let begin = start + (end - start) * part as i64 / count as i64;
            let finish = start + (end - start) * (part as i64 + 1) / count as i64;
            parts.push(json!({
                "id": segment_id(seeded, call, number, part),
                "startDateTime": zulu(begin),
                "endDateTime": zulu(finish),
                "failureInfo": failure,
                "caller": session["caller"],
                "callee": session["callee"],
                "media": if rng.percent(80) { json!([media(&mut rng, number)]) } else { json!([]) },
            }));
        }
        session["segments"] = Value::Array(parts);
    }
    session
}

fn ends(tenant: &str, person: &Person, rng: &mut SeededRng, other: Option<Person>) -> (Value, Value) {
    let client = |person: &Person, rng: &mut SeededRng| {
        let platform = rng.pick(&["windows", "macOS", "iOS", "android", "web", "roomSystem"]);
        json!({
            "@odata.type": "#microsoft.graph.callRecords.participantEndpoint",
            "name": format!("machine-{}", person.name[0]),
            "cpuName": "Invented CPU 3.0GHz",
            "cpuCoresCount": 8,
            "cpuProcessorSpeedInMhz": 3000,
            "userAgent": {
                "@odata.type": "#microsoft.graph.callRecords.clientUserAgent",
                "headerValue": format!("SkypeSpaces/1415/1.6/os={platform}"),
                "applicationVersion": if rng.percent(50) { json!("1.6.00.1") } else { Value::Null },
                "platform": platform,
                "productFamily": "teams",
            },
            "feedback": match rng.below(12) {
                0 => json!({"rating": "poor", "text": null, "tokens": {"noSound": true}}),
                1 => json!({"rating": "excellent", "text": null, "tokens": {}}),
                _ => Value::Null,
            },
            "identity": identities(tenant, person),
        })
    };
    let callee = match other {
        Some(other) => client(&other, rng),
        None => json!({
            "@odata.type": "#microsoft.graph.callRecords.serviceEndpoint",
            "userAgent": {
                "@odata.type": "#microsoft.graph.callRecords.serviceUserAgent",
                "headerValue": null,
                "applicationVersion": null,
                "role": "skypeForBusinessAudioVideoMcu",
            },
        }),
    };
    (client(person, rng), callee)
}

fn media(rng: &mut SeededRng, number: usize) -> Value {
    let device = |rng: &mut SeededRng| {
        json!({
            "captureDeviceName": "Microphone (Invented Audio)", "captureDeviceDriver": "Invented: 10.0.1",
            "renderDeviceName": "Speakers (Invented Audio)", "renderDeviceDriver": "Invented: 10.0.1",
            "captureNotFunctioningEventRatio": 0, "cpuInsufficentEventRatio": rng.below(20) as f64 / 100.0,
            "deviceClippingEventRatio": 0, "deviceGlitchEventRatio": 0, "howlingEventCount": 0,
            "initialSignalLevelRootMeanSquare": 0,
            "lowSpeechLevelEventRatio": 0, "lowSpeechToNoiseEventRatio": null, "micGlitchRate": rng.below(30),
            "receivedNoiseLevel": -20 - rng.between(0, 40), "receivedSignalLevel": -10 - rng.between(0, 20),
            "speakerGlitchRate": 4,
        })
    };
    let network = |rng: &mut SeededRng| {
        json!({
            "ipAddress": format!("10.1.{}.{}", number % 250, 1 + rng.below(250)), "subnet": format!("10.1.{}.0", number % 250),
            "macAddress": "00-00-5E-00-53-AF", "linkSpeed": 866_700_000,
            "connectionType": rng.pick(&["wired", "wifi", "mobile", "unknown"]),
            "port": 50_000 + rng.below(60), "reflexiveIPAddress": "203.0.113.7", "relayIPAddress": null, "relayPort": 0,
            "wifiBand": "frequency50GHz", "wifiRadioType": "wifi80211ac", "wifiChannel": 36, "wifiSignalStrength": 80,
            "bandwidthLowEventRatio": 0, "networkTransportProtocol": "udp",
        })
    };
    let stream = |rng: &mut SeededRng, direction: &str| {
        let loss = rng.below(300) as f64 / 10_000.0;
        json!({
            "streamId": format!("{}", rng.below(4_000_000_000)), "streamDirection": direction,
            "startDateTime": null, "endDateTime": null, "audioCodec": "satin", "videoCodec": "unknown",
            "averageJitter": format!("PT0.{:03}S", rng.below(60)), "maxJitter": format!("PT0.{:03}S", 60 + rng.below(200)),
            "averageRoundTripTime": format!("PT0.{:03}S", rng.below(180)),
            "maxRoundTripTime": format!("PT0.{:03}S", 180 + rng.below(400)),
            "averagePacketLossRate": loss, "maxPacketLossRate": loss * 2.0, "packetUtilization": rng.below(40_000),
            "averageBandwidthEstimate": rng.below(9_000_000), "wasMediaBypassed": null,
            "isAudioForwardErrorCorrectionUsed": true,
            "averageRatioOfConcealedSamples": loss, "averageAudioDegradation": null,
        })
    };
    json!({
        "label": "main-audio",
        "callerDevice": device(rng), "calleeDevice": device(rng),
        "callerNetwork": network(rng), "calleeNetwork": network(rng),
        "streams": [stream(rng, "callerToCallee"), stream(rng, "calleeToCaller")],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tenant::instant::parse;

    const SEEDED: Seeded = Seeded { seed: 5, scale: 1.0 };

    #[test]
    fn a_month_has_calls_of_every_sort() {
        let now = parse("2026-01-12T00:00:00Z").unwrap();
        let calls = visible(SEEDED, now - RETENTION..now, now);
        assert!((350..800).contains(&calls.len()), "{}", calls.len());
        let ids: BTreeSet<&str> = calls.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(ids.len(), calls.len());
        assert!(calls.iter().all(|call| find(SEEDED, &call.id).is_some_and(|found| found.slot == call.slot)));
        assert!(find(SEEDED, "f8894727-4a6a-49d9-ae75-a7149553de58").is_none());
        assert!(calls.iter().any(|call| call.sessions == 500) && calls.iter().any(|call| call.peer_to_peer));
        assert!(calls.iter().any(|call| (61..500).contains(&call.sessions)) && calls.iter().any(|call| call.versions.len() == 3));
    }

    #[test]
    fn versions_rise_and_later_ones_hold_what_earlier_ones_held_but_for_one_session() {
        let now = parse("2026-01-12T00:00:00Z").unwrap();
        for call in visible(SEEDED, now - 7 * DAY..now, now) {
            assert!(call.versions.windows(2).all(|pair| pair[0] < pair[1]) && call.versions[0] > call.end);
            assert!(call.versions[0] - call.end < 150 * MINUTE);
            assert_eq!(call.version(call.versions[0] - 1), 0);
            let known: Vec<BTreeSet<usize>> =
                (1..=call.versions.len()).map(|version| call.sessions(version).into_iter().collect()).collect();
            assert_eq!(known.last().map(BTreeSet::len), Some(call.sessions));
            for pair in known.windows(2) {
                let gone = pair[0].difference(&pair[1]).count();
                assert_eq!(gone, usize::from(call.sessions > 1), "{known:?}");
            }
        }
    }

    #[test]
    fn what_becomes_visible_adds_up_to_what_is_visible() {
        let now = parse("2026-01-14T12:00:00Z").unwrap();
        let mut newest = std::collections::BTreeMap::new();
        for hour in 0..96 {
            for (call, version) in becoming_visible(SEEDED, now + (hour - 96) * HOUR..now + (hour - 95) * HOUR) {
                let before = newest.insert(call.id.clone(), version);
                assert_eq!(before.unwrap_or(version - 1), version - 1, "{}", call.id);
            }
        }
        for call in visible(SEEDED, now - 40 * HOUR..now, now) {
            assert_eq!(newest.get(&call.id), Some(&call.version(now)), "{}", call.id);
        }
    }

    #[test]
    fn a_record_says_its_version_and_sessions_their_people() {
        let now = parse("2026-01-12T00:00:00Z").unwrap();
        let call = visible(SEEDED, now - 3 * DAY..now, now).into_iter().find(|call| !call.peer_to_peer).unwrap();
        let record = record(SEEDED, "t", &call, 1);
        assert_eq!((record["id"].as_str(), record["version"].as_i64()), (Some(call.id.as_str()), Some(1)));
        let sessions = sessions(SEEDED, "t", &call, &[0, 1], true);
        assert_eq!(sessions[0]["caller"]["identity"]["user"]["id"], record["organizer"]["user"]["id"]);
        assert_ne!(sessions[0]["id"], sessions[1]["id"]);
        assert!(sessions.iter().all(|session| session["segments"].as_array().is_some_and(|parts| !parts.is_empty())));
    }
}
