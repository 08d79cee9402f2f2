//! Message traces, as Microsoft Graph pages them.

use super::Source;
use super::line::{Calendar, Line, Random};

const STATUSES: [&str; 20] = [
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "expanded",
    "failed",
    "filteredAsSpam",
    "filteredAsSpam",
    "quarantined",
    "pending",
];

/// The state of the message trace generator: the message whose next recipient is to come.
pub(super) struct MessageTraces {
    /// Trace id, sender, received (ticks of its day are those of the row) and how many recipients are left.
    message: Option<(String, u64, u64)>,
}

impl MessageTraces {
    pub(super) fn new(_: &mut Random) -> Self {
        MessageTraces { message: None }
    }
}

impl Source for MessageTraces {
    fn head(&self) -> &'static str {
        "{\"@odata.context\":\"https://graph.microsoft.com/v1.0/$metadata#admin/exchange/tracing/messageTraces\",\"value\":[\n"
    }

    fn between(&self) -> &'static str {
        ",\n"
    }

    fn tail(&self) -> &'static str {
        "\n]}\n"
    }

    fn record(&mut self, line: &mut Line, random: &mut Random, calendar: &Calendar, ticks: u64) {
        let (id, number, left) = match self.message.take() {
            Some(message) => message,
            None => (random.guid(), random.bits() >> 16, if random.once_in(5) { 2 + random.below(6) } else { 0 }),
        };
        line.text(r#"{"id":""#)
            .text(&id)
            .text(r#"","senderAddress":"user"#)
            .padded(number % 500, 4)
            .text(r#"@contoso.com","recipientAddress":"person"#);
        // The recipients of one message differ by what is left of it.
        line.number(number % 90_000 + left).text(random.word(&[
            "@fabrikam.com",
            "@northwind.example",
            "@adatum.example",
            "@contoso.com",
        ]));
        line.text(r#"","messageId":"<"#).number(number).text(r#"@contoso.com>","receivedDateTime":""#).time(calendar, ticks);
        line.text(r#"Z","subject":"Message "#).number(number % 10_000).text(r#"","status":""#).text(random.word(&STATUSES));
        line.text(r#"","size":"#).number(1_500 + random.below(400_000)).text(r#","fromIP":"203.0.113."#).number(1 + number % 250);
        line.text(r#"","toIP":"198.51.100."#).number(1 + random.below(250)).text(r#""}"#);
        self.message = (left > 0).then(|| (id, number, left - 1));
    }
}
