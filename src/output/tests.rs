use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{Field, Schema};

use super::*;
use kqlake_value::Type;
use kqlake_value::columns::arrow_type;

/// Two rows of every type, the second one null everywhere.
fn sample() -> (Vec<Column>, RecordBatch) {
    let arrays: Vec<(Type, ArrayRef)> = vec![
        (Type::Bool, Arc::new(BooleanArray::from(vec![Some(true), None]))),
        (Type::Int, Arc::new(Int32Array::from(vec![Some(-1), None]))),
        (Type::Long, Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
        (Type::Real, Arc::new(Float64Array::from(vec![Some(f64::NAN), None]))),
        (
            Type::Decimal,
            Arc::new(
                Decimal128Array::from(vec![Some(1_500_000_000_000_000_000), None]).with_precision_and_scale(38, 18).unwrap(),
            ),
        ),
        (Type::String, Arc::new(StringArray::from(vec![Some("a \"b\",\n|c"), None]))),
        (Type::DateTime, Arc::new(Int64Array::from(vec![Some(637_135_310_456_000_000), None]))),
        (Type::TimeSpan, Arc::new(Int64Array::from(vec![Some(936_455_000_000_i64), None]))),
        (Type::Guid, Arc::new(StringArray::from(vec![Some("74be27de-1e4e-49d9-b579-fe0b331d3642"), None]))),
        (Type::Dynamic, Arc::new(StringArray::from(vec![Some("{\"k\":\n[1,\"x\"]}"), Some("null")]))),
    ];
    let columns: Vec<Column> = arrays.iter().map(|(ty, _)| Column::new(ty.name(), *ty)).collect();
    let fields: Vec<Field> = arrays.iter().map(|(ty, _)| Field::new(ty.name(), arrow_type(*ty), true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays.into_iter().map(|(_, a)| a).collect()).unwrap();
    (columns, batch)
}

fn written(format: Format, tables: usize) -> Vec<u8> {
    let (columns, batch) = sample();
    let mut bytes = Vec::new();
    {
        let mut sink = sink(format, &mut bytes, tables, TableStyle::default());
        for _ in 0..tables {
            sink.start("Table_0", &columns).unwrap();
            sink.rows(&batch).unwrap();
            sink.end().unwrap();
        }
        sink.finish().unwrap();
    }
    bytes
}

fn text(format: Format) -> String {
    String::from_utf8(written(format, 1)).unwrap()
}

#[test]
fn kusto_answers_hold_every_type_as_its_readers_expect() {
    let answer: serde_json::Value = serde_json::from_str(&text(Format::Kusto)).unwrap();
    let table = &answer["Tables"][0];
    assert_eq!(table["TableName"], "Table_0");
    let types: Vec<_> = table["Columns"].as_array().unwrap().iter().map(|c| c["DataType"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["SByte", "Int32", "Int64", "Double", "SqlDecimal", "String", "DateTime", "TimeSpan", "Guid", "Object"]);
    assert_eq!(
        table["Rows"],
        serde_json::json!([
            [
                true, -1, i64::MAX, "NaN", "1.5", "a \"b\",\n|c", "2020-01-02T03:04:05.6000000Z", "1.02:00:45.5000000",
                "74be27de-1e4e-49d9-b579-fe0b331d3642", {"k": [1, "x"]}
            ],
            [null, null, null, null, null, "", null, null, null, null]
        ])
    );
}

#[test]
fn kusto_numbers_further_tables() {
    let answer: serde_json::Value = serde_json::from_slice(&written(Format::Kusto, 2)).unwrap();
    assert_eq!(answer["Tables"][1]["TableName"], "Table_1");
}

#[test]
fn json_is_an_array_of_objects_and_ndjson_one_object_a_line() {
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text(Format::Json)).unwrap();
    let lines: Vec<serde_json::Value> = text(Format::Ndjson).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(rows, lines);
    assert_eq!(rows[0]["dynamic"]["k"][1], "x");
    // A string that is missing is NULL to SQL, which alone gives such ones.
    assert!(rows[1].as_object().unwrap().values().all(serde_json::Value::is_null), "{}", rows[1]);
    let several: Vec<Vec<serde_json::Value>> = serde_json::from_slice(&written(Format::Json, 2)).unwrap();
    assert_eq!(several.len(), 2);
}

#[test]
fn csv_quotes_what_needs_it_and_leaves_nulls_empty() {
    let text = text(Format::Csv);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows[0].get(0), Some("true"));
    assert_eq!(rows[0].get(5), Some("a \"b\",\n|c"));
    assert_eq!(rows[1].iter().collect::<String>(), "");
    assert!(text.contains("\"a \"\"b\"\",\n|c\""));
}

#[test]
fn markdown_keeps_bars_and_line_breaks_inside_their_cell() {
    let text = text(Format::Markdown);
    assert_eq!(text.lines().count(), 4);
    assert!(text.contains("a \"b\",<br>\\|c"), "{text}");
}

#[test]
fn markdown_shows_what_markdown_and_html_would_take_for_their_own() {
    let columns = vec![Column::new("a_b", Type::String)];
    let texts = ["<b>&amp;</b>", "*x* `y` ~z~ _u_ v_w [l](m) c:\\d", "one\rtwo\r\nthree\n\nfour"];
    let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let schema = Arc::new(Schema::new(vec![Field::new("a_b", arrow_type(Type::String), true)]));
    let mut bytes = Vec::new();
    {
        let mut sink = sink(Format::Markdown, &mut bytes, 1, TableStyle::default());
        sink.start("T", &columns).unwrap();
        sink.rows(&RecordBatch::try_new(schema, vec![array]).unwrap()).unwrap();
    }
    let text = String::from_utf8(bytes).unwrap();
    let rows =
        [r"| &lt;b>&amp;amp;&lt;/b> |", r"| \*x\* \`y\` \~z\~ \_u\_ v_w \[l\](m) c:\\d |", "| one<br>two<br>three<br><br>four |"];
    assert_eq!(text, format!("| a_b |\n| --- |\n{}\n", rows.join("\n")));
}

#[test]
fn a_drawn_table_says_how_many_rows_it_left_out() {
    let (columns, batch) = sample();
    let mut bytes = Vec::new();
    let left = {
        let mut sink = sink(Format::Table, &mut bytes, 1, TableStyle { max_rows: Some(3), width: None });
        sink.start("T", &columns).unwrap();
        for _ in 0..5 {
            sink.rows(&batch).unwrap();
        }
        sink.end().unwrap();
        sink.truncation()
    };
    assert_eq!(left, Some(Truncation { shown: 3, total: 10, columns_hidden: 0 }));
    assert!(String::from_utf8(bytes).unwrap().contains("2020-01-02T03:04:05.6Z"));
}

#[test]
fn parquet_reads_back_with_kql_types() {
    let bytes = bytes::Bytes::from(written(Format::Parquet, 1));
    let mut reader = ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(batch.schema().field(7).metadata()["kql.type"], "timespan");
}

#[test]
fn a_drawn_table_keeps_to_the_width_and_says_what_did_not_fit() {
    let (columns, batch) = sample();
    let mut bytes = Vec::new();
    let left = {
        let mut sink = sink(Format::Table, &mut bytes, 1, TableStyle { max_rows: None, width: Some(60) });
        sink.start("T", &columns).unwrap();
        for _ in 0..700 {
            sink.rows(&batch).unwrap();
        }
        sink.end().unwrap();
        sink.truncation().unwrap()
    };
    assert!(left.columns_hidden > 0 && left.shown == 1400);
    let text = String::from_utf8(bytes).unwrap();
    let widths: std::collections::BTreeSet<usize> = text.lines().map(|line| line.chars().count()).collect();
    assert_eq!(widths.len(), 1, "{widths:?}");
    assert!(widths.first().is_some_and(|w| *w <= 60));
    assert_eq!(text.lines().filter(|line| line.starts_with('╞')).count(), 1);
}

#[test]
fn a_drawn_table_sends_nothing_that_a_terminal_obeys() {
    let columns = [Column::new("n\u{1b}[31m\n", Type::String), Column::new("other", Type::String)];
    let fields: Vec<Field> = columns.iter().map(|c| Field::new(&c.name, arrow_type(c.ty), true)).collect();
    let column = |text: &str| Arc::new(StringArray::from(vec![text.to_owned()])) as ArrayRef;
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![column("a\u{1b}]0;x\u{7}\nb\u{202e}"), column("c")]).unwrap();
    let mut bytes = Vec::new();
    {
        let mut sink = sink(Format::Table, &mut bytes, 2, TableStyle::default());
        sink.start("T\u{1b}[2J\n", &columns).unwrap();
        sink.rows(&batch).unwrap();
        sink.end().unwrap();
    }
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
    for shown in [r"T\u{1b}[2J\n", r"n\u{1b}[31m\n", r"a\u{1b}]0;x\u{7}\nb\u{202e}"] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']));

    let mut bytes = Vec::new();
    {
        let mut sink = sink(Format::Markdown, &mut bytes, 1, TableStyle::default());
        sink.start("T", &columns).unwrap();
        sink.rows(&batch).unwrap();
    }
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(r"| a\u{1b}\]0;x\u{7}<br>b\u{202e} | c |") && !text.contains('\u{1b}'), "{text}");
}
