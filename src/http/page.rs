//! Pages of a list: `?limit=&cursor=`, answered `{items, next_cursor}`; where a list has them,
//! numbered pages: `?page=&per_page=`, answered `{items, page, per_page, total}`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::ApiError;

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;
/// What is skipped is read all the same: cursors go further.
const MAX_PAGE: i64 = 100_000;

/// Which part of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Entries of a page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Names the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// One numbered page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NumberedPage<T> {
    pub items: Vec<T>,
    /// From 1.
    pub page: i64,
    pub per_page: i64,
    /// Entries of the whole list; null where they are too many to count.
    pub total: Option<i64>,
}

/// Which numbered page.
#[derive(Clone, Copy, Debug)]
pub struct NumberedPageParams {
    pub page: i64,
    pub per_page: i64,
}

impl NumberedPageParams {
    pub fn checked(page: Option<i64>, per_page: Option<i64>) -> Result<Self, ApiError> {
        let (page, per_page) = (page.unwrap_or(1), per_page.unwrap_or(DEFAULT_LIMIT));
        if !(1..=MAX_PAGE).contains(&page) {
            let message = format!("must be from 1 to {MAX_PAGE}");
            return Err(ApiError::invalid("page", message));
        }
        if !(1..=MAX_LIMIT).contains(&per_page) {
            let message = format!("must be from 1 to {MAX_LIMIT}");
            return Err(ApiError::invalid("per_page", message));
        }
        Ok(Self { page, per_page })
    }

    /// Entries before this page.
    pub const fn offset(self) -> i64 {
        (self.page - 1) * self.per_page
    }

    pub fn of<T, R: Into<T>>(self, rows: Vec<R>, total: Option<i64>) -> NumberedPage<T> {
        NumberedPage {
            items: rows.into_iter().map(Into::into).collect(),
            page: self.page,
            per_page: self.per_page,
            total,
        }
    }
}

impl PageParams {
    pub fn limit(&self) -> Result<i64, ApiError> {
        match self.limit.unwrap_or(DEFAULT_LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(limit),
            _ => Err(ApiError::invalid("limit", "must be from 1 to 100")),
        }
    }

    /// Where the page begins, as [`Page::of`] wrote it.
    pub fn position<P: DeserializeOwned>(&self) -> Result<Option<P>, ApiError> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let position = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        position.map(Some).ok_or_else(ApiError::malformed_cursor)
    }
}

impl<T> Page<T> {
    /// A page of these entries; the next one begins behind `until`, if there is one.
    pub fn ending_at<P: Serialize>(items: Vec<T>, until: Option<P>) -> Self {
        Self {
            items,
            next_cursor: until.map(|until| encode(&until)),
        }
    }

    /// A page of at most `limit` of `rows`, of which one more than that were asked for; `position`
    /// says where an entry stands.
    pub fn of<R: Into<T>, P: Serialize>(
        mut rows: Vec<R>,
        limit: i64,
        position: impl Fn(&R) -> P,
    ) -> Self {
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|last| encode(&position(last)));
        Self {
            items: rows.into_iter().map(Into::into).collect(),
            next_cursor,
        }
    }
}

fn encode<P: Serialize>(position: &P) -> String {
    let bytes = serde_json::to_vec(position).expect("a position is plain data");
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_without_gap_or_repeat() {
        let all: Vec<i64> = (0..5).collect();
        let mut seen = Vec::new();
        let mut params = PageParams::default();
        loop {
            let from: i64 = params
                .position()
                .expect("our cursor")
                .map_or(0, |last: i64| last + 1);
            let rows: Vec<i64> = all.iter().copied().filter(|n| *n >= from).take(3).collect();
            let page: Page<i64> = Page::of(rows, 2, |n| *n);
            seen.extend(page.items);
            let Some(cursor) = page.next_cursor else {
                break;
            };
            params.cursor = Some(cursor);
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn limits_and_cursors_are_checked() {
        for limit in [0, -1, 101] {
            assert!(
                PageParams {
                    limit: Some(limit),
                    cursor: None
                }
                .limit()
                .is_err()
            );
        }
        for cursor in ["", "%%%", "e30"] {
            let params = PageParams {
                limit: None,
                cursor: Some(cursor.to_owned()),
            };
            assert!(params.position::<i64>().is_err(), "{cursor}");
        }
    }
}
