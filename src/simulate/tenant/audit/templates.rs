//! Audit records of each content type as texts with places for what differs.

use std::sync::LazyLock;

use super::Kind;

/// What stands between two literal texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The record's id.
    Id,
    /// Its time, in seconds, without a zone.
    Time,
    /// The tenant's guid.
    Tenant,
    /// A user's principal name, and the part before the `@`, with `_` for all that is no letter.
    User,
    Personal,
    /// The object id of the user.
    UserId,
    /// A guid of the record's own; the same number gives the same guid.
    Guid(u8),
    /// An IPv4 address of the documentation's ranges.
    Address,
    /// A number below a thousand.
    Number,
    /// A name of a document, without its extension.
    Document,
    /// A name of a site.
    Site,
    /// Digits and letters of a message or item.
    Opaque,
}

/// A record's text: literals, each followed by a field, and a last literal.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) parts: Vec<(&'static str, Field)>,
    pub(super) last: &'static str,
    /// How often it comes, among those of its kind.
    pub(super) weight: u64,
}

impl Template {
    fn read(weight: u64, text: &'static str) -> Template {
        let mut pieces = text.split('~');
        let mut literal = pieces.next().unwrap_or_default();
        let mut parts = Vec::new();
        while let (Some(name), Some(next)) = (pieces.next(), pieces.next()) {
            parts.push((literal, field(name)));
            literal = next;
        }
        Template { parts, last: literal, weight }
    }
}

fn field(name: &str) -> Field {
    match name {
        "id" => Field::Id,
        "time" => Field::Time,
        "tenant" => Field::Tenant,
        "user" => Field::User,
        "personal" => Field::Personal,
        "userid" => Field::UserId,
        "ip" => Field::Address,
        "n" => Field::Number,
        "doc" => Field::Document,
        "site" => Field::Site,
        "opaque" => Field::Opaque,
        other => Field::Guid(other.parse().unwrap_or(0)),
    }
}

/// The templates of a content type.
pub(super) fn of(kind: Kind) -> &'static [Template] {
    static ALL: LazyLock<Vec<Vec<Template>>> = LazyLock::new(|| {
        Kind::ALL.iter().map(|kind| texts(*kind).iter().map(|(weight, text)| Template::read(*weight, text)).collect()).collect()
    });
    ALL.get(kind as usize).map_or(&[], Vec::as_slice)
}

fn texts(kind: Kind) -> &'static [(u64, &'static str)] {
    match kind {
        Kind::Entra => ENTRA,
        Kind::Exchange => EXCHANGE,
        Kind::SharePoint => SHAREPOINT,
        Kind::General => GENERAL,
        Kind::Dlp => DLP,
    }
}

const ENTRA: &[(u64, &str)] = &[
    (
        6,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"UserLoggedIn","OrganizationId":"~tenant~","RecordType":15,"ResultStatus":"Success","UserKey":"~userid~","UserType":0,"Version":1,"Workload":"AzureActiveDirectory","ClientIP":"~ip~","ObjectId":"00000002-0000-0ff1-ce00-000000000000","UserId":"~user~","AzureActiveDirectoryEventType":1,"ExtendedProperties":[{"Name":"ResultStatusDetail","Value":"Success"},{"Name":"UserAgent","Value":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0"},{"Name":"RequestType","Value":"OAuth2:Authorize"}],"ModifiedProperties":[],"Actor":[{"ID":"~userid~","Type":0},{"ID":"~user~","Type":5}],"ActorContextId":"~tenant~","ActorIpAddress":"~ip~","InterSystemsId":"~1~","IntraSystemId":"~2~","SupportTicketId":"","Target":[{"ID":"00000002-0000-0ff1-ce00-000000000000","Type":0}],"TargetContextId":"~tenant~","ApplicationId":"d3590ed6-52b3-4102-aeff-aad2292ab01c","DeviceProperties":[{"Name":"OS","Value":"Windows 10"},{"Name":"BrowserType","Value":"Edge"},{"Name":"IsCompliant","Value":"True"},{"Name":"SessionId","Value":"~3~"}],"ErrorNumber":"0"}"#,
    ),
    (
        2,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"UserLoginFailed","OrganizationId":"~tenant~","RecordType":15,"ResultStatus":"Failed","UserKey":"~userid~","UserType":0,"Version":1,"Workload":"AzureActiveDirectory","ClientIP":"~ip~","ObjectId":"~1~","UserId":"~user~","AzureActiveDirectoryEventType":1,"ExtendedProperties":[{"Name":"ResultStatusDetail","Value":"UserError"},{"Name":"UserAgent","Value":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X)"},{"Name":"RequestType","Value":"Login:login"}],"ModifiedProperties":[],"Actor":[{"ID":"~userid~","Type":0},{"ID":"~user~","Type":5}],"ActorContextId":"~tenant~","ActorIpAddress":"~ip~","InterSystemsId":"~2~","IntraSystemId":"~3~","Target":[{"ID":"~1~","Type":0}],"TargetContextId":"~tenant~","ErrorNumber":"50126","LogonError":"InvalidUserNameOrPassword"}"#,
    ),
    (
        1,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"Update user.","OrganizationId":"~tenant~","RecordType":8,"ResultStatus":"Success","UserKey":"~userid~","UserType":0,"Version":1,"Workload":"AzureActiveDirectory","ObjectId":"~user~","UserId":"ServicePrincipal_~1~","AzureActiveDirectoryEventType":1,"ExtendedProperties":[{"Name":"additionalDetails","Value":"{\"UserType\":\"Member\"}"}],"ModifiedProperties":[{"Name":"Department","NewValue":"[\r\n  \"Sales ~n~\"\r\n]","OldValue":"[]"},{"Name":"Included Updated Properties","NewValue":"Department","OldValue":""}],"Actor":[{"ID":"Microsoft Substrate Management","Type":1},{"ID":"~1~","Type":2}],"ActorContextId":"~tenant~","InterSystemsId":"~2~","IntraSystemId":"~3~","Target":[{"ID":"User_~userid~","Type":2},{"ID":"~user~","Type":5}],"TargetContextId":"~tenant~"}"#,
    ),
];

const EXCHANGE: &[(u64, &str)] = &[
    (
        4,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"MailItemsAccessed","OrganizationId":"~tenant~","RecordType":50,"ResultStatus":"Succeeded","UserKey":"10032000A1B2C~n~","UserType":0,"Version":1,"Workload":"Exchange","UserId":"~user~","ClientIPAddress":"~ip~","ClientInfoString":"Client=OWA;Action=ViaProxy","ExternalAccess":false,"InternalLogonType":0,"LogonType":0,"LogonUserSid":"S-1-5-21-1004336348-1177238915-682003330-~n~","MailboxGuid":"~userid~","MailboxOwnerSid":"S-1-5-21-1004336348-1177238915-682003330-~n~","MailboxOwnerUPN":"~user~","OrganizationName":"contoso.onmicrosoft.com","OriginatingServer":"AM0PR01MB1234 (15.20.4200.000)","SessionId":"~1~","OperationProperties":[{"Name":"MailAccessType","Value":"Bind"},{"Name":"IsThrottled","Value":"False"}],"OperationCount":2,"Folders":[{"Id":"LgAAAA~opaque~","Path":"\\Inbox","FolderItems":[{"InternetMessageId":"<~opaque~@contoso.com>","SizeInBytes":21~n~}]}]}"#,
    ),
    (
        3,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"Send","OrganizationId":"~tenant~","RecordType":2,"ResultStatus":"Succeeded","UserKey":"10032000A1B2C~n~","UserType":0,"Version":1,"Workload":"Exchange","ClientIP":"~ip~","UserId":"~user~","ClientInfoString":"Client=REST;","ExternalAccess":false,"InternalLogonType":0,"LogonType":0,"MailboxGuid":"~userid~","MailboxOwnerUPN":"~user~","OrganizationName":"contoso.onmicrosoft.com","OriginatingServer":"AM0PR01MB1234 (15.20.4200.000)","SessionId":"~1~","Item":{"Id":"Unknown","InternetMessageId":"<~opaque~@contoso.com>","ParentFolder":{"Id":"LgAAAA~opaque~","Path":"\\Drafts"},"SizeInBytes":4~n~,"Subject":"~doc~ für ~site~ \u2713"}}"#,
    ),
    (
        1,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"Set-Mailbox","OrganizationId":"~tenant~","RecordType":1,"ResultStatus":"True","UserKey":"NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)","UserType":3,"Version":1,"Workload":"Exchange","ClientIP":"~ip~:4~n~","ObjectId":"EURPR01A001.PROD.OUTLOOK.COM/Microsoft Exchange Hosted Organizations/contoso.onmicrosoft.com/~personal~","UserId":"NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)","ExternalAccess":true,"OrganizationName":"contoso.onmicrosoft.com","OriginatingServer":"AM6PR07MB1234 (15.20.4200.000)","Parameters":[{"Name":"Identity","Value":"~user~"},{"Name":"MaxSendSize","Value":"~n~ MB"}],"SessionId":""}"#,
    ),
];

const SHAREPOINT: &[(u64, &str)] = &[
    (
        5,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"FileModified","OrganizationId":"~tenant~","RecordType":6,"UserKey":"i:0h.f|membership|10032000a1b2c~n~@live.com","UserType":0,"Version":1,"Workload":"OneDrive","ClientIP":"~ip~","ObjectId":"https://contoso-my.sharepoint.com/personal/~personal~/Documents/~doc~.xlsx","UserId":"~user~","CorrelationId":"~1~","EventSource":"SharePoint","ItemType":"File","ListId":"~2~","ListItemUniqueId":"~3~","Site":"~4~","WebId":"~5~","UserAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36","ApplicationId":"a5d74ff0-fff8-4d21-8ea9-000000000001","ApplicationDisplayName":"Office","SiteUrl":"https://contoso-my.sharepoint.com/personal/~personal~/","SourceRelativeUrl":"Documents","SourceFileName":"~doc~.xlsx","SourceFileExtension":"xlsx"}"#,
    ),
    (
        5,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"FileAccessed","OrganizationId":"~tenant~","RecordType":6,"UserKey":"i:0h.f|membership|10032000a1b2c~n~@live.com","UserType":0,"Version":1,"Workload":"SharePoint","ClientIP":"~ip~","ObjectId":"https://contoso.sharepoint.com/sites/~site~/Shared Documents/~doc~.docx","UserId":"~user~","CorrelationId":"~1~","EventSource":"SharePoint","ItemType":"File","ListId":"~2~","ListItemUniqueId":"~3~","Site":"~4~","WebId":"~5~","UserAgent":"Microsoft Office Word 2014 (16.0.18227) Windows NT 10.0","IsManagedDevice":true,"SiteUrl":"https://contoso.sharepoint.com/sites/~site~/","SourceRelativeUrl":"Shared Documents","SourceFileName":"~doc~.docx","SourceFileExtension":"docx"}"#,
    ),
    (
        1,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"SharingSet","OrganizationId":"~tenant~","RecordType":14,"UserKey":"i:0h.f|membership|10032000a1b2c~n~@live.com","UserType":0,"Version":1,"Workload":"SharePoint","ClientIP":"~ip~","ObjectId":"https://contoso.sharepoint.com/sites/~site~/Shared Documents/~doc~.pptx","UserId":"~user~","CorrelationId":"~1~","EventData":"<Permissions granted>Contribute</Permissions granted>","EventSource":"SharePoint","ItemType":"File","ListId":"~2~","Site":"~4~","WebId":"~5~","SiteUrl":"https://contoso.sharepoint.com/sites/~site~","TargetUserOrGroupName":"SharingLinks.~3~","TargetUserOrGroupType":"SharePointGroup","UniqueSharingId":"~6~"}"#,
    ),
    (
        1,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"SearchQueryPerformed","OrganizationId":"~tenant~","RecordType":4,"UserKey":"i:0h.f|membership|10032000a1b2c~n~@live.com","UserType":0,"Version":1,"Workload":"SharePoint","ClientIP":"~ip~","ObjectId":"~1~","UserId":"~user~","CorrelationId":"~2~","EventData":"<SearchQueryString>~doc~</SearchQueryString>","EventSource":"SharePoint","ItemType":"Web"}"#,
    ),
];

const GENERAL: &[(u64, &str)] = &[
    (
        4,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"MemberAdded","OrganizationId":"~tenant~","RecordType":25,"UserKey":"~userid~","UserType":0,"Version":1,"Workload":"MicrosoftTeams","UserId":"~user~","CommunicationType":"Team","Members":[{"DisplayName":"~personal~","Role":1,"UPN":"~user~"}],"TeamGuid":"19:~opaque~@thread.tacv2","TeamName":"~site~","ItemName":"~site~","AADGroupId":"~1~"}"#,
    ),
    (
        3,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"TeamsSessionStarted","OrganizationId":"~tenant~","RecordType":25,"UserKey":"~userid~","UserType":0,"Version":1,"Workload":"MicrosoftTeams","ClientIP":"~ip~","ObjectId":"Web (1415/1.0.0.20260109~n~)","UserId":"~user~"}"#,
    ),
    (
        3,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"CopilotInteraction","OrganizationId":"~tenant~","RecordType":261,"UserKey":"~userid~","UserType":0,"Version":1,"Workload":"Copilot","ClientIP":"~ip~","UserId":"~user~","ClientRegion":"de","CopilotLogVersion":"1.0.0.0","CopilotEventData":{"AISystemPlugin":[],"AccessedResources":[{"Action":"Read","Id":"~1~","Name":"~doc~.docx","SiteUrl":"https://contoso.sharepoint.com/sites/~site~/Shared Documents/~doc~.docx","Type":"docx"}],"AppHost":"Word","Contexts":[{"Id":"https://contoso.sharepoint.com/sites/~site~/Shared Documents/~doc~.docx","Type":"docx"}],"MessageIds":[],"Messages":[{"Id":"17679~n~","Size":~n~,"isPrompt":true},{"Id":"17680~n~","Size":2~n~,"isPrompt":false}],"ModelTransparencyDetails":[{"ModelName":"DEEP_LEO"}],"ThreadId":"19:~opaque~@thread.v2"}}"#,
    ),
    (
        2,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"ViewReport","OrganizationId":"~tenant~","RecordType":20,"UserKey":"10032000A1B2C~n~","UserType":0,"Version":1,"Workload":"PowerBI","ClientIP":"~ip~","ObjectId":"~doc~","UserId":"~user~","UserAgent":"Mozilla/5.0","Activity":"ViewReport","ItemName":"~doc~","WorkSpaceName":"~site~","DatasetName":"~doc~","ReportName":"~doc~","WorkspaceId":"~1~","DatasetId":"~2~","ReportId":"~3~","IsSuccess":true,"ReportType":"PowerBIReport","RequestId":"~4~","ActivityId":"~5~","ConsumptionMethod":"Power BI Web"}"#,
    ),
    (
        1,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"CreateFlow","OrganizationId":"~tenant~","RecordType":30,"ResultStatus":"Success","UserKey":"~userid~","UserType":0,"Version":1,"Workload":"MicrosoftFlow","ClientIP":"","ObjectId":"https://admin.powerplatform.microsoft.com/environments/~1~/flows/~2~","UserId":"~user~","FlowConnectorNames":"Office 365 Outlook","FlowDetailsUrl":"https://make.powerautomate.com/environments/~1~/flows/~2~/details","SharingPermission":3}"#,
    ),
    // Types and workloads that no list knows.
    (
        1,
        r#"{"CreationTime":"~time~","Id":"~id~","Operation":"GadgetCalibrated","OrganizationId":"~tenant~","RecordType":9001,"ResultStatus":"Succeeded","UserKey":"~userid~","UserType":42,"Version":1,"Workload":"GadgetHub","ClientIP":"[2001:db8::~n~]:443","ObjectId":"~1~","UserId":"~user~","Gadget":{"Serial":"~opaque~","Readings":[~n~,null,1.5e3,"~n~"],"Nested":{"Deep":{"Deeper":[[],{}]}}}}"#,
    ),
];

const DLP: &[(u64, &str)] = &[(
    1,
    r#"{"CreationTime":"~time~","Id":"~id~","Operation":"DlpRuleMatch","OrganizationId":"~tenant~","RecordType":11,"UserKey":"DlpAgent","UserType":4,"Version":1,"Workload":"SharePoint","ObjectId":"https://contoso.sharepoint.com/sites/~site~/Shared Documents/~doc~.docx","UserId":"DlpAgent","IncidentId":"~1~","PolicyDetails":[{"PolicyId":"~2~","PolicyName":"Personal data","Rules":[{"Actions":["BlockAccess"],"ConditionsMatched":{"SensitiveInformation":[{"Confidence":85,"Count":~n~,"SensitiveType":"~3~","SensitiveInformationTypeName":"IBAN"}]},"RuleId":"~4~","RuleMode":"Enable","RuleName":"High volume","Severity":"High"}]}],"SensitiveInfoDetectionIsIncluded":false,"SharePointMetaData":{"FileName":"~doc~.docx","FileOwner":"~personal~","FilePathUrl":"https://contoso.sharepoint.com/sites/~site~/Shared Documents/~doc~.docx","From":"~user~","SiteCollectionGuid":"~5~","SiteCollectionUrl":"https://contoso.sharepoint.com/sites/~site~","UniqueID":"~6~"}}"#,
)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_json_around_their_fields() {
        for kind in Kind::ALL {
            assert!(!of(kind).is_empty());
            for template in of(kind) {
                let text: String = template.parts.iter().map(|(literal, _)| format!("{literal}1")).collect();
                let record: serde_json::Value = serde_json::from_str(&format!("{text}{}", template.last)).unwrap();
                for name in [
                    "Id",
                    "CreationTime",
                    "Operation",
                    "RecordType",
                    "UserType",
                    "UserKey",
                    "UserId",
                    "Workload",
                    "OrganizationId",
                ] {
                    assert!(record.get(name).is_some(), "{name} in {record}");
                }
                assert!(template.parts.iter().any(|(_, field)| *field == Field::Id));
            }
        }
    }
}
