//! How the program is linked.

#[expect(clippy::disallowed_methods, reason = "Cargo tells a build script of its target by variables")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|found| found == value);
    // At a fixed address no pointer has to be relocated: 300,000 of them, those of vtables and of places in messages, took half
    // of the twelve milliseconds of `query 'print 1'`. What it costs is that the addresses of the program's own code and
    // constants are the same in every run; its stacks, heap and libraries still are where the system puts them.
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && is("PROFILE", "release") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
