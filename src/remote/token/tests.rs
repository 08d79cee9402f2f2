use super::*;
use crate::testing::{SECRET, Server, json, reply, tenant, world};

fn tokens(server: &Server) -> (crate::world::World, Arc<Tenant>) {
    // A path of its own, so that the server does not answer by itself.
    (world(), Arc::new(tenant(&server.base.join("own/").unwrap())))
}

fn of(world: &crate::world::World, tenant: &Arc<Tenant>) -> crate::api::Api {
    world.api(tenant, Service::Graph).unwrap()
}

#[tokio::test]
async fn tokens_are_kept_until_shortly_before_their_end() {
    let server = Server::start(|_, n| json(&format!(r#"{{"expires_in":"3600","access_token":"a.eyJyb2xlcyI6WyJ4Il19.{n}"}}"#)));
    let (world, tenant) = tokens(&server);
    let api = of(&world, &tenant);
    assert_eq!(api.roles().await.unwrap(), ["x"]);
    world.pace().sleep(std::time::Duration::from_secs(3_290)).await;
    api.roles().await.unwrap();
    assert_eq!(server.asked().len(), 1);
    world.pace().sleep(std::time::Duration::from_secs(20)).await;
    api.roles().await.unwrap();
    // Others of the same application share it; those for another audience do not.
    of(&world, &tenant).roles().await.unwrap();
    assert_eq!(server.asked().len(), 2);
    world.api(&tenant, Service::Management).unwrap().roles().await.unwrap();
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_refusal_is_told_with_advice_once_for_all_and_shows_no_secret() {
    let body =
        format!(r#"{{"error":"invalid_client","error_description":"AADSTS7000215: Invalid secret: {SECRET}.\r\nTrace ID: 1"}}"#);
    let server = Server::start(move |_, _| reply(401, "", &body));
    let (world, tenant) = tokens(&server);
    for _ in 0..3 {
        let error = of(&world, &tenant).roles().await.unwrap_err();
        assert_eq!((error.failure, error.service), (Failure::Credential, Service::Login));
        assert!(error.is_code("invalid_client"));
        let shown = format!("{error}{error:?}");
        assert!(shown.contains("not its id") && !shown.contains(SECRET), "{shown}");
    }
    assert_eq!(server.asked().len(), 1);
    world.pace().sleep(std::time::Duration::from_secs(61)).await;
    of(&world, &tenant).roles().await.unwrap_err();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let server = Server::start(|_, n| match n {
        0 => reply(400, "", r#"{"error":"temporarily_unavailable","error_description":"AADSTS90033: x"}"#),
        1 => reply(503, "Retry-After: 7\r\n", ""),
        2 => json("<html>"),
        _ => json(r#"{"expires_in":60,"access_token":"t"}"#),
    });
    let (world, tenant) = tokens(&server);
    of(&world, &tenant).roles().await.unwrap();
    assert_eq!(server.asked().len(), 4);
    assert!(world.pace().passed() >= 7_000_000);
}

#[tokio::test]
async fn the_agent_of_azure_arc_is_shown_the_key_that_it_wrote_and_nothing_else_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("tokens");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("a.key"), "canary-key").unwrap();
    std::fs::write(keys.join("a.txt"), "canary-key").unwrap();
    std::fs::write(folder.path().join("b.key"), "canary-key").unwrap();
    for (named, is_taken) in [
        (keys.join("a.key"), true),
        (keys.join("a.txt"), false),
        (folder.path().join("b.key"), false),
        (keys.join("../b.key"), false),
        (keys.join("none.key"), false),
    ] {
        let challenge = format!("WWW-Authenticate: Basic realm={}\r\n", named.display());
        let server = Server::start(move |asked, _| match asked.header("authorization") {
            Some("Basic canary-key") => json(r#"{"expires_in":"3599","access_token":"t"}"#),
            _ => reply(401, &challenge, r#"{"error":"unauthorized_client"}"#),
        });
        let (world, tenant) = tokens(&server);
        let endpoint = server.base.join("own/oauth2/token").unwrap();
        let credential = Credential::Arc { endpoint, keys: keys.clone() };
        let tenant = Arc::new(Tenant { client_id: String::new(), credential, ..(*tenant).clone() });
        let roles = of(&world, &tenant).roles().await;
        assert_eq!(roles.is_ok(), is_taken, "{}: {roles:?}", named.display());
        assert!(!format!("{roles:?}").contains("canary"), "{roles:?}");
        let asked = server.asked();
        assert_eq!(asked.len(), if is_taken { 2 } else { 1 });
        assert!(asked[0].line.contains("api-version=2020-06-01") && asked[0].header("metadata") == Some("true"));
    }
}
