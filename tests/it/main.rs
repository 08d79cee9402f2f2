//! The integration tests: one binary.

mod lake;
