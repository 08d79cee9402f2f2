//! Arguments fitted to the parameters of functions and aggregates, and the types of results.

use super::{Bind, Binder, type_list};
use crate::bound::*;
use crate::functions::{ArgInfo, ArgType, Param, Returns, Signature};
use kqlake_syntax::ast::Span;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::Type;

impl Binder<'_> {
    /// Checks arguments against parameters, converts what converts by itself, and finds the result type.
    pub(super) fn fit_args(&mut self, signature: Signature, args: Vec<BoundExpr>, span: Span) -> Bind<(Vec<BoundExpr>, Type)> {
        let Signature { name, params, variadic, returns, shown } = signature;
        let least = params.iter().filter(|p| !p.optional).count();
        let most = if variadic { usize::MAX } else { params.len() };
        if args.len() < least || args.len() > most {
            let wanted = match (least, most) {
                (a, b) if a == b => format!("{a}"),
                (a, usize::MAX) => format!("{a} or more"),
                (a, b) => format!("{a} to {b}"),
            };
            let signature = params.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
            return self.report(
                Diagnostic::error(code::ARITY, span, format!("{name} takes {wanted} arguments, {} given", args.len()))
                    .suggest(format!("{name}({signature}{})", if variadic { ", …" } else { "" })),
            );
        }
        let is_untyped = args.iter().any(|a| self.is_untyped(a));
        let mut fitted = Vec::with_capacity(args.len());
        for (i, arg) in args.into_iter().enumerate() {
            let Some(param) = params.get(i).or(params.last()) else { continue };
            let arg = self.fit(name, param, arg)?;
            if param.constant && arg.as_literal().is_none() {
                self.require_constant(&arg, &format!("'{}' of {name}", param.name))?;
            }
            fitted.push(arg);
        }
        // Arguments that must share a type.
        let same: Vec<usize> =
            (0..fitted.len()).filter(|i| params.get(*i).or(params.last()).is_some_and(|p| p.kind == ArgType::Same)).collect();
        let mut common = None;
        if !same.is_empty() {
            let values: Vec<BoundExpr> = same.iter().map(|i| fitted[*i].clone()).collect();
            let (values, ty) = match self.common_of_known(values.clone(), name, span)? {
                Some(common) => common,
                None if self.checking => (values, Type::Dynamic),
                None => (
                    values.into_iter().map(|v| BoundExpr { kind: BoundKind::Untyped, ty: Type::Dynamic, ..v }).collect(),
                    Type::Dynamic,
                ),
            };
            for (i, value) in same.iter().zip(values) {
                fitted[*i] = value;
            }
            common = Some(ty);
        }
        let infos: Vec<ArgInfo> = fitted.iter().map(|a| ArgInfo { ty: a.ty, constant: a.as_literal().cloned() }).collect();
        if let Some(shown) = shown.filter(|_| self.checking).and_then(|shown| shown(&infos)) {
            return Ok((fitted, shown));
        }
        let ty = match returns {
            Returns::Type(ty) => ty,
            Returns::Arg(i) => fitted.get(i).map_or(Type::Dynamic, |a| a.ty),
            Returns::Same => common.or(fitted.first().map(|a| a.ty)).unwrap_or(Type::Dynamic),
            Returns::With(f) => match f(&infos) {
                Ok(ty) => ty,
                Err(_) if is_untyped => self.type_of_some(f, &mut fitted, infos),
                // Microsoft's language service lets a dynamic pass for anything.
                Err(message) if self.checking && infos.iter().any(|i| i.ty == Type::Dynamic) => {
                    self.not_run(Diagnostic::error(code::TYPE, span, format!("{name}: {message}")))?;
                    Type::Dynamic
                }
                Err(message) => return self.error(code::TYPE, span, format!("{name}: {message}")),
            },
            Returns::Columns(_) | Returns::ColumnEach(_) => Type::Dynamic,
        };
        Ok((fitted, ty))
    }

    /// What a function gives of arguments some of which had no type and were taken for another than it wants: they are taken for
    /// what it does with the others.
    fn type_of_some(
        &mut self,
        returns: fn(&[ArgInfo]) -> Result<Type, String>,
        fitted: &mut [BoundExpr],
        infos: Vec<ArgInfo>,
    ) -> Type {
        let has_type =
            |b: &Self, arg: &BoundExpr| !matches!(arg.kind, BoundKind::Unknown | BoundKind::Untyped) && !b.is_untyped(arg);
        if !fitted.iter().any(|arg| has_type(self, arg)) {
            return Type::Dynamic;
        }
        for ty in [Type::DateTime, Type::TimeSpan, Type::Long, Type::Real, Type::String] {
            let mut tried = infos.clone();
            for (info, arg) in tried.iter_mut().zip(&*fitted) {
                if !has_type(self, arg) {
                    info.ty = ty;
                }
            }
            if let (Ok(result), false) = (returns(&tried), self.checking) {
                for (arg, info) in fitted.iter_mut().zip(tried) {
                    if arg.ty != info.ty {
                        *arg = BoundExpr::new(BoundKind::Unknown, info.ty, arg.span);
                    }
                }
                return result;
            }
        }
        Type::Dynamic
    }

    /// An argument of unknown type as one of those that a parameter takes.
    fn fit_untyped(&mut self, kind: ArgType, arg: BoundExpr) -> BoundExpr {
        use Type as T;
        let known = arg.ty;
        let wanted = match kind {
            ArgType::Any | ArgType::Same => return arg,
            ArgType::StringOrDynamic if matches!(known, T::String | T::Dynamic) => return arg,
            ArgType::String | ArgType::StringOrDynamic | ArgType::TypeLiteral => T::String,
            ArgType::Bool => T::Bool,
            ArgType::Integer if known.is_integer() => known,
            ArgType::Number | ArgType::NumberOrDynamic if known.is_numeric() => known,
            ArgType::Summable if known.is_summable() => known,
            ArgType::Integer | ArgType::Number | ArgType::NumberOrDynamic | ArgType::Summable => T::Long,
            ArgType::Orderable if known != T::Guid => return arg,
            ArgType::Orderable => T::String,
            ArgType::DateTimeOrTimeSpan if known == T::TimeSpan => known,
            ArgType::DateTime | ArgType::DateTimeOrTimeSpan => T::DateTime,
            ArgType::TimeSpan => T::TimeSpan,
            ArgType::Dynamic => T::Dynamic,
            ArgType::Guid => T::Guid,
            ArgType::OneOf(types) if types.contains(&known) => return arg,
            // A key is most often a text.
            ArgType::OneOf(types) if types.contains(&T::String) => T::String,
            ArgType::OneOf(types) => types.first().copied().unwrap_or(known),
        };
        self.as_wanted(arg, wanted)
    }

    /// One argument for one parameter.
    pub(super) fn fit(&mut self, function: &str, param: &Param, arg: BoundExpr) -> Bind<BoundExpr> {
        use Type as T;
        let ty = arg.ty;
        if self.is_untyped(&arg) {
            return Ok(if self.checking { arg } else { self.fit_untyped(param.kind, arg) });
        }
        let wanted = match param.kind {
            ArgType::Any | ArgType::Same => return Ok(arg),
            ArgType::String if ty == T::String => return Ok(arg),
            ArgType::String if ty == T::Dynamic => {
                // Microsoft's binder lets a dynamic pass for a string; its engine does not.
                let message = format!("'{}' of {function} takes string, not dynamic", param.name);
                self.not_run(Diagnostic::error(code::TYPE, arg.span, message).suggest("wrap it in tostring(…)"))?;
                return self.coerce(arg, T::String);
            }
            ArgType::String => "string".to_owned(),
            ArgType::StringOrDynamic if ty == T::String || ty == T::Dynamic => return Ok(arg),
            ArgType::StringOrDynamic => "string".to_owned(),
            ArgType::Bool if ty == T::Bool => return Ok(arg),
            ArgType::Bool => "bool".to_owned(),
            ArgType::Integer if ty.is_integer() => return Ok(arg),
            ArgType::Integer => "int or long".to_owned(),
            ArgType::Number if ty.is_numeric() => return Ok(arg),
            ArgType::Number => "a number".to_owned(),
            ArgType::NumberOrDynamic if ty.is_numeric() => return Ok(arg),
            ArgType::NumberOrDynamic if ty == T::Dynamic => return self.convert(arg, "toreal", T::Real),
            ArgType::NumberOrDynamic => "a number".to_owned(),
            ArgType::Summable if ty.is_summable() => return Ok(arg),
            ArgType::Summable => "a number, datetime or timespan".to_owned(),
            ArgType::Orderable if ty != T::Dynamic && ty != T::Guid => return Ok(arg),
            ArgType::Orderable => "a value that has an order".to_owned(),
            ArgType::DateTime if ty == T::DateTime => return Ok(arg),
            ArgType::DateTime => "datetime".to_owned(),
            ArgType::TimeSpan if ty == T::TimeSpan => return Ok(arg),
            ArgType::TimeSpan => "timespan".to_owned(),
            ArgType::DateTimeOrTimeSpan if matches!(ty, T::DateTime | T::TimeSpan) => return Ok(arg),
            ArgType::DateTimeOrTimeSpan => "datetime or timespan".to_owned(),
            ArgType::Dynamic if ty == T::Dynamic => return Ok(arg),
            ArgType::Dynamic => "dynamic".to_owned(),
            ArgType::Guid if ty == T::Guid => return Ok(arg),
            ArgType::Guid => "guid".to_owned(),
            ArgType::TypeLiteral if ty == T::String => return Ok(arg),
            ArgType::TypeLiteral => "typeof(type)".to_owned(),
            ArgType::OneOf(types) if types.contains(&ty) => return Ok(arg),
            ArgType::OneOf(types) => match types.iter().find(|t| ty.widest(**t) == Some(**t)) {
                Some(wider) => return self.coerce(arg, *wider),
                None => type_list(types),
            },
        };
        let mut diagnostic =
            Diagnostic::error(code::TYPE, arg.span, format!("'{}' of {function} takes {wanted}, not {ty}", param.name));
        if ty == T::Dynamic {
            diagnostic = diagnostic.suggest(match param.kind {
                ArgType::String | ArgType::StringOrDynamic => "wrap it in tostring(…)",
                ArgType::DateTime | ArgType::DateTimeOrTimeSpan => "wrap it in todatetime(…)",
                ArgType::TimeSpan => "wrap it in totimespan(…)",
                _ => "convert it first, for example with tolong(…) or toreal(…)",
            });
        } else if param.kind == ArgType::Dynamic && ty == T::String {
            diagnostic = diagnostic.suggest("wrap it in parse_json(…)");
        }
        self.report(diagnostic)
    }
}
