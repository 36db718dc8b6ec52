//! What a request says.

use serde::Serialize;
use serde_json::{Value, json};

use super::Prompt;
use super::dialect::{Dialect, Format, LimitName};

#[derive(Serialize)]
pub(super) struct RequestBody<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> RequestBody<'a> {
    pub(super) fn of(
        prompt: Prompt<'a>,
        model: &'a str,
        max_output_tokens: u32,
        dialect: Dialect,
    ) -> Self {
        let system = if dialect.format >= Format::Object {
            with_schema(prompt).into()
        } else {
            prompt.system.into()
        };
        let limit = |name| (dialect.limit_name == name).then_some(max_output_tokens);
        Self {
            model,
            messages: [
                Message {
                    role: "system",
                    content: system,
                },
                Message {
                    role: "user",
                    content: prompt.user.into(),
                },
            ],
            stream: true,
            stream_options: dialect.usage.then_some(StreamOptions {
                include_usage: true,
            }),
            max_tokens: limit(LimitName::MaxTokens),
            max_completion_tokens: limit(LimitName::MaxCompletionTokens),
            temperature: dialect.temperature.then_some(0),
            response_format: response_format(prompt, dialect.format),
        }
    }
}

fn with_schema(prompt: Prompt<'_>) -> String {
    let Prompt { system, schema, .. } = prompt;
    format!("{system}\n\nThe answer is one JSON object that fits this JSON Schema:\n{schema}")
}

fn response_format(prompt: Prompt<'_>, format: Format) -> Option<Value> {
    let Prompt {
        schema,
        schema_name,
        ..
    } = prompt;
    match format {
        Format::JsonSchema => Some(json!({
            "type": "json_schema",
            "json_schema": { "name": schema_name, "strict": true, "schema": schema },
        })),
        Format::ObjectWithSchema => Some(json!({ "type": "json_object", "schema": schema })),
        Format::Object => Some(json!({ "type": "json_object" })),
        Format::Text => None,
    }
}
