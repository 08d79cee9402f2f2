//! Scalar functions, one file a family.

pub(crate) mod arrays;
pub(crate) mod bags;
pub(crate) mod binning;
pub(crate) mod conversion;
pub(crate) mod datetime;
pub(crate) mod dynamic_numbers;
pub(crate) mod encoding;
pub(crate) mod geo;
pub(crate) mod hashing;
pub(crate) mod ip;
pub(crate) mod math;
pub(crate) mod misc;
mod numeric;
pub(crate) mod parsing;
pub(crate) mod paths;
mod punycode;
pub(crate) mod refused;
pub(crate) mod regexes;
pub(crate) mod series;
pub(crate) mod sets;
pub(crate) mod sketch;
pub(crate) mod strings;
pub(crate) mod substrings;
pub(crate) mod terms;
pub(crate) mod time_format;
pub(crate) mod timezones;
pub(crate) mod udf;
pub(crate) mod units;
pub(crate) mod user_agent;
pub(crate) mod window;

use super::ScalarFn;

/// The tables of all families.
pub(crate) fn families() -> &'static [&'static [ScalarFn]] {
    &[
        arrays::FUNCTIONS,
        bags::FUNCTIONS,
        binning::FUNCTIONS,
        conversion::FUNCTIONS,
        datetime::FUNCTIONS,
        dynamic_numbers::FUNCTIONS,
        encoding::FUNCTIONS,
        geo::FUNCTIONS,
        geo::buffer::FUNCTIONS,
        geo::covering::FUNCTIONS,
        geo::densify::FUNCTIONS,
        geo::geohash::FUNCTIONS,
        geo::h3::FUNCTIONS,
        geo::lines::FUNCTIONS,
        geo::points::FUNCTIONS,
        geo::polygons::FUNCTIONS,
        geo::s2::FUNCTIONS,
        geo::simplify::FUNCTIONS,
        geo::unions::FUNCTIONS,
        geo::wkt::FUNCTIONS,
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
