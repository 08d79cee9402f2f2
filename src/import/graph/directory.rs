//! Users, teams, channels, members and installed apps, as of the day on which their snapshot was taken.

use std::borrow::Cow;

use crate::convert::DateOrder;
use crate::fields::{FieldMap, nested_text};
use crate::files::documents::Page;
use crate::row::{Cell, Row, SourceValue};
use kqlake_lake::tables::find;
use kqlake_value::US_PER_DAY;
use kqlake_value::json::checked::{Members, elements};

/// What a directory object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    /// A user.
    User,
    /// A team.
    Team,
    /// A channel of a team.
    Channel,
    /// A member of a team.
    Member,
    /// An app installed in a team.
    TeamApp,
    /// An app installed for a user.
    UserApp,
}

impl ObjectKind {
    const ALL: [(ObjectKind, &'static str); 6] = [
        (ObjectKind::User, "Users"),
        (ObjectKind::Team, "Teams"),
        (ObjectKind::Channel, "TeamChannels"),
        (ObjectKind::Member, "TeamMembers"),
        (ObjectKind::TeamApp, "TeamApps"),
        (ObjectKind::UserApp, "UserTeamsApps"),
    ];

    /// What an object is, by its own type, its page's context, or its fields.
    pub(crate) fn of(members: &Members<'_>, context: Option<&str>) -> Option<ObjectKind> {
        if !members.has("id") {
            return None;
        }
        let said = members.text("@odata.type").unwrap_or_default().to_lowercase();
        let context = context.unwrap_or_default();
        let fragment = context.rsplit_once('#').map_or(context, |(_, f)| f);
        let page = fragment.to_lowercase();
        if page.contains("/tabs") {
            return None;
        }
        if members.has("teamsApp") || members.has("teamsAppDefinition") {
            return Some(if page.contains("users") { ObjectKind::UserApp } else { ObjectKind::TeamApp });
        }
        if said.ends_with("conversationmember") || page.contains("/members") || (members.has("roles") && members.has("userId")) {
            return Some(ObjectKind::Member);
        }
        let id = members.text("id").unwrap_or_default();
        if said.ends_with(".channel")
            || page.contains("/channels")
            || page.contains("/allchannels")
            || members.has("membershipType")
            || (id.starts_with("19:") && members.has("displayName"))
        {
            return Some(ObjectKind::Channel);
        }
        // Sign-ins, calls and the like name a user, too.
        let about_a_user =
            ["callId", "callType", "correlationId", "appDisplayName", "activityDateTime", "activityDisplayName", "operation"]
                .iter()
                .any(|f| members.has(f));
        if said.ends_with(".user") || page.starts_with("users") || (members.has("userPrincipalName") && !about_a_user) {
            return Some(ObjectKind::User);
        }
        let team_fields = ["memberSettings", "funSettings", "isArchived", "messagingSettings", "guestSettings", "specialization"];
        let is_team_group =
            members.get_any_case("resourceProvisioningOptions").is_some_and(|o| o.to_lowercase().contains("\"team\""));
        if said.ends_with(".team")
            || page.starts_with("teams")
            || page.ends_with("joinedteams")
            || is_team_group
            || team_fields.iter().any(|f| members.has(f))
        {
            return Some(ObjectKind::Team);
        }
        // A deletion in a page of changes has nothing but its id.
        (page.contains("delta") && members.has("@removed")).then_some(ObjectKind::User)
    }
}

/// Maps directory objects.
pub(crate) struct Directory {
    fields: Vec<Option<FieldMap>>,
}

impl Default for Directory {
    fn default() -> Self {
        Self { fields: ObjectKind::ALL.iter().map(|(_, name)| find(name).map(|t| FieldMap::new(t, &[]))).collect() }
    }
}

fn cell(text: Option<String>) -> Cell<'static> {
    text.map_or(Cell::Null, |t| Cell::Text(Cow::Owned(t)))
}

impl Directory {
    /// The row of an object, as of the day of `taken` (microseconds since 1970).
    pub(crate) fn object(
        &mut self,
        kind: ObjectKind,
        members: &Members<'_>,
        text: &str,
        page: &Page,
        taken: i64,
    ) -> Result<Row<'static>, String> {
        let place = ObjectKind::ALL.iter().position(|(k, _)| *k == kind).unwrap_or_default();
        let fields = self.fields[place].as_mut().ok_or_else(|| format!("there is no table {}", ObjectKind::ALL[place].1))?;
        let row = fields.row(members, DateOrder::Unknown, &mut |_, _| {});
        let mut row = row.into_owned();
        row.set("snapshotDate", Cell::Time(taken.div_euclid(US_PER_DAY) * US_PER_DAY));
        row.set("Raw", Cell::raw_json(text));
        let context = page.context.as_deref().unwrap_or_default();
        let owner = |what: &str| {
            between(context, &format!("{what}('")).or_else(|| between(context, &format!("{what}(%27"))).unwrap_or_default()
        };
        let team = owner("teams");
        match kind {
            ObjectKind::User => {
                if let Some(manager) = members.get_any_case("manager") {
                    row.set("managerId", cell(nested_text(manager, &["id"])));
                    row.set("managerUserPrincipalName", cell(nested_text(manager, &["userPrincipalName"])));
                } else if let Some(changes) = members.get_any_case("manager@delta") {
                    row.set("managerId", cell(related(changes)));
                }
                if let Some(licences) = members.get_any_case("assignedLicenses").and_then(|l| elements(l).ok()) {
                    let skus: Vec<String> = licences.iter().filter_map(|l| nested_text(l.get(), &["skuId"])).collect();
                    row.set("licenseSkus", Cell::Json(Cow::Owned(serde_json::Value::from(skus).to_string())));
                }
                if let Some(removed) = members.get_any_case("@removed") {
                    row.set("removedReason", cell(nested_text(removed, &["reason"])));
                }
            }
            ObjectKind::Team => {
                if let Some(summary) = members.get_any_case("summary") {
                    for name in ["ownersCount", "membersCount", "guestsCount"] {
                        let count = nested_text(summary, &[name]).and_then(|t| t.parse().ok());
                        row.set(name, count.map_or(Cell::Null, Cell::Int));
                    }
                }
            }
            ObjectKind::Channel => set_owner(&mut row, "teamId", team),
            ObjectKind::Member => {
                set_owner(&mut row, "teamId", team);
                let roles: Vec<String> =
                    members.get_any_case("roles").and_then(|r| serde_json::from_str(r).ok()).unwrap_or_default();
                row.set("isOwner", Cell::Bool(roles.iter().any(|r| r.eq_ignore_ascii_case("owner"))));
                row.set("isGuest", Cell::Bool(roles.iter().any(|r| r.eq_ignore_ascii_case("guest"))));
            }
            ObjectKind::TeamApp => {
                set_owner(&mut row, "teamId", team);
                set_app(&mut row, members);
            }
            ObjectKind::UserApp => {
                let user = owner("users");
                set_owner(&mut row, "userId", user);
                if user.contains('@') {
                    row.set("userPrincipalName", Cell::text(user.to_owned()));
                }
                set_app(&mut row, members);
            }
        }
        if row.get("id").is_null() {
            return Err("the object has no id".into());
        }
        // What the page says of its records stands where they do not say it themselves.
        if let Some(said) = page.columns.as_deref().and_then(|columns| Members::parse(columns).ok()) {
            for (name, value) in &said.0 {
                if let Some(column) = fields.column(name)
                    && row.cells[column].is_null()
                    && let Some(cell) = SourceValue::Json(value.get()).read(fields.ty(column), DateOrder::Unknown)
                {
                    row.cells[column] = cell.into_owned();
                }
            }
        }
        Ok(row)
    }
}

/// The object that a relation leads to after its changes: the last one that was not taken out of it.
fn related(changes: &str) -> Option<String> {
    let changes = elements(changes).ok()?;
    let is_there = |change: &&str| !Members::parse(change).is_ok_and(|members| members.has("@removed"));
    changes.iter().rev().map(|change| change.get()).find(is_there).and_then(|change| nested_text(change, &["id"]))
}

/// The owner that the page names, where the object does not. A page that names none leaves an empty text: the key has no
/// missing parts.
fn set_owner(row: &mut Row<'static>, column: &str, owner: &str) {
    if row.get(column).is_null() {
        row.set(column, Cell::Text(Cow::Owned(owner.to_owned())));
    }
}

fn set_app(row: &mut Row<'static>, members: &Members<'_>) {
    let app = members.get_any_case("teamsApp").unwrap_or("{}");
    let definition = members.get_any_case("teamsAppDefinition").unwrap_or("{}");
    let of = |path: &str| cell(nested_text(app, &[path]).or_else(|| nested_text(definition, &[path])));
    row.set("teamsAppId", cell(nested_text(app, &["id"]).or_else(|| nested_text(definition, &["teamsAppId"]))));
    for name in
        ["externalId", "displayName", "distributionMethod", "version", "azureADAppId", "publishingState", "shortDescription"]
    {
        row.set(name, of(name));
    }
}

/// The text between a mark and the next quote.
fn between<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(mark)?;
    let end = rest.find(['\'', '%', ')']).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str, context: &str) -> (ObjectKind, Row<'static>) {
        let members = Members::parse(text).unwrap();
        let kind = ObjectKind::of(&members, Some(context)).unwrap();
        let page = Page { context: Some(context.to_owned()), columns: None };
        (kind, Directory::default().object(kind, &members, text, &page, 1_767_597_787_000_000).unwrap())
    }

    #[test]
    fn a_manager_is_found_among_the_changes_of_the_relation() {
        let manager = |changes: &str| {
            let text = format!(r#"{{"id":"u","userPrincipalName":"amy@x","manager@delta":{changes}}}"#);
            object(&text, "#users").1.get("managerId").clone()
        };
        assert_eq!(manager(r##"[{"@odata.type":"#microsoft.graph.user","id":"m"}]"##), Cell::text("m"));
        assert_eq!(manager(r#"[{"id":"old","@removed":{"reason":"deleted"}},{"id":"new"}]"#), Cell::text("new"));
        assert_eq!(manager(r#"[{"id":"new"},{"id":"old","@removed":{"reason":"deleted"}}]"#), Cell::text("new"));
        assert_eq!(manager(r#"[{"id":"old","@removed":{"reason":"deleted"}}]"#), Cell::Null);
        assert_eq!(manager("[]"), Cell::Null);
    }

    #[test]
    fn a_page_says_what_its_records_do_not() {
        let page = Page {
            context: Some("#teams(%27t1%27)/channels".to_owned()),
            columns: Some(r#"{"teamDisplayName":"Sales","displayName":"not this","channelsCount":3}"#.to_owned()),
        };
        let text = r#"{"id":"19:a@thread.tacv2","displayName":"General"}"#;
        let members = Members::parse(text).unwrap();
        let row = Directory::default().object(ObjectKind::Channel, &members, text, &page, 0).unwrap();
        let found = ["teamId", "teamDisplayName", "displayName"].map(|name| row.get(name).clone());
        assert_eq!(found, ["t1", "Sales", "General"].map(|name| Cell::text(name.to_owned())));
        let app = r#"{"id":"i","teamsApp":{"id":"a"}}"#;
        let page = Page { context: Some("#users(%27u1%27)/teamwork/installedApps".to_owned()), columns: None };
        let row = Directory::default().object(ObjectKind::UserApp, &Members::parse(app).unwrap(), app, &page, 0).unwrap();
        assert_eq!(row.get("userId"), &Cell::text("u1"));
    }

    #[test]
    fn objects_by_page_and_by_fields() {
        let base = "https://graph.microsoft.com/v1.0/$metadata#";
        let (kind, user) = object(
            r#"{"id":"u","userPrincipalName":"amy@x","accountEnabled":true,"manager":{"id":"m","userPrincipalName":"bob@x"},"assignedLicenses":[{"skuId":"s","disabledPlans":[]}]}"#,
            &format!("{base}users(id,manager())"),
        );
        assert_eq!(
            (kind, user.get("managerId"), user.get("licenseSkus")),
            (ObjectKind::User, &Cell::text("m"), &Cell::Json(r#"["s"]"#.into()))
        );
        assert_eq!(user.get("snapshotDate"), &Cell::Time(1_767_571_200_000_000));
        let (kind, _) = object(r#"{"id":"t","displayName":"T","description":null}"#, &format!("{base}teams"));
        assert_eq!(kind, ObjectKind::Team);
        let (kind, channel) = object(
            r#"{"id":"19:a@thread.tacv2","displayName":"General","membershipType":"standard"}"#,
            &format!("{base}teams('t1')/channels"),
        );
        assert_eq!((kind, channel.get("teamId")), (ObjectKind::Channel, &Cell::text("t1")));
        let (kind, member) = object(
            r##"{"@odata.type":"#microsoft.graph.aadUserConversationMember","id":"m","roles":["owner"],"userId":"u","email":"a@x"}"##,
            &format!("{base}teams('t1')/members"),
        );
        assert_eq!(
            (kind, member.get("isOwner"), member.get("isGuest")),
            (ObjectKind::Member, &Cell::Bool(true), &Cell::Bool(false))
        );
        let app = r#"{"id":"i","teamsApp":{"id":"a","displayName":"App","distributionMethod":"store"},"teamsAppDefinition":{"teamsAppId":"a","version":"1.0"}}"#;
        let (kind, installed) = object(app, &format!("{base}teams('t1')/installedApps(teamsApp(),teamsAppDefinition())"));
        assert_eq!((kind, installed.get("version")), (ObjectKind::TeamApp, &Cell::text("1.0")));
        let (kind, installed) = object(app, &format!("{base}users('u1')/teamwork/installedApps"));
        assert_eq!(
            (kind, installed.get("userId"), installed.get("teamsAppId")),
            (ObjectKind::UserApp, &Cell::text("u1"), &Cell::text("a"))
        );
        assert_eq!(ObjectKind::of(&Members::parse(r#"{"id":"x","name":"y"}"#).unwrap(), None), None);
    }

    #[test]
    fn roles_alone_make_no_member() {
        let kind = |text: &str| ObjectKind::of(&Members::parse(text).unwrap(), None);
        assert_eq!(kind(r#"{"id":"m","roles":[],"userId":"u"}"#), Some(ObjectKind::Member));
        assert_eq!(kind(r#"{"id":"u","roles":[],"userPrincipalName":"amy@x"}"#), Some(ObjectKind::User));
        assert_eq!(kind(r#"{"id":"u","userId":"u","userPrincipalName":"amy@x"}"#), Some(ObjectKind::User));
        assert_eq!(kind(r#"{"id":"x","roles":[]}"#), None);
    }
}
