//! E-mails, for the action `send_email`: handed to the operator's mail server over SMTP.

use std::time::Duration;

use async_trait::async_trait;
use flow::Vars;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::settings::{Smtp, Tls};

/// How long the server may take for each step.
const PATIENCE: Duration = Duration::from_secs(20);

/// Hands e-mails to a server.
pub(crate) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// The options of `send_email`.
#[derive(Deserialize)]
struct Wanted {
    destinations: Vec<String>,
    subject: String,
    content: String,
    #[serde(default)]
    attachments: Vec<Value>,
}

impl Mail {
    /// From the settings; `None` when no server is named.
    ///
    /// # Errors
    /// What is missing or wrong in `[smtp]`.
    pub(crate) fn new(settings: &Smtp) -> Result<Option<Self>, String> {
        let Some(host) = &settings.host else { return Ok(None) };
        let from = settings.from.as_ref().ok_or("`smtp.from` is missing: who sends e-mails?")?;
        let from: Mailbox =
            from.parse().map_err(|error| format!("`smtp.from` is no address: {error}"))?;
        type Transport = AsyncSmtpTransport<Tokio1Executor>;
        let builder = match settings.tls {
            Tls::Starttls => Transport::starttls_relay(host),
            Tls::Always => Transport::relay(host),
            Tls::Never => Ok(Transport::builder_dangerous(host)),
        };
        let mut builder = builder
            .map_err(|error| format!("`smtp.host` cannot be used: {error}"))?
            .timeout(Some(PATIENCE));
        if let Some(port) = settings.port {
            builder = builder.port(port);
        }
        match (&settings.user, &settings.password) {
            (Some(user), Some(password)) => {
                let password = password.expose_secret().to_owned();
                builder = builder.credentials(Credentials::new(user.clone(), password));
            }
            (None, None) => {}
            _ => return Err("`smtp.user` and `smtp.password` are of use only together".into()),
        }
        Ok(Some(Self { transport: builder.build(), from }))
    }

    fn message(&self, key: &str, option: &Value) -> Result<(Message, String), String> {
        let wanted = Wanted::deserialize(option).map_err(|error| error.to_string())?;
        if !wanted.attachments.is_empty() {
            return Err("attachments cannot be sent here".into());
        }
        // The same for the same wish, so that a receiver can tell a second one.
        let local: String =
            key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '.' }).collect();
        let id = format!("<{local}@{}>", self.from.email.domain());
        let mut message = Message::builder()
            .message_id(Some(id.clone()))
            .from(self.from.clone())
            .subject(wanted.subject)
            .header(ContentType::TEXT_PLAIN);
        for to in &wanted.destinations {
            let to: Mailbox =
                to.parse().map_err(|error| format!("`{to}` is no e-mail address: {error}"))?;
            message = message.to(to);
        }
        let message = message.body(wanted.content).map_err(|error| error.to_string())?;
        Ok((message, id))
    }
}

#[async_trait]
impl runtime::Aide for Mail {
    fn name(&self) -> &'static str {
        "send_email"
    }

    async fn call(&self, key: &str, option: &Value) -> Result<Vars, String> {
        let (message, id) = self.message(key, option)?;
        let sent = self.transport.send(message).await;
        sent.map_err(|error| format!("the mail server: {error}"))?;
        Ok(Vars::from([("id".into(), json!(id))]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use runtime::Aide;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// A mail server for one letter, which it gives back; `no@...` is nobody there.
    async fn server() -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let (reader, mut writer) = socket.into_split();
            let mut lines = BufReader::new(reader).lines();
            writer.write_all(b"220 double ESMTP\r\n").await.unwrap();
            let (mut letter, mut data) = (String::new(), false);
            while let Ok(Some(line)) = lines.next_line().await {
                letter.push_str(&line);
                letter.push('\n');
                let answer = match line.split([' ', ':']).next().unwrap() {
                    "." if data => {
                        data = false;
                        "250 taken"
                    }
                    _ if data => continue,
                    "EHLO" => "250-double\r\n250 AUTH PLAIN",
                    "AUTH" => "235 welcome",
                    "RCPT" if line.contains("<no@") => "550 nobody here",
                    "DATA" => {
                        data = true;
                        "354 go on"
                    }
                    "QUIT" => "221 bye",
                    _ => "250 ok",
                };
                writer.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
            }
            letter
        });
        (port, served)
    }

    fn mail(port: u16) -> Mail {
        // Taken by whoever came first; all of them are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = Smtp {
            host: Some("127.0.0.1".into()),
            port: Some(port),
            tls: Tls::Never,
            user: Some("shop".into()),
            password: Some("hunter2".into()),
            from: Some("Shop <shop@example.com>".into()),
        };
        Mail::new(&settings).unwrap().unwrap()
    }

    fn letter(to: &str) -> Value {
        json!({ "destinations": [to], "subject": "Your order", "content": "It is on its way." })
    }

    #[tokio::test]
    async fn a_letter_reaches_the_server_with_an_id_of_its_own() {
        let (port, served) = server().await;
        let mail = mail(port);
        let values = mail.call("r1/mail/1/1", &letter("ann@example.com")).await.unwrap();
        assert_eq!(values["id"], "<r1.mail.1.1@example.com>");
        drop(mail);
        let letter = served.await.unwrap();
        for line in [
            "MAIL FROM:<shop@example.com>",
            "RCPT TO:<ann@example.com>",
            "Subject: Your order",
            "Message-ID: <r1.mail.1.1@example.com>",
            "It is on its way.",
        ] {
            assert!(letter.contains(line), "{line}: {letter}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_without_the_password() {
        let (port, _served) = server().await;
        let why = mail(port).call("k", &letter("no@example.com")).await.unwrap_err();
        assert!(why.contains("nobody here") && !why.contains("hunter2"), "{why}");
        let why = mail(port).call("k", &letter("not an address")).await.unwrap_err();
        assert!(why.contains("`not an address` is no e-mail address"), "{why}");
    }

    #[test]
    fn settings_that_lack_something_say_what() {
        let host = || Smtp { host: Some("mail.example.com".into()), ..Smtp::default() };
        let why = |settings: Smtp| Mail::new(&settings).err().unwrap();
        assert!(Mail::new(&Smtp::default()).unwrap().is_none());
        assert!(why(host()).contains("`smtp.from` is missing"));
        let from = || Some("shop@example.com".to_owned());
        let half = Smtp { user: Some("shop".into()), from: from(), ..host() };
        assert!(why(half).contains("only together"));
    }
}
