use super::*;
use crate::ast::{BinaryOp, Expr, ExprKind, ListOp, Literal, Operator, OperatorKind, ParamType, StatementKind, TypeOf};
use kqlake_value::{Json, TICKS_PER_DAY, Type};

fn read(text: &str) -> Script {
    let parsed = parse(text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.script
}

fn messages(text: &str) -> Vec<String> {
    parse(text).diagnostics.into_iter().map(|d| d.message).collect()
}

fn query(text: &str) -> Expr {
    match read(text).statements.pop().map(|s| s.kind) {
        Some(StatementKind::Query(expr)) => expr,
        other => panic!("{text}: {other:?}"),
    }
}

/// The value of `print …`.
fn scalar(text: &str) -> Expr {
    let ExprKind::Source(operator) = query(&format!("print {text}")).kind else { panic!("{text}") };
    let OperatorKind::Print(mut items) = operator.kind else { panic!("{text}") };
    items.pop().map(|item| item.expr).unwrap_or_else(|| panic!("{text}"))
}

fn operator(text: &str) -> Operator {
    let ExprKind::Pipe { mut operators, .. } = query(text).kind else { panic!("{text}") };
    operators.pop().unwrap_or_else(|| panic!("{text}"))
}

/// An expression in prefix form, for tests of precedence.
fn shape(expr: &Expr) -> String {
    let many = |items: &[Expr]| items.iter().map(shape).collect::<Vec<_>>().join(" ");
    match &expr.kind {
        ExprKind::Name(name) => name.text.clone(),
        ExprKind::Literal(Literal::Long(Some(v))) => v.to_string(),
        ExprKind::Literal(Literal::String(v)) => format!("'{v}'"),
        ExprKind::Literal(literal) => format!("{literal:?}"),
        ExprKind::Star => "*".into(),
        ExprKind::Unary { op, expr } => format!("({op:?} {})", shape(expr)),
        ExprKind::Binary { op: BinaryOp::Text { op, negated, case_sensitive }, left, right } => {
            let not = if *negated { "!" } else { "" };
            let cs = if *case_sensitive { "_cs" } else { "" };
            format!("({not}{op:?}{cs} {} {})", shape(left), shape(right))
        }
        ExprKind::Binary { op, left, right } => format!("({op:?} {} {})", shape(left), shape(right)),
        ExprKind::Logical { and, terms } => format!("({} {})", if *and { "and" } else { "or" }, many(terms)),
        ExprKind::List { op: ListOp::In { negated, ignore_case }, left, items } => {
            format!(
                "({}in{} {} [{}])",
                if *negated { "!" } else { "" },
                if *ignore_case { "~" } else { "" },
                shape(left),
                many(items)
            )
        }
        ExprKind::List { op, left, items } => format!("({op:?} {} [{}])", shape(left), many(items)),
        ExprKind::Between { negated, expr, low, high } => {
            format!("({}between {} {} {})", if *negated { "!" } else { "" }, shape(expr), shape(low), shape(high))
        }
        ExprKind::Path { base, field } => format!("{}.{}", shape(base), field.text),
        ExprKind::Index { base, index } => format!("{}[{}]", shape(base), shape(index)),
        ExprKind::Call { function, args } => {
            let args: Vec<String> = args
                .iter()
                .map(|a| match &a.name {
                    Some(name) => format!("{}={}", name.text, shape(&a.expr)),
                    None => shape(&a.expr),
                })
                .collect();
            format!("{}({})", function.text, args.join(", "))
        }
        ExprKind::MethodCall { base, function, .. } => format!("{}.{}()", shape(base), function.text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn precedence_is_kustos() {
    for (text, expected) in [
        ("a or b and c or d", "(or a (and b c) d)"),
        ("a and b and c", "(and a b c)"),
        ("a == b < c", "(Equal a (Less b c))"),
        ("a < b == c", "(Equal (Less a b) c)"),
        ("a + b * c - d", "(Subtract (Add a (Multiply b c)) d)"),
        ("a * b has c", "(Multiply a (Has b c))"),
        ("a has b + c", "(Add (Has a b) c)"),
        ("a !contains_cs 'x' and b", "(and (!Contains_cs a 'x') b)"),
        ("-a.b[0] * 2", "(Multiply (Minus a.b[0]) 2)"),
        ("a in (1, 2) and b !in~ ('x')", "(and (in a [1 2]) (!in~ b ['x']))"),
        ("a + 1 between (1 .. b + 2)", "(between (Add a 1) 1 (Add b 2))"),
        ("a !between (1..5)", "(!between a 1 5)"),
        ("a has_any ('x', y) or b has_all (z)", "(or (HasAny a ['x' y]) (HasAll b [z]))"),
        ("a matches regex 'x' == true", "(Equal (MatchesRegex a 'x') Bool(Some(true)))"),
        ("a =~ 'x' or b !~ 'y'", "(or (EqualIgnoreCase { negated: false } a 'x') (EqualIgnoreCase { negated: true } b 'y'))"),
        ("a <> b", "(NotEqual a b)"),
        ("(a or b) and c", "(and (or a b) c)"),
        ("iff(a == 1, B = x, y)", "iff((Equal a 1), B=x, y)"),
        ("count() / sum(x) % 3", "(Modulo (Divide count() sum(x)) 3)"),
        ("arg_max(a, *)", "arg_max(a, *)"),
    ] {
        assert_eq!(shape(&scalar(text)), expected, "{text}");
    }
    let OperatorKind::Where(predicate) = operator("T | where * has 'x' or * == 5").kind else { panic!() };
    assert_eq!(shape(&predicate), "(or (Has * 'x') (Equal * 5))");
}

#[test]
fn comparisons_do_not_chain() {
    for text in ["a == b == c", "a < b < c", "a has b has c", "a in (1) == true", "a in (1) < 5"] {
        assert!(messages(&format!("print {text}"))[0].contains("cannot follow another comparison"), "{text}");
    }
}

#[test]
fn literals_of_every_type() {
    let literal = |text: &str| match scalar(text).kind {
        ExprKind::Literal(literal) => literal,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(literal("'a' \"b\" // c\n @'d'"), Literal::String("abd".into()));
    assert_eq!(literal("0x1F"), Literal::Long(Some(31)));
    assert_eq!(literal("1."), Literal::Real(Some(1.0)));
    assert_eq!(literal("1.5d"), Literal::TimeSpan(Some(TICKS_PER_DAY * 3 / 2)));
    assert_eq!(literal("TRUE"), Literal::Bool(Some(true)));
    assert_eq!(literal("int(-5)"), Literal::Int(Some(-5)));
    assert_eq!(literal("long(null)"), Literal::Long(None));
    assert_eq!(literal("double(nan)").ty(), Type::Real);
    assert_eq!(literal("real(-inf)"), Literal::Real(Some(f64::NEG_INFINITY)));
    assert_eq!(literal("decimal(1.50)"), Literal::Decimal(Some("1.50".into())));
    assert_eq!(literal("date(0001-01-02)"), Literal::DateTime(Some(TICKS_PER_DAY)));
    assert_eq!(literal("datetime(\"0001-01-02 00:00\")"), Literal::DateTime(Some(TICKS_PER_DAY)));
    assert_eq!(literal("time(1.00:00:00)"), Literal::TimeSpan(Some(TICKS_PER_DAY)));
    assert_eq!(
        literal("guid(4F2B0C1D-0000-4000-8000-00000000ABCD)"),
        Literal::Guid(Some("4f2b0c1d-0000-4000-8000-00000000abcd".into()))
    );
    assert_eq!(shape(&scalar("datetime()")), "now()");
    let json =
        literal("dynamic([1, -2.5, {'a': null, \"b\": [true]}, 1d, datetime(2020-01-01), long(null), \"x\" 'y', dynamic(3)])");
    let expected = serde_json::json!([
        1, -2.5, {"a": null, "b": [true]}, TICKS_PER_DAY, "2020-01-01T00:00:00.0000000Z", null, "xy", 3
    ]);
    assert_eq!(json, Literal::Dynamic(Box::new(expected)));
    assert_eq!(literal("dynamic(null)"), Literal::Dynamic(Box::new(Json::Null)));
}

#[test]
fn what_is_no_literal_is_refused() {
    for text in [
        "9223372036854775808",
        "-9223372036854775808",
        "datetime(now())",
        "dynamic([1,])",
        "dynamic({a:1})",
        "dynamic(x)",
        "dynamic()",
        "dynamic(1e400)",
        "null",
        "- -1",
        "hasprefix('a', 'b')",
        "not a",
        "()",
        "(1, 2)",
        "{param}",
    ] {
        assert!(parse(&format!("print x = {text}")).has_errors(), "{text}");
    }
    // What is in a typed literal is kept for the binder, which knows whether a value is needed.
    for text in ["int(1.0)", "int(1_0)", "int(-0x10)", "int(2147483648)", "datetime(2020-13-01)", "long({x})", "real()"] {
        assert!(matches!(scalar(text).kind, ExprKind::Unread { .. }), "{text}");
    }
    assert!(parse("datatable(a: long)[1 + 1]").has_errors());
    assert!(parse("datatable(a: string)[null]").has_errors());
}

#[test]
fn brackets_are_names_accessors_and_members() {
    assert_eq!(shape(&scalar("['a b']['c'].d[0].[1].['e f'].kind")), "a b['c'].d[0][1].e f.kind");
    assert_eq!(shape(&scalar("x.[\"key\"]")), "x.key");
    assert_eq!(shape(&scalar("d[-1]")), "d[(Minus 1)]");
    assert_eq!(shape(&query("cluster('c').database('d').['T a']")), "cluster('c').database().T a");
}

#[test]
fn keywords_are_names_where_no_operator_can_stand() {
    let text = "T | where count > 1 and kind == 'x' and from == on and ['where'] == ['by'] \
        | project id, type, from, ['to'], step, title, on, with, ['of'], ['as'], table, database, cluster, view, range, order, top, time, date, string \
        | extend where = 1, has = 2, kind = 3";
    read(text);
    assert!(parse("T | extend project = 2").has_errors());
    assert!(parse("T | extend startswith = 2").has_errors());
    assert!(parse("T | project from, where").has_errors());
    assert!(parse("T | where by == 1").has_errors());
    assert!(parse("T | extend x = to").has_errors());
}

#[test]
fn every_operator_reads() {
    for text in [
        "T | where a == 1 | filter b | take 5 | limit x | count | count as n | consume | getschema | as X",
        "T | sort by a asc nulls last, b desc, c = d | order by strlen(e) nulls first | top 5 by a desc nulls first | top n by a + b",
        "T | project a, b = c, ['d e'] = f, (g, h) = i() | extend x = 1, y | serialize | serialize r = row_number()",
        "T | project-away a, b*, *c, *d*e | project-keep a | project-rename a = b, c = ['d'] | project-reorder a, b* asc, *, c* granny-desc",
        "T | distinct * | distinct a, b + 1 | sample 5 | sample-distinct 5 of a | top-hitters 3 of a by b",
        "T | summarize by a | summarize count(), x = max(y), (p, q) = arg_max(r, *) by k = bin(t, 1h), l \
           | summarize hint.strategy = shuffle hint.shufflekey = a count() by a",
        "T | join (U) on a | join kind = inner hint.strategy=broadcast (U | where x) on a, $left.b == $right.c \
           | join hint.remote=left kind=leftouter U on $left.a == $right.b and $left.c == $right.d | lookup kind=leftouter U on a",
        "union kind=outer withsource=S isfuzzy=true T, (U | where x), App*, database('d').T*, cluster('c').database('d').T | union V",
        "union isfuzzy=true\n(T | where x), (U)",
        "union *",
        "T | mv-expand a | mv-expand kind=array with_itemindex=i a = b to typeof(long), c limit 5 | mvexpand bagexpansion=array d",
        "T | mv-apply a to typeof(long), b = c limit 5 on (where a > 1 | top 1 by a) | mv-apply with_itemindex=i x on (summarize sum(x))",
        "T | parse a with * 'x' b: long ',' c ['d e'] * | parse kind=regex flags=Ui a with b 'c' | parse-where kind=relaxed a with 'x' y",
        "T | parse-kv a as (b: long, c: string) with (pair_delimiter=';', kv_delimiter='=', greedy=true, quote='\"')",
        "T | make-series kind=nonempty a = count() default = 0, avg(b) default = real(nan) on t from x to y step 1d by k, l = m",
        "T | make-series count() on t in range(a, b, 1d) by k | make-series max(x) on t step 1h",
        "T | top-nested 3 of a with others = 'x' by sum(b) desc, top-nested of c by count(), top-nested n of d = e by f = max(g) asc",
        "T | scan with_match_id = m order by a partition by b declare (x: long = 0, y: string) with (\
           step s1 output=none: a == 1 and s1.x < 5 => x = 5, y = s1.y; step s2 optional: true; )",
        "T | partition hint.strategy=native by a (top 1 by b | project c) | partition by a { U | where b == 1 }",
        "T | fork (take 5 | count) x = (where a) | facet by a, b with (take 5) | facet by c | facet by d with count",
        "T | reduce kind=source by a with threshold=0.5, characters=\"x\" | invoke f(1, x) | invoke database('d').f()",
        "T | evaluate bag_unpack(d) : (*, a: long) | evaluate hint.distribution=per_node pivot(a, sum(b), c) : (a: long, ['b c']: real)",
        "evaluate f()",
        "T | render timechart | render columnchart kind=stacked title='x' | render barchart with (kind=stacked, title=strcat('a', 'b'), ycolumns=a, b, \
           series=c, ymin=-5, ymax=10.5, legend=hidden, accumulate=true) | render piechart with () | render timechart by x, y",
        "range ['x y'] from 1 to 10 step 2 | extend y = range(1, 5)",
        "print a = 1, 'b', toscalar(T | summarize max(x)), typeof(long), typeof(a: long, b: string)",
        "datatable (a: long, ['b c']: string,) [, 1, 'x', -2, \"y\" 'z', long(null), \"\",] | take 1",
        "externaldata (a: string, b: long) [h@'https://host/x', strcat('y')] with (format='csv', ignoreFirstRecord=true, kind=x)",
        "search kind=case_sensitive in (T, U*, (V)) 'x*' and a: 'y' or *: 'z' | where 1 == 1",
        "search *",
        "T | search in (T) * and a == 1",
        "find withsource=S in (T, App*, U | as V) where x == 1 project a, b: long, pack(*)",
        "find 'abc'",
        "find where x has 'y' project-smart",
        "T | where a in (U | project b) and c in~ ('x', y) and d !in (dynamic([1, 2])) and e in ((V))",
        "T | make-graph a --> b with U on id, V on id2 | graph-match (x)-[e*1..5]->(y)<--(z) where x.a == 5 project x.b, c = y.d",
        "T | make-graph a --> b with_node_id=n | graph-shortest-paths output=all (a)-[e*1..2]-(b) where a.x project b.x | graph-to-table nodes as N, edges as E",
        "T | assert-schema (a: long) | macro-expand isfuzzy=true EG as X (X.T | take 5; X.U)",
        "macro-expand entity_group [cluster('a').database('b')] as X ( X.T )",
    ] {
        read(text);
    }
}

#[test]
fn every_statement_reads() {
    for text in [
        "let x = 5; let ['y z'] = -1d; let T = U | where a; let f = (a: long, b: string = 'x', t: (*), u: (c: long, d: real)) { let z = a; t | take z; }; T;",
        "let v = view () { T }; let w = view (a: long) { T }; let g = () { 5 }; let h = materialize(T | take 5); v",
        "let s = toscalar(T | count); let l = dynamic(['a']); let d = datatable (a: long) [1, 2]; T | where x in (l)",
        "declare query_parameters(a: long = 5, b: string, c: datetime = datetime(2020-01-01), d: dynamic = dynamic([1])); T",
        "declare pattern app = (id: string)[scope: string] { ('a').['b'] = { T; }; ('c') = { U }; }; declare pattern p; app('a').b",
        "set notruncation; set truncationmaxrecords = 5; set query_now = datetime(2020-01-01); T",
        "alias database x = cluster('c').database('d'); database('x').T",
        "restrict access to (T, U*, database('d').*, database('e').V) ; T",
        "let eg = entity_group [cluster('a').database('b'), database('c')]; T",
        "workspace('w').T | union app('a').requests, adx('https://c/d').T",
        "let x = 5",
        "T;;",
        "",
        "  // nothing but a comment",
    ] {
        read(text);
    }
    let script = read("let f = (a: long, T: (*)) { let b = a; T | take b }; f(1, U)");
    let StatementKind::Let { value, .. } = &script.statements[0].kind else { panic!() };
    let ExprKind::Lambda { params, body, view } = &value.kind else { panic!() };
    assert_eq!((params.len(), body.statements.len(), *view), (2, 2, false));
    assert_eq!(params[1].ty, ParamType::Table { columns: vec![], open: true });
}

#[test]
fn options_and_schemas_are_kept() {
    let union = operator("T | union kind=inner with_source = S isfuzzy=true U");
    let names: Vec<&str> = union.properties.iter().map(|p| p.name.text.as_str()).collect();
    assert_eq!(names, ["kind", "withsource", "isfuzzy"]);
    let render = operator("T | render timechart with (ycolumns = a, b, title = 'x')");
    let ycolumns = render.property("ycolumns").map(|p| shape(&p.value));
    assert_eq!(ycolumns.as_deref(), Some("(a, b)"));
    let OperatorKind::Evaluate { schema, .. } = operator("T | evaluate p() : (*, a: long)").kind else { panic!() };
    assert!(matches!(schema, Some(TypeOf::StarSchema(columns)) if columns.len() == 1));
    let OperatorKind::Unsupported(name) = operator("T | assert-schema (a: long)").kind else { panic!() };
    assert_eq!(name, "assert-schema");
}

#[test]
fn patterns_of_graphs_are_read() {
    let text =
        "G | graph-match cycles=none (a)-[e*1..3]->(b)<--()--(c), (b)-[*0..2]-(d)<-[f]-(a) where a.x or b.y project a.z, n = 1";
    let OperatorKind::GraphSearch(search) = operator(text).kind else { panic!() };
    assert!(!search.shortest && search.predicate.is_some() && search.project.len() == 2);
    let shown: Vec<String> = search
        .paths
        .iter()
        .flat_map(|path| path.rest.iter())
        .map(|(edge, node)| {
            let name = |name: &Option<Name>| name.as_ref().map_or_else(String::new, |n| n.text.clone());
            let hops = edge.hops.as_ref().map_or_else(String::new, |(min, max)| format!("{}..{}", shape(min), shape(max)));
            format!("{:?} {} {hops} ({})", edge.direction, name(&edge.name), name(&node.name))
        })
        .collect();
    assert_eq!(shown, ["Right e 1..3 (b)", "Left   ()", "Any   (c)", "Any  0..2 (d)", "Left f  (a)"]);
    for wrong in ["(a)-[e*1]->(b) project 1", "(a)->(b) project 1", "(a)-->(b)", "a-->b project 1", "(a)-->(b) where project 1"] {
        assert!(parse(&format!("G | graph-match {wrong}")).has_errors(), "{wrong}");
    }
}

#[test]
fn seed_queries_read() {
    for text in [
        "customEvents | where name == \"FinishedSectionImport\" or name == \"FinishedImportCycle\"",
        "traces\n| where operation_Name == \"Office365ActivityImporter\" and (message contains \"Verifying call webhook subscription\" or message contains \"Updated subscription\")",
        "traces\n| where message contains \"Couldn't create webhook\"",
        "traces\n| where timestamp > ago(1d) // adjust as needed\n| where customDimensions.eventId == 'RT0019'\n\
         | where isnotempty( customDimensions.alStackTrace ) // from 20.1\n| extend StackTrace = tostring( customDimensions.alStackTrace )\n\
         , executionTimeInMs = toreal(totimespan(customDimensions.serverExecutionTime))/10000 //a timespan\n\
         | where StackTrace has 'OnCompanyOpen' or StackTrace has 'OnCompanyOpenCompleted'\n| summarize count() // how many calls\n\
         , sum(executionTimeInMs) // sum\nby // which app?\nextensionId = tostring( customDimensions.extensionId )\n\
         // session type\n, clientType = tostring( customDimensions.clientType )",
    ] {
        read(text);
    }
}

#[test]
fn reading_goes_on_at_the_next_operator() {
    let parsed =
        parse("T | where a == | extend x = , y | join (U | wher b | take) on a | project c; let z 5; V | top 5 by a, b | count");
    let found: Vec<&str> = parsed.diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        found,
        [
            "expected an expression, found `|`",
            "expected an expression, found `,`",
            "unknown operator `wher`",
            "expected an expression, found `)`",
            "expected `=`, found `5`",
            "`top` takes one key",
        ]
    );
    // What could be read is there.
    assert_eq!(parsed.script.statements.len(), 2);
    let StatementKind::Query(Expr { kind: ExprKind::Pipe { operators, .. }, .. }) = &parsed.script.statements[0].kind else {
        panic!()
    };
    assert!(matches!(operators.last().map(|o| &o.kind), Some(OperatorKind::Project(_))));
}

#[test]
fn common_slips_get_a_remedy() {
    for (text, message, remedy) in [
        ("T | where a = 5", "`=` gives a name", "`==`"),
        ("T | where a == 5 AND b", "found `AND`", "`and`"),
        ("T\nwhere a == 5", "`|` is missing", ""),
        ("T | wher a", "unknown operator", "`where`"),
        ("T | select a", "unknown operator", "`project`"),
        ("T | count()", "no parentheses", "summarize"),
        ("T | where x in 'a'", "expected `(`", "parentheses"),
        ("T | where a is null", "found `is`", "isnull"),
        ("T | where !isempty(a)", "`!` stands only", "not(isempty"),
        ("T | where a == null", "`null` is no value", "isnull"),
        ("let x = 5\nT", "`;` is missing", ""),
        ("let x = 5\nprint x", "`;` is missing", ""),
        ("T | where (a == 1 | take 5", "expected `)`", "1:11"),
        ("T | where a) | take 5", "`)` closes nothing", ""),
        ("| take 5", "expected a table", ""),
        ("T | | take 5", "expected an operator", ""),
        ("select * from T", "SQL", "kqlake sql"),
        ("SELECT a FROM T", "SQL", "kqlake sql"),
        (".show tables", "management command", "kqlake tables"),
        ("T | extend my-name = 5", "needs brackets", "['my-name']"),
        ("T | join U | where x on a", "parentheses", "join ("),
        ("T | join (U)", "expected `on`", ""),
        ("T | join knd=inner (U) on a", "unknown option", "`kind`"),
        ("T | project d.0", "brackets", "[0]"),
        ("let f = (a: strng) { a }; f", "no type", "`string`"),
        ("T | mv-expand a to long", "typeof", "typeof(long)"),
        ("T | summarize a, by b", "after `,`", ""),
        ("T | project a,", "expected an expression", ""),
    ] {
        let parsed = parse(text);
        let first = parsed.diagnostics.first().unwrap_or_else(|| panic!("{text}"));
        assert!(first.message.contains(message), "{text}: {first:?}");
        assert!(first.suggestion.as_deref().unwrap_or("").contains(remedy), "{text}: {first:?}");
        assert_eq!(parsed.diagnostics.len(), 1, "{text}: {:?}", parsed.diagnostics);
    }
}

#[test]
fn spans_point_at_what_was_read() {
    let text = "T | where (a  == 5 ) and b.c | take 10 ";
    let ExprKind::Pipe { source, operators } = query(text).kind else { panic!() };
    let at = |span: Span| &text[span.start as usize..span.end as usize];
    assert_eq!(at(source.span), "T");
    assert_eq!(at(operators[0].keyword), "where");
    assert_eq!(at(operators[0].span), "where (a  == 5 ) and b.c");
    let OperatorKind::Where(Expr { kind: ExprKind::Logical { terms, .. }, span }) = &operators[0].kind else { panic!() };
    assert_eq!(at(*span), "(a  == 5 ) and b.c");
    assert_eq!(at(terms[0].span), "(a  == 5 )");
    assert_eq!(at(terms[1].span), "b.c");
    assert_eq!(at(operators[1].span), "take 10");
}

#[test]
fn nesting_and_chains_end_at_the_limit() {
    for (open, close) in [
        ("(", ")"),
        ("f(", ")"),
        ("a[", "]"),
        ("dynamic([", "])"),
        ("iff(a > 1, (b + 2) * ", ", 3)"),
        ("toscalar(T | where x in (", "))"),
    ] {
        read(&format!("print {}1{}", open.repeat(40), close.repeat(40)));
        let parsed = parse(&format!("print {}1{}", open.repeat(10_000), close.repeat(10_000)));
        assert_eq!(parsed.diagnostics.len(), 1, "{open}");
        assert_eq!(parsed.diagnostics[0].code, code::LIMIT, "{open}");
    }
    read(&format!("print {}1{}", "(".repeat(490), ")".repeat(490)));
    for chain in ["a + ".repeat(2_000), "a.".repeat(2_000), "- ".repeat(2_000)] {
        assert!(parse(&format!("print {chain}a")).has_errors());
    }
    read(&format!("print {}1", "1 + ".repeat(400)));
}

#[test]
fn long_texts_are_read_whole() {
    let terms = 20_000;
    let OperatorKind::Where(predicate) = operator(&format!("T | where {}c", "a == 'b' or ".repeat(terms))).kind else { panic!() };
    assert!(matches!(predicate.kind, ExprKind::Logical { and: false, terms: list } if list.len() == terms + 1));
    let ExprKind::Pipe { operators, .. } = query(&format!("T{}", " | take 1".repeat(10_000))).kind else { panic!() };
    assert_eq!(operators.len(), 10_000);
    let OperatorKind::Where(predicate) = operator(&format!("T | where a in ({}1)", "1, ".repeat(4_999))).kind else { panic!() };
    assert!(matches!(predicate.kind, ExprKind::List { items, .. } if items.len() == 5_000));
}

#[test]
fn findings_are_counted_and_cut() {
    let parsed = parse(&"T | where ;".repeat(5_000));
    assert_eq!(parsed.diagnostics.len(), MAX_DIAGNOSTICS);
}

#[test]
fn no_operator_is_far_greater_than_the_others() {
    // A text of many operators is built and moved by their greatest.
    assert!(size_of::<OperatorKind>() <= 128, "{}", size_of::<OperatorKind>());
    assert!(size_of::<Expr>() <= 64, "{}", size_of::<Expr>());
}
