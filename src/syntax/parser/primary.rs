//! Operands: literals, names, calls, accessors, parentheses.

use super::{Parser, Read, words};
use crate::ast::{Arg, ColumnDecl, Expr, ExprKind, Literal, Name, OperatorKind, Span, TypeOf};
use crate::lexer::{self, TokenKind};
use crate::{literals, suggest};
use kqlake_value::Type;
use kqlake_value::parse::{bool_word, guids, timespans};

impl Parser<'_> {
    fn leaf(&mut self, kind: ExprKind, start: u32) -> Expr {
        self.height = 1;
        Expr { kind, span: self.span_from(start) }
    }

    /// A primary with the accessors behind it.
    pub(super) fn postfix(&mut self) -> Read<Expr> {
        let start = self.token().start;
        let mut expr = self.primary()?;
        loop {
            match self.kind() {
                TokenKind::Dot => expr = self.member(expr, start)?,
                TokenKind::LeftBracket => expr = self.index(expr, start)?,
                _ => break,
            }
        }
        self.highest = self.highest.max(self.height);
        Ok(expr)
    }

    /// The same for tables: ends before the `.` of `.App*`.
    pub(super) fn postfix_before_wildcard(&mut self) -> Read<Expr> {
        let start = self.token().start;
        let mut expr = self.primary()?;
        loop {
            match self.kind() {
                TokenKind::Dot if self.kind_at(1) == TokenKind::Star => break,
                TokenKind::Dot if self.kind_at(2) == TokenKind::Star && self.adjacent(1) => break,
                TokenKind::Dot => expr = self.member(expr, start)?,
                TokenKind::LeftBracket => expr = self.index(expr, start)?,
                _ => break,
            }
        }
        self.highest = self.highest.max(self.height);
        Ok(expr)
    }

    /// `.field`, `.f(args)`, `.['field']`, `.[0]`
    fn member(&mut self, base: Expr, start: u32) -> Read<Expr> {
        let height = self.height;
        self.bump();
        let base = Box::new(base);
        let kind = match self.kind() {
            TokenKind::Word if self.kind_at(1) == TokenKind::LeftParen => {
                let function = Box::new(self.name()?);
                let args = self.arguments()?;
                ExprKind::MethodCall { base, function, args }
            }
            TokenKind::Word => ExprKind::Path { base, field: self.name()? },
            TokenKind::LeftBracket if self.name_len(0) > 0 => ExprKind::Path { base, field: self.name()? },
            TokenKind::LeftBracket => return self.index(*base, start),
            TokenKind::Long => {
                let span = self.token().span();
                let remedy = format!("write [{}]", self.text_of(self.token()));
                return Err(self.fail_with(span, "elements are read by brackets", remedy));
            }
            _ => return Err(self.unexpected("a name after `.`")),
        };
        self.grow(height)?;
        Ok(Expr { kind, span: self.span_from(start) })
    }

    /// `[index]`
    fn index(&mut self, base: Expr, start: u32) -> Read<Expr> {
        let height = self.height;
        self.bump();
        let index = Box::new(self.nested(Parser::expression)?);
        self.expect(TokenKind::RightBracket)?;
        self.grow(height)?;
        Ok(Expr { kind: ExprKind::Index { base: Box::new(base), index }, span: self.span_from(start) })
    }

    fn primary(&mut self) -> Read<Expr> {
        match self.kind() {
            TokenKind::Word => self.word_primary(),
            TokenKind::LeftParen => self.parenthesized(),
            TokenKind::Long | TokenKind::Real | TokenKind::TimeSpan | TokenKind::Guid | TokenKind::String => {
                let start = self.token().start;
                let literal = self.literal()?;
                Ok(self.leaf(ExprKind::Literal(literal), start))
            }
            TokenKind::LeftBracket if self.name_len(0) > 0 => {
                let name = self.name()?;
                let start = name.span.start;
                if self.at(TokenKind::LeftParen) {
                    return self.call(name);
                }
                Ok(self.leaf(ExprKind::Name(name), start))
            }
            TokenKind::LeftBrace => Err(self.foreign_parameter()),
            TokenKind::Keyword => self.keyword_primary(),
            TokenKind::Bar if self.at_start_of_query() => Err(self.unexpected("a table before the first `|`")),
            _ => Err(self.unexpected("an expression")),
        }
    }

    fn at_start_of_query(&self) -> bool {
        use TokenKind::{LeftBrace, LeftParen, Semicolon};
        self.pos == 0 || matches!(self.tokens[self.pos - 1].kind, Semicolon | LeftBrace | LeftParen)
    }

    /// `{name}`: Workbooks and dashboards put a value there before the query is sent.
    fn foreign_parameter(&mut self) -> super::Reported {
        let span = self.token().span();
        if self.kind_at(1) == TokenKind::Word && self.kind_at(2) == TokenKind::RightBrace {
            let name = self.word_at(1);
            let span = span.to(self.token_at(2).span());
            let message = format!("`{{{name}}}` is a parameter of a workbook or dashboard");
            let remedy = format!("put a value in its place, or declare it: declare query_parameters({name}: string);");
            return self.fail_with(span, message, remedy);
        }
        self.unexpected("an expression")
    }

    fn keyword_primary(&mut self) -> Read<Expr> {
        if self.at_word("materialized-view-combine") {
            return self.unsupported_source();
        }
        let word = self.word();
        if let Some(operand) = word.strip_prefix('!')
            && words::infix_word(word).is_none()
        {
            let span = self.token().span();
            let message = "`!` stands only in front of operators, as in `!=`, `!in` or `!has`";
            return Err(self.fail_with(span, message, format!("write not({operand}(…))")));
        }
        Err(self.unexpected("an expression"))
    }

    /// `(expr)`, `(T | …)`
    fn parenthesized(&mut self) -> Read<Expr> {
        let open = self.bump();
        let expr = self.nested(Parser::pipeline)?;
        if self.at(TokenKind::Comma) {
            let span = self.token().span();
            return Err(self.fail_with(
                span,
                "parentheses hold one expression",
                "for a list write dynamic([…]) or pack_array(…)",
            ));
        }
        self.close(TokenKind::RightParen, open)?;
        Ok(Expr { kind: expr.kind, span: self.span_from(open.start) })
    }

    fn word_primary(&mut self) -> Read<Expr> {
        let token = self.token();
        let word = self.text_of(token);
        if let Some(value) = bool_word(word) {
            self.bump();
            return Ok(self.leaf(ExprKind::Literal(Literal::Bool(Some(value))), token.start));
        }
        if self.kind_at(1) == TokenKind::LeftParen {
            return self.call_primary();
        }
        let kind = match word {
            "null" => {
                let remedy = "write the null of a type, as in long(null); test with isnull(x) or isempty(x)";
                return Err(self.fail_with(token.span(), "`null` is no value by itself", remedy));
            }
            "datatable" | "externaldata" | "external_data" => return self.inline_source(),
            "entity_group" if self.kind_at(1) == TokenKind::LeftBracket => return self.unsupported_source(),
            "toscalar" | "totable" if self.word_at(1) == "kind" && self.kind_at(2) == TokenKind::Assign => {
                // `toscalar kind=nooptimization (…)` steers Kusto's optimizer only.
                let name = self.name()?;
                self.bump();
                self.bump();
                self.name()?;
                return self.call(name);
            }
            "not" => {
                let remedy = "write not(x); operators have negated forms, as in `!in` or `!has`";
                return Err(self.fail_with(token.span(), "`not` is a function", remedy));
            }
            _ if words::is_no_value(word) => return Err(self.reserved_word()),
            _ => ExprKind::Name(Name { text: word.to_owned(), span: token.span() }),
        };
        self.bump();
        Ok(self.leaf(kind, token.start))
    }

    fn reserved_word(&mut self) -> super::Reported {
        let word = self.word();
        let span = self.token().span();
        // What follows shows whether a column of that name was meant.
        let named = self.kind_at(1) == TokenKind::Comma
            || self.kind_at(1) == TokenKind::Bar
            || words::infix_sign(self.kind_at(1)).is_some();
        let message = format!("expected an expression, found `{word}`");
        if named {
            return self.fail_with(span, message, format!("a column of this name is written ['{word}']"));
        }
        if super::operators::is_operator(word) {
            return self.fail_with(span, message, format!("`{word}` needs a table or an operator and `|` before it"));
        }
        self.fail(span, message)
    }

    /// A word with a parenthesis behind it.
    fn call_primary(&mut self) -> Read<Expr> {
        let token = self.token();
        let word = self.text_of(token);
        match word {
            "dynamic" => self.dynamic_literal(),
            "typeof" => self.type_of_expression(),
            "datatable" | "externaldata" | "external_data" => self.inline_source(),
            "string" => {
                let message = "`string(…)` does not exist";
                Err(self.fail_with(token.span(), message, "strings are written in quotes; tostring(x) converts"))
            }
            _ => match Type::parse(word) {
                Some(ty) => self.typed_literal(ty),
                None if words::is_no_value(word) => Err(self.reserved_word()),
                None => self.named_call(),
            },
        }
    }

    fn named_call(&mut self) -> Read<Expr> {
        let name = self.name()?;
        self.call(name)
    }

    fn call(&mut self, function: Name) -> Read<Expr> {
        let start = function.span.start;
        let args = self.arguments()?;
        Ok(Expr { kind: ExprKind::Call { function, args }, span: self.span_from(start) })
    }

    /// `(a, name = b, *)`
    pub(super) fn arguments(&mut self) -> Read<Vec<Arg>> {
        let open = self.expect(TokenKind::LeftParen)?;
        let args = self.nested(|p| {
            if p.at(TokenKind::RightParen) {
                return Ok(Vec::new());
            }
            p.list(Parser::argument)
        })?;
        self.close(TokenKind::RightParen, open)?;
        Ok(args)
    }

    fn argument(&mut self) -> Read<Arg> {
        let token = self.token();
        if token.kind == TokenKind::Star && matches!(self.kind_at(1), TokenKind::Comma | TokenKind::RightParen) {
            self.bump();
            return Ok(Arg { name: None, expr: self.leaf(ExprKind::Star, token.start) });
        }
        let len = self.name_len(0);
        let name = if len > 0 && self.kind_at(len) == TokenKind::Assign {
            let name = self.name()?;
            self.bump();
            Some(name)
        } else {
            None
        };
        Ok(Arg { name, expr: self.pipeline()? })
    }

    // --- literals ---

    /// A literal that is one token, or several strings that follow one another and count as one.
    pub(super) fn literal(&mut self) -> Read<Literal> {
        let token = self.token();
        let text = self.text_of(token);
        let literal = match token.kind {
            TokenKind::String => return Ok(Literal::String(self.strings())),
            TokenKind::Long => literals::parse_long(text).map(|v| Literal::Long(Some(v))),
            TokenKind::Real => literals::parse_real(text).map(|v| Literal::Real(Some(v))),
            TokenKind::TimeSpan => timespans::read(text, &timespans::LITERAL).map(|v| Literal::TimeSpan(Some(v))),
            TokenKind::Guid => guids::read(text, guids::GuidForm::Plain).map(|v| Literal::Guid(Some(v))),
            _ => return Err(self.unexpected("a literal")),
        };
        match literal {
            Some(literal) => {
                self.bump();
                Ok(literal)
            }
            None => Err(self.fail(token.span(), format!("the number {} is too great", self.found()))),
        }
    }

    /// The value of one or more string tokens.
    pub(super) fn strings(&mut self) -> String {
        let mut value = String::new();
        while self.at(TokenKind::String) {
            let token = self.bump();
            let part = lexer::string_value(self.text_of(token));
            if value.is_empty() {
                value = part;
            } else {
                value.push_str(&part);
            }
        }
        value
    }

    /// `int(…)`, `datetime(…)` and the like. Their content is text up to the closing parenthesis, not an expression.
    pub(super) fn typed_literal(&mut self, ty: Type) -> Read<Expr> {
        let keyword = self.bump();
        let open = self.bump();
        let mut closing = self.pos;
        while !matches!(self.tokens[closing].kind, TokenKind::RightParen | TokenKind::End) {
            closing += 1;
        }
        let close = self.tokens[closing];
        if close.kind == TokenKind::End {
            self.pos = closing;
            return Err(self.unexpected("`)`"));
        }
        let content = self.text[open.end as usize..close.start as usize].trim();
        let word = self.text_of(keyword);
        let span = Span { start: keyword.start, end: close.end };
        if content.is_empty() && ty == Type::DateTime {
            self.pos = closing + 1;
            let function = Name { text: "now".to_owned(), span: keyword.span() };
            self.height = 1;
            return Ok(Expr { kind: ExprKind::Call { function, args: Vec::new() }, span });
        }
        match literals::parse_typed(ty, content) {
            Some(literal) => {
                self.pos = closing + 1;
                self.height = 1;
                Ok(Expr { kind: ExprKind::Literal(literal), span })
            }
            None if content.contains('(') => {
                let message = format!("`{word}(…)` encloses a literal and no call");
                Err(self.fail_with(span, message, format!("to{ty}(…) converts a value")))
            }
            None => {
                self.pos = closing + 1;
                self.height = 1;
                let span = Span { start: open.end, end: close.start };
                Ok(Expr { kind: ExprKind::Unread { ty, content: content.into() }, span })
            }
        }
    }

    /// A literal with an optional sign directly before a number; also typed literals and `typeof`. What `datatable` holds.
    pub(super) fn signed_literal(&mut self) -> Read<Expr> {
        let token = self.token();
        match token.kind {
            TokenKind::Minus | TokenKind::Plus if self.adjacent(0) => {
                let text = &self.text[token.start as usize..self.token_at(1).end as usize];
                let literal = match self.kind_at(1) {
                    TokenKind::Long => literals::parse_long(text).map(|v| Literal::Long(Some(v))),
                    TokenKind::Real => literals::parse_real(text).map(|v| Literal::Real(Some(v))),
                    TokenKind::TimeSpan => timespans::read(text, &timespans::LITERAL).map(|v| Literal::TimeSpan(Some(v))),
                    _ => None,
                };
                let Some(literal) = literal else { return Err(self.unexpected("a literal")) };
                self.bump();
                self.bump();
                Ok(self.leaf(ExprKind::Literal(literal), token.start))
            }
            TokenKind::Word => {
                let word = self.word();
                let typed = self.kind_at(1) == TokenKind::LeftParen && (Type::parse(word).is_some() || word == "typeof");
                if typed || word == "null" || bool_word(word).is_some() {
                    return self.primary();
                }
                Err(self.unexpected("a literal"))
            }
            TokenKind::LeftBrace => Err(self.foreign_parameter()),
            _ => {
                let literal = self.literal()?;
                Ok(self.leaf(ExprKind::Literal(literal), token.start))
            }
        }
    }

    // --- types ---

    /// A type's name.
    pub(super) fn type_name(&mut self) -> Read<Type> {
        if !self.at(TokenKind::Word) {
            return Err(self.unexpected("a type"));
        }
        let word = self.word();
        if let Some(ty) = Type::parse(word) {
            self.bump();
            return Ok(ty);
        }
        let span = self.token().span();
        let near = match word.to_ascii_lowercase().as_str() {
            "float" | "number" | "numeric" => Some("real"),
            "text" | "varchar" | "str" | "char" => Some("string"),
            "bigint" | "uint64" | "ulong" => Some("long"),
            "integer" | "int16" | "uint16" | "uint32" | "uint" | "int8" | "uint8" | "byte" => Some("int"),
            "timestamp" => Some("datetime"),
            "json" | "object" => Some("dynamic"),
            _ => suggest::nearest(word, Type::ALL.map(Type::name)),
        };
        let message = format!("`{word}` is no type");
        Err(match near {
            Some(near) => self.fail_with(span, message, format!("did you mean `{near}`?")),
            None => self.fail(span, message),
        })
    }

    /// `name: type`
    pub(super) fn column(&mut self) -> Read<ColumnDecl> {
        let name = self.new_name()?;
        self.expect(TokenKind::Colon)?;
        Ok(ColumnDecl { name, ty: self.type_name()? })
    }

    /// `(name: type, …)`; commas at either end are allowed.
    pub(super) fn row_schema(&mut self) -> Read<Vec<ColumnDecl>> {
        self.expect(TokenKind::LeftParen)?;
        self.eat(TokenKind::Comma);
        let mut columns = Vec::new();
        while !self.at(TokenKind::RightParen) {
            columns.push(self.column()?);
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::RightParen)?;
        Ok(columns)
    }

    /// `(type)`, `(name: type, …)` or `(*, name: type, …)` behind `typeof`; also what `evaluate … :` declares.
    pub(super) fn type_of(&mut self) -> Read<TypeOf> {
        if self.kind_at(1) == TokenKind::Star {
            self.bump();
            self.bump();
            let mut columns = Vec::new();
            while self.eat(TokenKind::Comma) && !self.at(TokenKind::RightParen) {
                columns.push(self.column()?);
            }
            self.expect(TokenKind::RightParen)?;
            return Ok(TypeOf::StarSchema(columns));
        }
        if self.kind_at(1) == TokenKind::Word && self.kind_at(2) == TokenKind::RightParen {
            self.bump();
            let ty = self.type_name()?;
            self.bump();
            return Ok(TypeOf::Scalar(ty));
        }
        Ok(TypeOf::Schema(self.row_schema()?))
    }

    fn type_of_expression(&mut self) -> Read<Expr> {
        let start = self.bump().start;
        let type_of = self.type_of()?;
        Ok(self.leaf(ExprKind::TypeOf(type_of), start))
    }

    /// `to typeof(type)`
    pub(super) fn element_type(&mut self) -> Read<Option<Type>> {
        if !self.eat_word("to") {
            return Ok(None);
        }
        if let Some(ty) = Type::parse(self.word()) {
            let span = self.token().span();
            return Err(self.fail_with(span, "the type stands in `typeof`", format!("write `to typeof({ty})`")));
        }
        self.expect_word("typeof")?;
        if !self.at(TokenKind::LeftParen) {
            return Err(self.unexpected("`(`"));
        }
        let span = self.token().span();
        match self.type_of()? {
            TypeOf::Scalar(ty) => Ok(Some(ty)),
            TypeOf::Schema(_) | TypeOf::StarSchema(_) => Err(self.fail(span, "expected one type, found several columns")),
        }
    }

    // --- sources inside of expressions ---

    /// `datatable (…) […]`, `externaldata (…) […] with (…)`
    fn inline_source(&mut self) -> Read<Expr> {
        let start = self.token().start;
        let operator = self.source_operator()?;
        self.height = self.highest.max(1);
        Ok(Expr { kind: ExprKind::Source(Box::new(operator)), span: self.span_from(start) })
    }

    /// A source that is skipped: `entity_group […]`, `materialized-view-combine (…) …`.
    fn unsupported_source(&mut self) -> Read<Expr> {
        let keyword = self.bump();
        let name = self.text_of(keyword).to_owned();
        self.skip_balanced();
        let span = self.span_from(keyword.start);
        let operator =
            crate::ast::Operator { kind: OperatorKind::Unsupported(name), properties: Vec::new(), keyword: keyword.span(), span };
        Ok(self.leaf(ExprKind::Source(Box::new(operator)), keyword.start))
    }
}
