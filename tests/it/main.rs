//! The integration tests: one binary.

#![allow(unreachable_pub, reason = "one binary, whose modules share what they need")]
#![allow(clippy::disallowed_methods, reason = "settings of test runs come from the environment")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may stop where they stand")]

mod call_versions;
mod checked;
mod cli;
mod config;
mod damaged_drops;
mod damaged_lake;
mod damaged_landings;
mod doctor;
mod drops;
mod export;
mod external;
mod foreign_columns;
mod formats;
mod formulas;
mod generated;
mod given_up;
mod hostile_input;
mod identity;
mod import;
mod init;
mod killed;
mod kqlt;
mod lake;
mod lake_paths;
mod layering;
mod layout;
mod ledger;
mod limits;
mod live;
mod live_kills;
mod live_more;
mod live_source;
mod log_actions;
mod newest;
mod nightly;
mod no_rows;
mod ordered;
mod output_safety;
mod positions;
mod power_cut;
mod promoted;
mod quarantine;
mod query_speed;
mod readers;
mod reals;
mod repair;
mod report_tenants;
mod returned;
mod robust;
mod saved;
mod secrets;
mod shapes;
mod simulate;
mod simulated;
mod sql;
mod statistics;
mod support;
mod threads;
mod ticks;
mod views;
mod watch;
mod webhook;
