//! No two source files import each other, directly or through others, unless one encloses the other: a module names what is
//! below it, and what is below may name the module. Imports of tests (`#[cfg(test)]`) do not count.
//!
//! Paths are resolved as far as files go: `crate::a::b::C` means the file of `a::b` when there is one, else that of `a`. A name
//! that a module has from another one, by its name or by `*`, leads on to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::project;

/// A module with a file of its own: its crate's name, then the names of the modules.
type Module = Vec<String>;

/// What can be found in each module.
type Scopes = BTreeMap<Module, Scope>;

/// What can be found in a module beside the modules below it.
#[derive(Default)]
struct Scope {
    /// Names of its own items.
    defined: BTreeSet<String>,
    /// Names that it imports, and the paths they stand for.
    named: BTreeMap<String, Vec<String>>,
    /// The paths of which it imports all names.
    globs: Vec<Vec<String>>,
}

/// What each file imports: the other file, and the paths that were written out for it.
type Imports = BTreeMap<Module, BTreeMap<Module, BTreeSet<String>>>;

/// The modules below `src/` and their files. A folder with a manifest is a crate of its own, named after the folder.
fn modules(src: &Path) -> BTreeMap<Module, PathBuf> {
    let mut files = BTreeMap::new();
    collect(src, &vec!["kqlake".to_owned()], &mut files);
    files
}

fn collect(folder: &Path, module: &Module, files: &mut BTreeMap<Module, PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|n| n.to_str()).expect("a name").to_owned();
        let below = |name: String| [module.as_slice(), &[name]].concat();
        if path.join("Cargo.toml").is_file() {
            collect(&path, &vec![format!("kqlake_{name}")], files);
        } else if path.is_dir() && !(name == "examples" && folder.join("Cargo.toml").is_file()) {
            collect(&path, &below(name), files);
        } else if path.extension().is_some_and(|e| e == "rs") && name != "main" {
            let module = if matches!(name.as_str(), "lib" | "mod") { module.clone() } else { below(name) };
            files.insert(module, path);
        }
    }
}

/// Words, `::` and single characters of a source text; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut len = c.len_utf8();
        if rest.starts_with("//") {
            len = rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            len = rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else if let Some(hashes) = raw_string(rest) {
            let closing = format!("\"{}", "#".repeat(hashes));
            let opened = rest.find('"').unwrap_or_default() + 1;
            len = rest[opened..].find(&closing).map_or(rest.len(), |end| opened + end + closing.len());
        } else if c == '"' {
            len = quoted(rest, '"');
        } else if c == '\'' {
            let lifetime = rest[1..].starts_with(is_word) && !rest.chars().nth(2).is_some_and(|c| c == '\'');
            len = if lifetime { 1 + rest[1..].find(|c| !is_word(c)).unwrap_or(rest.len() - 1) } else { quoted(rest, '\'') };
        } else if is_word(c) {
            len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(&rest[..len]);
        } else if rest.starts_with("::") {
            len = 2;
            tokens.push("::");
        } else if !c.is_whitespace() {
            tokens.push(&rest[..len]);
        }
        rest = &rest[len..];
    }
    tokens
}

/// The number of `#` of a raw string that begins here.
fn raw_string(text: &str) -> Option<usize> {
    let text = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = text.len() - text.trim_start_matches('#').len();
    text[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a literal in quotes, escapes left alone.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// The end of the item that begins at a token: behind its first `;` outside of brackets, or behind its braces.
fn item_end(tokens: &[&str], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match *token {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(*token, ";" | "}") {
            return at + 1;
        }
    }
    tokens.len()
}

/// A path of a `use` tree, and the name that it gives: `*` for all below the path, nothing for `_`.
type Used = (Vec<String>, Option<String>);

/// The paths of a `use` tree, from behind `use`; `self` in braces is the path before them.
fn use_paths(tokens: &[&str], at: &mut usize, before: &[String], paths: &mut Vec<Used>) {
    let mut path = before.to_vec();
    let mut name = None;
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match *token {
            "{" => {
                while tokens.get(*at).is_some_and(|t| *t != "}") {
                    use_paths(tokens, at, &path, paths);
                    *at += usize::from(tokens.get(*at).is_some_and(|t| matches!(*t, "," | ";")));
                }
                *at += 1;
                return;
            }
            "," | ";" | "}" => {
                *at -= 1;
                break;
            }
            "as" => {
                name = tokens.get(*at).map(|alias| (*alias).to_owned());
                *at += 1;
            }
            "*" => name = Some("*".to_owned()),
            "::" => {}
            "self" if path.len() == before.len() && !before.is_empty() => {}
            word => path.push(word.to_owned()),
        }
    }
    let name = name.or_else(|| path.last().cloned()).filter(|name| name != "_");
    paths.push((path, name));
}

/// What a file's own level defines and imports; modules that are written out, and tests, are left out.
fn scope(text: &str) -> Scope {
    let tokens = tokens(text);
    let mut scope = Scope::default();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(token) = tokens.get(at) {
        if tokens[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            at = item_end(&tokens, at + 7);
            continue;
        }
        match *token {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            "use" if depth == 0 => {
                let mut paths = Vec::new();
                at += 1;
                use_paths(&tokens, &mut at, &[], &mut paths);
                for (path, name) in paths {
                    match name.as_deref() {
                        Some("*") => scope.globs.push(path),
                        Some(name) => drop(scope.named.insert(name.to_owned(), path)),
                        None => {}
                    }
                }
                continue;
            }
            "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static" | "mod" | "macro_rules" if depth == 0 => {
                let name = tokens[at + 1..].iter().find(|t| !matches!(**t, "!" | "fn" | "mut" | "unsafe" | "async" | "extern"));
                scope.defined.extend(name.map(|name| (*name).to_owned()));
            }
            _ => {}
        }
        at += 1;
    }
    scope
}

/// All paths that the code of a file writes, each with the modules inside of the file that it stands in.
fn written_paths(text: &str) -> Vec<(Vec<String>, Module)> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    // Modules that are written out, and the depth of braces at which each ends.
    let mut inner: Vec<(String, usize)> = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(token) = tokens.get(at) {
        let modules = || inner.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if tokens[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            at = item_end(&tokens, at + 7);
        } else if *token == "use" && tokens.get(at + 1) != Some(&"<") {
            let mut paths = Vec::new();
            at += 1;
            use_paths(&tokens, &mut at, &[], &mut paths);
            found.extend(paths.into_iter().map(|(path, _)| (modules(), path)));
        } else if *token == "mod" && tokens.get(at + 2) == Some(&"{") {
            inner.push((tokens[at + 1].to_owned(), depth));
            depth += 1;
            at += 3;
        } else if tokens.get(at + 1) == Some(&"::") && token.starts_with(|c: char| c.is_alphabetic()) {
            let mut path = vec![(*token).to_owned()];
            while tokens.get(at + 1) == Some(&"::") && tokens.get(at + 2).is_some_and(|t| t.starts_with(char::is_alphabetic)) {
                path.push(tokens[at + 2].to_owned());
                at += 2;
            }
            found.push((modules(), path));
            at += 1;
        } else {
            match *token {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    inner.pop_if(|(_, ends)| *ends == depth);
                }
                _ => {}
            }
            at += 1;
        }
    }
    found
}

/// All files and what can be found in them.
struct Tree<'f> {
    files: &'f BTreeMap<Module, PathBuf>,
    scopes: Scopes,
}

impl Tree<'_> {
    /// The file that a path leads to, as seen from a module. `passed` are the steps on the way there, which end where they
    /// would begin again.
    fn resolve(&self, from: &Module, path: &[String], passed: &mut BTreeSet<(Module, Vec<String>)>) -> Option<Module> {
        if !passed.insert((from.clone(), path.to_vec())) {
            return None;
        }
        let mut base = from.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.truncate(1);
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                let ups = path.iter().take_while(|p| *p == "super").count();
                base.truncate(base.len().saturating_sub(ups).max(1));
                rest = &path[ups..];
            }
            name if self.files.contains_key(&vec![name.to_owned()]) => base.clear(),
            // A module below this one.
            name if self.files.contains_key(&[from.as_slice(), &[name.to_owned()]].concat()) => {}
            // What all names of another module were imported for, or a name of another library.
            _ => return self.by_globs(from, path, passed),
        }
        let full = [base.as_slice(), rest].concat();
        let module = (1..=full.len()).rev().map(|len| full[..len].to_vec()).find(|module| self.files.contains_key(module))?;
        let names = &full[module.len()..];
        let leads_on = names.first().and_then(|name| {
            let scope = self.scopes.get(&module)?;
            if scope.defined.contains(name) {
                return None;
            }
            match scope.named.get(name) {
                Some(path) => self.resolve(&module, &[path.as_slice(), &names[1..]].concat(), passed),
                None => self.by_globs(&module, names, passed),
            }
        });
        Some(leads_on.unwrap_or(module))
    }

    /// The file that defines the first of these names, of those that a module imports all names of.
    fn by_globs(&self, module: &Module, names: &[String], passed: &mut BTreeSet<(Module, Vec<String>)>) -> Option<Module> {
        let scope = self.scopes.get(module)?;
        scope.globs.iter().find_map(|path| {
            let target = self.resolve(module, path, passed)?;
            let has = |scope: &Scope| scope.defined.contains(&names[0]) || scope.named.contains_key(&names[0]);
            let below = [target.as_slice(), &names[..1]].concat();
            if self.files.contains_key(&below) || self.scopes.get(&target).is_some_and(has) {
                let absolute = [target.as_slice(), names].concat();
                return self.resolve(&target, &absolute, passed);
            }
            self.by_globs(&target, names, passed)
        })
    }
}

/// What each file imports of files that neither enclose it nor are enclosed by it.
fn imports(files: &BTreeMap<Module, PathBuf>) -> Imports {
    let texts: BTreeMap<&Module, String> =
        files.iter().map(|(module, file)| (module, std::fs::read_to_string(file).expect("a source file"))).collect();
    let tree = Tree { files, scopes: texts.iter().map(|(module, text)| ((*module).clone(), scope(text))).collect() };
    let mut imports = Imports::new();
    for (module, text) in texts {
        let edges = imports.entry(module.clone()).or_default();
        for (inner, path) in written_paths(text.as_str()) {
            let from = [module.as_slice(), &inner].concat();
            let Some(target) = tree.resolve(&from, &path, &mut BTreeSet::new()) else { continue };
            if !target.starts_with(module) && !module.starts_with(&target) {
                edges.entry(target).or_default().insert(path.join("::"));
            }
        }
    }
    imports
}

/// The groups of files that reach each other through imports.
fn circles(imports: &Imports) -> Vec<BTreeSet<&Module>> {
    let reached = |from| -> BTreeSet<&Module> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Module> = vec![from];
        while let Some(module) = next.pop() {
            next.extend(imports[module].keys().filter(|to| reached.insert(*to)));
        }
        reached
    };
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = imports.keys().map(|from| (from, reached(from))).collect();
    let together = |a: &Module, b: &Module| reached[a].contains(b) && reached[b].contains(a);
    let groups: BTreeSet<BTreeSet<&Module>> = reached
        .keys()
        .filter(|a| together(a, a))
        .map(|a| reached[a].iter().copied().filter(|b| together(a, b)).collect())
        .collect();
    groups.into_iter().collect()
}

/// The imports inside each circle, one a line; empty when there is none.
fn report(files: &BTreeMap<Module, PathBuf>, root: &Path) -> String {
    let imports = imports(files);
    let shown = |module: &Module| files[module].strip_prefix(root).unwrap_or(&files[module]).display().to_string();
    let mut lines = Vec::new();
    for circle in circles(&imports) {
        lines.push(format!("{} files import each other:", circle.len()));
        for from in &circle {
            for (to, paths) in imports[*from].iter().filter(|(to, _)| circle.contains(to)) {
                let paths = paths.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                lines.push(format!("  {} -> {}  ({paths})", shown(from), shown(to)));
            }
        }
    }
    lines.join("\n")
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = modules(&project().join("src"));
    assert!(files.len() > 200, "only {} source files found", files.len());
    let found = report(&files, &project());
    assert!(found.is_empty(), "{found}");
}

/// The modules that a file declares for tests alone, in files of their own.
fn test_modules(text: &str) -> BTreeSet<String> {
    let tokens = tokens(text);
    let declared = tokens.windows(10).filter_map(|window| match window {
        ["#", "[", "cfg", "(", "test", ")", "]", "mod", name, ";"] => Some((*name).to_owned()),
        _ => None,
    });
    declared.collect()
}

/// What the files of each folder import of folders that neither enclose it nor are enclosed by it, by the folders' names. Files of
/// tests do not count.
fn folders(files: &BTreeMap<Module, PathBuf>) -> Imports {
    let is_test = |module: &Module| {
        let parent = module.split_last().and_then(|(name, parent)| Some((name, files.get(parent)?)));
        parent.is_some_and(|(name, file)| {
            let text = std::fs::read_to_string(file).expect("a source file");
            test_modules(&text).contains(name)
        })
    };
    let folder = |module: &Module| -> Module {
        let parts = files[module].parent().expect("a folder").components();
        parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let mut imported = Imports::new();
    for (from, targets) in imports(files).into_iter().filter(|(from, _)| !is_test(from)) {
        for (to, paths) in targets {
            let (from, to) = (folder(&from), folder(&to));
            imported.entry(to.clone()).or_default();
            let edges = imported.entry(from.clone()).or_default();
            if !from.starts_with(&to) && !to.starts_with(&from) {
                edges.entry(to).or_default().extend(paths);
            }
        }
    }
    imported
}

#[test]
fn no_folders_import_each_other_in_a_circle() {
    let folders = folders(&modules(&project().join("src")));
    assert!(folders.len() > 40, "only {} folders found", folders.len());
    let found: Vec<String> = circles(&folders)
        .into_iter()
        .flat_map(|circle| {
            let inside: Vec<String> = circle
                .iter()
                .flat_map(|from| folders[*from].iter().map(move |(to, paths)| (from, to, paths)))
                .filter(|(_, to, _)| circle.contains(to))
                .map(|(from, to, paths)| format!("{} -> {}  {paths:?}", from.join("/"), to.join("/")))
                .collect();
            inside
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// What is wrong with a tree of invented files.
fn report_of(sources: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in sources {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    report(&modules(folder.path()), folder.path())
}

#[test]
fn circles_are_found_however_the_import_is_written() {
    for (a, b) in [
        ("use crate::b::B;", "use super::a::A;"),
        ("use crate::{\n    c::C,\n    b::{self, B as Other},\n};", "fn f() { crate::a::f() }"),
        ("pub(crate) use super::b;", "type T = Vec<super::a::A<'static>>;"),
        ("use kqlake::b::*;", "const QUOTE: char = '\"'; use crate::a;"),
        ("mod inner { use super::super::b::B; }", "mod inner { fn f() { let a = r#\"\"\"#; crate::a::f() } }"),
        ("#[cfg(test)] mod tests { use super::*; } use super::b::B;", "/* \" */ use super::a::A;"),
    ] {
        let found = report_of(&[("lib.rs", "mod a; mod b; mod c;"), ("a.rs", a), ("b/mod.rs", b), ("c.rs", "")]);
        assert!(found.starts_with("2 files import each other:\n  a.rs -> b/mod.rs  ("), "{a}\n{b}\n{found}");
        assert!(found.contains("\n  b/mod.rs -> a.rs  ("), "{found}");
    }
}

#[test]
fn circles_by_way_of_what_a_module_has_from_others_are_found() {
    for (above, a, b) in [
        ("pub use self::b::*; pub use a::f;", "use crate::B; pub fn f() {}", "pub struct B; fn g() { crate::f() }"),
        ("pub use b::B as Other;", "use crate::Other; pub struct A;", "pub struct B; use super::a::A;"),
        ("mod inner { } use b::B;", "use super::*; pub fn f() { b::g() }", "pub fn g() { super::a::f() }"),
    ] {
        let lib = format!("mod a; mod b; {above}");
        let found = report_of(&[("lib.rs", &lib), ("a.rs", a), ("b.rs", b)]);
        assert!(found.starts_with("2 files import each other:"), "{above}\n{a}\n{b}\n{found}");
    }
}

#[test]
fn circles_over_several_files_are_told_with_their_imports_alone() {
    let found = report_of(&[
        ("low/Cargo.toml", ""),
        ("low/lib.rs", "pub mod x; mod y; mod z; mod aside;"),
        ("low/x.rs", "use crate::y::Y; use crate::aside::Aside;"),
        ("low/y/mod.rs", "mod deep;"),
        ("low/y/deep.rs", "use crate::z::Z;"),
        ("low/z.rs", "fn f() { crate::x::g(); crate::y::deep::h() }"),
        ("low/aside.rs", ""),
        ("top.rs", "use kqlake_low::x::X;"),
    ]);
    let expected = "\
2 files import each other:
  low/y/deep.rs -> low/z.rs  (crate::z::Z)
  low/z.rs -> low/y/deep.rs  (crate::y::deep::h)";
    assert_eq!(found, expected);
}

#[test]
fn parents_tests_comments_and_strings_make_no_circle() {
    let found = report_of(&[
        ("lib.rs", "mod a; mod b; pub use a::deep::Deep; pub struct Shared;"),
        ("a/mod.rs", "mod deep; use deep::Deep; use crate::Shared;"),
        ("a/deep.rs", "use super::*; use crate::Shared; use std::fmt; fn f() { serde_json::json!({}); b::c() }"),
        ("b.rs", "use crate::a::A;"),
        ("a.txt", "use crate::b::B;"),
        (
            "c.rs",
            "// use crate::d::D;\nconst S: &str = \"crate::d::D \\\" crate::d\"; #[cfg(test)]\nmod tests { use crate::d::D; }",
        ),
        ("d.rs", "use crate::c::S; #[cfg(test)] mod more;"),
        ("low/Cargo.toml", ""),
        ("low/lib.rs", ""),
        ("low/examples/a.rs", "use kqlake::a;"),
    ]);
    assert_eq!(found, "");
}
