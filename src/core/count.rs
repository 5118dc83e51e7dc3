//! Numbers with their nouns and units, as every message writes them: `1 step`, `2 steps`, `12.3 MiB`.

use bytesize::ByteSize;

/// `1 step`, `2 steps`; for nouns that take an s.
pub fn count(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// So many bytes, in powers of 1024: `12.3 MiB`
pub fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// So many microseconds: `1.2 ms`
pub fn micros(us: u64) -> String {
    if us < 100 { "less than 0.1 ms".to_owned() } else { format!("{}.{} ms", us / 1000, us % 1000 / 100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!([count(0, "host"), count(1, "host"), count(2, "host")], ["0 hosts", "1 host", "2 hosts"]);
    }
}
