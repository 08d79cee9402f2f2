//! Puts many mutants into one build: each is switched on by its number in the environment variable `MUTANT`.
//!
//! `mutants CHOSEN.json FOLDER LOG.json`: CHOSEN is a list of mutants as `cargo mutants --list --json` gives it, each with an
//! `id`; FOLDER is a clone of the project, whose sources are rewritten. LOG gets, for each mutant that could be put in, the
//! places of its inserted text, so that those that do not compile can be found from the compiler's messages.
//!
//! Nothing of the text is moved: before and after an expression something is inserted, which holds the changed expression as
//! it was written. Mutants of one expression, and of an expression within another, do not disturb each other, since only one is
//! on at a time.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// The switch, as the sources write it.
const SWITCH: &str = "::kqlake_value::mutants::on";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [chosen, folder, log] = args.as_slice() else { return Err("CHOSEN.json FOLDER LOG.json".into()) };
    let chosen: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(chosen)?)?;
    let mut files: BTreeMap<&str, Vec<Mutant<'_>>> = BTreeMap::new();
    for value in &chosen {
        files.entry(value["file"].as_str().ok_or("a mutant without a file")?).or_default().push(Mutant::of(value));
    }
    let mut placed = serde_json::Map::new();
    for (file, mutants) in files {
        let path = Path::new(folder).join(file);
        let text = std::fs::read_to_string(&path)?;
        let mut walk = Walk { text: &text, mutants: HashMap::new(), insertions: Vec::new(), is_const: false };
        for mutant in mutants {
            walk.mutants.entry((mutant.genre, mutant.place)).or_default().push(mutant);
        }
        walk.visit_file(&syn::parse_file(&text)?);
        let (changed, places) = walk.write();
        std::fs::write(&path, changed)?;
        placed.insert(file.to_owned(), places);
    }
    std::fs::write(log, serde_json::to_string(&placed)?)?;
    Ok(())
}

struct Mutant<'a> {
    id: u64,
    genre: &'a str,
    /// Line and column, from 1, where cargo-mutants says that it begins.
    place: (u64, u64),
    replacement: &'a str,
}

impl<'a> Mutant<'a> {
    fn of(value: &'a Value) -> Self {
        let start = &value["span"]["start"];
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        Mutant {
            id: number(&value["id"]),
            genre: text("genre"),
            place: (number(&start["line"]), number(&start["column"])),
            replacement: text("replacement"),
        }
    }
}

struct Insertion {
    at: usize,
    /// At one place what closes comes before what opens; of two that close the inner one, of two that open the outer one.
    order: (bool, i64),
    text: String,
    id: u64,
    around: Range<usize>,
}

struct Walk<'a> {
    text: &'a str,
    mutants: HashMap<(&'a str, (u64, u64)), Vec<Mutant<'a>>>,
    insertions: Vec<Insertion>,
    is_const: bool,
}

impl<'a> Walk<'a> {
    fn of(&mut self, genre: &'a str, span: proc_macro2::Span) -> Vec<Mutant<'a>> {
        if self.is_const {
            return Vec::new();
        }
        let start = span.start();
        self.mutants.remove(&(genre, (start.line as u64, start.column as u64 + 1))).unwrap_or_default()
    }

    fn wrap(&mut self, id: u64, around: Range<usize>, before: String, after: &str) {
        let step = self.insertions.len() as i64;
        let length = around.len() as i64;
        let order = (true, step - (length << 24));
        self.insertions.push(Insertion { at: around.start, order, text: before, id, around: around.clone() });
        if !after.is_empty() {
            let order = (false, (length << 24) - step);
            self.insertions.push(Insertion { at: around.end, order, text: after.to_owned(), id, around });
        }
    }

    /// `whole` with the changed text in its stead where the mutant is on.
    fn exchange(&mut self, id: u64, whole: Range<usize>, changed: &str) {
        self.wrap(id, whole, format!("(if {SWITCH}({id}) {{ {changed} }} else {{ "), " })");
    }

    /// The text of `whole` with another text in place of one part.
    fn with(&self, whole: &Range<usize>, part: Range<usize>, text: &str) -> String {
        format!("{}{text}{}", &self.text[whole.start..part.start], &self.text[part.end..whole.end])
    }

    fn body(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let before = std::mem::replace(&mut self.is_const, signature.constness.is_some());
        if let Some(first) = block.stmts.first() {
            for mutant in self.of("FnValue", first.span()) {
                let Range { start, .. } = first.span().byte_range();
                let end = block.stmts.last().map_or(start, |last| last.span().byte_range().end);
                let text = format!("if {SWITCH}({}) {{ return {}; }} ", mutant.id, mutant.replacement);
                self.wrap(mutant.id, start..end, text, "");
            }
        }
        visit::visit_block(self, block);
        self.is_const = before;
    }

    fn constant(&mut self, walk: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.is_const, true);
        walk(self);
        self.is_const = before;
    }

    fn write(mut self) -> (String, Value) {
        self.insertions.sort_by_key(|i| (i.at, i.order));
        let (mut out, mut from, mut places) = (String::new(), 0, Vec::new());
        // Where each byte of the text went, for what stands around.
        let mut moved = Vec::new();
        for insertion in &self.insertions {
            out.push_str(&self.text[from..insertion.at]);
            moved.push((insertion.at, out.len()));
            places.push((insertion.id, out.len(), out.len() + insertion.text.len(), insertion.around.clone()));
            out.push_str(&insertion.text);
            from = insertion.at;
        }
        out.push_str(&self.text[from..]);
        let new = |old: usize| moved.iter().rev().find(|(at, _)| *at <= old).map_or(old, |(at, to)| to + old - at);
        let places =
            places.into_iter().map(|(id, start, end, around)| json!([id, start, end, new(around.start), new(around.end)]));
        (out, places.collect())
    }
}

impl<'a> Visit<'_> for Walk<'a> {
    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        self.body(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        self.body(&item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.body(&item.sig, block);
        }
    }

    fn visit_item_const(&mut self, item: &syn::ItemConst) {
        self.constant(|walk| visit::visit_item_const(walk, item));
    }

    fn visit_item_static(&mut self, item: &syn::ItemStatic) {
        self.constant(|walk| visit::visit_item_static(walk, item));
    }

    fn visit_impl_item_const(&mut self, item: &syn::ImplItemConst) {
        self.constant(|walk| visit::visit_impl_item_const(walk, item));
    }

    fn visit_trait_item_const(&mut self, item: &syn::TraitItemConst) {
        self.constant(|walk| visit::visit_trait_item_const(walk, item));
    }

    fn visit_expr_const(&mut self, _: &syn::ExprConst) {}

    fn visit_expr_repeat(&mut self, repeat: &syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_type(&mut self, _: &syn::Type) {}

    fn visit_pat(&mut self, _: &syn::Pat) {}

    fn visit_attribute(&mut self, _: &syn::Attribute) {}

    fn visit_generic_argument(&mut self, _: &syn::GenericArgument) {}

    fn visit_variant(&mut self, _: &syn::Variant) {}

    // What a closure in a constant does is done when it runs.
    fn visit_expr_closure(&mut self, closure: &syn::ExprClosure) {
        let before = std::mem::replace(&mut self.is_const, false);
        self.visit_expr(&closure.body);
        self.is_const = before;
    }

    fn visit_expr_binary(&mut self, binary: &syn::ExprBinary) {
        let whole = binary.span().byte_range();
        // `let` may only stand in a chain of `&&`, and not in parentheses.
        if Lets::within(&binary.left) || Lets::within(&binary.right) {
            return visit::visit_expr_binary(self, binary);
        }
        for mutant in self.of("BinaryOperator", binary.op.span()) {
            let changed = self.with(&whole, binary.op.span().byte_range(), mutant.replacement);
            self.exchange(mutant.id, whole.clone(), &changed);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &syn::ExprUnary) {
        let whole = unary.span().byte_range();
        for mutant in self.of("UnaryOperator", unary.op.span()) {
            let changed = self.text[unary.expr.span().byte_range()].to_owned();
            self.exchange(mutant.id, whole.clone(), &changed);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_struct(&mut self, literal: &syn::ExprStruct) {
        let whole = literal.span().byte_range();
        for field in &literal.fields {
            for mutant in self.of("StructField", field.span()) {
                let mut part = field.span().byte_range();
                let comma = self.text[part.end..].find(',').unwrap_or_default();
                part.end += comma + 1;
                let changed = self.with(&whole, part, "");
                self.exchange(mutant.id, whole.clone(), &changed);
            }
        }
        visit::visit_expr_struct(self, literal);
    }

    fn visit_arm(&mut self, arm: &syn::Arm) {
        let deleted = self.of("MatchArm", arm.span());
        let Some((_, guard)) = &arm.guard else {
            let end = arm.pat.span().byte_range().end;
            for Mutant { id, .. } in deleted {
                self.wrap(id, end..end, format!(" if !{SWITCH}({id})"), "");
            }
            return self.visit_expr(&arm.body);
        };
        let whole = guard.span().byte_range();
        let has_let = Lets::within(guard);
        for mutant in deleted.into_iter().chain(self.of("MatchArmGuard", guard.span())) {
            let Mutant { id, replacement, .. } = mutant;
            match replacement {
                "true" if has_let => {}
                "true" => self.wrap(id, whole.clone(), format!("({SWITCH}({id}) || ("), "))"),
                _ if has_let => self.wrap(id, whole.clone(), format!("!{SWITCH}({id}) && "), ""),
                _ => self.wrap(id, whole.clone(), format!("(!{SWITCH}({id}) && ("), "))"),
            }
        }
        self.visit_expr(guard);
        self.visit_expr(&arm.body);
    }
}

/// Whether an expression holds `let`, outside of closures and blocks.
struct Lets(bool);

impl Lets {
    fn within(expr: &syn::Expr) -> bool {
        let mut lets = Lets(false);
        lets.visit_expr(expr);
        lets.0
    }
}

impl Visit<'_> for Lets {
    fn visit_expr_let(&mut self, _: &syn::ExprLet) {
        self.0 = true;
    }

    fn visit_block(&mut self, _: &syn::Block) {}
}
