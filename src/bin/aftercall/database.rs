//! What to do about an error of the database, for whoever logs in as an administrator.

use aftercall::db::{is_not_provisioned, is_unreachable};

pub fn explain(error: sqlx::Error) -> anyhow::Error {
    if is_unreachable(&error) {
        return anyhow::Error::from(error)
            .context("Postgres does not answer at DATABASE_ADMIN_URL");
    }
    if is_not_provisioned(&error) {
        let advice = "the database is not provisioned; run `aftercall provision` first";
        return anyhow::Error::from(error).context(advice);
    }
    error.into()
}
