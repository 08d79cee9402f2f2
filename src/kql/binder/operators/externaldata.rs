//! `externaldata`: tables in files, local ones or those at addresses on the network. Which of them a query may read, and how
//! their bytes come here, whoever plans the query says.

use std::sync::Arc;

use regex::Regex;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::external::{ExternalAnswer, ExternalRequest};
use crate::functions::externaldata::{ExternalData, Format};
use crate::functions::ingestion_mapping::{self, Source};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Json, Type, Value};

use super::shape::{property_says_yes, property_text};

impl Binder<'_> {
    pub(super) fn externaldata(
        &mut self,
        operator: &Operator,
        declared: &[ColumnDecl],
        uris: &[Expr],
        scope: &Scope,
    ) -> Bind<Rel> {
        let columns = self.declared(declared)?;
        let shape: Vec<(String, Type)> = columns.iter().map(|c| (c.name.clone(), c.ty)).collect();
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
        if let Some(property) = option("ingestionMappingReference") {
            let message = "the option 'ingestionMappingReference' of externaldata is not supported".to_owned();
            let diagnostic = Diagnostic::error(code::UNSUPPORTED, property.name.span, message);
            self.not_run(diagnostic.suggest("write the mapping itself: ingestionMapping = '[…]'"))?;
        }
        let mapping = match option("ingestionMapping") {
            Some(property) => self.ingestion_mapping(&property.value, &shape)?,
            None => None,
        };
        let archived = match option("zipPattern") {
            Some(property) => match Regex::new(&property_text(&property.value)) {
                Ok(pattern) => Some(pattern),
                Err(err) => return self.error(code::PATTERN, property.value.span, format!("zipPattern: {err}")),
            },
            None => None,
        };
        let skip_first = option("ignoreFirstRecord").is_some_and(|p| property_says_yes(&p.value));
        let mut files = Vec::new();
        for uri in uris {
            for (address, span) in self.addresses(uri, scope)? {
                let format = format.unwrap_or_else(|| Format::of_path(&address));
                if let Some(ExternalAnswer::File(file)) = self.external(ExternalRequest::File(address), span)? {
                    if let Some(warning) = &file.warning {
                        self.warn(span, warning.clone());
                    }
                    files.push((file, format));
                }
            }
        }
        let op = ExternalData { files, skip_first, columns: shape, mapping, archived };
        Ok(Rel {
            kind: RelKind::Compute { input: None, inputs: Vec::new(), op: Arc::new(op) },
            columns,
            hidden: Vec::new(),
            serialized: false,
            table_name: None,
        })
    }

    /// The mapping that an option's text says; none where it was only warned of.
    fn ingestion_mapping(&mut self, value: &Expr, shape: &[(String, Type)]) -> Bind<Option<Vec<Source>>> {
        match ingestion_mapping::parse(&property_text(value), shape) {
            Ok((sources, others)) => {
                for other in others {
                    self.warn(value.span, format!("the mapping has the column '{other}', which is not declared"));
                }
                Ok(Some(sources))
            }
            Err(why) => {
                let example =
                    "for example '[{\"Column\": \"a\", \"Properties\": {\"Path\": \"$.a\"}}]', or \"Ordinal\": 0 for CSV";
                self.not_run(Diagnostic::error(code::TYPE, value.span, format!("externaldata: {why}")).suggest(example))?;
                Ok(None)
            }
        }
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
}
