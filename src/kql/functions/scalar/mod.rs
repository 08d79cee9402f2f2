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
pub mod json;
pub mod math;
pub mod misc;
mod numeric;
pub mod parsing;
mod punycode;
pub mod regexes;
pub mod series;
pub mod sets;
pub mod sketch;
pub mod strings;
pub mod substrings;
pub mod time_format;
pub mod timezones;
pub mod udf;
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
        time_format::FUNCTIONS,
        timezones::FUNCTIONS,
        user_agent::FUNCTIONS,
        window::FUNCTIONS,
    ]
}
