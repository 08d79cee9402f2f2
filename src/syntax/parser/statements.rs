//! Statements: `let`, `set`, `declare`, `alias`, `restrict`, queries; function bodies.

use super::{Parser, Read, Reported};
use crate::ast::{ColumnDecl, Expr, ExprKind, ParamDecl, ParamType, PatternArm, PatternDecl, Script, Statement, StatementKind};
use crate::diagnostics::{Diagnostic, code};
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// Reports a text that is no query at all: a management command, SQL.
    pub(super) fn is_other_language(&mut self) -> bool {
        let first = self.token();
        if first.kind == TokenKind::Dot && self.kind_at(1) == TokenKind::Word {
            let span = first.span().to(self.token_at(1).span());
            let message = format!("`.{} …` is a management command; only queries run here", self.word_at(1));
            let diagnostic =
                Diagnostic::error(code::UNSUPPORTED, span, message).suggest("`kqlake tables` lists the tables and their columns");
            self.give_up(diagnostic);
            return true;
        }
        let second = self.kind_at(1);
        let sql = match self.word().to_ascii_lowercase().as_str() {
            "select" | "delete" | "update" | "insert" => {
                matches!(second, TokenKind::Word | TokenKind::Star | TokenKind::Long | TokenKind::String | TokenKind::LeftBracket)
                    && !super::operators::is_operator(self.word_at(1))
            }
            "explain" => self.word_at(1).eq_ignore_ascii_case("select"),
            "with" => self.word_at(2).eq_ignore_ascii_case("as"),
            _ => false,
        };
        if sql {
            let message = "this is SQL, and a KQL query begins with a table";
            let diagnostic = Diagnostic::error(code::SYNTAX, first.span(), message).suggest("run it with `kqlake sql`");
            self.give_up(diagnostic);
        }
        sql
    }

    /// Statements up to a closing token, which is left.
    pub(super) fn statements(&mut self, closing: TokenKind) -> Vec<Statement> {
        let mut statements = Vec::new();
        loop {
            while self.eat(TokenKind::Semicolon) {}
            if self.at(TokenKind::End) || self.at(closing) {
                return statements;
            }
            let start = self.pos;
            let place = self.token().start;
            match self.statement() {
                Ok(kind) => statements.push(Statement { kind, span: self.span_from(place) }),
                Err(Reported) => self.skip_statement(start),
            }
            self.end_statement(closing, start);
        }
    }

    /// What may appear between statements: a semicolon. Anything else is reported, and skipped.
    fn end_statement(&mut self, closing: TokenKind, start: usize) {
        loop {
            if matches!(self.kind(), TokenKind::Semicolon | TokenKind::End) || self.at(closing) {
                return;
            }
            if self.pos > start && self.on_new_line() && (self.name_len(0) > 0 || self.at(TokenKind::LeftParen)) {
                let diagnostic = Diagnostic::error(code::SYNTAX, self.last_span(), "`;` is missing between two statements");
                self.report(diagnostic.suggest("end the statement with `;`"));
                return;
            }
            if matches!(self.kind(), TokenKind::RightParen | TokenKind::RightBracket | TokenKind::RightBrace) {
                let span = self.token().span();
                let message = format!("{} closes nothing", self.found());
                self.fail(span, message);
            } else {
                self.unexpected("`|`, `;` or the end of the query");
            }
            let at = self.pos;
            self.recover(at);
            if self.pos == at && !self.at(TokenKind::Bar) {
                self.bump();
            }
            if !self.at(TokenKind::Bar) {
                continue;
            }
            // Reads the operators behind for their errors only.
            let rest = self.pos;
            self.rest_of_pipeline(rest);
        }
    }

    /// Goes to the statement's end after an error in it: its semicolon, or a line that begins with `let` or the like.
    fn skip_statement(&mut self, start: usize) {
        self.recover(start);
        while self.at(TokenKind::Bar) {
            self.bump();
            self.recover(start);
        }
    }

    /// True when a line ended between the token before and this one.
    pub(super) fn on_new_line(&self) -> bool {
        self.text[self.last_end() as usize..self.token().start as usize].contains('\n')
    }

    fn last_span(&self) -> super::Span {
        if self.pos == 0 { self.token().span() } else { self.tokens[self.pos - 1].span() }
    }

    fn statement(&mut self) -> Read<StatementKind> {
        match (self.word(), self.word_at(1)) {
            ("let", _) if self.name_len(1) > 0 => self.let_statement(),
            ("set", _) if self.kind_at(1) == TokenKind::Word => self.set_statement(),
            ("declare", "query_parameters") => {
                self.bump();
                self.bump();
                Ok(StatementKind::DeclareParameters(self.parameters()?))
            }
            ("declare", "pattern") => self.pattern_statement(),
            ("declare", _) if self.kind_at(1) == TokenKind::Word => {
                self.bump();
                Err(self.unexpected("`query_parameters` or `pattern`"))
            }
            ("alias", "database") => {
                self.bump();
                self.bump();
                let name = self.name()?;
                self.expect(TokenKind::Assign)?;
                Ok(StatementKind::Alias { name, value: self.expression()? })
            }
            ("restrict", "access") => self.restrict_statement(),
            _ => Ok(StatementKind::Query(self.pipeline()?)),
        }
    }

    fn let_statement(&mut self) -> Read<StatementKind> {
        self.bump();
        let name = self.new_name()?;
        self.expect(TokenKind::Assign)?;
        let value = if self.at_function() { self.function()? } else { self.pipeline()? };
        if self.at(TokenKind::Comma) {
            let span = self.token().span();
            self.recover(self.pos);
            return Err(self.fail_with(span, "a `let` names one value", "write `let a = 1; let b = 2;`"));
        }
        Ok(StatementKind::Let { name, value })
    }

    fn set_statement(&mut self) -> Read<StatementKind> {
        self.bump();
        let name = self.name()?;
        let value = if self.eat(TokenKind::Assign) { Some(self.expression()?) } else { None };
        Ok(StatementKind::Set { name, value })
    }

    /// `declare pattern name = (a: string, …)[path: string] { ("x", …).["y"] = { statements }; … }`
    fn pattern_statement(&mut self) -> Read<StatementKind> {
        self.bump();
        self.bump();
        let name = self.name()?;
        if !self.eat(TokenKind::Assign) {
            return Ok(StatementKind::DeclarePattern);
        }
        let params = self.parameters()?;
        let mut path = None;
        if self.at(TokenKind::LeftBracket) {
            let open = self.bump();
            path = Some(self.nested(Parser::parameter)?);
            self.close(TokenKind::RightBracket, open)?;
        }
        let open = self.expect(TokenKind::LeftBrace)?;
        let arms = self.nested(|p| {
            let mut arms = Vec::new();
            loop {
                while p.eat(TokenKind::Semicolon) {}
                if p.at(TokenKind::RightBrace) {
                    return Ok(arms);
                }
                arms.push(p.pattern_arm()?);
            }
        })?;
        self.close(TokenKind::RightBrace, open)?;
        Ok(StatementKind::Pattern(PatternDecl { name, params, path, arms }))
    }

    fn pattern_arm(&mut self) -> Read<PatternArm> {
        let open = self.expect(TokenKind::LeftParen)?;
        let args = self.nested(|p| if p.at(TokenKind::RightParen) { Ok(Vec::new()) } else { p.list(Parser::signed_literal) })?;
        self.close(TokenKind::RightParen, open)?;
        let mut path = None;
        if self.eat(TokenKind::Dot) {
            let open = self.expect(TokenKind::LeftBracket)?;
            path = Some(self.nested(Parser::signed_literal)?);
            self.close(TokenKind::RightBracket, open)?;
        }
        let span = self.span_from(open.start);
        self.expect(TokenKind::Assign)?;
        let open = self.expect(TokenKind::LeftBrace)?;
        let statements = self.nested(|p| Ok(p.statements(TokenKind::RightBrace)))?;
        self.close(TokenKind::RightBrace, open)?;
        Ok(PatternArm { args, path, body: Script { statements }, span })
    }

    fn restrict_statement(&mut self) -> Read<StatementKind> {
        self.bump();
        self.bump();
        self.expect_word("to")?;
        self.expect(TokenKind::LeftParen)?;
        let entities = self.nested(|p| p.list(Parser::entity))?;
        self.expect(TokenKind::RightParen)?;
        if self.eat_word("with") {
            self.skip_balanced();
        }
        Ok(StatementKind::Restrict(entities))
    }

    // --- functions ---

    /// True at `(params) {`, `() {`, `view (…) {`.
    fn at_function(&self) -> bool {
        let open = usize::from(self.at_word("view"));
        if self.kind_at(open) != TokenKind::LeftParen {
            return false;
        }
        match self.kind_at(open + 1) {
            TokenKind::RightParen => self.kind_at(open + 2) == TokenKind::LeftBrace,
            TokenKind::Star => true,
            _ => {
                let len = self.name_len(open + 1);
                len > 0 && self.kind_at(open + 1 + len) == TokenKind::Colon
            }
        }
    }

    /// `[view] (params) { statements }`
    fn function(&mut self) -> Read<Expr> {
        let start = self.token().start;
        let view = self.eat_word("view");
        let params = self.parameters()?;
        self.expect(TokenKind::LeftBrace)?;
        let statements = self.nested(|p| Ok(p.statements(TokenKind::RightBrace)))?;
        self.expect(TokenKind::RightBrace)?;
        let body = Box::new(Script { statements });
        Ok(Expr { kind: ExprKind::Lambda { params, body, view }, span: self.span_from(start) })
    }

    /// `(name: type = default, T: (a: long, …), U: (*))`
    pub(super) fn parameters(&mut self) -> Read<Vec<ParamDecl>> {
        self.expect(TokenKind::LeftParen)?;
        let parameters = self.nested(|p| {
            if p.at(TokenKind::RightParen) {
                return Ok(Vec::new());
            }
            p.list(Parser::parameter)
        })?;
        self.expect(TokenKind::RightParen)?;
        Ok(parameters)
    }

    fn parameter(&mut self) -> Read<ParamDecl> {
        let name = self.new_name()?;
        self.expect(TokenKind::Colon)?;
        let ty = if self.at(TokenKind::LeftParen) { self.table_type()? } else { ParamType::Scalar(self.type_name()?) };
        let default = if self.eat(TokenKind::Assign) { Some(self.default_value()?) } else { None };
        Ok(ParamDecl { name, ty, default })
    }

    fn table_type(&mut self) -> Read<ParamType> {
        if self.kind_at(1) == TokenKind::Star {
            self.bump();
            self.bump();
            self.expect(TokenKind::RightParen)?;
            return Ok(ParamType::Table { columns: Vec::new(), open: true });
        }
        let columns: Vec<ColumnDecl> = self.row_schema()?;
        Ok(ParamType::Table { columns, open: false })
    }

    /// The default of a parameter: a literal, or a name.
    pub(super) fn default_value(&mut self) -> Read<Expr> {
        if self.at_word("null") { self.signed_literal() } else { self.property_value() }
    }
}
