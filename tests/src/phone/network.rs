//! The way between Twilio and voxflow: signed webhooks.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::double::twilio::Twilio;
use crate::python::Signer;

/// The network between Twilio and voxflow.
#[derive(Clone)]
pub struct Network {
    /// Where voxflow listens.
    pub server: SocketAddr,
    /// How voxflow is known in public, such as `https://voice.example.com`: what is signed.
    pub public: String,
    /// The carrier's REST API, which redirects calls.
    pub twilio: Arc<Twilio>,
    /// Signs as Twilio does.
    pub signer: Arc<Signer>,
}

impl Network {
    /// A signed webhook, as Twilio posts it.
    ///
    /// # Panics
    /// When voxflow cannot be reached.
    pub async fn webhook(&self, url: &str, form: &[(String, String)]) -> (u16, String) {
        let signature = self.signer.sign(url, form).await;
        self.post(url, form, Some(&signature)).await
    }

    /// A webhook with this signature, or none.
    ///
    /// # Panics
    /// When voxflow cannot be reached.
    pub async fn post(
        &self,
        url: &str,
        form: &[(String, String)],
        signature: Option<&str>,
    ) -> (u16, String) {
        let path = url.strip_prefix(&self.public).unwrap_or(url);
        let mut request =
            crate::rig::http().post(format!("http://{}{path}", self.server)).form(form);
        if let Some(signature) = signature {
            request = request.header("X-Twilio-Signature", signature);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// An address in TwiML, absolute.
    pub(crate) fn absolute(&self, url: &str) -> String {
        if url.contains("://") {
            url.into()
        } else {
            format!("{}/{}", self.public, url.trim_start_matches('/'))
        }
    }
}
