//! `externaldata`: tables in files. Only local files below folders that the configuration allows are read; nothing is fetched
//! over the network while a query runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::catalog::FileRoot;
use crate::functions::externaldata::{ExternalData, Format};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Json, Value};

use super::shape::property_text;

impl Binder<'_> {
    pub(super) fn externaldata(
        &mut self,
        operator: &Operator,
        declared: &[ColumnDecl],
        uris: &[Expr],
        scope: &Scope,
    ) -> Bind<Rel> {
        let columns = self.declared(declared)?;
        let option = |name: &str| operator.properties.iter().find(|p| p.name.text.eq_ignore_ascii_case(name));
        let format = match option("format") {
            None => None,
            Some(property) => {
                let name = property_text(&property.value);
                let format = Format::by_name(&name);
                if format.is_none() {
                    let message = format!("externaldata of the format '{name}' is not supported");
                    self.not_run(
                        Diagnostic::error(code::UNSUPPORTED, property.value.span, message)
                            .suggest("csv, tsv, psv, scsv, sohsv, txt, raw, json or multijson"),
                    )?;
                }
                format
            }
        };
        for name in ["ingestionMapping", "ingestionMappingReference", "zipPattern"] {
            if let Some(property) = option(name) {
                let message = format!("the option '{name}' of externaldata is not supported");
                self.not_run(Diagnostic::error(code::UNSUPPORTED, property.name.span, message))?;
            }
        }
        let skip_first = option("ignoreFirstRecord").is_some_and(|p| property_text(&p.value).eq_ignore_ascii_case("true"));
        let mut files = Vec::new();
        for uri in uris {
            for (address, span) in self.addresses(uri, scope)? {
                if let Some(path) = self.local_file(&address, span)? {
                    files.push((path, format.unwrap_or_else(|| Format::of_path(&address))));
                }
            }
        }
        let op = ExternalData { files, skip_first, columns: columns.iter().map(|c| (c.name.clone(), c.ty)).collect() };
        Ok(Rel {
            kind: RelKind::Compute { input: None, inputs: Vec::new(), op: Arc::new(op) },
            columns,
            hidden: Vec::new(),
            serialized: false,
            table_name: None,
        })
    }

    /// The addresses that one expression gives: a string, or an array of strings.
    fn addresses(&mut self, uri: &Expr, scope: &Scope) -> Bind<Vec<(String, Span)>> {
        let row = RowInfo::default();
        let e = self.scalar(uri, &mut ExprContext::new(&row, scope))?;
        let span = e.span;
        match self.constant(&e, "the address of externaldata")? {
            Some(Value::String(address)) => Ok(vec![(address, span)]),
            Some(Value::Dynamic(Json::Array(items))) => {
                Ok(items.iter().filter_map(|i| i.as_str()).map(|address| (address.to_owned(), span)).collect())
            }
            Some(_) => self.error(code::TYPE, span, "the address of externaldata is a string"),
            None => Ok(Vec::new()),
        }
    }

    /// The file that an address names, if a query may read it; none where that was only warned of.
    fn local_file(&mut self, address: &str, span: Span) -> Bind<Option<PathBuf>> {
        let refuse = |message: String| Diagnostic::error(code::UNSUPPORTED, span, message);
        let scheme = address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let path = match scheme.as_deref() {
            None => PathBuf::from(address),
            Some("file") => match url::Url::parse(address).ok().and_then(|url| url.to_file_path().ok()) {
                Some(path) => path,
                None => {
                    self.not_run(refuse(format!("'{address}' names no file")))?;
                    return Ok(None);
                }
            },
            Some(_) if mirrored(address, self.file_roots).is_some() => {
                return Ok(mirrored(address, self.file_roots).filter(|_| !self.checking));
            }
            Some(scheme) => {
                self.not_run(
                    refuse(format!(
                        "externaldata from {scheme} addresses is not supported: a query reads nothing over the network"
                    ))
                    .suggest(
                        "download the file, and say in kqlake.toml below [external_locations] which folder stands for its address",
                    ),
                )?;
                return Ok(None);
            }
        };
        if self.checking {
            return Ok(None);
        }
        if let Some(path) = allowed(&path, self.file_roots) {
            return Ok(Some(path));
        }
        let mut folders: Vec<String> = self.file_roots.iter().map(|root| root.folder.display().to_string()).collect();
        folders.sort();
        folders.dedup();
        let diagnostic = refuse(format!("externaldata may not read '{}', or there is no such file", path.display())).suggest(
            if folders.is_empty() {
                "no folder is allowed: name them in kqlake.toml, external_data = [\"FOLDER\"]".to_owned()
            } else {
                format!(
                    "allowed are files below {}; a name that does not begin with / is looked for in {}",
                    folders.join(", "),
                    if folders.len() == 1 { "that folder" } else { "each of these folders" }
                )
            },
        );
        self.report(diagnostic)
    }
}

/// The file's true place, if it is below one of the folders. A relative path is looked up in each of them.
fn allowed(path: &Path, roots: &[FileRoot]) -> Option<PathBuf> {
    roots.iter().find_map(|root| below(path, &root.folder))
}

fn below(path: &Path, folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let path = folder.join(path).canonicalize().ok()?;
    (path.starts_with(&folder) && path.is_file()).then_some(path)
}

/// The local file that stands for one on the network: the longest configured beginning of its address says where it is. What
/// follows the path in the address (keys and parameters of a storage account) is left out.
fn mirrored(address: &str, roots: &[FileRoot]) -> Option<PathBuf> {
    let address = address.split(['?', ';']).next().unwrap_or(address);
    let of = |root: &FileRoot| Some((address.strip_prefix(root.address.as_deref()?)?.to_owned(), root.folder.clone()));
    let (rest, folder) = roots.iter().filter_map(of).min_by_key(|(rest, _)| rest.len())?;
    below(Path::new(rest.trim_start_matches('/')), &folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_below_an_allowed_folder_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("in");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("a.csv"), "x").unwrap();
        std::fs::write(dir.path().join("secret.csv"), "x").unwrap();
        let roots = [FileRoot { folder: inside.clone(), address: Some("https://example.com/lists/".into()) }];
        assert!(allowed(Path::new("a.csv"), &roots).is_some());
        assert!(allowed(&inside.join("a.csv"), &roots).is_some());
        assert!(allowed(Path::new("../secret.csv"), &roots).is_none());
        assert!(allowed(&dir.path().join("secret.csv"), &roots).is_none());
        assert!(allowed(Path::new("a.csv"), &[]).is_none());
        assert!(allowed(Path::new("none.csv"), &roots).is_none());
        assert!(mirrored("https://example.com/lists/a.csv?sv=1&sig=x", &roots).is_some());
        assert!(mirrored("https://example.com/lists/../secret.csv", &roots).is_none());
        assert!(mirrored("https://example.com/lists//etc/passwd", &roots).is_none());
        assert!(mirrored("https://example.org/lists/a.csv", &roots).is_none());
    }
}
