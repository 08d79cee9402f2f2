//! Names of units.

/// The names that a unit may have been listed under, the longest first: its own and, since `!` is between an archive's name
/// and an entry's, what is before each. Files and folders may have the sign in their names, too, so which of them it was is
/// for the user of the files.
pub fn listed_names(unit: &str) -> impl Iterator<Item = &str> {
    std::iter::once(unit).chain(unit.rmatch_indices('!').map(|(at, _)| &unit[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_an_entry_of_what_stands_before_any_of_the_signs() {
        let names = |unit| listed_names(unit).collect::<Vec<_>>();
        assert_eq!(names("in/a.json"), ["in/a.json"]);
        assert_eq!(names("Yes!/a.zip!b!.json"), ["Yes!/a.zip!b!.json", "Yes!/a.zip!b", "Yes!/a.zip", "Yes"]);
    }
}
