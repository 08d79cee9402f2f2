//! Call records with sessions, segments and media, as Microsoft Graph pages them.

use super::Source;
use super::line::{Calendar, Line, Random, TICKS_OF_SECOND};

/// The state of the calls generator: texts made once.
pub(super) struct Calls {
    /// An identity set, by person.
    people: Vec<String>,
}

impl Calls {
    pub(super) fn new(random: &mut Random) -> Self {
        let tenant = random.guid();
        let people = (0..300).map(|n| {
            format!(r#"{{"application":null,"device":null,"phone":null,"guest":null,"user":{{"id":"{}","displayName":"Person {n:03}","tenantId":"{tenant}"}}}}"#, random.guid())
        });
        Calls { people: people.collect() }
    }

    fn times(line: &mut Line, calendar: &Calendar, begin: u64, end: u64) {
        line.text(r#","startDateTime":""#).time(calendar, begin).text(r#"Z","endDateTime":""#).time(calendar, end).text(r#"Z""#);
    }

    /// The two ends of a session or segment: a person's client, and the conferencing service.
    fn ends(line: &mut Line, person: &str, platform: &str) {
        line.text(r##","caller":{"@odata.type":"#microsoft.graph.callRecords.participantEndpoint","name":"machine-1","userAgent":{"@odata.type":"#microsoft.graph.callRecords.clientUserAgent","headerValue":"SkypeSpaces/1415","applicationVersion":null,"platform":""##);
        line.text(platform).text(r#"","productFamily":"teams"},"identity":"#).text(person);
        line.text(r##","feedback":null},"callee":{"@odata.type":"#microsoft.graph.callRecords.serviceEndpoint","userAgent":{"@odata.type":"#microsoft.graph.callRecords.serviceUserAgent","headerValue":null,"applicationVersion":null,"role":"skypeForBusinessAudioVideoMcu"}}"##);
    }
}

impl Source for Calls {
    fn head(&self) -> &'static str {
        "{\"@odata.context\":\"https://graph.microsoft.com/v1.0/$metadata#communications/callRecords(sessions(segments()))\",\"value\":[\n"
    }

    fn between(&self) -> &'static str {
        ",\n"
    }

    fn tail(&self) -> &'static str {
        "\n]}\n"
    }

    fn record(&mut self, line: &mut Line, random: &mut Random, calendar: &Calendar, ticks: u64) {
        let group = !random.once_in(3);
        let end = ticks + (30 + random.below(3_600)) * TICKS_OF_SECOND;
        let organizer = random.pick(&self.people);
        line.text(r#"{"id":""#).guid(random).text(r#"","version":"#).number(1 + random.below(3)).text(r#","type":""#);
        line.text(if group { "groupCall" } else { "peerToPeer" }).text(r#"","modalities":["audio"],"lastModifiedDateTime":""#);
        line.time(calendar, end + 600 * TICKS_OF_SECOND).text(r#"Z""#);
        Self::times(line, calendar, ticks, end);
        line.text(r#","joinWebUrl":null,"organizer":"#).text(organizer).text(r#","participants":["#).text(organizer);
        let sessions = if group { 2 + random.below(4) } else { 1 };
        let persons: Vec<&String> = (0..sessions).map(|_| random.pick(&self.people)).collect();
        for person in &persons {
            line.text(",").text(person);
        }
        line.text(r#"],"sessions":["#);
        for (place, person) in persons.iter().enumerate() {
            let platform = random.word(&["windows", "macOS", "iOS", "android", "web"]);
            let begin = ticks + place as u64 * 5 * TICKS_OF_SECOND;
            let failure = if random.once_in(40) {
                r#","failureInfo":{"reason":"Media connectivity was lost.","stage":"midcall"}"#
            } else {
                r#","failureInfo":null"#
            };
            line.text(if place > 0 { r#",{"id":""# } else { r#"{"id":""# })
                .guid(random)
                .text(r#"","modalities":["audio"],"isTest":false"#)
                .text(failure);
            Self::times(line, calendar, begin, end);
            Self::ends(line, person, platform);
            line.text(r#","segments":[{"id":""#).guid(random).text(r#"""#).text(failure);
            Self::times(line, calendar, begin, end);
            Self::ends(line, person, platform);
            line.text(r#","media":[{"label":"main-audio","callerNetwork":{"ipAddress":"10.1.20."#).number(1 + random.below(250));
            line.text(r#"","connectionType":"wifi","port":50018},"calleeNetwork":{},"streams":[{"streamId":""#)
                .number(random.bits() >> 32);
            line.text(r#"","streamDirection":"callerToCallee","averageJitter":"PT0.0"#).padded(random.below(90), 2);
            line.text(r#"S","averagePacketLossRate":0.0"#)
                .number(random.below(100))
                .text(r#","packetUtilization":"#)
                .number(random.below(9_000))
                .text("}]}]}]}");
        }
        line.text("]}");
    }
}
