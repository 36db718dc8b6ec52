//! What a server takes of the protocol, found out by asking.

use reqwest::StatusCode;

/// How a request is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) format: Format,
    /// Newer models of OpenAI refuse the older name.
    pub(super) limit_name: LimitName,
    /// Reasoning models refuse any but their own.
    pub(super) temperature: bool,
    /// Whether usage is asked for.
    pub(super) usage: bool,
}

/// How the answer is made JSON, the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    /// `{"type": "json_schema", …}`
    JsonSchema,
    /// `{"type": "json_object", "schema": …}`, as llama-cpp-python takes it.
    ObjectWithSchema,
    /// `{"type": "json_object"}`; the schema stands in the prompt, as it does from here on.
    Object,
    /// Nothing but the prompt.
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitName {
    MaxTokens,
    MaxCompletionTokens,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            format: Format::JsonSchema,
            limit_name: LimitName::MaxTokens,
            temperature: true,
            usage: true,
        }
    }
}

impl Dialect {
    /// The dialect without what a server complains about; `None` when nothing is left to try, or the
    /// complaint is of something else.
    pub(super) fn without(self, complaint: &str) -> Option<Self> {
        let complaint = complaint.to_ascii_lowercase();
        let names = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
        if names(&OF_LENGTH) {
            return None;
        }
        if self.limit_name == LimitName::MaxTokens
            && names(&["max_tokens", "max_completion_tokens"])
        {
            let limit_name = LimitName::MaxCompletionTokens;
            return Some(Self { limit_name, ..self });
        }
        if self.temperature && names(&["temperature"]) {
            let temperature = false;
            return Some(Self {
                temperature,
                ..self
            });
        }
        if self.usage && names(&["stream_options", "include_usage"]) {
            return Some(Self {
                usage: false,
                ..self
            });
        }
        // Servers word this in every way, so that what names nothing else is taken for it.
        let format = self.format.next()?;
        Some(Self { format, ..self })
    }
}

impl Format {
    fn next(self) -> Option<Self> {
        match self {
            Self::JsonSchema => Some(Self::ObjectWithSchema),
            Self::ObjectWithSchema => Some(Self::Object),
            Self::Object => Some(Self::Text),
            Self::Text => None,
        }
    }
}

/// How servers say that a prompt is too long.
pub(super) const OF_LENGTH: [&str; 6] = [
    "context length",
    "context_length",
    "context window",
    "context size",
    "maximum context",
    "too many tokens",
];

/// Whether a status may mean that the server does not know a part of the request.
pub(super) fn is_about_form(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::NOT_IMPLEMENTED
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complaint_takes_away_what_it_names() {
        let first = Dialect::default();
        let limit = first
            .without("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
            .unwrap();
        assert_eq!(limit.limit_name, LimitName::MaxCompletionTokens);
        let temperature = limit.without("'temperature' does not support 0").unwrap();
        assert!(!temperature.temperature && temperature.usage);
        let usage = temperature.without("stream_options: extra field").unwrap();
        assert!(!usage.usage);
        assert_eq!(usage.format, Format::JsonSchema);
    }

    #[test]
    fn the_format_goes_down_to_text_and_no_further() {
        let mut dialect = Dialect::default();
        let mut seen = vec![dialect.format];
        while let Some(next) = dialect.without("response_format.type: invalid value") {
            seen.push(next.format);
            dialect = next;
        }
        assert_eq!(seen.len(), 4);
        assert_eq!(seen.last(), Some(&Format::Text));
    }

    #[test]
    fn a_prompt_that_is_too_long_is_no_matter_of_form() {
        let complaint = "This model's maximum context length is 8192 tokens";
        assert_eq!(Dialect::default().without(complaint), None);
    }
}
