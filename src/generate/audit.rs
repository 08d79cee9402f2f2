//! Office 365 audit records of the common workloads.

use super::Source;
use super::line::{Calendar, Line, Random};

/// Record type, workload, operations.
const WORKLOADS: [(&str, &str, &[&str]); 5] = [
    ("6", "SharePoint", &["FileAccessed", "FileModified", "FileDownloaded", "FileUploaded", "FileDeleted", "FilePreviewed"]),
    ("6", "OneDrive", &["FileAccessed", "FileModified", "FileSyncDownloadedFull", "FileUploaded"]),
    ("15", "AzureActiveDirectory", &["UserLoggedIn", "UserLoggedIn", "UserLoggedIn", "UserLoginFailed"]),
    ("50", "Exchange", &["MailItemsAccessed"]),
    ("25", "MicrosoftTeams", &["TeamsSessionStarted", "MessageSent", "MemberAdded", "ChatCreated"]),
];

/// The state of the audit generator: texts made once.
pub(super) struct Audit {
    tenant: String,
    site: String,
    users: Vec<(String, String)>,
}

impl Audit {
    pub(super) fn new(random: &mut Random) -> Self {
        Audit {
            tenant: random.guid(),
            site: random.guid(),
            users: (0..500).map(|n| (format!("user{n:04}@contoso.com"), random.guid())).collect(),
        }
    }
}

impl Source for Audit {
    fn record(&mut self, line: &mut Line, random: &mut Random, calendar: &Calendar, ticks: u64) {
        let (record_type, workload, operations) = random.pick(&WORKLOADS);
        let operation = random.pick(operations);
        let (user, key) = random.pick(&self.users);
        line.text(r#"{"CreationTime":""#).seconds(calendar, ticks).text(r#"","Id":""#).guid(random);
        line.text(r#"","Operation":""#).text(operation).text(r#"","OrganizationId":""#).text(&self.tenant);
        line.text(r#"","RecordType":"#)
            .text(record_type)
            .text(r#","UserKey":""#)
            .text(key)
            .text(r#"","UserType":0,"Version":1,"Workload":""#)
            .text(workload);
        line.text(r#"","ClientIP":"203.0.113."#).number(1 + random.below(250)).text(r#"","UserId":""#).text(user).text(r#"""#);
        match *workload {
            "SharePoint" | "OneDrive" => {
                let file = random.below(20_000);
                let extension = random.word(&["docx", "xlsx", "pptx", "pdf", "aspx"]);
                line.text(r#","ObjectId":"https://contoso.sharepoint.com/sites/a/Documents/File "#)
                    .number(file)
                    .text(".")
                    .text(extension);
                line.text(r#"","CorrelationId":""#)
                    .guid(random)
                    .text(r#"","EventSource":"SharePoint","ItemType":"File","Site":""#)
                    .text(&self.site);
                line.text(r#"","UserAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36","SiteUrl":"https://contoso.sharepoint.com/sites/a/","SourceRelativeUrl":"Documents","SourceFileName":"File "#);
                line.number(file).text(".").text(extension).text(r#"","SourceFileExtension":""#).text(extension).text(r#"""#);
            }
            "AzureActiveDirectory" => {
                let failed = *operation == "UserLoginFailed";
                line.text(r#","ResultStatus":""#).text(if failed { "Failed" } else { "Success" });
                line.text(r#"","ObjectId":"00000002-0000-0ff1-ce00-000000000000","AzureActiveDirectoryEventType":1,"ExtendedProperties":[{"Name":"ResultStatusDetail","Value":""#);
                line.text(if failed { "UserError" } else { "Success" })
                    .text(r#""},{"Name":"RequestType","Value":"OAuth2:Authorize"}],"ModifiedProperties":[],"Actor":[{"ID":""#)
                    .text(key);
                line.text(r#"","Type":0}],"ApplicationId":"d3590ed6-52b3-4102-aeff-aad2292ab01c","DeviceProperties":[{"Name":"OS","Value":"Windows 10"},{"Name":"BrowserType","Value":"Edge"}],"InterSystemsId":""#).guid(random);
                line.text(r#"","ErrorNumber":""#).text(if failed {
                    r#"50126","LogonError":"InvalidUserNameOrPassword""#
                } else {
                    r#"0""#
                });
            }
            "Exchange" => {
                line.text(r#","ResultStatus":"Succeeded","ClientInfoString":"Client=OWA;Action=ViaProxy","ExternalAccess":false,"InternalLogonType":0,"LogonType":0,"MailboxOwnerUPN":""#).text(user);
                line.text(r#"","OrganizationName":"contoso.onmicrosoft.com","OperationProperties":[{"Name":"MailAccessType","Value":"Bind"}],"OperationCount":"#).number(1 + random.below(9));
                line.text(r#","Folders":[{"Path":"\\Inbox","FolderItems":[{"InternetMessageId":"<"#)
                    .hex(random)
                    .text(r#"@contoso.com>","SizeInBytes":"#)
                    .number(2_000 + random.below(90_000))
                    .text("}]}]");
            }
            _ => {
                line.text(r#","CommunicationType":"Team","TeamName":"Project "#)
                    .number(random.below(40))
                    .text(r#"","TeamGuid":"19:"#)
                    .hex(random)
                    .text(r#"@thread.tacv2""#);
            }
        }
        line.text("}");
    }
}
