//! Holds the catalogue of a migrated database against the rules of `migrations/README.md`.

use crate::db::provision::Process;
use crate::db::{Principal, WorkerRole, is_nobody, sessions, users};
use crate::embedded::harness::Harness;
use crate::embedded::seed;
use crate::ids::UserId;

/// Tables of the migrator itself.
const OF_THE_MIGRATOR: &str = "_sqlx_migrations";
/// Tables that belong to no tenant; each says why in its migration.
const OF_NO_TENANT: [&str; 5] = [
    "accounts",
    "dead_letters",
    "delivery_failures",
    "destroyed_messages",
    "throttles",
];

#[tokio::test]
async fn every_table_forces_row_level_security() {
    let harness = Harness::start().await;
    let mut admin = harness.admin().await;
    let tables: Vec<(String, bool, bool, bool)> = sqlx::query_as(
        "select c.relname::text, c.relrowsecurity, c.relforcerowsecurity, exists (
            select from pg_attribute a where a.attrelid = c.oid and a.attname = 'account_id' and a.attnotnull)
        from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            and c.relname <> $1",
    )
    .bind(OF_THE_MIGRATOR)
    .fetch_all(&mut admin)
    .await
    .expect("the catalogue");
    assert!(tables.len() >= 12, "{tables:?}");
    for (name, enabled, forced, has_account) in tables {
        assert!(
            enabled && forced,
            "{name} must enable and force row-level security"
        );
        assert!(
            has_account || OF_NO_TENANT.contains(&name.as_str()),
            "{name} needs account_id"
        );
    }
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn no_role_may_bypass_and_only_the_owner_owns() {
    let harness = Harness::start().await;
    let mut admin = harness.admin().await;
    let strong: Vec<String> = sqlx::query_scalar(
        "select rolname::text from pg_roles where rolname like 'aftercall%'
            and (rolsuper or rolbypassrls or rolinherit or rolcreaterole or rolcreatedb)",
    )
    .fetch_all(&mut admin)
    .await
    .expect("the catalogue");
    assert!(strong.is_empty(), "{strong:?}");
    let owners: Vec<String> = sqlx::query_scalar(
        "select distinct pg_get_userbyid(relowner)::text from pg_class
        where relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut admin)
    .await
    .expect("the catalogue");
    assert_eq!(owners, ["aftercall_owner"]);
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn definer_functions_fix_their_search_path_and_are_not_public() {
    let harness = Harness::start().await;
    let mut admin = harness.admin().await;
    let loose: Vec<String> = sqlx::query_scalar(
        "select p.proname::text from pg_proc p where p.pronamespace = 'public'::regnamespace
            and p.prosecdef and (
                not coalesce(p.proconfig::text like '%search_path=%', false)
                or has_function_privilege('public', p.oid, 'execute'))",
    )
    .fetch_all(&mut admin)
    .await
    .expect("the catalogue");
    assert!(loose.is_empty(), "{loose:?}");
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn without_a_principal_no_role_sees_a_row() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    seed::transcript(&harness, seeded, &["Hello."]).await;
    let mut admin = harness.admin().await;
    for statement in [
        "insert into customers (account_id, id, name, created_by) select account_id, id, 'A', id from users",
        "insert into clients (account_id, id, name, created_by) select account_id, id, 'A', id from users",
        "insert into api_keys (account_id, id, owner_id, name, secret_hash, scopes)
            select account_id, id, id, 'A', sha256(''), '{read}' from users",
    ] {
        let added = sqlx::query(statement).execute(&mut admin).await;
        assert_eq!(added.expect("a row").rows_affected(), 1, "{statement}");
    }
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace
            and c.relkind in ('r', 'p') and c.relname <> $1",
    )
    .bind(OF_THE_MIGRATOR)
    .fetch_all(&mut admin)
    .await
    .expect("the catalogue");
    let mut readable = 0;
    for table in tables {
        // As the application role, but with nobody named.
        let mut tx = harness.begin(Process::Ingress, Principal::Auth).await;
        let statement = format!("select count(*) from (select 1 from {table}) t");
        let count = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut *tx)
            .await;
        match count {
            Ok(count) => {
                readable += 1;
                assert_eq!(count, 0, "{table}");
            }
            Err(error) => assert!(
                error.to_string().contains("permission denied"),
                "{table}: {error}"
            ),
        }
    }
    assert!(readable >= 8, "only {readable} tables were readable at all");
    // The login role alone, outside a transaction of ours, may do nothing.
    let db = harness.db(Process::Ingress);
    let denied = sqlx::query("select id from sessions")
        .fetch_all(db.pool_for_tests())
        .await;
    assert!(
        denied
            .expect_err("no role")
            .to_string()
            .contains("permission denied")
    );
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_user_sees_only_their_own() {
    let harness = Harness::start().await;
    let (mine, theirs) = (seed::session(&harness).await, seed::session(&harness).await);
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(mine.user_id))
        .await;
    let listed = sessions::list(&mut tx, None, None, 10)
        .await
        .expect("a list");
    assert_eq!(
        listed.iter().map(|s| s.id).collect::<Vec<_>>(),
        [mine.session_id]
    );
    assert!(
        sessions::get(&mut tx, theirs.session_id)
            .await
            .expect("a query")
            .is_none()
    );
    assert!(
        users::get(&mut tx, theirs.user_id)
            .await
            .expect("a query")
            .is_none()
    );
    let db = harness.db(Process::Ingress);
    let nobody = db.begin(Principal::user(UserId::generate())).await;
    assert!(is_nobody(&nobody.expect_err("nobody has this id")));
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_process_cannot_act_as_another() {
    let harness = Harness::start().await;
    let db = harness.db(Process::Analysis);
    let denied = db.begin(Principal::Worker(WorkerRole::Maintenance)).await;
    assert!(
        denied
            .expect_err("not granted")
            .to_string()
            .contains("permission denied")
    );
    harness.finish_as_it_is().await;
}
