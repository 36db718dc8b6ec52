//! `aftercall user`: the first admin, and what else an operator does to people.

use std::io::Read as _;

use aftercall::auth::{Email, Passwords, Role, check_fit};
use aftercall::config::{Administration, Env};
use aftercall::db::audit::{self, Entry};
use aftercall::db::people::{self, Draft, EMAIL_TAKEN, LAST_ADMIN, NO_SUCH_CLINIC};
use aftercall::db::users::User;
use aftercall::db::{Db, Principal, Tx, constraint};
use aftercall::ids::{AccountId, UserId};
use anyhow::{Context, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use rand::distr::{Alphanumeric, SampleString as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::{database, table};

/// Letters and digits of a password that is made up: 119 bits.
const PASSWORD_CHARS: usize = 20;
const MAX_NAME_CHARS: usize = 200;
const USERS_AT_ONCE: i64 = 500;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a user, for example the first admin. Prints a password, once, unless one is given.
    Create(Create),
    /// Show everybody, newest first.
    List,
    /// Let somebody in no more: their sign-ins and keys end at once, what they made stays.
    Deactivate {
        #[arg(value_name = "EMAIL")]
        email: Email,
    },
}

#[derive(Debug, Args)]
pub struct Create {
    #[arg(long)]
    email: Email,
    #[arg(long)]
    name: String,
    /// counselor, manager or admin.
    #[arg(long, default_value = "counselor")]
    role: Role,
    /// The clinic that they act in.
    #[arg(long, value_name = "ID")]
    clinic: Option<AccountId>,
    /// Read the password from the first line of standard input instead of making one up.
    #[arg(long)]
    password_stdin: bool,
}

pub async fn run(command: Command, env: &Env) -> anyhow::Result<()> {
    let settings = Administration::read(env)?;
    let db = Db::connect_lazy(&settings.admin_url, 1)?;
    match command {
        Command::Create(args) => create(&db, args, settings.password_min_length).await,
        Command::List => list(&db).await,
        Command::Deactivate { email } => deactivate(&db, &email).await,
    }
}

async fn create(db: &Db, args: Create, password_min_length: usize) -> anyhow::Result<()> {
    let name = args.name.trim();
    let length = name.chars().count();
    ensure!(
        (1..=MAX_NAME_CHARS).contains(&length),
        "--name must have 1 to {MAX_NAME_CHARS} characters"
    );
    let password = if args.password_stdin {
        first_line(&read_stdin()?)
    } else {
        SecretString::from(Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_CHARS))
    };
    check_fit(&password, password_min_length).context("the password")?;
    let hash = Passwords::new().hash(password.clone()).await?;
    let draft = Draft {
        id: UserId::generate(),
        account_id: AccountId::generate(),
        email: args.email.to_string(),
        name: name.to_owned(),
        role: args.role,
        clinic_id: args.clinic,
        password_hash: Some(hash),
    };
    let mut tx = begin(db).await?;
    people::add(&mut tx, &draft).await.map_err(explain)?;
    let home = draft.clinic_id.unwrap_or(draft.account_id);
    let details = json!({ "role": draft.role, "has_password": true });
    note(&mut tx, home, draft.id, "user.created", details).await?;
    tx.commit().await.map_err(explain)?;
    println!("made {} {} ({})", draft.role, draft.email, draft.id);
    if !args.password_stdin {
        println!("password, shown only now: {}", password.expose_secret());
    }
    Ok(())
}

async fn list(db: &Db) -> anyhow::Result<()> {
    let mut tx = begin(db).await?;
    let mut users = Vec::new();
    loop {
        let before = users.last().map(|user: &User| user.id);
        let page = people::all(&mut tx, before, USERS_AT_ONCE).await;
        let page = page.map_err(explain)?;
        if page.is_empty() {
            break;
        }
        users.extend(page);
    }
    print!("{}", page_of(&users));
    Ok(())
}

async fn deactivate(db: &Db, email: &Email) -> anyhow::Result<()> {
    let mut tx = begin(db).await?;
    let found = people::deactivate(&mut tx, email.as_str()).await;
    let Some(user) = found.map_err(explain)? else {
        bail!("nobody has the e-mail address {email}");
    };
    if !user.is_active {
        println!("{email} was inactive already");
        return Ok(());
    }
    let home = user.clinic_id.unwrap_or(user.account_id);
    note(&mut tx, home, user.id, "user.deactivated", json!({})).await?;
    tx.commit().await.map_err(explain)?;
    println!("{email} is inactive, and signed out everywhere");
    Ok(())
}

async fn begin(db: &Db) -> anyhow::Result<Tx> {
    db.begin(Principal::Operator).await.map_err(explain)
}

/// Notes what was done, by nobody who signs in.
async fn note(
    tx: &mut Tx,
    account_id: AccountId,
    id: UserId,
    action: &'static str,
    details: Value,
) -> anyhow::Result<()> {
    let entry = Entry {
        account_id,
        key_id: None,
        action,
        object_kind: "user",
        object_id: Some(id.0),
        address: None,
        trace_id: None,
        details,
    };
    audit::add(tx, entry).await.map_err(explain)
}

/// Says what to do about an error of the database.
fn explain(error: sqlx::Error) -> anyhow::Error {
    match constraint(&error) {
        Some(EMAIL_TAKEN) => return anyhow!("somebody has this e-mail address already"),
        Some(NO_SUCH_CLINIC) => return anyhow!("--clinic is the id of no clinic"),
        Some(LAST_ADMIN) => {
            return anyhow!("this is the last active admin; make another one first");
        }
        _ => {}
    }
    database::explain(error)
}

fn read_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("standard input cannot be read")?;
    Ok(text)
}

fn first_line(text: &str) -> SecretString {
    SecretString::from(text.lines().next().unwrap_or_default())
}

fn page_of(users: &[User]) -> String {
    let rows: Vec<_> = users
        .iter()
        .map(|user| {
            let clinic = user
                .clinic_id
                .map_or_else(|| "-".to_owned(), |id| id.to_string());
            let active = if user.is_active { "yes" } else { "no" };
            [
                user.id.to_string(),
                user.role.to_string(),
                active.to_owned(),
                clinic,
                user.email.clone(),
                user.name.clone(),
            ]
        })
        .collect();
    table::render(["ID", "ROLE", "ACTIVE", "CLINIC", "EMAIL", "NAME"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        for (text, password) in [("secret\n", "secret"), (" a b \r\nmore", " a b "), ("", "")] {
            assert_eq!(first_line(text).expose_secret(), password);
        }
    }

    #[test]
    fn the_list_shows_everybody_in_a_line() {
        let user = User {
            id: "01980000-0000-7000-8000-000000000001".parse().unwrap(),
            account_id: "01980000-0000-7000-8000-000000000002".parse().unwrap(),
            email: "ada@example.org".to_owned(),
            name: "Ada \u{1b}[2JL".to_owned(),
            role: Role::Admin,
            clinic_id: None,
            is_active: true,
            oauth_provider: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let page = page_of(&[user]);
        assert!(
            page.contains("admin  yes     -       ada@example.org  Ada"),
            "{page}"
        );
        assert!(!page.contains('\u{1b}'));
    }
}
