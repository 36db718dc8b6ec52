//! The environment as a map, and the variables that may be read from it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

/// Every variable with its default; an empty default means that it is unset.
pub const VARIABLES: &[(&str, &str)] = &[
    ("AFTERCALL_TOKEN", ""),
    ("AFTERCALL_URL", "http://127.0.0.1:8000"),
    ("ANALYSIS_PROVIDER", ""),
    ("ANONYMOUS_USER", ""),
    ("APP_NAME", "aftercall"),
    ("AUTH_COOKIE_DOMAIN", ""),
    ("AUTH_COOKIE_NAME", "auth_token"),
    ("AUTH_COOKIE_PATH", "/"),
    ("AUTH_COOKIE_SAMESITE", "lax"),
    ("AUTH_COOKIE_SECURE", ""),
    ("AUTO_COMPLETE", "true"),
    ("AWS_ACCESS_KEY_ID", ""),
    ("AWS_ENDPOINT_URL", ""),
    ("AWS_ENDPOINT_URL_S3", ""),
    ("AWS_ENDPOINT_URL_TRANSCRIBE", ""),
    ("AWS_PROFILE", ""),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", ""),
    ("AWS_TRANSCRIBE_AGENT_CHANNEL", "0"),
    ("AWS_TRANSCRIBE_LANGUAGE", ""),
    ("AWS_TRANSCRIBE_LANGUAGE_OPTIONS", ""),
    ("AWS_TRANSCRIBE_MAX_SPEAKERS", "10"),
    ("AWS_TRANSCRIBE_MODE", "standard"),
    ("AWS_TRANSCRIBE_POLL_SECONDS", "10"),
    ("AWS_TRANSCRIBE_REDACT_PII", "false"),
    ("AWS_TRANSCRIBE_ROLE_ARN", ""),
    ("AWS_TRANSCRIBE_VOCABULARY", ""),
    (
        "CORS_ORIGINS",
        r#"["http://localhost:3000", "http://localhost:5173"]"#,
    ),
    ("DATABASE_ADMIN_URL", ""),
    ("DATABASE_MAX_CONNECTIONS", "10"),
    ("DATABASE_PASSWORD_ANALYSIS", ""),
    ("DATABASE_PASSWORD_ANALYTICS", ""),
    ("DATABASE_PASSWORD_INGRESS", ""),
    ("DATABASE_PASSWORD_MAINTENANCE", ""),
    ("DATABASE_PASSWORD_STORAGE", ""),
    ("DATABASE_PASSWORD_TRANSCRIPTION", ""),
    ("DATABASE_URL", ""),
    ("DEBUG", "false"),
    ("EMBEDDED_TOOLS_DIR", ""),
    ("ENVIRONMENT", "development"),
    ("FETCH_ALLOWED_HOSTS", ""),
    ("FETCH_CA_FILE", ""),
    ("FETCH_TIME_LIMIT_SECONDS", "3600"),
    ("HEADER_TIMEOUT_SECONDS", "10"),
    ("HOST", "127.0.0.1"),
    ("JWT_EXPIRATION_MINUTES", "1440"),
    ("JWT_KEYS_DIR", "keys"),
    ("LLM_API_KEY", ""),
    ("LLM_BASE_URL", ""),
    ("LLM_CONTEXT_TOKENS", "16384"),
    ("LLM_IDLE_SECONDS", "120"),
    ("LLM_MAX_OUTPUT_TOKENS", "4096"),
    ("LLM_MODEL", ""),
    ("LLM_PRICE_CURRENCY", "USD"),
    ("LLM_PRICE_INPUT_MICROS_PER_MILLION", ""),
    ("LLM_PRICE_OUTPUT_MICROS_PER_MILLION", ""),
    ("LLM_PRICE_VERSION", ""),
    ("LLM_TIME_LIMIT_SECONDS", "600"),
    ("LOG_FORMAT", "pretty"),
    ("LOG_LEVEL", "info"),
    ("MAX_UPLOAD_BYTES", "4294967296"),
    ("MIN_UPLOAD_BYTES_PER_SECOND", "1024"),
    ("NATS_AGENT_ISSUER_SEED", ""),
    ("NATS_ALLOW_UNSYNCED", "false"),
    ("NATS_DUPLICATE_WINDOW_SECONDS", "600"),
    ("NATS_INGEST_URL", ""),
    ("NATS_MONITOR_URL", ""),
    ("NATS_REPLICAS", "1"),
    ("NATS_SYSTEM_URL", ""),
    ("NATS_URL", ""),
    ("OIDC_ISSUERS", "[]"),
    ("OPENAI_API_KEY", ""),
    ("OPENROUTER_API_KEY", ""),
    ("OPENROUTER_MODEL", ""),
    ("OUTBOX_DELAY_SECONDS", "5"),
    ("PASSWORD_MIN_LENGTH", "8"),
    ("PORT", "8000"),
    ("PUBLIC_URL", ""),
    ("RATE_LIMIT_ADDRESS_PER_MINUTE", "6000"),
    ("RATE_LIMIT_CALLS_PER_MINUTE", "0"),
    ("RATE_LIMIT_KEY_PER_MINUTE", "6000"),
    ("RATE_LIMIT_USER_PER_MINUTE", "1200"),
    ("RECONCILE_AFTER_SECONDS", "900"),
    ("REDACT_PII", "off"),
    ("REFRESH_COOKIE_NAME", "refresh_token"),
    ("REFRESH_TOKEN_DAYS", "30"),
    ("REGISTRATION", "open"),
    ("REQUEST_TIMEOUT_SECONDS", "30"),
    ("S3_BUCKET", "aftercall"),
    ("SECRET_KEY", "aftercall development secret"),
    ("SIGN_IN_MAX_DAYS", "90"),
    ("TRANSCRIPTION_API_KEY", ""),
    ("TRANSCRIPTION_BASE_URL", ""),
    ("TRANSCRIPTION_LANGUAGE", ""),
    ("TRANSCRIPTION_MAX_AUDIO_SECONDS", "43200"),
    ("TRANSCRIPTION_MODEL", "whisper-1"),
    ("TRANSCRIPTION_PROVIDER", "openai"),
    ("TRUSTED_PROXIES", ""),
    ("UPLOAD_IDLE_SECONDS", "60"),
    ("UPLOAD_SWEEP_AFTER_SECONDS", "900"),
    ("WORKER_CONCURRENCY", "2"),
    ("WORKER_HOST", "127.0.0.1"),
    ("WORKER_PORT", "0"),
];

/// The variables of a process.
#[derive(Clone, Default)]
pub struct Env {
    values: BTreeMap<String, String>,
}

/// A setting that is missing or wrong; its value is not shown, it may be a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("{name} must be {expected}")]
    Wrong {
        name: &'static str,
        expected: String,
    },
}

impl Env {
    /// The environment of this process.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn of_process() -> Self {
        let known = |name: &String| VARIABLES.iter().any(|(known, _)| known == name);
        Self {
            values: std::env::vars().filter(|(name, _)| known(name)).collect(),
        }
    }

    /// This environment with some variables replaced.
    #[must_use]
    pub fn with<K: Into<String>, V: Into<String>>(
        &self,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut all = self.clone();
        all.values.extend(
            values
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        all
    }

    /// Names and values, for the environment of a child.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a variable that was set and is not empty.
    pub fn set(&self, name: &'static str) -> Option<&str> {
        default_of(name);
        self.values
            .get(name)
            .map(String::as_str)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// The default of a variable that has one.
    pub fn default_of(name: &'static str) -> Option<&'static str> {
        Some(default_of(name)).filter(|default| !default.is_empty())
    }

    /// The value of a variable, or its default, or `None` where neither is.
    pub fn optional(&self, name: &'static str) -> Option<String> {
        self.set(name).or(Self::default_of(name)).map(str::to_owned)
    }

    /// The value of a variable or its default.
    pub fn text(&self, name: &'static str) -> Result<String, ConfigError> {
        self.optional(name).ok_or(ConfigError::Missing(name))
    }

    pub fn secret(&self, name: &'static str) -> Result<SecretString, ConfigError> {
        self.text(name).map(SecretString::from)
    }

    pub fn optional_secret(&self, name: &'static str) -> Option<SecretString> {
        self.optional(name).map(SecretString::from)
    }

    /// A value that is parsed; `expected` says what it must be.
    pub fn parsed<T: FromStr>(&self, name: &'static str, expected: &str) -> Result<T, ConfigError> {
        let wrong = |_| ConfigError::Wrong {
            name,
            expected: expected.to_owned(),
        };
        self.text(name)?.parse().map_err(wrong)
    }

    pub fn flag(&self, name: &'static str) -> Result<bool, ConfigError> {
        let words = [
            ("true", true),
            ("1", true),
            ("yes", true),
            ("false", false),
            ("0", false),
            ("no", false),
        ];
        self.one_of(name, &words)
    }

    /// A duration in whole seconds, at least one.
    pub fn seconds(&self, name: &'static str) -> Result<Duration, ConfigError> {
        let expected = "a number of seconds, at least 1";
        match self.parsed::<u64>(name, expected)? {
            0 => Err(ConfigError::Wrong {
                name,
                expected: expected.to_owned(),
            }),
            seconds => Ok(Duration::from_secs(seconds)),
        }
    }

    /// One of some words, in any case.
    pub fn one_of<T: Copy>(
        &self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let value = self.text(name)?;
        let found = words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&value));
        found
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| ConfigError::Wrong {
                name,
                expected: words
                    .iter()
                    .map(|(word, _)| *word)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// An `http` or `https` address without its trailing slash.
    pub fn http_url(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.optional(name) else {
            return Ok(None);
        };
        let expected = || ConfigError::Wrong {
            name,
            expected: "an http or https address".to_owned(),
        };
        let url: reqwest::Url = value.parse().map_err(|_| expected())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(expected());
        }
        Ok(Some(value.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Debug for Env {
    /// Shows the names that are set; values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

fn default_of(name: &str) -> &'static str {
    let found = VARIABLES.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, default)| *default)
        .expect("every variable that is read stands in VARIABLES")
}
