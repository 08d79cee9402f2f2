//! Texts of datetimes.
//!
//! Three readers take different texts, on purpose: a [`literal`] is part of a query and is rounded, a [`text`] is what
//! `todatetime` is given and must answer as Microsoft's engine does, a [`record`] comes from services and portals in whatever
//! form they write. What they have in common (names, times of day, zones, ISO 8601) is one implementation; where they differ,
//! its fields say how:
//!
//! | | [`literal`] | [`text`] | [`record`] |
//! |---|---|---|---|
//! | the least of a date | a year | a month | a day |
//! | which of `1/2/2024` is the month | the first | the first | what the order of the file, or else its own form says; else none |
//! | years of two digits | 1930 to 2029 | 1950 to 2049 | none |
//! | names of months | any word that begins so | whole, or three letters | any word that begins so |
//! | digits past the seventh | rounded | dropped | dropped |
//! | second 60 | none | none | read as 59 |
//! | a comma before the fraction | none | none | read |
//! | an hour alone before AM or PM | read | none | read |
//! | `UTC+1` | none | none | read |

mod iso;
mod literal;
mod local;
mod parts;
mod record;
mod text;

pub use self::literal::literal;
pub use self::local::{DateOrder, Evidence};
pub use self::record::{record, record_in, zone};
pub use self::text::text;
