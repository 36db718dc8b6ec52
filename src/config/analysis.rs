//! Who analyses transcripts.

use std::time::Duration;

use secrecy::SecretString;

use super::{ConfigError, Env};

/// Where OpenRouter and OpenAI answer, for their keys alone.
const OPENROUTER_URL: &str = "https://openrouter.ai/api/v1";
const OPENAI_URL: &str = "https://api.openai.com/v1";
/// For `OPENAI_API_KEY` without a model.
const OPENAI_MODEL: &str = "gpt-4.1-mini";
/// What instructions and schemas take, and a part of a transcript that is worth a request.
const LEAST_INPUT_TOKENS: u32 = 3_072;

/// The engine of the analysis worker.
#[derive(Clone, Debug)]
pub enum Analysis {
    /// Word list and fixed rules.
    Local,
    /// A language model.
    Llm(Box<Llm>),
}

/// A language model behind any server that speaks `POST /chat/completions`.
#[derive(Clone, Debug)]
pub struct Llm {
    pub base_url: String,
    pub api_key: Option<SecretString>,
    pub model: String,
    /// What the model reads and writes in one request.
    pub context_tokens: u32,
    /// What it writes.
    pub max_output_tokens: u32,
    /// Silence after which it counts as stalled.
    pub idle: Duration,
    /// For one answer.
    pub time_limit: Duration,
    /// `None` where no price is set: what the server itself says it costs counts all the same.
    pub prices: Option<Prices>,
}

/// A price list of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Millionths of the currency's unit for a million tokens.
    pub input_micros_per_million: u64,
    pub output_micros_per_million: u64,
    /// ISO 4217.
    pub currency: String,
    /// Says which list it was, in the cost of every analysis.
    pub version: String,
}

/// A server, its key and its model.
struct Server {
    base_url: String,
    api_key: Option<SecretString>,
    model: Option<String>,
}

#[derive(Clone, Copy)]
enum Provider {
    Local,
    Llm,
}

impl Analysis {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let words = [("local", Provider::Local), ("llm", Provider::Llm)];
        let provider = match env.set("ANALYSIS_PROVIDER") {
            Some(_) => env.one_of("ANALYSIS_PROVIDER", &words)?,
            None if keyed_server(env).is_some() => Provider::Llm,
            None => Provider::Local,
        };
        match provider {
            Provider::Local => Ok(Self::Local),
            Provider::Llm => Ok(Self::Llm(Box::new(Llm::read(env)?))),
        }
    }
}

impl Llm {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        // A key goes only to the server that it is of.
        let server = match env.http_url("LLM_BASE_URL")? {
            Some(base_url) => Server {
                base_url,
                api_key: None,
                model: None,
            },
            None => keyed_server(env).ok_or(ConfigError::Missing("LLM_BASE_URL"))?,
        };
        let model = env.optional("LLM_MODEL").or(server.model);
        let limits = "a number of tokens, at least 1";
        let max_output_tokens: u32 = env.parsed("LLM_MAX_OUTPUT_TOKENS", limits)?;
        if max_output_tokens == 0 {
            return Err(wrong("LLM_MAX_OUTPUT_TOKENS", limits));
        }
        let least = max_output_tokens.saturating_add(LEAST_INPUT_TOKENS);
        let limits = format!(
            "a number of tokens, at least {LEAST_INPUT_TOKENS} more than LLM_MAX_OUTPUT_TOKENS"
        );
        let context_tokens: u32 = env.parsed("LLM_CONTEXT_TOKENS", &limits)?;
        if context_tokens < least {
            return Err(wrong("LLM_CONTEXT_TOKENS", limits));
        }
        Ok(Self {
            base_url: server.base_url,
            api_key: env.optional_secret("LLM_API_KEY").or(server.api_key),
            model: model.ok_or(ConfigError::Missing("LLM_MODEL"))?,
            context_tokens,
            max_output_tokens,
            idle: env.seconds("LLM_IDLE_SECONDS")?,
            time_limit: env.seconds("LLM_TIME_LIMIT_SECONDS")?,
            prices: Prices::read(env)?,
        })
    }
}

impl Prices {
    fn read(env: &Env) -> Result<Option<Self>, ConfigError> {
        const INPUT: &str = "LLM_PRICE_INPUT_MICROS_PER_MILLION";
        const OUTPUT: &str = "LLM_PRICE_OUTPUT_MICROS_PER_MILLION";
        if env.set(INPUT).is_none() && env.set(OUTPUT).is_none() {
            return Ok(None);
        }
        let expected = "a number of millionths, without a decimal point";
        let currency = env.text("LLM_PRICE_CURRENCY")?;
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong(
                "LLM_PRICE_CURRENCY",
                "a code of ISO 4217, such as USD",
            ));
        }
        Ok(Some(Self {
            input_micros_per_million: env.parsed(INPUT, expected)?,
            output_micros_per_million: env.parsed(OUTPUT, expected)?,
            currency,
            version: env.text("LLM_PRICE_VERSION")?,
        }))
    }
}

/// The server that a key alone names.
fn keyed_server(env: &Env) -> Option<Server> {
    let openrouter = env.optional_secret("OPENROUTER_API_KEY");
    if let Some((api_key, model)) = openrouter.zip(env.optional("OPENROUTER_MODEL")) {
        return Some(Server {
            base_url: OPENROUTER_URL.to_owned(),
            api_key: Some(api_key),
            model: Some(model),
        });
    }
    let api_key = env.optional_secret("OPENAI_API_KEY")?;
    Some(Server {
        base_url: OPENAI_URL.to_owned(),
        api_key: Some(api_key),
        model: Some(OPENAI_MODEL.to_owned()),
    })
}

fn wrong(name: &'static str, expected: impl Into<String>) -> ConfigError {
    ConfigError::Wrong {
        name,
        expected: expected.into(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn llm(set: &[(&str, &str)]) -> Option<Llm> {
        match Analysis::read(&Env::default().with(set.iter().copied())) {
            Ok(Analysis::Llm(llm)) => Some(*llm),
            Ok(Analysis::Local) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn error(set: &[(&str, &str)]) -> String {
        let read = Analysis::read(&Env::default().with(set.iter().copied()));
        read.expect_err("a mistake").to_string()
    }

    #[test]
    fn a_key_alone_is_enough_and_local_is_what_remains() {
        assert!(llm(&[]).is_none());
        assert!(llm(&[("OPENROUTER_API_KEY", "k")]).is_none(), "no model");
        let openai = llm(&[("OPENAI_API_KEY", "k")]).unwrap();
        assert_eq!(
            (openai.base_url.as_str(), openai.model.as_str()),
            (OPENAI_URL, OPENAI_MODEL)
        );
        let both = [
            ("OPENAI_API_KEY", "k"),
            ("OPENROUTER_API_KEY", "r"),
            ("OPENROUTER_MODEL", "vendor/model"),
        ];
        let openrouter = llm(&both).unwrap();
        assert_eq!(openrouter.model, "vendor/model");
        assert_eq!(openrouter.api_key.unwrap().expose_secret(), "r");
        assert!(llm(&[("OPENAI_API_KEY", "k"), ("ANALYSIS_PROVIDER", "local")]).is_none());
    }

    #[test]
    fn a_key_goes_to_no_other_server() {
        let own = llm(&[
            ("ANALYSIS_PROVIDER", "llm"),
            ("OPENAI_API_KEY", "k"),
            ("LLM_BASE_URL", "http://127.0.0.1:11434/v1"),
            ("LLM_MODEL", "small"),
        ])
        .unwrap();
        assert!(own.api_key.is_none());
        assert_eq!(own.base_url, "http://127.0.0.1:11434/v1");
    }

    #[test]
    fn what_is_missing_or_too_small_is_named() {
        let server = [
            ("ANALYSIS_PROVIDER", "llm"),
            ("LLM_BASE_URL", "http://h/v1"),
        ];
        assert_eq!(error(&server[..1]), "LLM_BASE_URL is not set");
        assert_eq!(error(&server), "LLM_MODEL is not set");
        let with = |more: &[(&'static str, &'static str)]| {
            let mut all = server.to_vec();
            all.push(("LLM_MODEL", "small"));
            all.extend(more);
            error(&all)
        };
        assert!(with(&[("LLM_CONTEXT_TOKENS", "4096")]).starts_with("LLM_CONTEXT_TOKENS must be"));
        assert!(with(&[("LLM_MAX_OUTPUT_TOKENS", "0")]).starts_with("LLM_MAX_OUTPUT_TOKENS must"));
        assert_eq!(
            with(&[("LLM_PRICE_INPUT_MICROS_PER_MILLION", "1")]),
            "LLM_PRICE_OUTPUT_MICROS_PER_MILLION is not set"
        );
    }
}
