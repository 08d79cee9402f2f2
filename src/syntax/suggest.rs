//! The nearest known name to one that is unknown.

/// Names longer than this are not compared: a slip is found in names that people type.
const MAX_NAME: usize = 64;

/// The candidate nearest to `name`, when one is near enough to be what was meant: the same but for case, or at most one slip
/// (a letter missing, added, changed or two swapped) in three letters, three slips in all. Of equally near ones the first wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    if wanted.is_empty() || wanted.len() > MAX_NAME {
        return None;
    }
    let limit = (wanted.len() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    let mut letters = Vec::new();
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        letters.clear();
        letters.extend(candidate.chars().flat_map(char::to_lowercase));
        let bound = best.map_or(limit + 1, |(distance, _)| distance);
        if letters.len().abs_diff(wanted.len()) >= bound {
            continue;
        }
        let distance = distance(&wanted, &letters);
        // A name of one or two letters that shares none of them is no slip.
        if distance < bound && distance < wanted.len().max(2) {
            best = Some((distance, candidate));
            if distance == 0 {
                break;
            }
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// True for two names that are one slip apart: a letter missing, added, changed or two swapped.
pub fn is_one_slip(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    a.len().abs_diff(b.len()) < 2 && distance(&a, &b) == 1
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut before = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    let mut row = vec![0; width];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..width {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            let mut cost = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row[j] = cost;
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let names = ["where", "project", "summarize", "customDimensions", "take", "id"];
        let near = |name| nearest(name, names);
        assert_eq!(near("wher"), Some("where"));
        assert_eq!(near("Where"), Some("where"));
        assert_eq!(near("porject"), Some("project"));
        assert_eq!(near("sumarise"), Some("summarize"));
        assert_eq!(near("customdimension"), Some("customDimensions"));
        assert_eq!(near("ID"), Some("id"));
        assert_eq!(near("zz"), None);
        assert_eq!(near("timestamp"), None);
        assert_eq!(near(""), None);
        assert_eq!(nearest("abcd", ["abce", "abcf"]), Some("abce"));
        assert!(is_one_slip("exprot", "export") && is_one_slip("tittle", "title") && is_one_slip("té", "t"));
        assert!(!is_one_slip("title", "title") && !is_one_slip("import", "export"));
    }
}
