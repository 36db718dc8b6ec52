//! How people sign in.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::{ConfigError, Env, Environment, Process};

/// Shortest `SECRET_KEY` that production takes.
const SECRET_KEY_MIN_BYTES: usize = 32;
const DAY: Duration = Duration::from_hours(24);

/// Whether anybody may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    Open,
    Closed,
}

/// Which requests of other sites bring a cookie along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    Lax,
    Strict,
    None,
}

/// How people sign in.
#[derive(Clone, Debug)]
pub struct Auth {
    pub environment: Environment,
    /// Where the Ed25519 keys of access tokens are kept.
    pub jwt_keys_dir: PathBuf,
    /// Of an access token.
    pub token_lifetime: Duration,
    /// Of a refresh token; using it gives another.
    pub refresh_lifetime: Duration,
    /// Of a sign-in, however often it is renewed.
    pub sign_in_lifetime: Duration,
    pub registration: Registration,
    /// In characters; holds when a password is set, never at login.
    pub password_min_length: usize,
    /// Keys the hashes of API keys, refresh tokens and what else is kept hashed.
    pub secret_key: SecretString,
    pub cookies: Cookies,
    /// E-mail address of the user that requests without credentials act as. Never in production.
    pub anonymous_user: Option<String>,
}

/// The cookies of a sign-in. They are always HTTP-only.
#[derive(Clone, Debug)]
pub struct Cookies {
    pub access_name: String,
    pub refresh_name: String,
    /// Without one, the cookies belong to the very host.
    pub domain: Option<String>,
    pub secure: bool,
    pub same_site: SameSite,
    pub path: String,
}

/// The folder of the keys of access tokens.
pub fn jwt_keys_dir(env: &Env) -> Result<PathBuf, ConfigError> {
    env.text("JWT_KEYS_DIR").map(PathBuf::from)
}

impl Auth {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let minutes: u64 = env.parsed("JWT_EXPIRATION_MINUTES", "a number of minutes")?;
        let environment = Process::read(env)?.environment;
        let production = environment == Environment::Production;
        Ok(Self {
            environment,
            jwt_keys_dir: jwt_keys_dir(env)?,
            token_lifetime: Duration::from_secs(minutes.saturating_mul(60)),
            refresh_lifetime: days(env, "REFRESH_TOKEN_DAYS")?,
            sign_in_lifetime: days(env, "SIGN_IN_MAX_DAYS")?,
            registration: env.one_of(
                "REGISTRATION",
                &[
                    ("open", Registration::Open),
                    ("closed", Registration::Closed),
                ],
            )?,
            password_min_length: env.parsed("PASSWORD_MIN_LENGTH", "a number of characters")?,
            secret_key: secret_key(env, production)?,
            cookies: Cookies::read(env)?,
            anonymous_user: anonymous_user(env, production)?,
        })
    }
}

impl Cookies {
    fn read(env: &Env) -> Result<Self, ConfigError> {
        let public_url = env.http_url("PUBLIC_URL")?;
        let is_https = public_url.is_some_and(|url| url.starts_with("https:"));
        let cookies = Self {
            access_name: cookie_name(env, "AUTH_COOKIE_NAME")?,
            refresh_name: cookie_name(env, "REFRESH_COOKIE_NAME")?,
            domain: env.optional("AUTH_COOKIE_DOMAIN"),
            secure: match env.set("AUTH_COOKIE_SECURE") {
                Some(_) => env.flag("AUTH_COOKIE_SECURE")?,
                None => is_https,
            },
            same_site: env.one_of(
                "AUTH_COOKIE_SAMESITE",
                &[
                    ("lax", SameSite::Lax),
                    ("strict", SameSite::Strict),
                    ("none", SameSite::None),
                ],
            )?,
            path: env.text("AUTH_COOKIE_PATH")?,
        };
        cookies.check()?;
        Ok(cookies)
    }

    /// Browsers drop cookies that break these rules without a word.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |name, expected: &str| {
            let expected = expected.to_owned();
            Err(ConfigError::Wrong { name, expected })
        };
        if self.same_site == SameSite::None && !self.secure {
            return wrong(
                "AUTH_COOKIE_SECURE",
                "true where AUTH_COOKIE_SAMESITE is none",
            );
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(is_attribute_byte) {
            return wrong("AUTH_COOKIE_PATH", "a path that begins with /");
        }
        let domain = self.domain.as_deref().unwrap_or("example.org");
        if !domain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        {
            return wrong("AUTH_COOKIE_DOMAIN", "the name of a host");
        }
        if self.access_name == self.refresh_name {
            return wrong("REFRESH_COOKIE_NAME", "another name than AUTH_COOKIE_NAME");
        }
        let names = [
            ("AUTH_COOKIE_NAME", &self.access_name),
            ("REFRESH_COOKIE_NAME", &self.refresh_name),
        ];
        for (variable, name) in names {
            // Browsers know these prefixes in any case.
            let name = name.to_ascii_lowercase();
            if name.starts_with("__secure-") && !self.secure {
                return wrong("AUTH_COOKIE_SECURE", "true for a name with __Secure-");
            }
            if name.starts_with("__host-")
                && !(self.secure && self.domain.is_none() && self.path == "/")
            {
                return wrong(
                    variable,
                    "without __Host- unless secure, at the path / and without a domain",
                );
            }
        }
        Ok(())
    }
}

fn cookie_name(env: &Env, variable: &'static str) -> Result<String, ConfigError> {
    let name = env.text(variable)?;
    if name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        return Ok(name);
    }
    Err(ConfigError::Wrong {
        name: variable,
        expected: "letters, digits, -, _ and .".to_owned(),
    })
}

fn is_attribute_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b';'
}

fn days(env: &Env, name: &'static str) -> Result<Duration, ConfigError> {
    let expected = "a number of days from 1 to 3650";
    match env.parsed::<u32>(name, expected)? {
        days @ 1..=3650 => Ok(DAY * days),
        _ => Err(ConfigError::Wrong {
            name,
            expected: expected.to_owned(),
        }),
    }
}

/// The default is known to everybody, so production refuses it, and what is short can be guessed.
fn secret_key(env: &Env, production: bool) -> Result<SecretString, ConfigError> {
    let name = "SECRET_KEY";
    let set = env
        .set(name)
        .is_some_and(|key| key.len() >= SECRET_KEY_MIN_BYTES && Some(key) != Env::default_of(name));
    if production && !set {
        return Err(ConfigError::Wrong {
            name,
            expected: format!("a secret of at least {SECRET_KEY_MIN_BYTES} bytes in production"),
        });
    }
    env.secret(name)
}

fn anonymous_user(env: &Env, production: bool) -> Result<Option<String>, ConfigError> {
    let name = "ANONYMOUS_USER";
    let user = env.optional(name).map(|email| email.to_lowercase());
    if production && user.is_some() {
        return Err(ConfigError::Wrong {
            name,
            expected: "unset in production: it lets everybody in".to_owned(),
        });
    }
    Ok(user)
}
