//! A post office: the doors of one carrier of texts, a runtime that records, its API as told.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use conversation::{Address, Inbox, Message, Messenger, Outgoing, Refusal, Sent, Tenant};

use crate::house::{Desk, OURS, PEER, Reply, Rest, client, serve};

pub(crate) struct Post {
    pub(crate) at: SocketAddr,
    pub(crate) desk: Arc<Desk>,
    pub(crate) rest: Arc<Rest>,
    pub(crate) carrier: Arc<dyn Messenger>,
    pub(crate) http: reqwest::Client,
}

impl Post {
    /// Opens a carrier, made by the address of its API.
    pub(crate) async fn open<C: Messenger + 'static>(
        carrier: impl FnOnce(String) -> Arc<C>,
        router: impl FnOnce(&Arc<C>, Arc<dyn Inbox>) -> Router,
    ) -> Self {
        let http = client();
        let (rest, rest_at) = Rest::open().await;
        let carrier = carrier(format!("http://{rest_at}"));
        let desk = Arc::new(Desk::default());
        let at = serve(router(&carrier, desk.clone())).await;
        Self { at, desk, rest, carrier, http }
    }

    /// Posts a body with these headers; status and answer.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let mut request = self.http.post(format!("http://{}{path}", self.at)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.desk.messages.lock().unwrap().clone()
    }

    /// Sends a text, which is answered so.
    pub(crate) async fn sends(&self, text: &Outgoing, reply: Reply) -> Result<Sent, Refusal> {
        self.rest.replies.lock().unwrap().push_back(reply);
        self.carrier.send(text).await
    }

    /// The newest request to the API.
    pub(crate) fn asked(&self) -> crate::house::Asked {
        self.rest.asked.lock().unwrap().last().unwrap().clone()
    }
}

/// A text of ours by this channel.
pub(crate) fn outgoing(channel: &str, text: &str) -> Outgoing {
    Outgoing {
        key: "run/1/1".into(),
        tenant: Tenant::default(),
        channel: channel.into(),
        ours: Address::phone(OURS).unwrap(),
        peer: Address::phone(PEER).unwrap(),
        text: text.into(),
        media: Vec::new(),
        prompted: true,
        trace: None,
    }
}

/// An answer without headers.
pub(crate) fn answer(status: u16, body: &str) -> Reply {
    Some((status, Vec::new(), body.into()))
}
