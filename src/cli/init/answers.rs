//! What `init` must know: from flags, or asked for.

use std::io::{BufRead, Write};
use std::str::FromStr;

use crate::error::{Error, Result};
use kqlake_remote::cloud::Cloud;
use kqlake_value::parse::guids::{self, GuidForm};

/// Where the secret is that proves the application's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keeping {
    Environment(String),
    File(String),
    Credential(String),
    Certificate(String),
    ManagedIdentity,
}

impl FromStr for Keeping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What is written here may be a secret, so it is not shown.
        let wrong = || "env:NAME, file:PATH, credential:NAME, certificate:PATH or managed-identity was expected".to_owned();
        if text == "managed-identity" {
            return Ok(Keeping::ManagedIdentity);
        }
        let (kind, value) = text.split_once(':').filter(|(_, value)| !value.trim().is_empty()).ok_or_else(wrong)?;
        let value = value.trim().to_owned();
        match kind.trim() {
            "env" => Ok(Keeping::Environment(value)),
            "file" => Ok(Keeping::File(value)),
            "credential" => Ok(Keeping::Credential(value)),
            "certificate" => Ok(Keeping::Certificate(value)),
            _ => Err(wrong()),
        }
    }
}

impl Keeping {
    /// What there is to do about it, as part of a sentence.
    pub(super) fn description(&self) -> String {
        match self {
            Keeping::Environment(name) => format!("its secret is read from the variable {name}, which must be set"),
            Keeping::File(path) => format!("its secret is read from {path}, which must have the mode 0600"),
            Keeping::Credential(name) => format!("its secret is the credential {name} of the systemd unit"),
            Keeping::Certificate(path) => format!("its certificate and key are read from {path}, which must have the mode 0600"),
            Keeping::ManagedIdentity => "the machine's managed identity is used".to_owned(),
        }
    }
}

/// What was said so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Answers {
    pub(super) name: Option<String>,
    pub(super) id: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) cloud: Option<Cloud>,
    pub(super) keeping: Option<Keeping>,
    pub(super) org_urls: Vec<String>,
}

/// A tenant of which everything is known.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) client_id: Option<String>,
    pub(super) cloud: Cloud,
    pub(super) keeping: Keeping,
    pub(super) org_urls: Vec<String>,
}

impl Answers {
    /// The tenant; `None` when nothing was said of one.
    ///
    /// # Errors
    /// Only a part was said.
    pub(super) fn complete(self) -> Result<Option<Tenant>> {
        let nothing = self.name.is_none() && self.id.is_none() && self.client_id.is_none() && self.keeping.is_none();
        if nothing && self.cloud.is_none() && self.org_urls.is_empty() {
            return Ok(None);
        }
        let managed = self.keeping == Some(Keeping::ManagedIdentity);
        let missing: Vec<&str> = [
            ("--tenant-id", self.id.is_none()),
            ("--client-id", self.client_id.is_none() && !managed),
            ("--client-secret", self.keeping.is_none()),
        ]
        .into_iter()
        .filter_map(|(flag, missing)| missing.then_some(flag))
        .collect();
        let (Some(id), Some(keeping), true) = (self.id, self.keeping, missing.is_empty()) else {
            let error = Error::usage(format!("of the tenant is missing: {}", missing.join(", ")));
            return Err(error.hint("give them all, or none for a file that shows how to write a tenant; on a terminal init asks"));
        };
        let name = self.name.unwrap_or_else(|| "contoso".to_owned());
        let cloud = self.cloud.unwrap_or_default();
        Ok(Some(Tenant { name, id, client_id: self.client_id, cloud, keeping, org_urls: self.org_urls }))
    }
}

/// Asks for what was not said. An empty tenant id ends the questions: the file is then written without one.
///
/// # Errors
/// The questions cannot be written or the answers not be read; the input ends before all are answered.
pub(super) fn ask(mut answers: Answers, input: &mut dyn BufRead, output: &mut dyn Write) -> Result<Answers> {
    let mut asker = Asker { input, output };
    if answers.id.is_none() {
        let id = asker.question("Directory (tenant) ID, empty for a file without a tenant", "", |text| match text {
            "" => Ok(None),
            _ => guid(text).map(Some),
        })?;
        if id.is_none() && answers.client_id.is_none() && answers.keeping.is_none() {
            return Ok(Answers::default());
        }
        answers.id = id;
    }
    if answers.name.is_none() {
        answers.name = Some(asker.question("A short name for it", "contoso", |text| Ok(text.to_owned()))?);
    }
    if answers.cloud.is_none() {
        answers.cloud = Some(asker.question("Cloud: global, gcc, gcc-high, dod or china", "global", str::parse)?);
    }
    if answers.keeping.is_none() {
        let name = answers.name.as_deref().unwrap_or_default();
        let variable: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        let default = format!("env:{variable}_SECRET");
        let question = "Where the client secret is: env:NAME, file:PATH, credential:NAME, certificate:PATH or managed-identity";
        answers.keeping = Some(asker.question(question, &default, str::parse)?);
    }
    if answers.client_id.is_none() && answers.keeping != Some(Keeping::ManagedIdentity) {
        answers.client_id = Some(asker.question("Application (client) ID", "", guid)?);
    }
    if answers.org_urls.is_empty() {
        let question = "SharePoint addresses whose audit records are taken, with blanks between; * takes all";
        let split = |text: &str| Ok(text.split([' ', ',']).filter(|part| !part.is_empty()).map(str::to_owned).collect());
        answers.org_urls = asker.question(question, "*", split)?;
    }
    Ok(answers)
}

struct Asker<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

impl Asker<'_> {
    /// Asks until the answer can be read. An empty one is the default.
    fn question<T>(&mut self, text: &str, default: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T> {
        let failed = |err| Error::io("ask on", "the terminal".as_ref(), err);
        loop {
            let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
            write!(self.output, "{text}{shown}: ").and_then(|()| self.output.flush()).map_err(failed)?;
            let mut line = String::new();
            if self.input.read_line(&mut line).map_err(failed)? == 0 {
                return Err(Error::usage("the answers ended before all questions were answered; nothing was written"));
            }
            let answer = line.trim();
            match read(if answer.is_empty() { default } else { answer }) {
                Ok(value) => return Ok(value),
                Err(message) => writeln!(self.output, "  {message}").map_err(failed)?,
            }
        }
    }
}

fn guid(text: &str) -> Result<String, String> {
    guids::read(text, GuidForm::Plain)
        .ok_or_else(|| "a GUID such as 11111111-2222-3333-4444-555555555555 was expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(input: &str, answers: Answers) -> (Result<Answers>, String) {
        let mut output = Vec::new();
        let result = ask(answers, &mut input.as_bytes(), &mut output);
        (result, String::from_utf8(output).unwrap())
    }

    #[test]
    fn questions_are_asked_until_they_are_answered() {
        let input =
            "nonsense\n11111111-2222-3333-4444-555555555555\nfab.rikam\nmars\n\n\nAAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee\n\n";
        let (answers, shown) = asked(input, Answers::default());
        let tenant = answers.unwrap().complete().unwrap().unwrap();
        assert_eq!((tenant.name.as_str(), tenant.cloud), ("fab.rikam", Cloud::Global));
        assert_eq!(tenant.keeping, Keeping::Environment("FAB_RIKAM_SECRET".into()));
        assert_eq!(
            (tenant.client_id.as_deref(), tenant.org_urls),
            (Some("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"), vec!["*".to_owned()])
        );
        assert!(shown.contains("a GUID such as") && shown.contains("known are global"), "{shown}");
    }

    #[test]
    fn what_was_said_is_not_asked_and_an_end_writes_nothing() {
        let given = Answers { keeping: Some(Keeping::ManagedIdentity), id: Some("x".into()), ..Answers::default() };
        let (answers, shown) = asked("\n\n\n", given);
        assert!(answers.unwrap().client_id.is_none() && !shown.contains("Application"), "{shown}");
        assert!(asked("\n", Answers::default()).0.unwrap().complete().unwrap().is_none());
        assert_eq!(asked("", Answers::default()).0.unwrap_err().status(), 2);
        let err = Answers { id: Some("x".into()), ..Answers::default() }.complete().unwrap_err();
        assert!(err.to_string().contains("--client-id, --client-secret"), "{err}");
    }

    #[test]
    fn a_secret_in_place_of_its_place_is_not_shown() {
        let err = "canary".parse::<Keeping>().unwrap_err();
        assert!(err.contains("env:NAME") && !err.contains("canary"), "{err}");
        assert_eq!("certificate: a.pem".parse(), Ok(Keeping::Certificate("a.pem".into())));
    }
}
