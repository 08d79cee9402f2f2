//! A queue of Azure Service Bus that another receiver fills with notifications, over its REST interface.
//!
//! A message is locked when it is read, and completed only when what it tells of is on the disk. A lock that ends before gives the
//! message back: it comes once more, and tells nothing new.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use crate::api::Api;
use crate::cloud::Service;
use crate::http::{Failure, Request, ServiceError, path_part};
use crate::settings::{ServiceBus, Tenant};
use crate::world::{SetupError, World};

/// Seconds that the service waits for a message before it says that there is none.
const PATIENCE: u32 = 1;
/// Seconds that a signature is valid.
const VALID: i64 = 3_600;
/// Bytes of a message: more than any tier of the service takes of notifications.
const CAP: u64 = 4 << 20;

/// A queue.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    api: Api,
    set: ServiceBus,
}

/// A message that nobody else gets while its lock lasts.
#[derive(Debug, Clone)]
pub(crate) struct Locked {
    /// What it says.
    pub body: Bytes,
    /// Its number in the queue.
    pub number: String,
    /// The address of its lock.
    lock: Url,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    #[serde(default)]
    sequence_number: Option<serde_json::Number>,
    #[serde(default)]
    message_id: Option<String>,
}

impl Queue {
    /// The queue of a tenant; none where none is set.
    ///
    /// # Errors
    /// Its address is not one that may be used.
    pub(crate) fn of(tenant: &Tenant, world: &World) -> Result<Option<Queue>, SetupError> {
        let Some(set) = tenant.calls.service_bus.clone() else { return Ok(None) };
        Ok(Some(Queue { api: world.api(tenant, Service::ServiceBus)?, set }))
    }

    /// Locks the next message.
    ///
    /// # Errors
    /// The service refuses, or does not answer well after all tries.
    pub(crate) async fn next(&self) -> Result<Option<Locked>, ServiceError> {
        let url = self.api.url(&format!("{}/messages/head?timeout={PATIENCE}", path_part(&self.set.queue)));
        let answer = self.api.bytes(self.signed(Request::post(url.clone()).cap(CAP))).await?;
        if answer.status == 204 {
            return Ok(None);
        }
        let broken = |why: &str| ServiceError::new(Service::ServiceBus, Failure::Broken, why);
        let lock = answer.header("location").and_then(|link| url.join(link).ok());
        let lock = lock.ok_or_else(|| broken("a message comes without the address of its lock"))?;
        let properties = answer.header("brokerproperties").and_then(|text| serde_json::from_str::<Properties>(text).ok());
        let number = properties.and_then(|found| found.sequence_number.map(|number| number.to_string()).or(found.message_id));
        let number = number.ok_or_else(|| broken("a message comes without its number"))?;
        Ok(Some(Locked { body: answer.body, number, lock }))
    }

    /// Takes a message out of the queue. One whose lock has ended stays there, and comes again.
    ///
    /// # Errors
    /// The service refuses, or does not answer well after all tries.
    pub(crate) async fn complete(&self, message: &Locked) -> Result<(), ServiceError> {
        match self.api.bytes(self.signed(Request::delete(message.lock.clone()))).await {
            Err(error) if matches!(error.status, Some(404 | 410)) => {
                tracing::debug!(number = message.number, "the lock of a message has ended; it comes again");
                Ok(())
            }
            done => done.map(drop),
        }
    }

    /// Looks whether the queue is there and may be read, without reading it: renews a lock that nobody has.
    ///
    /// # Errors
    /// It is not there, may not be read, or the service does not answer.
    pub(crate) async fn check(&self) -> Result<(), ServiceError> {
        let nobody = format!("{}/messages/0/00000000-0000-0000-0000-000000000000", path_part(&self.set.queue));
        match self.api.bytes(self.signed(Request::post(self.api.url(&nobody)).once())).await {
            // The message is not known: who may not read the queue does not learn that.
            Err(error) if error.status == Some(404) => Ok(()),
            done => done.map(drop),
        }
    }

    /// A request with a signature of the policy's key; by the tenant's application where there is none.
    fn signed(&self, request: Request) -> Request {
        let Some((policy, key)) = &self.set.key else { return request };
        let mut resource = self.api.url(&path_part(&self.set.queue));
        resource.set_query(None);
        let expires = self.api.now().div_euclid(1_000_000) + VALID;
        request.key("authorization", &signature(resource.as_str(), policy, key, expires))
    }
}

/// A shared access signature for a resource, valid until an instant in seconds since 1970 (Service Bus, "Generate SAS token").
fn signature(resource: &str, policy: &str, key: &SecretString, expires: i64) -> SecretString {
    let resource = path_part(&resource.to_lowercase());
    let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
    let signature = STANDARD.encode(hmac::sign(&hmac_key, format!("{resource}\n{expires}").as_bytes()));
    let (signature, policy) = (path_part(&signature), path_part(policy));
    SecretString::from(format!("SharedAccessSignature sr={resource}&sig={signature}&se={expires}&skn={policy}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, reply, tenant, world};

    #[test]
    fn a_signature_is_that_of_the_service_s_documentation() {
        // Computed with the documentation's own procedure (Python: hmac, hashlib, urllib).
        let token = signature(
            "https://contoso.servicebus.windows.net/Calls",
            "listen",
            &SecretString::from("canary+key/="),
            1_768_179_600,
        );
        let text = token.expose_secret();
        assert!(text.starts_with("SharedAccessSignature sr=https%3A%2F%2Fcontoso.servicebus.windows.net%2Fcalls&sig="), "{text}");
        assert!(text.ends_with("&se=1768179600&skn=listen"), "{text}");
        assert!(text.contains("&sig=CB455%2FYqWecHmxnNEjjFCNDgmwos6ErQSBgRRmASfMA%3D&"), "{text}");
        assert!(!text.contains("canary"));
    }

    #[tokio::test]
    async fn a_message_is_locked_and_completed_and_a_lock_that_ended_is_no_failure() {
        let server = Server::start(|asked, number| {
            if asked.line.starts_with("DELETE") {
                return reply(if asked.line.contains("lock-1") { 404 } else { 200 }, "", "");
            }
            if asked.line.contains("/messages/0/") {
                return reply(404, "", "");
            }
            let headers = format!(
                "Location: /calls/messages/{number}/lock-{number}\r\nBrokerProperties: {{\"SequenceNumber\":{number},\"LockToken\":\"x\"}}\r\n"
            );
            if number < 2 { reply(201, &headers, "body") } else { reply(204, "", "") }
        });
        let mut tenant = tenant(&server.base);
        tenant.hosts.service_bus = Some(server.base.clone());
        let key = Some(("listen".to_owned(), SecretString::from("canary")));
        tenant.calls.service_bus = Some(ServiceBus { namespace: "contoso".into(), queue: "calls".into(), key });
        let queue = Queue::of(&tenant, &world()).unwrap().unwrap();
        let (first, second) = (queue.next().await.unwrap().unwrap(), queue.next().await.unwrap().unwrap());
        assert_eq!((first.number.as_str(), &second.body[..]), ("0", b"body".as_slice()));
        for message in [first, second] {
            queue.complete(&message).await.unwrap();
        }
        queue.check().await.unwrap();
        assert!(queue.next().await.unwrap().is_none());
        let asked = server.asked();
        assert_eq!(asked[0].line, "POST /calls/messages/head?timeout=1");
        assert_eq!(asked[2].line, "DELETE /calls/messages/0/lock-0");
        assert!(asked.iter().all(|asked| asked.header("authorization").unwrap().starts_with("SharedAccessSignature sr=")));
        assert!(!asked.iter().any(|asked| asked.line.contains("oauth2")));
    }
}
