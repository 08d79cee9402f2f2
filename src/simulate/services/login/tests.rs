use serde_json::{Value, json};

use crate::Simulator;
use crate::testing::{Got, send, tenant};

async fn ask(of: &Simulator, path: &str, fields: &[(&str, &str)]) -> Got {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    send(of, "POST", path, &[("content-type", "application/x-www-form-urlencoded")], &body).await
}

#[tokio::test]
async fn both_versions_issue_tokens_with_their_own_numbers() {
    let of = tenant(41, |settings| settings.token_lifetime_seconds = 60).await;
    let common = [("grant_type", "client_credentials"), ("client_id", of.client_id()), ("client_secret", of.secret())];
    let v1 = format!("/login/{}/oauth2/token", of.tenant());
    let got = ask(&of, &v1, &[&common[..], &[("resource", "https://manage.office.com")]].concat()).await.json();
    assert_eq!((&got["expires_in"], &got["resource"]), (&json!("60"), &json!("https://manage.office.com")));
    assert_eq!(got["expires_on"], json!("1768219260"));
    let v2 = "/login/contoso.onmicrosoft.com/oauth2/v2.0/token";
    let got = ask(&of, v2, &[&common[..], &[("scope", "https://manage.office.com/.default")]].concat()).await.json();
    assert_eq!((&got["expires_in"], got.get("resource")), (&json!(60), None));
}

#[tokio::test]
async fn mistakes_are_told_with_their_numbers() {
    let of = tenant(42, |_| {}).await;
    let v2 = format!("/login/{}/oauth2/v2.0/token", of.tenant());
    let v1 = format!("/login/{}/oauth2/token", of.tenant());
    let right = [
        ("grant_type", "client_credentials"),
        ("client_id", of.client_id()),
        ("client_secret", of.secret()),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let with = |name: &'static str, value: &'static str| -> Vec<(&str, &str)> {
        let mut fields: Vec<_> = right.into_iter().filter(|(known, _)| *known != name).collect();
        if !value.is_empty() {
            fields.push((name, value));
        }
        fields
    };
    for (path, fields, status, error, number) in [
        (v2.as_str(), with("client_secret", "wrong"), 401, "invalid_client", 7_000_215),
        (&v2, with("client_secret", ""), 401, "invalid_client", 7_000_216),
        (&v2, with("client_id", "00000000-0000-4000-8000-000000000000"), 400, "unauthorized_client", 700_016),
        (&v2, with("client_id", ""), 400, "invalid_request", 900_144),
        (&v2, with("grant_type", "password"), 400, "unsupported_grant_type", 70_003),
        (&v2, with("scope", "https://graph.microsoft.com/User.Read.All"), 400, "invalid_scope", 70_011),
        (&v2, with("scope", "https://nowhere.example.com/.default"), 400, "invalid_resource", 500_011),
        (&v2, with("resource", "https://graph.microsoft.com"), 400, "invalid_request", 901_002),
        (&v1, with("resource", ""), 400, "invalid_request", 900_144),
        ("/login/fabrikam.com/oauth2/v2.0/token", with("", ""), 400, "invalid_request", 90_002),
        ("/login/common/oauth2/v2.0/token", with("", ""), 400, "invalid_request", 9_001_023),
        (&v2, with("client_assertion", "a.b.c"), 400, "invalid_request", 900_144),
    ] {
        let got = ask(&of, path, &fields).await;
        let body: Value = got.json();
        assert_eq!((got.status, &body["error"], &body["error_codes"]), (status, &json!(error), &json!([number])), "{fields:?}");
        assert!(body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{number}: ")));
    }
    assert_eq!(send(&of, "GET", &v2, &[], "").await.json()["error_codes"], json!([900_561]));
}

#[tokio::test]
async fn a_tenant_can_be_set_to_refuse() {
    let of = tenant(43, |settings| settings.login_error = Some(7_000_222)).await;
    let got = ask(&of, &format!("/login/{}/oauth2/token", of.tenant()), &[]).await;
    assert_eq!((got.status, got.json()["error"].as_str()), (401, Some("invalid_client")));
}
