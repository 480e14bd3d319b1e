//! From the settings to carriers: those that have credentials, and doors for all of them.

pub(crate) mod audiosocket;
pub(crate) mod sip;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use call::{Dialer, Switchboard};
use channels::Unsigned;
use channels::browser::Browser;
use channels::hook::{self, Hooks};
use channels::line::{self, Line};
use channels::sip::Sip;
use channels::telnyx::{self, Telnyx};
use channels::twilio::{self, Twilio};
use channels::voipms::{self, VoipMs};
use conversation::{Inbox, Messenger};

use crate::settings::{self, Carrier, Number, Settings};
use crate::traces;
use crate::wire::WithoutTwilio;

/// Everyone who carries calls and texts.
pub(crate) struct Carriers {
    /// The console's phone and text box: behind the API's keys, unlike the others.
    pub(crate) browser: Arc<Browser>,
    twilio: Arc<Twilio>,
    telnyx: Arc<Telnyx>,
    voipms: Arc<VoipMs>,
    line: Arc<Line>,
    hooks: Arc<Hooks>,
    /// One for each channel. Texts to phones leave by the first that reaches them.
    pub(crate) messengers: Vec<Arc<dyn Messenger>>,
    /// Those that can dial; a call prefers its own, then the first that reaches.
    pub(crate) dialers: Vec<Arc<dyn Dialer>>,
}

impl Carriers {
    /// `process` is the name of this one among those behind the same address; `None` = it is alone.
    ///
    /// # Errors
    /// Names the setting and what is wrong with it.
    pub(crate) fn new(
        settings: &Settings,
        process: Option<String>,
        sip: Option<&Arc<Sip>>,
        without: WithoutTwilio,
    ) -> Result<Self, String> {
        settings.number.iter().try_for_each(|number| is_set_up(number, settings, sip.is_some()))?;
        let here = format!("http://{}", settings.listen);
        let public_url = settings.public_url.clone().unwrap_or(here);
        let unsigned = match without {
            WithoutTwilio::Demo(_) => Unsigned::FromLoopback,
            WithoutTwilio::Refused => Unsigned::Refuse,
        };
        let or = |url: &Option<String>, usual: &str| url.clone().unwrap_or_else(|| usual.into());
        let browser = Browser::new();
        let twilio =
            Twilio::new(by_twilio(&settings.twilio, &public_url, process.clone(), unsigned)?)?;
        let settings::Telnyx {
            api_key,
            connection_id,
            webhook_public_key,
            webhook_secret,
            base_url,
        } = settings.telnyx.clone();
        let (telnyx_sends, voipms_sends) =
            (api_key.is_some(), settings.voipms.api_username.is_some());
        let telnyx = Telnyx::new(telnyx::Settings {
            api_key,
            connection_id,
            public_key: webhook_public_key,
            webhook_secret,
            base_url: or(&base_url, telnyx::BASE_URL),
            public_url,
            process,
            unsigned,
            limits: telnyx::Limits::default(),
        })?;
        let settings::VoipMs { api_username, api_password, webhook_secret, base_url } =
            settings.voipms.clone();
        let base_url = or(&base_url, voipms::BASE_URL);
        let voipms =
            voipms::Settings { api_username, api_password, webhook_secret, base_url, unsigned };
        let voipms = VoipMs::new(voipms)?;
        let settings::Line { channel_secret, channel_token, base_url } = settings.line.clone();
        let base_url = or(&base_url, line::BASE_URL);
        let line = Line::new(line::Settings { channel_secret, channel_token, base_url, unsigned })?;
        let hooks = settings.hook.iter().cloned();
        let hooks =
            hooks.map(|settings::Hook { name, secret, url }| hook::Hook { name, secret, url });
        let hooks = Hooks::new(hooks.collect())?;

        let texts_by_twilio: Arc<dyn Messenger> = match without {
            WithoutTwilio::Demo(messenger) if settings.twilio.auth_token.is_none() => messenger,
            WithoutTwilio::Demo(_) | WithoutTwilio::Refused => twilio.clone(),
        };
        let mut phones: Vec<(bool, Arc<dyn Messenger>)> = vec![
            (settings.twilio.auth_token.is_some(), texts_by_twilio),
            (telnyx_sends, telnyx.clone()),
            (voipms_sends, voipms.clone()),
        ];
        // Whoever can send goes before who cannot.
        phones.sort_by_key(|(sends, _)| !sends);
        let mut messengers: Vec<_> = phones.into_iter().map(|(_, messenger)| messenger).collect();
        messengers.extend([
            line.clone() as Arc<dyn Messenger>,
            hooks.clone() as Arc<dyn Messenger>,
            browser.clone() as Arc<dyn Messenger>,
        ]);
        let mut dialers: Vec<Arc<dyn Dialer>> = Vec::new();
        // A trunk was named on purpose, and costs least.
        dialers.extend(sip.map(|sip| Arc::clone(sip) as Arc<dyn Dialer>));
        dialers.push(twilio.clone());
        dialers.push(telnyx.clone());
        Ok(Self { browser, twilio, telnyx, voipms, line, hooks, messengers, dialers })
    }

    /// The doors of those that prove who they are by a signature.
    pub(crate) fn router(&self, inbox: &Arc<dyn Inbox>, calls: Arc<dyn Switchboard>) -> Router {
        let inbox = || Arc::clone(inbox);
        self.twilio
            .router(inbox(), Arc::clone(&calls))
            .merge(self.telnyx.router(inbox(), calls))
            .merge(self.voipms.router(inbox()))
            .merge(self.line.router(inbox()))
            .merge(self.hooks.router(inbox()))
            .layer(from_fn(traces::door))
    }
}

/// Whether the carrier that a number names can carry anything.
fn is_set_up(number: &Number, settings: &Settings, sip: bool) -> Result<(), String> {
    let Some(carrier) = number.carrier else { return Ok(()) };
    let (there, help) = match carrier {
        Carrier::Twilio => {
            (settings.twilio.auth_token.is_some(), "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
        }
        Carrier::Telnyx => (settings.telnyx.api_key.is_some(), "set TELNYX_API_KEY"),
        Carrier::Voipms => (
            settings.voipms.api_username.is_some(),
            "set VOIPMS_API_USERNAME and VOIPMS_API_PASSWORD",
        ),
        Carrier::Sip => (sip, "add `[sip]` with `listen`"),
    };
    if there {
        return Ok(());
    }
    let (number, carrier) = (&number.number, carrier.name());
    Err(format!("the number {number} names the carrier `{carrier}`, which is not set up: {help}"))
}

fn by_twilio(
    settings: &settings::Twilio,
    public_url: &str,
    process: Option<String>,
    unsigned: Unsigned,
) -> Result<twilio::Settings, String> {
    if settings.account_sid.is_some() != settings.auth_token.is_some() {
        let message = "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are of use only together: set both";
        return Err(message.into());
    }
    let mut wanted = twilio::Settings::new(public_url);
    if let Some(sid) = &settings.account_sid {
        wanted.account_sid = sid.clone();
    }
    wanted.auth_token = settings.auth_token.clone();
    if let Some(url) = &settings.base_url {
        wanted.base_url = url.clone();
    }
    wanted.process = process;
    wanted.unsigned = unsigned;
    Ok(wanted)
}
