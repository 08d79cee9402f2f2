//! The people of the tenant: who there is at an instant, with which properties, who has joined, changed or gone.
//!
//! Most stay, and change now and then. A tenth of the places is taken by one person after another: created, deleted (restorable
//! for some days), then deleted for good.

use serde_json::{Value, json};

use super::instant::{DAY, zulu};
use super::rng::Seeded;

const FIRST: [&str; 24] = [
    "Amy", "Bob", "Chloe", "Dan", "Eve", "Farid", "Grete", "Hugo", "Inés", "Jürgen", "Kaito", "Léa", "Mia", "Nils", "Olga",
    "Pau", "Quinn", "Rosa", "Søren", "Tarek", "Uma", "Vera", "Wei", "Zoë",
];
const LAST: [&str; 20] = [
    "Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel", "Ivy", "Juniper", "Kapok", "Larch", "Maple", "Nutmeg",
    "Oak", "Pine", "Quince", "Rowan", "Spruce", "Teak",
];
const PLACES: [(&str, &str, &str, &str); 5] = [
    ("Madrid", "Spain", "ES", "es-ES"),
    ("København", "Denmark", "DK", "da-DK"),
    ("Wien", "Austria", "AT", "de-AT"),
    ("Leeds", "United Kingdom", "GB", "en-GB"),
    ("Lyon", "France", "FR", "fr-FR"),
];
const TITLES: [&str; 6] = ["Clerk", "Manager", "Engineer", "Accountant", "Director", "Consultant"];
const DEPARTMENTS: [&str; 5] = ["Sales", "Finance", "IT", "Logistics", "Legal"];

/// The tenant's domain.
pub(crate) const DOMAIN: &str = "contoso.com";

/// What of a person never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// Number of the place, and of the person in it.
    pub(crate) name: [i64; 2],
    pub(crate) id: String,
    pub(crate) display_name: String,
    pub(crate) principal: String,
    pub(crate) mail: String,
    pub(crate) guest: bool,
}

/// What a directory has of a person at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not created yet, or deleted so long ago that no answer tells of it.
    Absent,
    /// There, with properties of this number.
    Present { edition: i64 },
    /// Deleted, restorable.
    Deleted,
    /// Deleted for good.
    Purged,
}

/// How many places there are.
pub(crate) fn places(seeded: Seeded) -> i64 {
    seeded.count(40, 8) as i64
}

/// Whether a place is taken by one person after another.
fn changing(place: i64) -> bool {
    place % 10 == 7
}

/// The days between two changes of a place, and the first of them.
fn rhythm(seeded: Seeded, place: i64) -> (i64, i64) {
    let mut rng = seeded.rng("rhythm", &[place]);
    let period = rng.between(20, 60) * DAY;
    (period, rng.below(period as u64) as i64)
}

/// The number of a place's period at an instant, and how long it has lasted, in microseconds.
fn period(seeded: Seeded, place: i64, at: i64) -> (i64, i64) {
    let (period, phase) = rhythm(seeded, place);
    ((at - phase).div_euclid(period), (at - phase).rem_euclid(period))
}

/// When a place's period began.
fn began(seeded: Seeded, place: i64, number: i64) -> i64 {
    let (period, phase) = rhythm(seeded, place);
    phase + number * period
}

/// The person who was in a place in its period `number` (places that do not change have one person, of number 0).
pub(crate) fn person(seeded: Seeded, place: i64, number: i64) -> Person {
    let name = [place, if changing(place) { number } else { 0 }];
    let mut rng = seeded.rng("person", &name);
    let id = rng.guid();
    let first = if changing(place) { rng.pick(&FIRST) } else { FIRST[place as usize % FIRST.len()] };
    let last = LAST[(place as usize / FIRST.len() * 7 + place as usize + name[1].unsigned_abs() as usize) % LAST.len()];
    let plain: String = first.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
    let local = match (place < FIRST.len() as i64, changing(place)) {
        (true, false) => plain,
        (_, changing) => {
            format!("{plain}.{}{place}{}", last.to_lowercase(), if changing { format!("x{number}") } else { String::new() })
        }
    };
    let guest = place % 12 == 11;
    let (principal, mail) = match guest {
        true => (format!("{local}_fabrikam.com#EXT#@contoso.onmicrosoft.com"), format!("{local}@fabrikam.com")),
        false => (format!("{local}@{DOMAIN}"), format!("{local}@{DOMAIN}")),
    };
    Person { name, id, display_name: format!("{first} {last}"), principal, mail, guest }
}

/// Someone who is there all the time.
pub(crate) fn somebody(seeded: Seeded, rng: &mut super::rng::SeededRng) -> Person {
    let mut place = rng.below(places(seeded) as u64) as i64;
    if changing(place) {
        place -= 1;
    }
    person(seeded, place, 0)
}

/// Everyone whom the directory may tell of at an instant, with what it tells: also those whose end was within a month.
pub(crate) fn everyone(seeded: Seeded, at: i64) -> Vec<(Person, State)> {
    let mut all = Vec::new();
    for place in 0..places(seeded) {
        if !changing(place) {
            all.push((person(seeded, place, 0), State::Present { edition: period(seeded, place, at).0 }));
            continue;
        }
        let number = period(seeded, place, at).0;
        for number in [number - 1, number] {
            all.push((person(seeded, place, number), state_of_changing(seeded, place, number, at)));
        }
    }
    all
}

fn state_of_changing(seeded: Seeded, place: i64, number: i64, at: i64) -> State {
    let (period, _) = rhythm(seeded, place);
    let since = at - began(seeded, place, number);
    match since {
        _ if since < 0 => State::Absent,
        _ if since < period - 6 * DAY => State::Present { edition: number },
        _ if since < period - DAY => State::Deleted,
        _ if since < period + 30 * DAY => State::Purged,
        _ => State::Absent,
    }
}

/// What the directory said of a person at an instant.
pub(crate) fn state(seeded: Seeded, person: &Person, at: i64) -> State {
    let [place, number] = person.name;
    match changing(place) {
        true => state_of_changing(seeded, place, number, at),
        false => State::Present { edition: period(seeded, place, at).0 },
    }
}

/// All properties of a person in an edition, in Graph's names. `manager` is beside them: see [`manager`].
pub(crate) fn properties(seeded: Seeded, person: &Person, edition: i64) -> Value {
    let [place, number] = person.name;
    let mut fixed = seeded.rng("person's properties", &person.name);
    let (city, country, usage, language) = fixed.pick(&PLACES);
    let created = match changing(place) {
        true => began(seeded, place, number),
        false => 1_700_000_000_000_000 + fixed.below(20_000_000) as i64 * 1_000_000,
    };
    let licensed = !person.guest && fixed.percent(90);
    let sku = seeded.guid("sku", &[fixed.between(0, 2)]);
    let mut now = seeded.rng("person's edition", &[place, number, edition]);
    let names: Vec<&str> = person.display_name.split(' ').collect();
    let local = person.mail.split('@').next().unwrap_or_default();
    json!({
        "id": person.id,
        "accountEnabled": !now.percent(4),
        "ageGroup": null,
        "assignedLicenses": if licensed { json!([{"disabledPlans": [], "skuId": sku}]) } else { json!([]) },
        "businessPhones": if place % 3 == 0 { json!([format!("+34 555 01{place:02}")]) } else { json!([]) },
        "city": city,
        "companyName": if person.guest { "Fabrikam" } else { "Contoso" },
        "country": country,
        "createdDateTime": super::instant::text(created, 0) + "Z",
        "creationType": if person.guest { json!("Invitation") } else { Value::Null },
        "department": now.pick(&DEPARTMENTS),
        "displayName": person.display_name,
        "employeeId": format!("{}", 1000 + place),
        "employeeType": null,
        "externalUserState": if person.guest { json!("Accepted") } else { Value::Null },
        "givenName": names.first(),
        "jobTitle": now.pick(&TITLES),
        "lastPasswordChangeDateTime": zulu(created),
        "mail": person.mail,
        "mailNickname": local,
        "mobilePhone": if now.percent(50) { json!(format!("+34 555 02{place:02}")) } else { Value::Null },
        "officeLocation": "HQ",
        "onPremisesExtensionAttributes": {"extensionAttribute1": null, "extensionAttribute2": format!("cost {}", now.below(9))},
        "onPremisesSyncEnabled": null,
        "otherMails": [],
        "postalCode": format!("{:05}", fixed.below(99_999)),
        "preferredLanguage": language,
        "proxyAddresses": [format!("SMTP:{}", person.mail)],
        "showInAddressList": null,
        "state": null,
        "streetAddress": null,
        "surname": names.last(),
        "usageLocation": usage,
        "userPrincipalName": person.principal,
        "userType": if person.guest { "Guest" } else { "Member" },
    })
}

/// The manager of a person in an edition: nobody for the first place and for guests.
pub(crate) fn manager(seeded: Seeded, person: &Person, edition: i64) -> Option<Person> {
    let place = person.name[0];
    let of = seeded.rng("manager", &[place, edition / 2]).below(place.clamp(1, 6) as u64) as i64;
    (place > 0 && !person.guest).then(|| self::person(seeded, of, 0))
}

/// The identity that calls and messages show of a person.
pub(crate) fn identity(tenant: &str, person: &Person) -> Value {
    json!({"id": person.id, "displayName": person.display_name, "tenantId": tenant})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tenant::instant::parse;

    const SEEDED: Seeded = Seeded { seed: 11, scale: 1.0 };

    #[test]
    fn people_have_ids_and_names_of_their_own() {
        let at = parse("2026-01-12T00:00:00Z").unwrap();
        let everyone = everyone(SEEDED, at);
        let ids: BTreeSet<&str> = everyone.iter().map(|(person, _)| person.id.as_str()).collect();
        let names: BTreeSet<&str> = everyone.iter().map(|(person, _)| person.principal.as_str()).collect();
        assert_eq!((ids.len(), names.len()), (everyone.len(), everyone.len()));
        let present = everyone.iter().filter(|(_, state)| matches!(state, State::Present { .. })).count();
        assert!((36..=40).contains(&present), "{present}");
    }

    #[test]
    fn people_join_change_and_go_as_time_passes() {
        let start = parse("2026-01-12T00:00:00Z").unwrap();
        let (mut joined, mut deleted, mut purged, mut edited) = (0, 0, 0, 0);
        for day in 0..120 {
            let (before, after) = (start + day * DAY, start + (day + 1) * DAY);
            for (person, now) in everyone(SEEDED, after) {
                match (state(SEEDED, &person, before), now) {
                    (State::Absent, State::Present { .. }) => joined += 1,
                    (State::Present { .. }, State::Deleted) => deleted += 1,
                    (State::Deleted, State::Purged) => purged += 1,
                    (State::Present { edition: a }, State::Present { edition: b }) if a != b => edited += 1,
                    (State::Purged, State::Absent) => {}
                    (was, is) => assert!(was == is, "{was:?} {is:?}"),
                }
            }
        }
        assert!(joined > 3 && deleted > 3 && purged > 3 && edited > 50, "{joined} {deleted} {purged} {edited}");
    }
}
