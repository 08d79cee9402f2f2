//! Scalar functions, one file a family.

pub mod arrays;
pub mod bags;
pub mod conversion;
pub mod encoding;
pub mod geo;
pub mod hashing;
pub mod ip;
pub mod json;
pub mod math;
mod numeric;
mod punycode;
pub mod regexes;
pub mod sets;
pub mod sketch;
pub mod strings;
pub mod udf;
pub mod window;

use super::ScalarFn;

/// The tables of all families.
pub fn families() -> &'static [&'static [ScalarFn]] {
    &[
        arrays::FUNCTIONS,
        bags::FUNCTIONS,
        conversion::FUNCTIONS,
        encoding::FUNCTIONS,
        geo::FUNCTIONS,
        hashing::FUNCTIONS,
        ip::FUNCTIONS,
        math::FUNCTIONS,
        regexes::FUNCTIONS,
        sets::FUNCTIONS,
        sketch::FUNCTIONS,
        strings::FUNCTIONS,
        window::FUNCTIONS,
    ]
}
