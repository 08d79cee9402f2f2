use super::*;
use arrow::array::{DictionaryArray, LargeStringArray, StringArray, StringViewArray};
use arrow::datatypes::Int32Type;

const ROWS: [&str; 12] = [
    "hello world",
    "helloworld",
    "HELLO-there",
    "",
    "a_hello_b",
    "\u{e9}hello",
    "say: RT0019: x",
    "CAF\u{c9} au lait",
    "caf\u{e9}teria",
    "hellohello hello",
    "Stra\u{df}e",
    "x\u{200b}hello",
];

/// The answers over every array form, which must agree with each other and with one text at a time.
fn hits(matcher: &Matcher) -> Vec<usize> {
    let single: Vec<usize> = (0..ROWS.len()).filter(|i| matcher.is_match(ROWS[*i])).collect();
    let padded = StringArray::from_iter_values(std::iter::once("hello, left out").chain(ROWS));
    let forms: [ArrayRef; 5] = [
        Arc::new(StringArray::from_iter_values(ROWS)),
        Arc::new(padded.slice(1, ROWS.len())),
        Arc::new(LargeStringArray::from_iter_values(ROWS)),
        Arc::new(StringViewArray::from_iter_values(ROWS)),
        Arc::new(ROWS.into_iter().collect::<DictionaryArray<Int32Type>>()),
    ];
    for form in forms {
        let answer = matcher.eval(&form).unwrap();
        assert_eq!(
            (0..ROWS.len()).filter(|i| answer.value(*i)).collect::<Vec<_>>(),
            single,
            "{:?} {matcher:?}",
            form.data_type()
        );
    }
    single
}

fn find(op: TextOp, needles: &[&str], cs: bool) -> Vec<usize> {
    hits(&matcher(op, &needles.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), cs))
}

#[test]
fn terms_are_runs_of_letters_and_digits() {
    assert_eq!(find(TextOp::Has, &["hello"], false), [0, 2, 4, 9, 11]);
    assert_eq!(find(TextOp::Has, &["hello"], true), [0, 4, 9, 11]);
    assert_eq!(find(TextOp::HasPrefix, &["hello"], false), [0, 1, 2, 4, 9, 11]);
    assert_eq!(find(TextOp::HasSuffix, &["hello"], false), [0, 2, 4, 5, 9, 11]);
    assert_eq!(find(TextOp::Has, &["rt0019: X"], false), [6]);
    assert_eq!(find(TextOp::Has, &["t0019: x"], false), [0usize; 0]);
    assert_eq!(find(TextOp::Has, &["caf\u{e9}"], false), [7]);
    assert_eq!(find(TextOp::Contains, &["caf\u{e9}"], false), [7, 8]);
    assert_eq!(find(TextOp::Has, &["caf"], false), [0usize; 0]);
    assert_eq!(find(TextOp::Has, &[""], false), (0..ROWS.len()).collect::<Vec<_>>());
}

#[test]
fn starts_ends_and_equality_fold_simply() {
    assert_eq!(find(TextOp::StartsWith, &["HELLO"], false), [0, 1, 2, 9]);
    assert_eq!(find(TextOp::StartsWith, &["HELLO"], true), [2]);
    assert_eq!(find(TextOp::EndsWith, &["LAIT", "world"], false), [0, 1, 7]);
    assert_eq!(hits(&equal_matcher(&["strasse".into(), "STRA\u{df}E".into()], false)), [10]);
    assert_eq!(hits(&equal_matcher(&["".into()], false)), [3]);
}

#[test]
fn lists_of_needles() {
    let needles = |n: &[&str]| n.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    // A needle that fails at its edge does not hide another that starts at the same place.
    assert_eq!(find(TextOp::Has, &["hell", "hello", "x"], false), [0, 2, 4, 6, 9, 11]);
    assert_eq!(hits(&matcher_all(TextOp::Has, &needles(&["hello", "WORLD", ""]), false)), [0]);
    assert_eq!(hits(&matcher_all(TextOp::Has, &[], false)).len(), ROWS.len());
    assert_eq!(find(TextOp::Has, &[], false), [0usize; 0]);
    assert_eq!(hits(&equal_matcher(&needles(&["a", "b", "c", "d", "HELLOWORLD"]), false)), [1]);
}

#[test]
fn missing_text_is_empty_text() {
    let array: ArrayRef = Arc::new(StringArray::from(vec![None, Some("a")]));
    let answer = |m: Matcher| m.eval(&array).unwrap().iter().map(Option::unwrap).collect::<Vec<_>>();
    assert_eq!(answer(equal_matcher(&["".into()], false)), [true, false]);
    assert_eq!(answer(matcher(TextOp::Contains, &["a".into()], false)), [false, true]);
}

#[test]
fn blocks_join_without_a_seam() {
    let rows: Vec<String> =
        (0..5000).map(|i| if i % 7 == 0 { format!("{i} NEEDLE {i}") } else { "xneedle ".repeat(i % 5) }).collect();
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(&rows));
    let m = matcher(TextOp::Has, &["needle".into()], false);
    let answer = m.eval(&array).unwrap();
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(answer.value(i), m.is_match(row), "{i}");
        assert_eq!(answer.value(i), i % 7 == 0, "{i}");
    }
}
