//! The network's side of one call: fetches TwiML and carries it out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::network::Network;
use super::stream::{Play, Stream, StreamEnd};
use super::twiml::Verb;
use super::{Act, Dialling, Seen, What};
use crate::double::twilio::{ACCOUNT, Form, field};
use crate::record::Record;

/// What to do after a verb.
enum Then {
    /// The next verb.
    Go,
    /// Another document.
    Document(String),
    /// The call is over.
    End(String),
}

/// The network's side of one call.
pub(super) struct Call {
    pub(super) network: Network,
    pub(super) sid: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) dialling: Dialling,
    /// What it begins with, if it was dialed.
    pub(super) twiml: Option<String>,
    pub(super) seen: Arc<Record<Seen>>,
    pub(super) heard: Arc<Record<Duration>>,
    pub(super) acts: mpsc::UnboundedReceiver<Act>,
    pub(super) updates: mpsc::UnboundedReceiver<Form>,
    pub(super) began: Instant,
    pub(super) to_play: VecDeque<Play>,
    pub(super) to_say: VecDeque<u8>,
}

impl Call {
    pub(super) fn saw(&self, what: What) {
        self.seen.push(Seen { at: self.began.elapsed(), what });
    }

    fn form(&self, status: &str, more: &[(&str, &str)]) -> Form {
        let fields = [
            ("CallSid", self.sid.as_str()),
            ("AccountSid", ACCOUNT),
            ("From", &self.from),
            ("Caller", &self.from),
            ("To", &self.to),
            ("Called", &self.to),
            ("CallStatus", status),
            ("ApiVersion", "2010-04-01"),
            ("Direction", "inbound"),
            ("CallerCity", ""),
        ];
        fields
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    pub(super) async fn live(mut self) {
        let url = format!("{}/twilio/voice", self.network.public);
        let mut document = match self.twiml.take() {
            Some(twiml) => {
                self.saw(What::Twiml(twiml.clone()));
                Ok(twiml)
            }
            None => self.fetch(&url, "ringing", &[]).await,
        };
        let why = loop {
            match document {
                Ok(twiml) => match self.run(&twiml).await {
                    Then::Document(next) => document = Ok(next),
                    Then::End(why) => break why,
                    Then::Go => break "the end of the TwiML".into(),
                },
                Err(why) => break why,
            }
        };
        self.network.twilio.disconnect(&self.sid);
        self.saw(What::Ended(why));
    }

    async fn fetch(
        &self,
        url: &str,
        status: &str,
        more: &[(&str, &str)],
    ) -> Result<String, String> {
        let (code, twiml) =
            self.network.webhook(&self.network.absolute(url), &self.form(status, more)).await;
        if code != 200 {
            return Err(format!("{url} answered {code}: {twiml}"));
        }
        self.saw(What::Twiml(twiml.clone()));
        Ok(twiml)
    }

    /// Carries out a document.
    async fn run(&mut self, twiml: &str) -> Then {
        let Ok(document) = roxmltree::Document::parse(twiml) else {
            return Then::End(format!("no TwiML: {twiml}"));
        };
        let verbs: Vec<Verb> = match document.root_element().tag_name().name() {
            "Response" => document
                .root_element()
                .children()
                .filter(|n| n.is_element())
                .map(Verb::read)
                .collect(),
            other => return Then::End(format!("the root is {other}")),
        };
        for verb in verbs {
            match self.carry_out(verb).await {
                Then::Go => {}
                other => return other,
            }
        }
        Then::End("the end of the TwiML".into())
    }

    async fn carry_out(&mut self, verb: Verb) -> Then {
        match verb {
            Verb::Connect { url, parameters, action } => {
                let end = self.stream(&url, &parameters).await;
                match (end, action) {
                    (Ok(StreamEnd::Closed), Some(action)) => self.follow(&action, &[]).await,
                    (Ok(StreamEnd::Closed), None) => Then::Go,
                    (Ok(StreamEnd::Update(form)), _) => self.update(&form).await,
                    (Ok(StreamEnd::HungUp), _) => Then::End("the caller hung up".into()),
                    (Err(why), _) => Then::End(why),
                }
            }
            Verb::Dial { numbers, timeout, action } => {
                self.saw(What::Dial { numbers, timeout });
                tokio::time::sleep(self.dialling.after).await;
                match action {
                    Some(action) => {
                        self.follow(&action, &[("DialCallStatus", self.dialling.status)]).await
                    }
                    None => Then::Go,
                }
            }
            Verb::Redirect(url) => self.follow(&url, &[]).await,
            Verb::Hangup => Then::End("<Hangup>".into()),
            Verb::Reject => Then::End("<Reject>".into()),
            Verb::Pause(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Then::Go
            }
            Verb::Say => {
                self.saw(What::Sound);
                Then::Go
            }
            Verb::Unknown(name) => {
                self.saw(What::Violation(format!("the verb <{name}>")));
                Then::Go
            }
        }
    }

    async fn follow(&self, url: &str, more: &[(&str, &str)]) -> Then {
        match self.fetch(url, "in-progress", more).await {
            Ok(twiml) => Then::Document(twiml),
            Err(why) => Then::End(why),
        }
    }

    async fn update(&self, form: &[(String, String)]) -> Then {
        let (twiml, url) = (field(form, "Twiml"), field(form, "Url"));
        if !twiml.is_empty() {
            self.saw(What::Twiml(twiml.into()));
            Then::Document(twiml.into())
        } else if !url.is_empty() {
            self.follow(url, &[]).await
        } else {
            Then::End("ended by REST".into())
        }
    }

    /// A media stream, from the upgrade to its end.
    async fn stream(
        &mut self,
        url: &str,
        parameters: &[(String, String)],
    ) -> Result<StreamEnd, String> {
        if !url.starts_with("wss://") {
            self.saw(What::Violation(format!("a stream's address must be wss, not {url}")));
        }
        if url.contains('?') {
            self.saw(What::Violation(format!("31920: a query in {url}")));
        }
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let mut request =
            format!("ws://{}/{path}", self.network.server).into_client_request().unwrap();
        let signature = self.network.signer.sign(url, &[]).await;
        request.headers_mut().insert("x-twilio-signature", signature.parse().unwrap());
        let (socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .map_err(|why| format!("31920: {why}"))?;
        self.saw(What::Stream);
        self.to_play.clear();
        let stream = format!("MZ{}", uuid::Uuid::now_v7().simple());
        let end = Stream::new(socket, stream).run(self, parameters).await;
        let by = match end {
            StreamEnd::Closed => "voxflow",
            StreamEnd::Update(_) => "REST",
            StreamEnd::HungUp => "the caller",
        };
        self.saw(What::StreamClosed(by));
        Ok(end)
    }
}
