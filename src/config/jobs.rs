//! Which sections are switched on, as one text: `Calls=True;GraphUsersMetadata=True;ActivityLog=False`.

use std::collections::BTreeSet;

use kqlake_import::Section;
use kqlake_syntax::suggest::nearest;

/// Reads the text. What it does not name is switched off. Names may be set in bold, as they are on pages that show such a text.
///
/// # Errors
/// What is wrong, and what to do.
pub(super) fn parse(text: &str) -> Result<BTreeSet<Section>, (String, String)> {
    let mut jobs = BTreeSet::new();
    let names = || Section::ALL.map(Section::setting);
    let shape = || "write it as Calls=True;ActivityLog=True;WebTraffic=False".to_owned();
    let mut named = BTreeSet::new();
    for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err((format!("has `{pair}`, which has no `=`"), shape()));
        };
        let bare = |text: &str| text.trim().trim_matches('*').trim().to_owned();
        let (name, value) = (bare(name), bare(value));
        let Some(section) = Section::ALL.into_iter().find(|section| section.setting().eq_ignore_ascii_case(&name)) else {
            let advice = match nearest(&name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", names().join(", ")),
            };
            return Err((format!("names `{name}`, which is no section"), advice));
        };
        let on = match value.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => return Err((format!("sets {name} to `{value}`, True or False was expected"), shape())),
        };
        if !named.insert(section) {
            return Err((format!("names {name} twice"), "leave one of them out".to_owned()));
        }
        if on {
            jobs.insert(section);
        }
    }
    Ok(jobs)
}

/// The text that switches sections on, in the order in which such texts have them.
pub(super) fn text(jobs: &BTreeSet<Section>) -> String {
    const ORDER: [Section; 8] = [
        Section::Calls,
        Section::UserMetadata,
        Section::UserApps,
        Section::UsageReports,
        Section::Teams,
        Section::Audit,
        Section::Hits,
        Section::MessageTrace,
    ];
    let pairs = ORDER.map(|job| format!("{}={}", job.setting(), if jobs.contains(&job) { "True" } else { "False" }));
    pairs.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_switches_sections() {
        let all = "Calls=True;GraphUsersMetadata=True;GraphUserApps=True;GraphUsageReports=True;GraphTeams=True;ActivityLog=True;\
                   WebTraffic=True;MessageTrace=True";
        assert_eq!(parse(all).unwrap(), Section::ALL.into_iter().collect());
        assert_eq!(text(&parse(all).unwrap()), all);
        let bold = "**Calls**=True;**GraphTeams**=false; **activitylog** = TRUE ;";
        assert_eq!(parse(bold).unwrap(), BTreeSet::from([Section::Calls, Section::Audit]));
        assert_eq!(parse("").unwrap(), BTreeSet::new());
        for (wrong, words) in [
            ("Call=True", "did you mean `Calls`?"),
            ("Calls", "no `=`"),
            ("Calls=1", "True or False"),
            ("Calls=True;calls=False", "twice"),
            ("Everything=True", "known are"),
        ] {
            let (message, advice) = parse(wrong).unwrap_err();
            assert!(format!("{message} {advice}").contains(words), "{message} {advice}");
        }
    }
}
