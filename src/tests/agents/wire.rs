//! The protocol of NATS by hand: a client library would not send what an attacker does.
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Nothing on one machine takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that says what it is told to.
pub struct Wire {
    stream: BufReader<TcpStream>,
    /// Subjects and payloads of what arrived.
    pub messages: Vec<(String, Vec<u8>)>,
}

impl Wire {
    /// Connects with this user name and password; the error is the server's.
    pub async fn sign_in(url: &str, user: &str, password: &str) -> Result<Self, String> {
        let login = json!({ "user": user, "pass": password });
        Self::connect(url, login).await
    }

    /// Connects with the key as a token.
    pub async fn with_token(url: &str, token: &str) -> Result<Self, String> {
        Self::connect(url, json!({ "auth_token": token })).await
    }

    async fn connect(url: &str, mut login: serde_json::Value) -> Result<Self, String> {
        let address = url.strip_prefix("nats://").expect("an address");
        let stream = TcpStream::connect(address).await.expect("nats-server");
        let mut wire = Self {
            stream: BufReader::new(stream),
            messages: Vec::new(),
        };
        wire.line().await.expect("INFO");
        login["verbose"] = json!(false);
        login["headers"] = json!(true);
        login["no_responders"] = json!(true);
        let errors = wire.send(format!("CONNECT {login}\r\n").as_bytes()).await;
        match errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(wire),
        }
    }

    /// Sends this, and returns what the server complained about until it had dealt with all of it.
    pub async fn send(&mut self, bytes: &[u8]) -> Vec<String> {
        // A server that hangs up while it is written to has said why.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.write_all(b"PING\r\n").await;
        let mut errors = Vec::new();
        while let Some(line) = self.line().await {
            if line == "PONG" {
                break;
            }
            self.note(&line, &mut errors).await;
        }
        errors
    }

    /// Publishes, with headers where there are some.
    pub async fn publish(
        &mut self,
        subject: &str,
        reply: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> Vec<String> {
        let mut block = String::new();
        if !headers.is_empty() {
            block.push_str("NATS/1.0\r\n");
            for (name, value) in headers {
                block += name;
                block += ": ";
                block += value;
                block += "\r\n";
            }
            block.push_str("\r\n");
        }
        let (head, total) = (block.len(), block.len() + payload.len());
        let line = if headers.is_empty() {
            format!("PUB {subject} {reply} {total}\r\n")
        } else {
            format!("HPUB {subject} {reply} {head} {total}\r\n")
        };
        let bytes = [line.as_bytes(), block.as_bytes(), payload, b"\r\n"].concat();
        self.send(&bytes).await
    }

    /// Publishes on `subject` and waits for the answer in `inbox`, which is listened to.
    pub async fn answer(&mut self, inbox: &str, subject: &str, payload: &[u8]) -> Vec<u8> {
        let before = self.messages.len();
        let errors = self.publish(subject, inbox, &[], payload).await;
        assert!(errors.is_empty(), "{errors:?}");
        let mut errors = Vec::new();
        while self.messages.len() == before {
            let line = self.line().await.expect("an answer");
            self.note(&line, &mut errors).await;
            assert!(errors.is_empty(), "{errors:?}");
        }
        self.messages.last().expect("it came").1.clone()
    }

    /// Whether the server hangs up within this time.
    pub async fn is_ended_within(&mut self, limit: Duration) -> bool {
        let ended = async { while self.line_without_end().await.is_some() {} };
        tokio::time::timeout(limit, ended).await.is_ok()
    }

    async fn note(&mut self, line: &str, errors: &mut Vec<String>) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first() {
            Some(&"-ERR") => errors.push(line["-ERR".len()..].trim().trim_matches('\'').to_owned()),
            Some(&"PING") => {
                let _ = self.stream.write_all(b"PONG\r\n").await;
            }
            Some(&("MSG" | "HMSG")) => {
                let length: usize = words
                    .last()
                    .and_then(|it| it.parse().ok())
                    .expect("a length");
                let mut payload = vec![0; length + 2];
                self.stream
                    .read_exact(&mut payload)
                    .await
                    .expect("a payload");
                payload.truncate(length);
                self.messages.push((words[1].to_owned(), payload));
            }
            _ => {}
        }
    }

    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.line_without_end()).await;
        line.expect("the server says something")
    }

    /// None when the server has hung up.
    async fn line_without_end(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }
}
