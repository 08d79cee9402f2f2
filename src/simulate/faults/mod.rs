//! Faults: where, and what. They are injected between the connection and the services, which know nothing of them.

mod catalogue;
#[cfg(test)]
mod http_tests;
mod inject;
mod plan;
mod rule;
mod what;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::inject::{after, before, compressed};
pub use self::plan::{FaultPlan, FaultPlanError};
use self::rule::{Rule, When};
pub(crate) use self::what::What;
use crate::random;

/// The faults of a running tenant.
#[derive(Debug)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seed: u64,
    rules: Vec<Rule>,
    /// Requests that matched each rule, and injections of it.
    counts: Vec<(u64, u64)>,
    /// The same for each rule and request.
    requests: HashMap<(usize, u64), (u64, u64)>,
    injected: BTreeMap<String, u64>,
    /// Paths whose content is said to have expired, for good.
    gone: HashSet<String>,
}

impl Faults {
    pub(crate) fn new(plan: &FaultPlan, seed: u64) -> Self {
        let state = State {
            seed: plan.seed.unwrap_or(seed),
            rules: plan.rules.clone(),
            counts: vec![(0, 0); plan.rules.len()],
            requests: HashMap::new(),
            injected: BTreeMap::new(),
            gone: HashSet::new(),
        };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets another plan hold from now on. What was injected stays counted, what has gone stays gone.
    pub(crate) fn set(&self, plan: &FaultPlan) {
        let mut state = self.state();
        state.seed = plan.seed.unwrap_or(state.seed);
        state.counts = vec![(0, 0); plan.rules.len()];
        state.rules.clone_from(&plan.rules);
        state.requests.clear();
    }

    /// How often each was injected.
    pub(crate) fn injected(&self) -> BTreeMap<String, u64> {
        self.state().injected.clone()
    }

    /// True for a path (the service's prefix included) whose content was said to have expired.
    pub(crate) fn has_gone(&self, path: &str) -> bool {
        self.state().gone.contains(path)
    }

    /// What happens to a request. `address` is path and query.
    pub(crate) fn decide(&self, service: &str, method: &str, path: &str, address: &str) -> Option<What> {
        self.state().decide(service, method, path, address)
    }
}

impl State {
    fn decide(&mut self, service: &str, method: &str, path: &str, address: &str) -> Option<What> {
        if self.gone.contains(path) {
            return Some(What::Gone);
        }
        let request = random::number(random::word(method), &[random::word(address)]);
        for (at, rule) in self.rules.iter().enumerate() {
            let fits = (rule.services.is_empty() || rule.services.iter().any(|name| name == service))
                && rule.method.as_deref().is_none_or(|name| name.eq_ignore_ascii_case(method))
                && rule.path.as_deref().is_none_or(|pattern| matches(pattern, address));
            if !fits {
                continue;
            }
            let (seen, hits) = &mut self.counts[at];
            let (seen_here, hits_here) = self.requests.entry((at, request)).or_default();
            *seen += 1;
            *seen_here += 1;
            let is_due = match &rule.when {
                When::Nth(numbers) => numbers.contains(seen),
                When::Every(every) => *seen % every == 0,
                // By the request and how often it came, so that what happens does not hang on the order of others.
                When::Share(share) => random::chance(self.seed, &[at as u64, request, *seen_here], *share),
            };
            if !is_due || *hits >= rule.times || *hits_here >= rule.per_request {
                continue;
            }
            *hits += 1;
            *hits_here += 1;
            *self.injected.entry(rule.name.clone()).or_default() += 1;
            if rule.what == What::Gone {
                self.gone.insert(path.to_owned());
            }
            return Some(rule.what.clone());
        }
        None
    }
}

/// True for a text that a pattern with `*` for anything describes as a whole.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            match rest.find(middle) {
                Some(at) => rest = &rest[at + middle.len()..],
                None => return false,
            }
        }
    }
    match last {
        Some(last) => rest.ends_with(last),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Faults {
        Faults::new(&FaultPlan::read(text).unwrap(), 1)
    }

    fn hits(faults: &Faults, addresses: &[&str]) -> Vec<bool> {
        addresses.iter().map(|at| faults.decide("graph", "GET", at.split('?').next().unwrap(), at).is_some()).collect()
    }

    #[test]
    fn patterns_describe_whole_texts() {
        for (pattern, text) in
            [("*", ""), ("/a", "/a"), ("/a*", "/ab"), ("*/audit/*", "/x/audit/1"), ("a*b*c", "a1b2bc"), ("a*a", "aa")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("/a", "/ab"), ("a*a", "a"), ("*/audit/*", "/audit"), ("a*b*c", "acb"), ("", "x")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn faults_come_at_their_places_and_no_more_often_than_they_may() {
        let nth = faults("[[fault]]\nstatus = 500\nnth = [2, 3]\npath = '/u*'");
        assert_eq!(hits(&nth, &["/u", "/v", "/u?a", "/u", "/u"]), [false, false, true, true, false]);
        let every = faults("[[fault]]\nstatus = 500\nevery = 2\ntimes = 1");
        assert_eq!(hits(&every, &["/u", "/u", "/u", "/u"]), [false, true, false, false]);
        let once = faults("[[fault]]\nstatus = 500\nper_request = 1");
        assert_eq!(hits(&once, &["/a", "/a", "/b", "/b"]), [true, false, true, false]);
        let other = faults("[[fault]]\nstatus = 500\nservice = 'login'\n[[fault]]\nstatus = 500\nmethod = 'POST'");
        assert_eq!(hits(&other, &["/a"]), [false]);
    }

    #[test]
    fn random_places_hang_on_the_request_alone() {
        let text = "[[fault]]\nstatus = 500\nprobability = 0.5";
        let names: Vec<String> = (0..100).map(|at| format!("/{at}")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        let there = hits(&faults(text), &names);
        names.reverse();
        let mut back = hits(&faults(text), &names);
        back.reverse();
        assert_eq!(there, back);
        assert!((30..70).contains(&there.iter().filter(|hit| **hit).count()));
    }

    #[test]
    fn what_has_gone_stays_so() {
        let gone = faults("[[fault]]\nname = 'af20051'\nservice = 'graph'\npath = '*'\nnth = 1");
        assert_eq!(hits(&gone, &["/a?x=1", "/a?x=2", "/b"]), [true, true, false]);
        assert!(gone.has_gone("/a") && !gone.has_gone("/b"));
        assert_eq!(gone.injected()["af20051"], 1);
    }
}
