//! KQL's functions and operators in SQL: under `kql.`, as access into bags (`->`, `->>`, `json_extract`), and where timespans and
//! intervals meet. SQL's planner sees a call whose type KQL says; [`super::lowered`] then puts KQL's expression in its place.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, GetFieldAccess, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TypeSignature, Volatility, lit,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::times;
use kqlake_kql::functions::Registry;
use kqlake_kql::{Argument, ScalarCall, bind_scalar, parameter};
use kqlake_value::columns::{ColumnReader, field_type, noted_type, stored_field, to_value};
use kqlake_value::json::path_text::{self, Root, StepText};
use kqlake_value::texts::is_text;
use kqlake_value::{Type, Value};

/// What the names of KQL's functions begin with in SQL.
pub(super) const PREFIX: &str = "kql";

/// Operators of KQL that are written as functions in SQL, of two arguments.
const OPERATORS: [(&str, &str); 13] = [
    ("has", "has"),
    ("has_cs", "has_cs"),
    ("hasprefix", "hasprefix"),
    ("hasprefix_cs", "hasprefix_cs"),
    ("hassuffix", "hassuffix"),
    ("hassuffix_cs", "hassuffix_cs"),
    ("contains", "contains"),
    ("contains_cs", "contains_cs"),
    ("startswith", "startswith"),
    ("startswith_cs", "startswith_cs"),
    ("endswith", "endswith"),
    ("endswith_cs", "endswith_cs"),
    ("matches_regex", "matches regex"),
];
/// The same, of one argument and a list.
const LISTS: [&str; 2] = ["has_any", "has_all"];

/// Functions that look at the row around them, which a call in SQL is not given.
const OF_THE_ROW: [&str; 2] = ["ingestion_time", "pack_all"];

/// What a call means in KQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Meaning {
    /// A function.
    Function(&'static str),
    /// An operator between two arguments.
    Operator(&'static str),
    /// An operator between an argument and a list of the others.
    List(&'static str),
    /// The value in a bag that the other arguments lead to, as a dynamic or as its text.
    Path { as_text: bool },
}

/// A call that is still to be put into KQL's expression.
#[derive(Clone)]
pub(super) struct KqlCall {
    name: String,
    meaning: Meaning,
    now_us: i64,
    signature: Signature,
}

impl KqlCall {
    fn function(name: impl Into<String>, meaning: Meaning, now_us: i64) -> ScalarUDF {
        // Some take no argument; which do, binding says.
        let any = vec![TypeSignature::VariadicAny, TypeSignature::Nullary];
        let signature = Signature::one_of(any, Volatility::Immutable);
        ScalarUDF::new_from_impl(KqlCall { name: name.into(), meaning, now_us, signature })
    }

    /// True for an access whose value is a dynamic, into which a further access leads.
    pub(super) fn is_path(&self) -> bool {
        matches!(self.meaning, Meaning::Path { .. })
    }

    /// True for an access that gives a dynamic.
    pub(super) fn gives_bag(&self) -> bool {
        self.meaning == Meaning::Path { as_text: false }
    }

    /// Binds the call.
    ///
    /// # Errors
    /// What is wrong with its arguments.
    pub(super) fn bind(&self, args: Vec<Argument>) -> Result<ScalarCall> {
        let wrong = |why: String| DataFusionError::Plan(format!("{}: {why}", self.name));
        if matches!(self.meaning, Meaning::Function(name) if OF_THE_ROW.contains(&name)) {
            return Err(wrong("it is about all of a row of KQL, and not supported in SQL".to_owned()));
        }
        let text = self.text(&args).map_err(wrong)?;
        bind_scalar(&text, args, self.now_us).map_err(wrong)
    }

    /// The call in KQL.
    fn text(&self, args: &[Argument]) -> std::result::Result<String, String> {
        let names: Vec<String> = (0..args.len()).map(parameter).collect();
        let two = || format!("it takes two arguments, {} given", args.len());
        Ok(match self.meaning {
            Meaning::Function(name) => format!("{name}({})", names.join(", ")),
            Meaning::Operator(operator) => match names.as_slice() {
                [left, right] => format!("{left} {operator} {right}"),
                _ => return Err(two()),
            },
            Meaning::List(operator) => match names.as_slice() {
                [left, items @ ..] if !items.is_empty() => format!("{left} {operator} ({})", items.join(", ")),
                _ => return Err(two()),
            },
            Meaning::Path { as_text } => {
                let [bag, keys @ ..] = args else { return Err(two()) };
                if keys.is_empty() {
                    return Err(two());
                }
                let mut path = parameter(0);
                if bag.ty == Type::String {
                    path = format!("parse_json({path})");
                }
                for key in keys {
                    steps(key, &mut path)?;
                }
                if as_text { format!("tostring({path})") } else { path }
            }
        })
    }
}

/// Writes what a key leads through: a key, a place in an array, or a path such as `$.a.b[0]`.
fn steps(key: &Argument, out: &mut String) -> std::result::Result<(), String> {
    let quoted = |key: &str| serde_json::Value::String(key.to_owned()).to_string();
    match &key.constant {
        Some(Value::Long(place)) => {
            let _ = write!(out, "[{place}]");
        }
        Some(Value::String(path)) if path.starts_with('$') => {
            let steps = path_text::parse(path, Root::Sql).ok_or_else(|| format!("the path '{path}' cannot be read"))?;
            for step in steps {
                match step {
                    StepText::Key(key) => out.push_str(&format!("[{}]", quoted(key))),
                    StepText::Index(place) => out.push_str(&format!("[{place}]")),
                }
            }
        }
        Some(Value::String(key)) => out.push_str(&format!("[{}]", quoted(key))),
        _ => return Err("a key is a text or a number, written out".to_owned()),
    }
    Ok(())
}

impl fmt::Debug for KqlCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KqlCall({})", self.name)
    }
}

impl PartialEq for KqlCall {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for KqlCall {}

impl Hash for KqlCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for KqlCall {
    fn name(&self) -> &str {
        &self.name
    }

    /// As it is written, which is what a column without a name is called.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let shown = |arg: &Expr| match arg {
            Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
                format!("'{}'", text.replace('\'', "''"))
            }
            Expr::Literal(value, _) => value.to_string(),
            other => other.schema_name().to_string(),
        };
        Ok(match args {
            [left, right] if self.name.starts_with("->") => format!("{}{}{}", shown(left), self.name, shown(right)),
            [left, right] if !self.name.contains(char::is_alphabetic) => {
                format!("{} {} {}", shown(left), self.name, shown(right))
            }
            _ => format!("{}({})", self.name, args.iter().map(shown).collect::<Vec<_>>().join(",")),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Err(DataFusionError::Internal(format!("the type of {} follows from its arguments' fields", self.name)))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let found = args.arg_fields.iter().zip(args.scalar_arguments);
        let bound = self.bind(found.map(|(field, constant)| argument(field, *constant)).collect::<Result<_>>()?)?;
        Ok(Arc::new(stored_field(&self.name, bound.ty())))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Plan(format!("{} cannot be used here", self.name)))
    }
}

/// An argument as KQL takes it.
///
/// # Errors
/// It is an interval that is no fixed time.
pub(super) fn argument(field: &Field, constant: Option<&ScalarValue>) -> Result<Argument> {
    let of = |ty: Type, constant: Option<Value>| Argument { ty, constant, promoted: Vec::new() };
    match (field.data_type(), constant) {
        (DataType::Interval(_), constant) => {
            let ticks = constant.and_then(ticks_of);
            let why = "an interval must be written out here, and in days or less: INTERVAL '1 day'";
            ticks
                .map(|ticks| of(Type::TimeSpan, Some(Value::TimeSpan(ticks))))
                .ok_or_else(|| DataFusionError::Plan(why.to_owned()))
        }
        (DataType::Null, _) => Ok(of(Type::Dynamic, Some(Value::Null))),
        (DataType::Duration(_), _) => Ok(of(Type::TimeSpan, None)),
        (_, constant) => {
            let ty = field_type(field);
            let value = |scalar: &ScalarValue| {
                let array = scalar.to_array()?;
                let reader = ColumnReader::new(&array, ty).map_err(DataFusionError::Plan)?;
                Ok::<_, DataFusionError>(to_value(reader.get(0)))
            };
            Ok(of(ty, constant.map(value).transpose()?))
        }
    }
}

/// The ticks of an interval without months.
pub(super) fn ticks_of(interval: &ScalarValue) -> Option<i64> {
    const DAY: i64 = 864_000_000_000;
    match interval {
        ScalarValue::IntervalMonthDayNano(Some(parts)) if parts.months == 0 => {
            i64::from(parts.days).checked_mul(DAY)?.checked_add(parts.nanoseconds.div_euclid(100))
        }
        ScalarValue::IntervalDayTime(Some(parts)) => {
            i64::from(parts.days).checked_mul(DAY)?.checked_add(i64::from(parts.milliseconds) * 10_000)
        }
        _ => None,
    }
}

/// All functions that SQL has from KQL.
pub(in crate::engine) fn functions(now_us: i64) -> Vec<ScalarUDF> {
    let named = |name: &str, meaning| KqlCall::function(format!("{PREFIX}.{name}"), meaning, now_us);
    let mut all: Vec<ScalarUDF> = Registry::get()
        .scalar_names()
        .chain(["iff", "case", "coalesce"])
        .map(|name| named(name, Meaning::Function(name)))
        .collect();
    all.extend(OPERATORS.iter().map(|(name, operator)| named(name, Meaning::Operator(operator))));
    all.extend(LISTS.iter().map(|name| named(name, Meaning::List(name))));
    let access = [("json_extract", false), ("json_extract_string", true)];
    all.extend(access.map(|(name, as_text)| KqlCall::function(name, Meaning::Path { as_text }, now_us)));
    all
}

/// Plans operators that SQL has and KQL computes.
#[derive(Debug)]
pub(in crate::engine) struct Operators {
    /// `now()` in microseconds since 1970.
    pub now_us: i64,
}

/// What an operand is, where times are computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operand {
    Timespan,
    /// An interval, which is a timespan beside one.
    Interval,
    Instant,
    Number,
    Other,
}

fn operand(e: &Expr, schema: &DFSchema) -> Result<Operand> {
    let field = e.to_field(schema)?.1;
    Ok(match field.data_type() {
        DataType::Int64 if noted_type(&field) == Some(Type::TimeSpan) => Operand::Timespan,
        DataType::Interval(IntervalUnit::MonthDayNano | IntervalUnit::DayTime) | DataType::Duration(_) => Operand::Interval,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Operand::Instant,
        ty if ty.is_integer() || ty.is_floating() => Operand::Number,
        _ => Operand::Other,
    })
}

/// Refuses the order of a dynamic and a dynamic or a text: texts are what the plan has of both, and in their order 10 comes before 9.
pub(super) fn refuse_order_of_json(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<()> {
    let mut json = None;
    for e in [left, right] {
        let field = e.to_field(schema)?.1;
        if !is_text(field.data_type()) {
            return Ok(());
        }
        if noted_type(&field) == Some(Type::Dynamic) {
            json = Some(e);
        }
    }
    match json {
        Some(e) => plan_err!(
            "`{}` is JSON, of which numbers and texts have no common order: compare numbers, as (bag->>'key')::double, or texts, \
             as bag->>'key'",
            if let Expr::Alias(alias) = e { alias.name.clone() } else { e.to_string() }
        ),
        None => Ok(()),
    }
}

/// True for a text that is no number, and for texts that are joined.
fn joins(e: &Expr) -> bool {
    match e {
        Expr::Literal(value, _) => value.try_as_str().flatten().is_some_and(|text| text.trim().parse::<f64>().is_err()),
        Expr::BinaryExpr(BinaryExpr { op: Operator::StringConcat, .. }) => true,
        Expr::ScalarFunction(call) => matches!(call.name(), "concat" | "concat_ws" | "||"),
        _ => false,
    }
}

impl ExprPlanner for Operators {
    /// `bag['key']` and `list[0]` are what `->` is.
    fn plan_field_access(&self, expr: RawFieldAccessExpr, schema: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let key = match &expr.field_access {
            GetFieldAccess::NamedStructField { name } => lit(name.clone()),
            GetFieldAccess::ListIndex { key } => key.as_ref().clone(),
            GetFieldAccess::ListRange { .. } => {
                return plan_err!("a range of places in brackets is not supported in SQL; KQL has array_slice");
            }
        };
        if !is_text(expr.expr.to_field(schema)?.1.data_type()) {
            return plan_err!("brackets lead into a dynamic or its text only, and `{}` is neither", expr.expr);
        }
        let function = Arc::new(KqlCall::function("->", Meaning::Path { as_text: false }, self.now_us));
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr.expr, key]))))
    }

    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let called = |name: &str, meaning, left: Expr, right: Expr| {
            let function = Arc::new(KqlCall::function(name, meaning, self.now_us));
            PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![left, right])))
        };
        let planned = |name: &str, meaning, expr: RawBinaryExpr| called(name, meaning, expr.left, expr.right);
        let operator = match expr.op {
            BinaryOperator::Arrow | BinaryOperator::HashArrow => {
                return Ok(planned("->", Meaning::Path { as_text: false }, expr));
            }
            BinaryOperator::LongArrow | BinaryOperator::HashLongArrow => {
                return Ok(planned("->>", Meaning::Path { as_text: true }, expr));
            }
            BinaryOperator::Plus => "+",
            BinaryOperator::Minus => "-",
            BinaryOperator::Multiply => "*",
            BinaryOperator::Divide => "/",
            BinaryOperator::Modulo => "%",
            BinaryOperator::Eq => "==",
            BinaryOperator::NotEq => "!=",
            BinaryOperator::Lt => "<",
            BinaryOperator::LtEq => "<=",
            BinaryOperator::Gt => ">",
            BinaryOperator::GtEq => ">=",
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let compares = !matches!(operator, "+" | "-" | "*" | "/" | "%");
        if compares && !matches!(operator, "==" | "!=") {
            refuse_order_of_json(&expr.left, &expr.right, schema)?;
        }
        let ty = |e: &Expr| Ok::<_, DataFusionError>(e.to_field(schema)?.1.data_type().clone());
        // T-SQL joins texts with a plus. Where one is written out that is no number, nothing else can be meant.
        if operator == "+" && (joins(&expr.left) || joins(&expr.right)) && is_text(&ty(&expr.left)?) && is_text(&ty(&expr.right)?)
        {
            return Ok(PlannerResult::Original(RawBinaryExpr { op: BinaryOperator::StringConcat, ..expr }));
        }
        if compares && times::differ(&ty(&expr.left)?, &ty(&expr.right)?) {
            let (left, right) = (times::in_form(expr.left, schema)?, times::in_form(expr.right, schema)?);
            return Ok(PlannerResult::Original(RawBinaryExpr { left, right, ..expr }));
        }
        use Operand as O;
        let meets = match (operand(&expr.left, schema)?, operand(&expr.right, schema)?) {
            (O::Timespan, O::Timespan | O::Interval) | (O::Interval, O::Timespan) => operator != "*",
            (O::Timespan, O::Instant) | (O::Instant, O::Timespan) => matches!(operator, "+" | "-"),
            (O::Timespan, O::Number) => matches!(operator, "*" | "/"),
            (O::Number, O::Timespan) => operator == "*",
            // What DataFusion makes of it is no timespan, and knows few functions.
            (O::Instant, O::Instant) if operator == "-" => {
                let (left, right) = (times::in_form(expr.left, schema)?, times::in_form(expr.right, schema)?);
                return Ok(called(operator, Meaning::Operator(operator), left, right));
            }
            _ => false,
        };
        Ok(if meets { planned(operator, Meaning::Operator(operator), expr) } else { PlannerResult::Original(expr) })
    }
}
