//! Cells in columns.

/// The heading and each row as a line, every column as wide as its widest cell, two spaces apart.
pub(super) fn lines<const COLUMNS: usize>(head: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> (String, Vec<String>) {
    fitting(head, rows, None, &[])
}

/// The same, without as many of the columns in `spared` as it takes to fit into `width`.
pub(super) fn fitting<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
    room: Option<usize>,
    spared: &[usize],
) -> (String, Vec<String>) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let whole = |kept: &[usize]| kept.iter().map(|column| widths[*column] + 2).sum::<usize>().saturating_sub(2);
    let mut kept: Vec<usize> = (0..COLUMNS).collect();
    for column in spared {
        if room.is_some_and(|room| whole(&kept) > room) {
            kept.retain(|other| other != column);
        }
    }
    let line = |cells: &[String; COLUMNS]| {
        let padded = kept.iter().map(|&column| format!("{:1$}", cells[column], widths[column]));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    (line(&head.map(str::to_owned)), rows.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_can_be_spared_go_until_it_fits() {
        let rows = [["a-1", "8e9e05c52164694d", "healthy"].map(str::to_owned)];
        let head = |room| fitting(["MEMBER", "ID", "HEALTH"], &rows, room, &[1]).0;
        assert_eq!(head(None), "MEMBER  ID                HEALTH");
        assert_eq!(head(Some(33)), "MEMBER  ID                HEALTH");
        assert_eq!(head(Some(32)), "MEMBER  HEALTH");
        assert_eq!(head(Some(3)), "MEMBER  HEALTH", "what cannot be spared stays");
    }
}
