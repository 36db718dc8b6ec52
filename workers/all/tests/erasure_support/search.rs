//! Where a text still is.

use std::path::Path;

use sqlx::{AssertSqlSafe, PgConnection};

/// Tables in which a row has `text` somewhere.
pub async fn tables_with(admin: &mut PgConnection, text: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'm')",
    )
    .fetch_all(&mut *admin)
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        // A row as text shows bytes in hexadecimal.
        let query = format!(
            "select count(*) from {table} t where position($1 in t::text) > 0
                or position(encode(convert_to($1, 'UTF8'), 'hex') in t::text) > 0"
        );
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(query))
            .bind(text)
            .fetch_one(&mut *admin)
            .await
            .unwrap();
        if count > 0 {
            found.push(table);
        }
    }
    found
}

/// Files below a folder that hold `text`, or are called so.
pub fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
            continue;
        }
        // What is gone by now holds nothing.
        let bytes = std::fs::read(&path).unwrap_or_default();
        let needle = text.as_bytes();
        let is_named = path.to_string_lossy().contains(text);
        if is_named || bytes.windows(needle.len()).any(|at| at == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}
