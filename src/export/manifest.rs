//! `datapackage.json`: the tables of an export, their fields and files (Frictionless Data Package 2.0).

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::rows::{self, header_name, is_export_file};
use crate::error::{Error, Result};
use crate::saved::names::MANIFEST;
use kqlake_durable::{self as durable, Draft, TargetKind};
use kqlake_value::formula::{CELL_BREAKS, FORMULA_GUARD, FORMULA_STARTS};
use kqlake_value::{Column, Type};

/// Version of what `kqlake` adds to the standard's properties.
const VERSION: u32 = 1;
/// What to do about something else in the manifest's place. It may be, or be a link to, what someone wants to keep.
const IN_THE_WAY: &str = "move it away; the next export writes a new one";

/// The manifest. Properties that others added are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Manifest {
    #[serde(default)]
    resources: Vec<Json>,
    #[serde(flatten)]
    rest: Map<String, Json>,
}

/// One file of a table.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ExportedFile {
    pub(super) path: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// One table.
#[derive(Debug)]
pub(super) struct Resource {
    name: String,
    fields: Vec<Json>,
    key: Vec<String>,
    pub(super) files: Vec<ExportedFile>,
}

impl Resource {
    pub(super) fn new(name: &str, columns: &[Column], key: &[&str]) -> Resource {
        let names = rows::names(columns);
        let fields =
            columns.iter().zip(&names).flat_map(|(column, (name, seconds))| fields(column, name, seconds.as_deref())).collect();
        Resource { name: name.to_owned(), fields, key: key.iter().map(|k| header_name(k)).collect(), files: Vec::new() }
    }

    fn json(&self) -> Json {
        let mut schema = json!({ "fields": self.fields });
        if !self.key.is_empty() {
            schema["primaryKey"] = json!(self.key);
        }
        json!({
            "name": resource_name(&self.name),
            "title": self.name,
            "type": "table",
            "path": self.files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "dialect": { "delimiter": ",", "lineTerminator": "\r\n", "quoteChar": "\"", "doubleQuote": true, "header": true },
            "schema": schema,
            "bytes": self.files.iter().map(|f| f.bytes).sum::<u64>(),
            "rows": self.files.iter().map(|f| f.rows).sum::<u64>(),
            "files": self.files,
            "formulaGuard": {
                "prefix": FORMULA_GUARD,
                "before": ([CELL_BREAKS, FORMULA_STARTS].concat()),
                "behindBlanks": FORMULA_STARTS,
                "behindItself": true,
                "types": ["string", "guid", "dynamic"]
            },
            "kqlake": { "version": VERSION },
        })
    }
}

/// The standard recommends lower-case letters, digits and `-_.` for a name.
fn resource_name(title: &str) -> String {
    title.to_lowercase()
}

fn text_of<'j>(resource: &'j Json, property: &str) -> &'j str {
    resource[property].as_str().unwrap_or_default()
}

/// The fields that a column becomes, under its name and that of its seconds.
fn fields(column: &Column, name: &str, seconds: Option<&str>) -> Vec<Json> {
    let field = |name: &str, ty: &str, extra: Json| {
        let mut field = json!({ "name": name, "type": ty, "kqlType": column.ty.name() });
        if let (Some(field), Json::Object(extra)) = (field.as_object_mut(), extra) {
            field.extend(extra);
        }
        field
    };
    match column.ty {
        Type::Bool => vec![field(name, "boolean", json!({ "trueValues": ["true"], "falseValues": ["false"] }))],
        Type::Int | Type::Long => vec![field(name, "integer", Json::Null)],
        Type::Real | Type::Decimal => vec![field(name, "number", Json::Null)],
        Type::String => vec![field(name, "string", Json::Null)],
        Type::Guid => vec![field(name, "string", Json::Null)],
        Type::Dynamic => {
            vec![field(name, "string", json!({ "description": "JSON text; a text value stands without quotes" }))]
        }
        Type::DateTime => vec![field(name, "datetime", json!({ "format": "any" }))],
        Type::TimeSpan => vec![
            field(name, "string", json!({ "description": "[-][d.]hh:mm:ss[.fffffff]" })),
            field(seconds.unwrap_or_default(), "number", json!({ "description": format!("{} in seconds", column.name) })),
        ],
    }
}

impl Manifest {
    /// Reads the manifest of an earlier export; a missing one is empty.
    pub(super) fn read(root: &Path) -> Result<Manifest> {
        let path = root.join(MANIFEST);
        if durable::kind(&path) != TargetKind::File {
            return Err(Error::usage(format!("{} is not a file", path.display())).hint(IN_THE_WAY));
        }
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Manifest::default()),
            Err(err) => return Err(Error::io("read", &path, err)),
        };
        serde_json::from_slice(&text)
            .map_err(|err| Error::storage(format!("cannot read {}", path.display()), err).hint(IN_THE_WAY))
    }

    /// The files that the manifest lists for a table, by their names in the table's folder, with their hashes.
    pub(super) fn files_of(&self, table: &str) -> BTreeMap<String, String> {
        let ours = self.resources.iter().filter(|r| r.get("kqlake").is_some() && text_of(r, "title") == table);
        let mut found = BTreeMap::new();
        for resource in ours {
            let files = resource["files"].as_array();
            let hash = |path: &str| files?.iter().find(|file| file["path"] == path)?["sha256"].as_str().map(str::to_owned);
            for path in resource["path"].as_array().into_iter().flatten().filter_map(Json::as_str) {
                // The file can be edited: only a name that this table's export gives is taken from it.
                let name = path.strip_prefix(table).and_then(|rest| rest.strip_prefix('/'));
                if let Some(name) = name.filter(|name| is_export_file(name, table)) {
                    found.insert(name.to_owned(), hash(path).unwrap_or_default());
                }
            }
        }
        found
    }

    /// True where the manifest says that a table has rows.
    pub(super) fn has_rows(&self, table: &str) -> bool {
        let mut ours = self.resources.iter().filter(|r| r.get("kqlake").is_some() && text_of(r, "title") == table);
        ours.any(|r| r["rows"].as_u64().is_some_and(|rows| rows > 0))
    }

    /// Puts a table in place of its earlier entry. Tables are in the order of their names.
    pub(super) fn put(&mut self, resource: Resource) {
        // Resources of others keep their names.
        let is_ours = |r: &Json| r.get("kqlake").is_some();
        self.resources.retain(|r| !is_ours(r) || text_of(r, "title") != resource.name);
        self.resources.push(resource.json());
        // Names are unique: tables that differ by case only keep their own.
        let titles: Vec<String> = self.resources.iter().filter(|r| is_ours(r)).map(|r| text_of(r, "title").to_owned()).collect();
        for (resource, title) in self.resources.iter_mut().filter(|r| is_ours(r)).zip(&titles) {
            let name = resource_name(title);
            let shared = titles.iter().filter(|other| resource_name(other) == name).count() > 1;
            resource["name"] = Json::String(if shared { title.clone() } else { name });
        }
        self.resources.sort_by(|a, b| text_of(a, "name").cmp(text_of(b, "name")));
    }

    /// Writes the manifest unless it is there already, letter for letter.
    pub(super) fn write(&mut self, root: &Path) -> Result<()> {
        let mut document = Map::new();
        document.insert("$schema".to_owned(), "https://datapackage.org/profiles/2.0/datapackage.json".into());
        document.insert("name".to_owned(), "kqlake-export".into());
        document.extend(std::mem::take(&mut self.rest));
        self.rest = document.clone();
        document.insert("resources".to_owned(), Json::Array(self.resources.clone()));
        let mut text = serde_json::to_string_pretty(&document).map_err(|err| Error::Defect(err.to_string()))?;
        text.push('\n');
        let path = root.join(MANIFEST);
        if fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
            return Ok(());
        }
        let written = Draft::create(&path).and_then(|draft| {
            draft.file().write_all(text.as_bytes())?;
            draft.publish()
        });
        written.map_err(|err| Error::io("write", &path, err))
    }
}
