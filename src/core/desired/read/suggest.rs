//! The known words, for who typed another one: "did you mean", and all of them.

/// The nearest of `known` to `word`, if it is near enough to be a slip: one edit in three characters.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A word longer than any of ours is no slip, and the distance is quadratic.
    const LENGTH_MAX: usize = 80;
    if word.len() > LENGTH_MAX {
        return None;
    }
    let edits_max = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        // Insertions, deletions, replacements and swaps of neighbours.
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|&(edits, candidate)| edits <= edits_max && edits < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` and `c`, each in backticks.
pub(super) fn enumerate<T: AsRef<str>>(words: &[T]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_one_edit_in_three_characters() {
        let known = ["quota-backend", "heartbeat-interval", "name"];
        assert_eq!(nearest("quota_backend", known), Some("quota-backend"));
        assert_eq!(nearest("qutoa-backend", known), Some("quota-backend"));
        assert_eq!(nearest("nmae", known), Some("name"));
        assert_eq!(nearest("size", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn a_swap_is_one_edit_and_a_longer_word_may_have_more() {
        assert_eq!(nearest("ba", ["ab"]), Some("ab"));
        assert_eq!(nearest("", ["a"]), None);
        assert_eq!(nearest("kitten", ["sittin"]), Some("sittin"));
        assert_eq!(nearest("kitten", ["sitting"]), None);
    }
}
