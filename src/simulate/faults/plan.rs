//! Fault plans: the text, and what it says.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::catalogue;
use super::rule::{Rule, When};
use super::what::What;
use crate::settings::Settings;

/// Which faults are injected where, and with which habits the tenant goes about.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    pub(super) seed: Option<u64>,
    settings: Settings,
    pub(super) rules: Vec<Rule>,
}

/// One number, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(u64),
    Many(Vec<u64>),
}

/// One text, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    seed: Option<u64>,
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    fault: Vec<Entry>,
}

/// An entry `[[fault]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    service: Option<Texts>,
    path: Option<String>,
    method: Option<String>,
    nth: Option<Numbers>,
    every: Option<u64>,
    probability: Option<f64>,
    times: Option<u64>,
    per_request: Option<u64>,
    action: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    seconds: Option<f64>,
    bytes: Option<u64>,
}

/// Why a plan is none.
#[derive(Debug, thiserror::Error)]
pub enum FaultPlanError {
    /// The text is no TOML, or has other keys.
    #[error("line {0}: {1}")]
    Toml(usize, String),
    /// A fault is not what it should be.
    #[error("fault {0}: {1}")]
    Fault(usize, String),
}

impl FaultPlan {
    /// Every fault of the catalogue, mixed, so that a client that tries again comes through.
    pub fn all() -> Self {
        let rules = catalogue::names().filter_map(catalogue::find);
        let rules =
            rules.map(|rule| Rule { when: When::Share(0.012), per_request: 2, what: rule.what.brief(), ..rule }).collect();
        FaultPlan { rules, ..FaultPlan::default() }
    }

    /// One fault of the catalogue for a share of the requests that it fits; `None` for a name that is none.
    pub fn named(name: &str, share: f64) -> Option<Self> {
        let rule = catalogue::find(name)?;
        let rule = Rule { when: When::Share(share), per_request: 2, what: rule.what.brief(), ..rule };
        Some(FaultPlan { rules: vec![rule], ..FaultPlan::default() })
    }

    /// Names of the catalogue.
    pub fn names() -> impl Iterator<Item = &'static str> {
        catalogue::names()
    }

    /// The habits that the plan sets.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// When the text is none.
    pub fn read(text: &str) -> Result<Self, FaultPlanError> {
        let wrong = |err: toml::de::Error| {
            let before = text.get(..err.span().map_or(0, |span| span.start)).unwrap_or_default();
            FaultPlanError::Toml(1 + before.matches('\n').count(), err.message().lines().collect::<Vec<_>>().join(" "))
        };
        let file: File = toml::from_str(text).map_err(wrong)?;
        let rules =
            file.fault.into_iter().enumerate().map(|(at, entry)| rule(entry).map_err(|why| FaultPlanError::Fault(at + 1, why)));
        Ok(FaultPlan { seed: file.seed, settings: file.settings, rules: rules.collect::<Result<_, _>>()? })
    }
}

fn rule(entry: Entry) -> Result<Rule, String> {
    let services = match entry.service {
        None => Vec::new(),
        Some(Texts::One(text)) => vec![text],
        Some(Texts::Many(texts)) => texts,
    };
    if let Some(wrong) = services.iter().find(|name| !catalogue::SERVICES.contains(&name.as_str())) {
        return Err(format!("service '{wrong}' is none of {}", catalogue::SERVICES.join(", ")));
    }
    let when = match (entry.nth, entry.every, entry.probability) {
        (Some(Numbers::One(nth)), None, None) => When::Nth(vec![nth]),
        (Some(Numbers::Many(nth)), None, None) => When::Nth(nth),
        (None, Some(every), None) if every > 0 => When::Every(every),
        (None, None, Some(share)) if (0.0..=1.0).contains(&share) => When::Share(share),
        (None, None, None) => When::Every(1),
        _ => return Err("one of nth, every (from 1 on) and probability (0 to 1) says when".to_owned()),
    };
    let custom = What::custom(entry.action.as_deref(), entry.status, &entry.headers, entry.body, entry.seconds, entry.bytes)?;
    let known = entry.name.as_deref().and_then(catalogue::find);
    let base = match (known, custom) {
        (Some(known), None) => known,
        (known, Some(what)) => {
            let name = entry.name.clone().unwrap_or_else(|| what.label());
            Rule { name, what, ..known.unwrap_or_else(catalogue::anywhere) }
        }
        (None, None) => match entry.name {
            Some(name) => {
                let names: Vec<&str> = catalogue::names().collect();
                return Err(format!("there is no fault '{name}'; there are {}", names.join(", ")));
            }
            None => return Err("a name of the catalogue, or a status or an action, says what".to_owned()),
        },
    };
    Ok(Rule {
        services: if services.is_empty() { base.services } else { services },
        path: entry.path.or(base.path),
        method: entry.method.or(base.method),
        when,
        times: entry.times.unwrap_or(u64::MAX),
        per_request: entry.per_request.unwrap_or(u64::MAX),
        name: base.name,
        what: base.what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_and_what_is_wrong_is_told() {
        let plan = FaultPlan::read(
            "seed = 3\n[settings]\ntoken_lifetime_seconds = 60\n[[fault]]\nname = 'throttled-seconds'\nservice = 'graph'\nnth = [2, 5]\n\
             [[fault]]\nstatus = 418\nbody = 'teapot'\npath = '*/users*'\nprobability = 0.5\ntimes = 1\n[[fault]]\naction = 'reset'\nevery = 9\n",
        )
        .unwrap();
        assert_eq!((plan.seed, plan.settings.token_lifetime_seconds, plan.rules.len()), (Some(3), 60, 3));
        assert_eq!((&plan.rules[0].services, &plan.rules[0].when), (&vec!["graph".to_owned()], &When::Nth(vec![2, 5])));
        assert_eq!((plan.rules[1].times, plan.rules[2].name.as_str()), (1, "reset"));
        for (wrong, why) in [
            ("[[fault]]\nname = 'nothing'", "there is no fault 'nothing'"),
            ("[[fault]]\nnth = 1", "says what"),
            ("[[fault]]\nstatus = 500\nnth = 1\nevery = 2", "says when"),
            ("[[fault]]\nstatus = 500\nprobability = 2.0", "says when"),
            ("[[fault]]\nstatus = 5", "status"),
            ("[[fault]]\naction = 'explode'", "explode"),
            ("[[fault]]\nstatus = 500\nservice = 'mail'", "service 'mail' is none of"),
            ("[settings]\ntokens = 1", "unknown field `tokens`"),
            ("[[faults]]\nstatus = 500", "unknown field `faults`"),
        ] {
            let err = FaultPlan::read(wrong).unwrap_err().to_string();
            assert!(err.contains(why), "{wrong}: {err}");
        }
    }

    #[test]
    fn every_name_of_the_catalogue_is_a_fault_that_a_plan_can_name() {
        for name in FaultPlan::names() {
            let plan = FaultPlan::read(&format!("[[fault]]\nname = '{name}'\nnth = 1")).unwrap();
            assert_eq!(plan.rules[0].name, name);
        }
        assert_eq!(FaultPlan::all().rules.len(), FaultPlan::names().count());
    }
}
