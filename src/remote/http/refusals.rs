//! Refusals for which a service has no code of its own: the words that it says instead, each with the document that has them.
//!
//! Where a service has a code, its code decides ([`ServiceError::is_code`]). What is here decides by words, and nothing else does.

use super::ServiceError;

/// A refusal that is known by its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownRefusal {
    /// The tenant lacks the service principal of message traces.
    MissingServicePrincipal,
    /// The application lacks a role.
    MissingRole,
    /// Unified audit logging is off in the tenant.
    AuditingOff,
}

impl KnownRefusal {
    /// The words of each, in lower case: all of them are there.
    const WORDS: [(KnownRefusal, &[&str]); 3] = [
        // Microsoft Graph, "exchangeMessageTrace": onboarding of the service principal 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373.
        (KnownRefusal::MissingServicePrincipal, &["service principal-less"]),
        // Office 365 Reporting web service: what its reports answer to who lacks the role.
        (KnownRefusal::MissingRole, &["no permission to access the report"]),
        // "Troubleshooting the Office 365 Management Activity API": what starting a subscription answers, a DataServiceException.
        (KnownRefusal::AuditingOff, &["tenant", "does not exist"]),
    ];

    /// The refusal that an error's words say.
    pub(crate) fn of(error: &ServiceError) -> Option<Self> {
        let said = error.message.to_lowercase();
        let is_said = |(_, words): &&(_, &[&str])| words.iter().all(|word| said.contains(word));
        Self::WORDS.iter().find(is_said).map(|(refusal, _)| *refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Service;
    use crate::http::Failure;

    #[test]
    fn refusals_without_a_code_are_known_by_their_words() {
        let known = |message: &str| KnownRefusal::of(&ServiceError::new(Service::Graph, Failure::Refused, message));
        assert_eq!(known("Service Principal-less authentication failed"), Some(KnownRefusal::MissingServicePrincipal));
        assert_eq!(known("No permission to access the report for the organization."), Some(KnownRefusal::MissingRole));
        let off = "Microsoft.Office.Compliance.Audit.DataServiceException: Tenant 3f0e does not exist.";
        assert_eq!(known(off), Some(KnownRefusal::AuditingOff));
        assert_eq!(known("Access is denied"), None);
        assert_eq!(known("The team does not exist."), None);
    }
}
