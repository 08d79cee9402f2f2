//! Records of the events API of Application Insights, as `az monitor app-insights events show` prints them: one object for the
//! common fields, and objects inside of it for the context and for what the record's own table has.

use crate::fields::{nested, push_member};
use crate::json_text::string_literal;
use kqlake_value::json::checked::Members;

/// Item types as the member that holds the own fields of such a record is called.
const KINDS: [&str; 10] = [
    "trace",
    "customEvent",
    "pageView",
    "request",
    "dependency",
    "exception",
    "availabilityResult",
    "browserTiming",
    "customMetric",
    "performanceCounter",
];

/// What is in front of a field's name in the classic schema, by the member that holds the field.
const CONTEXT: [(&str, &str); 7] = [
    ("operation", "operation_"),
    ("session", "session_"),
    ("user", "user_"),
    ("cloud", "cloud_"),
    ("ai", ""),
    ("application", "application_"),
    ("client", "client_"),
];

/// The item type of a record, when it is one of the events API.
fn kind(members: &Members<'_>) -> Option<&'static str> {
    let said = members.text("type")?;
    let kind = KINDS.into_iter().find(|kind| kind.eq_ignore_ascii_case(&said))?;
    members.get_any_case(kind).filter(|own| own.starts_with('{'))?;
    (members.has("timestamp") && CONTEXT.iter().any(|(name, _)| members.get_any_case(name).is_some_and(|c| c.starts_with('{'))))
        .then_some(kind)
}

/// True for a record of the events API.
pub(crate) fn is_event(members: &Members<'_>) -> bool {
    kind(members).is_some()
}

/// The record as an object with the names of the classic schema.
///
/// # Errors
/// An object inside of the record cannot be read.
pub(crate) fn flattened(members: &Members<'_>) -> Result<String, String> {
    let kind = kind(members).ok_or("it is no record of the events API")?;
    let mut flat = String::from("{");
    push_member(&mut flat, "itemType", &string_literal(kind));
    for (name, value) in &members.0 {
        let (name, value) = (name.as_ref(), value.get());
        let inside = |prefix: &str, flat: &mut String| -> Result<(), String> {
            if value == "null" {
                return Ok(());
            }
            let inner = Members::parse(value).map_err(|error| format!("the record's '{name}' cannot be read: {error}"))?;
            for (field, value) in &inner.0 {
                let mut letters = field.chars();
                let first = letters.next().unwrap_or_default();
                // `client_OS` and `client_IP` are in upper case, `operation_Id` and the others begin so.
                let field = match field.as_ref() {
                    "os" | "ip" => field.to_uppercase(),
                    _ if prefix.is_empty() => field.to_string(),
                    _ => first.to_uppercase().chain(letters).collect(),
                };
                push_member(flat, &format!("{prefix}{field}"), value.get());
            }
            Ok(())
        };
        match name {
            _ if name.eq_ignore_ascii_case("type") => {}
            "id" => push_member(&mut flat, "itemId", value),
            "count" => push_member(&mut flat, "itemCount", value),
            "customDimensions" | "customMeasurements" => {
                // Software development kits of some languages put such a member between.
                push_member(&mut flat, name, nested(value, &["additionalProperties"]).unwrap_or(value));
            }
            _ if name.eq_ignore_ascii_case(kind) => inside("", &mut flat)?,
            _ => match CONTEXT.iter().find(|(context, _)| *context == name) {
                Some((_, prefix)) => inside(prefix, &mut flat)?,
                // The members of the other kinds are there and null.
                None if value == "null" => {}
                None => push_member(&mut flat, name, value),
            },
        }
    }
    flat.push('}');
    Ok(flat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_flattened() {
        let text = r#"{"id":"e1","count":1,"type":"trace","timestamp":"2026-01-05T07:23:07.123Z","customDimensions":{"eventId":"RT0005"},"customMeasurements":null,"operation":{"name":"op","id":"o","parentId":"p","syntheticSource":""},"session":{"id":"s"},"user":{"id":"u","accountId":"","authenticatedId":"amy@contoso.com"},"cloud":{"roleName":"r","roleInstance":"i"},"ai":{"iKey":"k","appName":"bc","appId":"a","sdkVersion":"v"},"client":{"model":"","os":"Windows","type":"PC","browser":"","ip":"0.0.0.0","city":"","stateOrProvince":"","countryOrRegion":"Spain"},"trace":{"message":"m","severityLevel":1},"request":null}"#;
        let members = Members::parse(text).unwrap();
        assert!(is_event(&members));
        assert_eq!(
            flattened(&members).unwrap(),
            r#"{"itemType":"trace","itemId":"e1","itemCount":1,"timestamp":"2026-01-05T07:23:07.123Z","customDimensions":{"eventId":"RT0005"},"customMeasurements":null,"operation_Name":"op","operation_Id":"o","operation_ParentId":"p","operation_SyntheticSource":"","session_Id":"s","user_Id":"u","user_AccountId":"","user_AuthenticatedId":"amy@contoso.com","cloud_RoleName":"r","cloud_RoleInstance":"i","iKey":"k","appName":"bc","appId":"a","sdkVersion":"v","client_Model":"","client_OS":"Windows","client_Type":"PC","client_Browser":"","client_IP":"0.0.0.0","client_City":"","client_StateOrProvince":"","client_CountryOrRegion":"Spain","message":"m","severityLevel":1}"#
        );
        for other in
            [r#"{"type":"trace","timestamp":"t","message":"m"}"#, r#"{"type":"trace","timestamp":"t","trace":{},"ai":"x"}"#]
        {
            assert!(!is_event(&Members::parse(other).unwrap()), "{other}");
        }
    }
}
