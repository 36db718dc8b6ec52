//! A plain table: columns as wide as their widest cell, the last one as it is.

use aftercall::client::terminal::printable;

const GAP: &str = "  ";

pub fn render<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(
            rows.iter()
                .map(|row| row.each_ref().map(|cell| printable(cell))),
        )
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            let width = widths.max().unwrap_or(0);
            format!("{cell:width$}")
        });
        let line = cells.collect::<Vec<_>>().join(GAP);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            ["1".to_owned(), "größer".to_owned(), "x".to_owned()],
            ["22".to_owned(), "b\u{1b}".to_owned(), String::new()],
        ];
        assert_eq!(
            render(["ID", "NAME", "WHY"], &rows),
            "ID  NAME    WHY\n1   größer  x\n22  b\n"
        );
        assert_eq!(render(["ID", "WHY"], &[]), "ID  WHY\n");
    }
}
