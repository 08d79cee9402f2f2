//! Scalar functions, one file a family.

pub mod arrays;
pub mod bags;
pub mod binning;
pub mod conversion;
pub mod datetime;
pub mod encoding;
pub mod geo;
pub mod hashing;
pub mod ip;
pub mod math;
pub mod misc;
mod numeric;
pub mod parsing;
pub mod paths;
mod punycode;
pub mod refused;
mod regex_syntax;
pub mod regexes;
pub mod series;
pub mod sets;
pub mod sketch;
pub mod strings;
pub mod substrings;
pub mod terms;
pub mod time_format;
pub mod timezones;
pub mod udf;
pub mod units;
pub mod user_agent;
pub mod window;

use super::ScalarFn;

/// The tables of all families.
pub fn families() -> &'static [&'static [ScalarFn]] {
    &[
        arrays::FUNCTIONS,
        bags::FUNCTIONS,
        binning::FUNCTIONS,
        conversion::FUNCTIONS,
        datetime::FUNCTIONS,
        encoding::FUNCTIONS,
        geo::FUNCTIONS,
        hashing::FUNCTIONS,
        ip::FUNCTIONS,
        math::FUNCTIONS,
        misc::FUNCTIONS,
        parsing::FUNCTIONS,
        refused::FUNCTIONS,
        regexes::FUNCTIONS,
        series::arithmetic::FUNCTIONS,
        series::decompose::FUNCTIONS,
        series::fill::FUNCTIONS,
        series::filter::FUNCTIONS,
        series::fit::FUNCTIONS,
        series::fourier::FUNCTIONS,
        series::periods::FUNCTIONS,
        series::statistics::FUNCTIONS,
        sets::FUNCTIONS,
        sketch::FUNCTIONS,
        strings::FUNCTIONS,
        substrings::FUNCTIONS,
        terms::FUNCTIONS,
        time_format::FUNCTIONS,
        timezones::FUNCTIONS,
        units::FUNCTIONS,
        user_agent::FUNCTIONS,
        window::FUNCTIONS,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_given_once_and_optional_parameters_come_last() {
        let mut seen = HashSet::new();
        for function in families().iter().copied().flatten() {
            for name in std::iter::once(&function.name).chain(function.aliases) {
                assert!(seen.insert(*name), "{name}");
            }
            assert!(function.params.is_sorted_by_key(|p| p.optional), "{}", function.name);
        }
    }
}
