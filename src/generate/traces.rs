//! Business Central traces, in the mix and with the dimensions of a busy tenant.

use super::Source;
use super::line::{Calendar, Line, Random};

/// Event, share in thousandths, severity, message, and which dimensions it brings.
struct Event {
    id: &'static str,
    share: u64,
    severity: &'static str,
    message: &'static str,
    family: Family,
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    WebService,
    Sql,
    Method,
    OutgoingCall,
    PreOpen,
    PreOpenFailed,
    Open,
    OpenFailed,
    Report,
    Lock,
    Job,
    Dialog,
}

const EVENTS: [Event; 12] = [
    Event {
        id: "RT0008",
        share: 380,
        severity: "1",
        message: "Web service called (API): /v2.0/companies({id})/customers",
        family: Family::WebService,
    },
    Event {
        id: "RT0005",
        share: 150,
        severity: "2",
        message: "Operation exceeded time threshold (SQL query)",
        family: Family::Sql,
    },
    Event {
        id: "RT0019",
        share: 120,
        severity: "1",
        message: "Web Service Called (Outgoing): https://api.rates.contoso.com/v1/daily",
        family: Family::OutgoingCall,
    },
    Event {
        id: "RT0003",
        share: 80,
        severity: "1",
        message: "Authorization Succeeded (Pre Open Company)",
        family: Family::PreOpen,
    },
    Event { id: "RT0004", share: 80, severity: "1", message: "Authorization Succeeded (Open Company)", family: Family::Open },
    Event { id: "AL0000E26", share: 70, severity: "1", message: "Job queue entry finished", family: Family::Job },
    Event {
        id: "RT0018",
        share: 50,
        severity: "2",
        message: "Operation exceeded time threshold (AL method)",
        family: Family::Method,
    },
    Event {
        id: "RT0006",
        share: 40,
        severity: "1",
        message: "Report rendered: 1306 - Standard Sales - Invoice",
        family: Family::Report,
    },
    Event {
        id: "RT0030",
        share: 17,
        severity: "3",
        message: "Error dialog displayed: {0} must have a value.",
        family: Family::Dialog,
    },
    Event { id: "RT0012", share: 5, severity: "3", message: "Database lock timed out", family: Family::Lock },
    Event {
        id: "RT0001",
        share: 4,
        severity: "3",
        message: "Authorization Failed (Pre Open Company): User is disabled.",
        family: Family::PreOpenFailed,
    },
    Event {
        id: "RT0002",
        share: 4,
        severity: "3",
        message: "Authorization Failed (Open Company): User has no permission to company.",
        family: Family::OpenFailed,
    },
];

const CLIENTS: [&str; 8] = ["WebClient", "WebClient", "WebClient", "Background", "Api", "ODataV4", "Tablet", "ChildSession"];
const EXTENSIONS: [(&str, &str, &str); 8] = [
    ("Base Application", "Microsoft", "26.0.30643.32481"),
    ("System Application", "Microsoft", "26.0.30643.32481"),
    ("Contoso Rate Sync", "Contoso Apps", "2.1.0.0"),
    ("Contoso Rate Sync", "Contoso Apps", "2.2.0.0"),
    ("Fabrikam Login Guard", "Fabrikam, Inc.", "1.0.4.0"),
    ("Northwind Sales Pulse", "Northwind Traders", "5.3.1.7"),
    ("Adatum Warehouse", "Adatum Corporation", "11.0.2.0"),
    ("Litware Payments", "Litware, Inc.", "3.9.0.12"),
];
const COMPANIES: [&str; 6] =
    ["CRONUS International Ltd.", "Contoso Retail", "Contoso Manufacturing", "Fabrikam DE", "Northwind ES", "Adatum FR"];
const OBJECTS: [(&str, &str, &str); 8] = [
    ("30", "Item Card", "Page"),
    ("31", "Item List", "Page"),
    ("42", "Sales Order", "Page"),
    ("80", "Sales-Post", "CodeUnit"),
    ("90", "Purch.-Post", "CodeUnit"),
    ("1306", "Standard Sales - Invoice", "Report"),
    ("30009", "APIV2 - Customers", "Page"),
    ("50110", "Login Guard Mgt.", "CodeUnit"),
];
const TABLES: [&str; 6] = ["Item", "Customer", "Sales Header", "Sales Line", "G/L Entry", "Cust. Ledger Entry"];

/// The state of the traces generator: texts made once, and the sign-in that is under way.
pub(super) struct Traces {
    /// Where an event's share begins, of a thousand; the event's place.
    shares: Vec<usize>,
    /// Dimensions of a tenant, an environment and a company.
    places: Vec<String>,
    extensions: Vec<String>,
    objects: Vec<String>,
    statements: Vec<String>,
    /// Call stacks at company open, then those of other triggers; by extension.
    open_stacks: Vec<String>,
    other_stacks: Vec<String>,
    users: Vec<String>,
    /// The fixed end of a row, before its item id.
    resource: String,
    /// Session, user and place of a first stage whose second stage is to come.
    signing_in: Option<(String, usize, usize)>,
}

impl Traces {
    pub(super) fn new(random: &mut Random) -> Self {
        let shares =
            EVENTS.iter().enumerate().flat_map(|(place, event)| std::iter::repeat_n(place, event.share as usize)).collect();
        let mut places = Vec::new();
        for _ in 0..4 {
            let tenant = random.guid();
            for (environment, kind) in [("Production", "Production"), ("Sandbox-UAT", "Sandbox")] {
                for company in COMPANIES {
                    let id = random.guid();
                    places.push(format!(
                        r#","telemetrySchemaVersion":"1.4","component":"Dynamics 365 Business Central Server","componentVersion":"26.0.32481.33012","aadTenantId":"{tenant}","environmentName":"{environment}","environmentType":"{kind}","companyName":"{company}","companyId":"{id}""#
                    ));
                }
            }
        }
        let extension_ids: Vec<_> = EXTENSIONS.iter().map(|_| random.guid()).collect();
        let extensions = EXTENSIONS.iter().zip(&extension_ids).map(|((name, publisher, version), id)| {
            format!(r#","extensionId":"{id}","extensionName":"{name}","extensionPublisher":"{publisher}","extensionVersion":"{version}""#)
        });
        let objects = OBJECTS
            .iter()
            .map(|(id, name, kind)| format!(r#","alObjectId":"{id}","alObjectName":"{name}","alObjectType":"{kind}""#));
        let statements = TABLES.iter().map(|table| {
            format!(
                r#","sqlStatement":"SELECT TOP (50) \"9\".\"timestamp\",\"9\".\"No_\",\"9\".\"Description\",\"9\".\"Amount\" FROM \"SQLDATABASE\".dbo.\"CRONUS${table}$437dbf0e-84ff-417a-965d-ed2bb9650972\" \"9\" WITH(READUNCOMMITTED) WHERE (\"9\".\"Blocked\"=@0 AND \"9\".\"No_\">@1) ORDER BY \"No_\" ASC OPTION(OPTIMIZE FOR UNKNOWN, FAST 50)""#
            )
        });
        let stack = |method: &str, (name, publisher, _): &(&str, &str, &str)| {
            format!(
                r#","alStackTrace":"\"{name} Mgt.\"(CodeUnit 50110).{method} line 12 - {name} by {publisher}\r\n\"Company Triggers\"(CodeUnit 2000000003).{method} line 2 - System Application by Microsoft""#
            )
        };
        Traces {
            shares,
            places,
            extensions: extensions.collect(),
            objects: objects.collect(),
            statements: statements.collect(),
            open_stacks: EXTENSIONS
                .iter()
                .enumerate()
                .map(|(n, e)| stack(if n % 2 == 0 { "OnCompanyOpen" } else { "OnCompanyOpenCompleted" }, e))
                .collect(),
            other_stacks: EXTENSIONS.iter().map(|e| stack("OnAfterGetRecord", e)).collect(),
            users: (0..400).map(|_| random.guid()).collect(),
            resource: format!(
                r#","client_Type":"PC","client_IP":"0.0.0.0","cloud_RoleName":"Contoso","cloud_RoleInstance":"contoso-production","appId":"{}","appName":"contoso-bc-telemetry","iKey":"{}","sdkVersion":"il:2.22.0-997","itemType":"trace","itemCount":1,"itemId":""#,
                random.guid(),
                random.guid()
            ),
            signing_in: None,
        }
    }

    /// Dimensions of code that ran: where, for whom, in which extension and object; at company open now and then.
    fn code(&self, line: &mut Line, random: &mut Random, object: usize) {
        let extension = random.below(EXTENSIONS.len() as u64) as usize;
        line.text(r#","clientType":""#)
            .text(random.word(&CLIENTS))
            .text(r#"""#)
            .text(&self.extensions[extension])
            .text(&self.objects[object]);
        let stacks = if random.once_in(4) { &self.open_stacks } else { &self.other_stacks };
        line.text(&stacks[extension]);
    }

    /// Counters and times of a server operation.
    fn operation(line: &mut Line, random: &mut Random, ticks: u64) {
        line.text(r#","serverExecutionTime":""#).span(ticks).text(r#"","totalTime":""#).span(ticks + random.below(200_000));
        line.text(r#"","sqlExecutes":""#)
            .number(1 + random.below(200))
            .text(r#"","sqlRowsRead":""#)
            .number(random.below(5_000))
            .text(r#"""#);
    }

    fn dimensions(&self, line: &mut Line, random: &mut Random, event: &Event, user: usize) {
        let kind = ["Normal user", "Normal user", "Normal user", "Internal_Admin", "Delegated_admin"][user % 5];
        let account = |line: &mut Line, status: &str| {
            line.text(r#","authorizationStatus":""#)
                .text(status)
                .text(r#"","guestUser":"False","userType":""#)
                .text(kind)
                .text(r#"""#);
        };
        match event.family {
            Family::WebService => {
                line.text(r#","clientType":"Api","category":"API","endpoint":"https://api.businesscentral.dynamics.com/v2.0/contoso/production/api/v2.0/companies({id})/customers","httpMethod":"GET","httpStatusCode":""#);
                line.text(random.word(&["200", "200", "200", "200", "200", "200", "401", "404", "429"]))
                    .text(r#"","queryFilter":"$top=10","requestQueueTime":"00:00:00""#);
                line.text(&self.extensions[0]).text(&self.objects[6]);
                let ticks = random.duration(15);
                Self::operation(line, random, ticks);
            }
            Family::Sql => {
                let object = random.below(6) as usize;
                self.code(line, random, object);
                let ticks = random.duration(750);
                line.text(r#","executionTime":""#)
                    .span(ticks)
                    .text(r#"","longRunningThreshold":"00:00:00.7500000","sqlServerSessionId":""#);
                line.number(50 + random.below(200)).text(r#"""#).text(random.pick(&self.statements).as_str());
            }
            Family::Method => {
                let object = random.below(6) as usize;
                self.code(line, random, object);
                let ticks = random.duration(10_000);
                line.text(r#","alMethod":"Code","executionTime":""#).span(ticks).text(r#"","exclusiveTime":""#).span(ticks / 3);
                line.text(r#"","longRunningThreshold":"00:00:10","sqlExecutes":""#).number(random.below(9_000)).text(r#"""#);
            }
            Family::OutgoingCall => {
                self.code(line, random, 7);
                line.text(r#","endpoint":"https://api.rates.contoso.com/v1/daily","httpMethod":"GET","alHttpTimeout":"00:05:00","httpStatusCode":""#);
                line.text(random.word(&["200", "200", "200", "200", "404", "503"])).text(r#"""#);
                let ticks = random.duration(60);
                Self::operation(line, random, ticks);
            }
            Family::PreOpen => {
                account(line, "Succeeded");
                line.text(r#","entitlementSetIds":"BC_ESSENTIAL,BC_TEAM_MEMBERS""#);
            }
            Family::PreOpenFailed => {
                account(line, "Failed");
                line.text(r#","failureReason":"The user was successfully authenticated in Microsoft Entra ID but the user account is disabled in Business Central.""#);
            }
            Family::Open => {
                account(line, "Success");
                line.text(r#","result":"Success","clientType":""#).text(random.word(&CLIENTS)).text(r#"""#);
                let ticks = random.duration(300);
                Self::operation(line, random, ticks);
            }
            Family::OpenFailed => {
                account(line, "Failed");
                line.text(r#","failureReason":"The user does not have permission to access the company.""#);
            }
            Family::Report => {
                line.text(r#","clientType":"WebClient","result":"Success","reportingEngine":"Word","documentFormat":"Pdf","numberOfRows":""#);
                line.number(random.below(400)).text(r#"""#).text(&self.extensions[0]).text(&self.objects[5]);
                let ticks = random.duration(400);
                Self::operation(line, random, ticks);
            }
            Family::Lock => {
                let object = random.below(6) as usize;
                self.code(line, random, object);
                line.text(r#","snapshotId":""#)
                    .guid(random)
                    .text(r#"","sqlServerSessionId":""#)
                    .number(50 + random.below(200))
                    .text(r#"""#);
            }
            Family::Job => {
                line.text(r#","clientType":"Background","alJobQueueResult":"Success","alDataClassification":"SystemMetadata","alCategory":"AL JobQueEntries","alJobQueueObjectId":""#);
                line.number(50_000 + random.below(400)).text(r#"""#).text(&self.extensions[0]);
            }
            Family::Dialog => {
                let object = random.below(6) as usize;
                self.code(line, random, object);
                line.text(r#","alErrorMessage":"Customer No. must have a value.","failureReason":"TestField""#);
            }
        }
    }
}

impl Source for Traces {
    fn record(&mut self, line: &mut Line, random: &mut Random, calendar: &Calendar, ticks: u64) {
        let mut place = self.shares[random.below(1_000) as usize];
        let mut user = random.below(self.users.len() as u64) as usize;
        let mut company = random.below(self.places.len() as u64) as usize;
        // The second stage of a sign-in belongs to the session of the first one.
        let second_stage = matches!(EVENTS[place].family, Family::Open | Family::OpenFailed);
        let session = match self.signing_in.take() {
            Some((session, same_user, same_company)) if second_stage => {
                (user, company) = (same_user, same_company);
                session
            }
            open => {
                self.signing_in = open;
                if second_stage {
                    place = 0;
                }
                random.guid()
            }
        };
        let event = &EVENTS[place];
        line.text(r#"{"timestamp":""#).time(calendar, ticks).text(r#"Z","message":""#).text(event.message);
        line.text(r#"","severityLevel":"#).text(event.severity).text(r#","operation_Id":""#).hex(random);
        line.text(r#"","session_Id":""#).text(&session).text(r#"","user_Id":""#).text(&self.users[user]).text(r#"""#);
        line.text(&self.resource).guid(random).text(r#"","customDimensions":{"eventId":""#).text(event.id).text(r#"""#);
        line.text(&self.places[company]);
        self.dimensions(line, random, event, user);
        line.text("}}");
        if event.family == Family::PreOpen {
            self.signing_in = Some((session, user, company));
        }
    }
}
