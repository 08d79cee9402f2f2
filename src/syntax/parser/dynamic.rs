//! `dynamic(…)`: JSON with single quotes allowed and with typed literals inside.

use serde_json::{Map, Number};

use super::{Parser, Read};
use crate::ast::{Expr, ExprKind, Literal};
use crate::lexer::{self, TokenKind};
use crate::literals;
use kqlake_value::parse::bool_word;
use kqlake_value::{Json, Type};

impl Parser<'_> {
    /// `dynamic(value)`
    pub(super) fn dynamic_literal(&mut self) -> Read<Expr> {
        let start = self.bump().start;
        let json = self.dynamic_content()?;
        self.height = 1;
        Ok(Expr { kind: ExprKind::Literal(Literal::Dynamic(Box::new(json))), span: self.span_from(start) })
    }

    fn dynamic_content(&mut self) -> Read<Json> {
        self.expect(TokenKind::LeftParen)?;
        let json = self.nested(Parser::json)?;
        self.expect(TokenKind::RightParen)?;
        Ok(json)
    }

    fn json(&mut self) -> Read<Json> {
        match self.kind() {
            TokenKind::LeftBracket => self.json_array(),
            TokenKind::LeftBrace => self.json_object(),
            TokenKind::String => Ok(Json::String(self.strings())),
            TokenKind::Long | TokenKind::Real => self.json_number(false),
            TokenKind::Minus => {
                self.bump();
                self.json_number(true)
            }
            TokenKind::TimeSpan | TokenKind::Guid => {
                let literal = self.literal()?;
                Ok(json_of(literal))
            }
            TokenKind::Word => self.json_word(),
            _ => Err(self.unexpected("a JSON value")),
        }
    }

    fn json_number(&mut self, negative: bool) -> Read<Json> {
        let token = self.token();
        let text = self.text_of(token);
        let number = match token.kind {
            TokenKind::Long if text.starts_with("0x") || text.starts_with("0X") => literals::parse_long(text).map(Number::from),
            // Beyond a long the number is kept as a real, as JSON readers do.
            TokenKind::Long => text
                .parse::<i128>()
                .ok()
                .and_then(|v| i64::try_from(if negative { -v } else { v }).ok())
                .map(Number::from)
                .or_else(|| real_number(text, negative)),
            TokenKind::Real => real_number(text, negative),
            _ => return Err(self.unexpected("a number")),
        };
        match number {
            Some(number) => {
                self.bump();
                Ok(Json::Number(number))
            }
            None => Err(self.fail(token.span(), format!("the number {} is too great", self.found()))),
        }
    }

    fn json_word(&mut self) -> Read<Json> {
        let word = self.word();
        if self.kind_at(1) == TokenKind::LeftParen {
            if word == "dynamic" {
                self.bump();
                return self.dynamic_content();
            }
            if let Some(ty) = Type::parse(word) {
                let span = self.token().span();
                return match self.typed_literal(ty)?.kind {
                    ExprKind::Literal(literal) => Ok(json_of(literal)),
                    ExprKind::Unread { ty, content } => {
                        Err(self.fail(span, format!("`{}` is no {ty} literal", literals::shown(&content))))
                    }
                    _ => Err(self.fail(span, "a dynamic literal holds no calls")),
                };
            }
        }
        let json = match (word, bool_word(word)) {
            ("null", _) => Json::Null,
            (_, Some(value)) => Json::Bool(value),
            _ => {
                let span = self.token().span();
                let message = format!("expected a JSON value, found {}", self.found());
                return Err(self.fail_with(
                    span,
                    message,
                    "texts need quotes; for computed values write pack_array(…) or bag_pack(…)",
                ));
            }
        };
        self.bump();
        Ok(json)
    }

    fn json_array(&mut self) -> Read<Json> {
        self.bump();
        let items = self.nested(|p| {
            if p.at(TokenKind::RightBracket) {
                return Ok(Vec::new());
            }
            p.list(Parser::json)
        })?;
        self.expect(TokenKind::RightBracket)?;
        Ok(Json::Array(items))
    }

    fn json_object(&mut self) -> Read<Json> {
        self.bump();
        let mut object = Map::new();
        self.nested(|p| {
            if p.at(TokenKind::RightBrace) {
                return Ok(());
            }
            loop {
                if !p.at(TokenKind::String) {
                    return Err(p.unexpected("a key in quotes"));
                }
                let token = p.bump();
                let key = lexer::string_value(p.text_of(token));
                p.expect(TokenKind::Colon)?;
                let value = p.json()?;
                object.insert(key, value);
                if !p.eat(TokenKind::Comma) {
                    return Ok(());
                }
            }
        })?;
        self.expect(TokenKind::RightBrace)?;
        Ok(Json::Object(object))
    }
}

fn real_number(text: &str, negative: bool) -> Option<Number> {
    let value = literals::parse_real(text)?;
    Number::from_f64(if negative { -value } else { value })
}

/// What a typed literal is stored as inside of a dynamic value: an instant and a guid as text, a timespan as its ticks.
fn json_of(literal: Literal) -> Json {
    match literal {
        Literal::Bool(v) => v.map_or(Json::Null, Json::Bool),
        Literal::Int(v) => v.map_or(Json::Null, Json::from),
        Literal::Long(v) => v.map_or(Json::Null, Json::from),
        Literal::Real(None) => Json::Null,
        Literal::Real(Some(v)) => match Number::from_f64(v) {
            Some(number) => Json::Number(number),
            // JSON has no names for these; Kusto writes them as texts.
            None if v.is_nan() => Json::from("NaN"),
            None => Json::from(if v > 0.0 { "Infinity" } else { "-Infinity" }),
        },
        Literal::Decimal(v) => v.map_or(Json::Null, Json::String),
        Literal::String(v) => Json::String(v),
        Literal::DateTime(v) => v.map_or(Json::Null, |ticks| Json::String(literals::write_ticks(ticks))),
        Literal::TimeSpan(v) => v.map_or(Json::Null, Json::from),
        Literal::Guid(v) => v.map_or(Json::Null, Json::String),
        Literal::Dynamic(v) => *v,
    }
}
