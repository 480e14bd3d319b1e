//! Puts the house together: the only place that knows vendors, carriers, store and queue at once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use call::waiting::{self, Waiting};
use call::{Destination, Switchboard};
use conversation::quiet::Quiet;
use conversation::{Delivery, Inbox, Messenger, Tenant};
use jiff::Timestamp;
use runtime::agreed::Agreed;
use runtime::{Agents, Aide, Clock, Limits, Parts, Role, Runtime, Texting};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::carriers::{self, Carriers};
use crate::catalog;
use crate::guard::Guard;
use crate::library::Shelf;
use crate::mail::Mail;
use crate::neighbours;
use crate::numbers;
use crate::settings::{self, Policy, Settings, Vendor};
use crate::web::Http;

/// Everything, ready to run.
pub(crate) struct House {
    /// All doors.
    pub(crate) router: Router,
    /// What works behind them.
    pub(crate) runtime: Arc<Runtime>,
    /// Numbers that are answered.
    pub(crate) numbers: usize,
    /// What an agent uses whose flow does not say.
    pub(crate) engines: providers::Names,
}

/// How Twilio's texts leave when there is no account.
pub(crate) enum WithoutTwilio {
    /// They are refused, and so are webhooks.
    Refused,
    /// The demo: webhooks of this machine are taken unsigned, and texts go to this messenger.
    Demo(Arc<dyn Messenger>),
}

/// Builds everything from the settings.
///
/// # Errors
/// What cannot be used, and why, in words for the operator.
pub(crate) async fn build(
    settings: &Settings,
    without_twilio: WithoutTwilio,
    role: Role,
    stop: &CancellationToken,
) -> Result<House, String> {
    shared(settings, role)?;
    // Taken by whoever came first; all of them are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = crate::log::count(stop).map_err(|error| error.to_string())?;
    let clock = Agreed::new(Arc::new(runtime::clock::System));
    let now = clock.now();
    let folders = numbers::folders(&settings.number);
    let engines = providers::Engines::new(engine_settings(settings, &folders))
        .map_err(|error| error.to_string())?;
    let (names, engines) = (engines.names(), Arc::new(engines));
    let catalog = catalog::usable(engines.clone());
    let reading = numbers::Reading { now, catalog };
    let numbers = numbers::load(&settings.number, &settings.hook, reading)?;
    let flows = numbers::named(&settings.flow, reading)?;

    let store = store::open(settings.database.expose_secret())
        .await
        .map_err(|error| format!("`database`: {error}"))?;
    let queue = queue::open(settings.queue.expose_secret())
        .await
        .map_err(|error| format!("`queue`: {error}"))?;
    let doors = queue::open_doors(settings.queue.expose_secret())
        .await
        .map_err(|error| format!("`queue`: {error}"))?;
    let shelf = library(settings, folders)?;
    let web = web(settings)?;
    let mail = Mail::new(&settings.smtp)?.map(|mail| Arc::new(mail) as Arc<dyn Aide>);

    let (asterisk, sip) = match role {
        Role::Worker => (None, None),
        Role::All | Role::Edge => (
            carriers::audiosocket::open(&settings.audiosocket).await?,
            carriers::sip::open(&settings.sip).await?,
        ),
    };
    let worker = worker_name(now);
    let address = match role {
        // Nothing comes to its doors.
        Role::Worker => None,
        Role::All | Role::Edge => neighbours::own_address(settings).await?,
    };
    let process = address.is_some().then(|| worker.clone());
    let carriers = Carriers::new(settings, process, sip.as_ref(), without_twilio)?;
    let count = numbers.0.len();
    let runtime = Runtime::new(Parts {
        store,
        queue,
        doors,
        role,
        clock: Arc::new(clock),
        vendors: engines,
        library: Arc::new(shelf),
        web: Arc::new(web),
        services: mail.into_iter().collect(),
        recordings: settings.media.recordings.clone().map(Into::into),
        dialers: carriers.dialers.clone().into(),
        full_above: Limits {
            late: Duration::from_millis(settings.full_above_ms),
            busy: settings.full_above_percent,
        },
        waiting: waiting_lines(&settings.waiting_line)?,
        messengers: carriers.messengers.clone(),
        texting: texting(&settings.texting)?,
        delivery: deliveries(&settings.delivery),
        catalog,
        numbers,
        flows,
        agents: agents(&settings.ai)?,
        idle_s: numbers::seconds(settings.conversation.idle_timeout_hours),
        worker,
        address,
    });

    let of_tenants = settings.access_key.iter().cloned();
    let access = api::Access::new(settings.access_keys.clone())
        .and_tenants(of_tenants.map(|access| (access.key, access.tenant)).collect());
    let inbox: Arc<dyn Inbox> = runtime.clone();
    let switchboard: Arc<dyn Switchboard> = runtime.clone();
    if let Some(sip) = sip {
        // As long as the process: calls go on while it drains.
        tokio::spawn(sip.serve(Arc::clone(&switchboard), stop.clone()));
    }
    if let Some(asterisk) = asterisk {
        tokio::spawn(asterisk.serve(Arc::clone(&switchboard), stop.clone()));
    }
    let api = api::Api {
        runtime: Arc::clone(&runtime),
        catalog,
        access: access.clone(),
        metrics,
        stop: stop.clone(),
    };
    let router = match role {
        Role::Worker => api::health(&api),
        Role::All | Role::Edge => api::router(api)
            .merge(access.guard(carriers.browser.router(inbox.clone(), switchboard.clone())))
            .merge(carriers.router(&inbox, switchboard)),
    };
    Ok(House { router, runtime, numbers: count, engines: names })
}

/// A process that does a part of the work shares it with those that do the rest.
fn shared(settings: &Settings, role: Role) -> Result<(), String> {
    let alone = |setting: &str, own: &str, url: &str| {
        Err(format!(
            "`--role edge` and `--role worker` are parts of several processes, and `{setting}` is \
             {own}: set it to `{url}`, or leave `--role` out"
        ))
    };
    if role == Role::All {
        Ok(())
    } else if settings.queue.expose_secret() == "embedded" {
        alone("queue", "this process's own", "amqp://...")
    } else if settings.database.expose_secret().starts_with("sqlite:") {
        alone("database", "a file of this machine", "postgres://...")
    } else {
        Ok(())
    }
}

/// How texts leave.
fn texting(settings: &settings::Texting) -> Result<Texting, String> {
    let quiet = match (&settings.quiet_from, &settings.quiet_until) {
        (Some(from), Some(until)) => {
            let quiet = Quiet::new(from, until, &settings.quiet_zone);
            Some(quiet.map_err(|why| format!("`texting`: {why}"))?)
        }
        (None, None) => None,
        _ => return Err("`texting.quiet_from` needs `texting.quiet_until`: set both".into()),
    };
    if settings.per_second.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
        return Err("`texting.per_second` must be above 0; leave it out for no limit".into());
    }
    Ok(Texting { per_second: settings.per_second, smart: settings.smart_encoding, quiet })
}

/// The agents that flows name.
fn agents(settings: &[settings::Ai]) -> Result<Agents, String> {
    let mut agents = Agents::default();
    for settings::Ai { id, file } in settings {
        let named = |why: String| format!("the agent {id}, {}: {why}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
        let agent = serde_json::from_str(&text).map_err(|error| named(error.to_string()))?;
        if agents.0.insert(id.clone(), agent).is_some() {
            return Err(format!("the agent {id} is in the settings twice"));
        }
    }
    Ok(agents)
}

/// Where callers wait.
fn waiting_lines(settings: &[settings::WaitingLine]) -> Result<Waiting, String> {
    let mut lines = HashMap::new();
    for line in settings {
        let tenant = line.tenant.clone().map(Tenant).unwrap_or_default();
        let member = |to: &String| {
            let kind =
                if to.starts_with("sip:") || to.starts_with("sips:") { "sip" } else { "tel" };
            Destination { kind: kind.into(), target: to.clone(), name: None }
        };
        let terms = waiting::Terms {
            members: line.members.iter().map(member).collect(),
            ring: Duration::from_secs(line.ring_s),
            longest: line.wait_s.map(Duration::from_secs),
            music: line.music.clone(),
            announce: line.announce.clone(),
        };
        if lines.insert((tenant.0, line.name.clone()), terms).is_some() {
            return Err(format!("the waiting line {} is in the settings twice", line.name));
        }
    }
    Ok(Waiting::new(lines))
}

/// What each channel does with a text that may have left.
fn deliveries(settings: &settings::Delivery) -> HashMap<String, Delivery> {
    let policy = |policy| match policy {
        Policy::AtMostOnce => Delivery::AtMostOnce,
        Policy::AtLeastOnce => Delivery::AtLeastOnce,
    };
    let channels = [
        ("twilio", settings.twilio),
        ("telnyx", settings.telnyx),
        ("voipms", settings.voipms),
        ("line", settings.line),
        ("hook", settings.hook),
        ("browser", settings.browser),
    ];
    channels.map(|(channel, wanted)| (channel.to_owned(), policy(wanted))).into()
}

fn engine_settings(settings: &Settings, folders: &[PathBuf]) -> providers::Settings {
    let account = |(name, vendor): (&str, &Vendor)| {
        let Vendor { api_key, base_url } = vendor.clone();
        (name.to_owned(), providers::Key { api_key, base_url })
    };
    let agent = settings.agent.clone();
    providers::Settings {
        accounts: settings.accounts().map(account).collect(),
        rules: folders.to_vec(),
        engine_model: agent.engine_model,
        stt_type: agent.stt_type,
        tts_type: agent.tts_type,
        tts_voice_id: agent.tts_voice_id,
    }
}

fn library(settings: &Settings, folders: Vec<PathBuf>) -> Result<Shelf, String> {
    let folders = settings.media.folder.clone().map_or(folders, |folder| vec![folder]);
    let anywhere = settings.media.allow_private_addresses;
    let setting = "media.allow_private_addresses";
    Shelf::new(folders, Guard { anywhere, plain: false, setting })
}

fn web(settings: &Settings) -> Result<Http, String> {
    let anywhere = settings.web.allow_private_addresses;
    Http::new(Guard { anywhere, plain: true, setting: "web.allow_private_addresses" })
}

/// A name among the processes of one database: the machine's word for this process, and when.
fn worker_name(now: Timestamp) -> String {
    format!("{}-{}", std::process::id(), now.as_microsecond())
}
