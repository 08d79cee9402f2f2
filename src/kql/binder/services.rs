//! Functions that Microsoft's services add to the language: enrichment in Defender XDR, watchlists in Sentinel.
//!
//! Enrichment asks a service, which kqlake does not: a query that reads what the service would say of a row ends there, by name. Where no
//! row gets that far it is answered, as published queries over tables without rows are. Watchlists are files of the configuration.
//! Columns: the pages of these functions in the documentation of Defender XDR and Sentinel.

use std::sync::Arc;

use super::{Bind, Binder, Scope};
use crate::bound::*;
use crate::free_name::free_name;
use crate::functions::asked_for::AskedFor;
use kqlake_syntax::ast::{Arg, Name};
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Type, Value};

/// A function of a service that gives a table.
struct Service {
    name: &'static str,
    /// What it gives; behind the input's columns where it is invoked on a table.
    columns: &'static [(&'static str, Type)],
    /// There are more columns, which follow from what the service holds.
    open: bool,
    from: RowsOf,
}

/// Where the rows of a function come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RowsOf {
    /// Microsoft Defender, which is not asked.
    Defender,
    /// A watchlist.
    Watchlist,
    /// The names of the watchlists.
    WatchlistNames,
}

const SERVICES: [Service; 6] = [
    Service {
        name: "FileProfile",
        columns: &[
            ("SHA1", Type::String),
            ("SHA256", Type::String),
            ("MD5", Type::String),
            ("FileSize", Type::Int),
            ("GlobalPrevalence", Type::Int),
            ("GlobalFirstSeen", Type::DateTime),
            ("GlobalLastSeen", Type::DateTime),
            ("Signer", Type::String),
            ("Issuer", Type::String),
            ("SignerHash", Type::String),
            ("IsCertificateValid", Type::Bool),
            ("IsRootSignerMicrosoft", Type::Bool),
            ("SignatureState", Type::String),
            ("IsExecutable", Type::Bool),
            ("ThreatName", Type::String),
            ("Publisher", Type::String),
            ("SoftwareName", Type::String),
            ("ProfileAvailability", Type::String),
        ],
        open: false,
        from: RowsOf::Defender,
    },
    Service {
        name: "DeviceFromIP",
        columns: &[("IP", Type::String), ("DeviceId", Type::String)],
        open: false,
        from: RowsOf::Defender,
    },
    Service { name: "SeenBy", columns: &[("SeenBy", Type::Dynamic)], open: false, from: RowsOf::Defender },
    Service {
        name: "AssignedIPAddresses",
        columns: &[
            ("Timestamp", Type::DateTime),
            ("IPAddress", Type::String),
            ("IPType", Type::String),
            ("NetworkAdapterType", Type::Int),
            ("ConnectedNetworks", Type::Dynamic),
        ],
        open: false,
        from: RowsOf::Defender,
    },
    Service {
        name: "_GetWatchlist",
        columns: &[
            ("_DTItemId", Type::String),
            ("LastUpdatedTimeUTC", Type::DateTime),
            ("SearchKey", Type::String),
            ("WatchlistItem", Type::Dynamic),
        ],
        open: true,
        from: RowsOf::Watchlist,
    },
    Service {
        name: "_GetWatchlistAlias",
        columns: &[("WatchlistAlias", Type::String)],
        open: false,
        from: RowsOf::WatchlistNames,
    },
];

impl Binder<'_> {
    /// True for a function of a service that gives a table.
    pub(super) fn is_service(name: &str) -> bool {
        SERVICES.iter().any(|s| s.name == name)
    }

    /// True for a function whose name alone may stand for its table.
    pub(super) fn is_watchlist(name: &str) -> bool {
        SERVICES.iter().any(|s| s.name == name && s.from != RowsOf::Defender)
    }

    /// The table that a service's function gives, known by its columns only. `None` for a name that is no such function.
    pub(super) fn service(&mut self, name: &Name, args: &[Arg], input: Option<&Rel>, scope: &Scope) -> Option<Bind<Rel>> {
        let service = SERVICES.iter().find(|s| s.name == name.text)?;
        Some(self.service_table(service, name, args, input, scope))
    }

    fn service_table(&mut self, service: &Service, name: &Name, args: &[Arg], input: Option<&Rel>, scope: &Scope) -> Bind<Rel> {
        let row = input.map(super::RowInfo::of).unwrap_or_default();
        for arg in args {
            self.scalar(&arg.expr, &mut super::expr::ExprContext::new(&row, scope))?;
        }
        match service.from {
            RowsOf::Defender if input.is_some() => {}
            RowsOf::Defender => {
                let message = format!("the function {} is not supported: it asks Microsoft Defender", name.text);
                self.not_run(Diagnostic::error(code::UNSUPPORTED, name.span, message))?;
            }
            RowsOf::Watchlist => {
                if let Some(rel) = self.watchlist(args, scope, name.span)? {
                    return Ok(rel);
                }
            }
            RowsOf::WatchlistNames => return self.watchlist_names(name.span),
        }
        let mut columns: Vec<BoundColumn> = input.map(|rel| rel.columns.clone()).unwrap_or_default();
        for (column, ty) in service.columns {
            let name = free_name(column, |n| columns.iter().any(|c| c.name == n));
            columns.push(BoundColumn { id: self.id(), name, ty: *ty });
        }
        let mut rel = match input {
            Some(input) => self.unasked(input, columns, name),
            None => Rel {
                kind: RelKind::Values(Vec::<Vec<Value>>::new()),
                columns,
                hidden: Vec::new(),
                serialized: false,
                table_name: None,
            },
        };
        if service.open {
            rel.hidden.push(self.open_marker());
        }
        Ok(match input {
            Some(input) => Self::open_as(rel, &input.hidden),
            None => rel,
        })
    }

    /// The rows that a service would add columns to: none, or the end of the query.
    fn unasked(&mut self, input: &Rel, columns: Vec<BoundColumn>, name: &Name) -> Rel {
        let why = "it asks Microsoft Defender, which kqlake does not do";
        self.warn(name.span, format!("{}: {why}, and so the query ends at the first row", name.text));
        let inputs = input.columns.first().map(|c| c.id).into_iter().collect();
        self.computed(input.clone(), inputs, Arc::new(AskedFor { function: name.text.clone(), why }), columns, false)
    }
}
