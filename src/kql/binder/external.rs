//! What a query reads beside tables: it is asked for while binding, and had when the text is bound again.

use std::collections::HashMap;
use std::sync::Arc;

use super::expr::ExprContext;
use super::{Bind, BindError, Binder, Scope};
use crate::bound::*;
use crate::external::{External, ExternalAnswer, ExternalRefusal, ExternalRequest, Nothing, Watchlist};
use crate::functions::ip_location::IpLocationField;
use kqlake_syntax::ast::{Arg, Name, Span};
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Json, Type, Value, datetime_of_us};

/// What was asked for so far, and what came of it.
pub(crate) type Gathered = HashMap<ExternalRequest, Result<ExternalAnswer, ExternalRefusal>>;

/// Who gives what is read beside tables, what was given so far, and what is still wanted.
pub(super) struct Wants<'a> {
    pub source: &'a dyn External,
    pub given: Option<&'a Gathered>,
    pub wanted: Vec<ExternalRequest>,
}

impl Wants<'_> {
    /// Nothing may be read.
    pub(super) fn nothing() -> Self {
        Wants { source: &Nothing, given: None, wanted: Vec::new() }
    }
}

impl<'a> Binder<'a> {
    /// The same, with who gives what is read beside tables, and what was given so far.
    #[must_use]
    pub(crate) fn with_external(self, source: &'a dyn External, given: Option<&'a Gathered>) -> Self {
        Binder { external: Wants { source, given, wanted: Vec::new() }, ..self }
    }

    /// What is to be fetched before the text is bound again.
    pub(crate) fn take_wanted(&mut self) -> Vec<ExternalRequest> {
        std::mem::take(&mut self.external.wanted)
    }

    /// What the query reads at `span`; none where it is still to be fetched, or where nothing is run.
    pub(super) fn external(&mut self, request: ExternalRequest, span: Span) -> Bind<Option<ExternalAnswer>> {
        let refused = |refusal: &ExternalRefusal| {
            Diagnostic::error(code::UNSUPPORTED, span, refusal.message.clone()).suggest(refusal.advice.clone())
        };
        if self.checking {
            if let Err(refusal) = self.external.source.permits(&request) {
                self.not_run(refused(&refusal))?;
            }
            return Ok(None);
        }
        match self.external.given.and_then(|given| given.get(&request)) {
            Some(Ok(given)) => Ok(Some(given.clone())),
            Some(Err(refusal)) => self.report(refused(refusal)),
            None => {
                self.lacks_rows = true;
                if !self.external.wanted.contains(&request) {
                    self.external.wanted.push(request);
                }
                Ok(None)
            }
        }
    }

    /// The same where binding cannot go on without it; none where nothing is run.
    fn needed(&mut self, request: ExternalRequest, span: Span) -> Bind<Option<ExternalAnswer>> {
        match self.external(request, span)? {
            None if !self.checking => Err(BindError::Pending),
            given => Ok(given),
        }
    }

    /// `_GetWatchlist('name')`: the items of a watchlist, with its columns as strings ("Use watchlists in Microsoft Sentinel").
    /// None where nothing is run, so that the columns are not known.
    pub(super) fn watchlist(&mut self, args: &[Arg], scope: &Scope, span: Span) -> Bind<Option<Rel>> {
        let Some(first) = args.first() else {
            return self.error(code::ARITY, span, "_GetWatchlist takes the name of a watchlist");
        };
        let row = super::RowInfo::default();
        let e = self.scalar(&first.expr, &mut ExprContext::new(&row, scope))?;
        let name = match self.constant(&e, "the name of a watchlist")? {
            Some(Value::String(name)) => name,
            Some(_) => return self.error(code::TYPE, e.span, "the name of a watchlist is a string"),
            None => return Ok(None),
        };
        let Some(ExternalAnswer::Watchlist(list)) = self.needed(ExternalRequest::Watchlist(name.clone()), e.span)? else {
            return Ok(None);
        };
        if let Some(warning) = &list.warning {
            self.warn(e.span, warning.clone());
        }
        Ok(Some(self.items_of(&name, &list)))
    }

    fn items_of(&mut self, name: &str, list: &Watchlist) -> Rel {
        let own = [
            ("_DTItemId", Type::String),
            ("LastUpdatedTimeUTC", Type::DateTime),
            ("SearchKey", Type::String),
            ("WatchlistItem", Type::Dynamic),
        ];
        let mut columns: Vec<BoundColumn> = Vec::new();
        for (column, ty) in own {
            columns.push(BoundColumn { id: self.id(), name: column.to_owned(), ty });
        }
        let mut shown = Vec::new();
        for (place, column) in list.columns.iter().enumerate() {
            if columns.iter().all(|c| c.name != *column) {
                columns.push(BoundColumn { id: self.id(), name: column.clone(), ty: Type::String });
                shown.push(place);
            }
        }
        let text = |row: &[String], place: usize| row.get(place).cloned().unwrap_or_default();
        let rows = list.rows.iter().enumerate().map(|(number, row)| {
            let item: serde_json::Map<String, Json> =
                list.columns.iter().zip(row).map(|(column, value)| (column.clone(), Json::String(value.clone()))).collect();
            let item = Json::Object(item);
            let id = uuid::Uuid::from_u128(xxhash_rust::xxh3::xxh3_128(format!("{name}\n{number}\n{item}").as_bytes()));
            let mut values = vec![
                Value::String(id.to_string()),
                Value::DateTime(datetime_of_us(list.updated_us)),
                Value::String(text(row, list.search_key)),
                Value::Dynamic(item),
            ];
            values.extend(shown.iter().map(|place| Value::String(text(row, *place))));
            values
        });
        let kind = RelKind::Values(rows.collect());
        Rel { kind, columns, hidden: Vec::new(), serialized: false, table_name: None }
    }

    /// `_GetWatchlistAlias`: the names of all watchlists.
    pub(super) fn watchlist_names(&mut self, span: Span) -> Bind<Rel> {
        let names = match self.needed(ExternalRequest::WatchlistNames, span)? {
            Some(ExternalAnswer::WatchlistNames(names)) => names,
            _ => Vec::new(),
        };
        let columns = vec![BoundColumn { id: self.id(), name: "WatchlistAlias".to_owned(), ty: Type::String }];
        let kind = RelKind::Values(names.into_iter().map(|name| vec![Value::String(name)]).collect());
        Ok(Rel { kind, columns, hidden: Vec::new(), serialized: false, table_name: None })
    }

    /// `geo_info_from_ip_address(ip)`: the argument was bound as the registry says. Where nobody knows places of addresses the call is
    /// refused, whether a plan would look at its value or not.
    pub(super) fn ip_location(&mut self, name: &Name, call: BoundExpr) -> Bind<BoundExpr> {
        let (ty, span) = (call.ty, call.span);
        let Some(ExternalAnswer::IpLocations(source)) = self.external(ExternalRequest::IpLocations, name.span)? else {
            // What is computed is known in the next round, if anything is run at all.
            return Ok(BoundExpr::new(BoundKind::Unknown, ty, span));
        };
        let BoundKind::Call { args, .. } = call.kind else { return Ok(call) };
        Ok(BoundExpr::new(BoundKind::Field { source: Arc::new(IpLocationField { source }), args, index: 0 }, ty, span))
    }
}
