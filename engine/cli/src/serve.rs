//! Serves until it is told to stop: binds, wires, works, drains.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use runtime::Role;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;
use crate::wire::{self, House, WithoutTwilio};

/// How long a stop waits for answers that are being written, and for what it says last.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Takes the address before anything else is begun.
///
/// # Errors
/// Names the address, and the way out when somebody else has it.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is taken by another program; end it, or choose another address: \
             VOXFLOW_LISTEN={}:{}",
            address.ip(),
            address.port().wrapping_add(1).max(1024)
        ),
        _ => format!("{address} cannot be listened on: {error}; choose another: VOXFLOW_LISTEN"),
    })
}

/// `voxflow serve`: everything in one process, or its part of it.
///
/// # Errors
/// Why it could not begin, or did not end cleanly.
pub(crate) async fn serve(settings: Settings, role: Role) -> Result<(), String> {
    let traces = crate::log::begin(None)?;
    let listener = bind(settings.listen).await?;
    let stop = stop_on_signal()?;
    let house = wire::build(&settings, WithoutTwilio::Refused, role, &stop).await?;
    if house.numbers == 0 {
        tracing::warn!("no number is set up: add a [[number]] to the settings");
    }
    tracing::info!(address = %settings.listen, numbers = house.numbers, "serving");
    let ended = run(listener, house, stop, Duration::from_secs(settings.drain_s)).await;
    traces.end().await;
    ended
}

/// Works until `stop`, then for at most `drain`: no new jobs, while live calls go on. Where another
/// process is there they are handed over to it, behind closed doors, so that whoever spreads requests
/// brings them there; else they go on with the doors open that their carriers need.
///
/// # Errors
/// The listener or the runtime broke.
pub(crate) async fn run(
    listener: TcpListener,
    house: House,
    stop: CancellationToken,
    drain: Duration,
) -> Result<(), String> {
    let House { router, runtime, .. } = house;
    let doors = CancellationToken::new();
    let mut working = tokio::spawn(Arc::clone(&runtime).serve(stop.clone()));
    let mut http = tokio::spawn(listen(listener, router, doors.clone()));
    tokio::select! {
        // Told to stop, the runtime may end before we look: that is no breakage.
        biased;
        () = stop.cancelled() => {}
        // Neither ends by itself: something is broken, and all of it shall stop.
        ended = &mut working => return Err(broken("the runtime", ended.map(|()| Ok(())))),
        ended = &mut http => return Err(broken("HTTP", ended)),
    }
    tracing::info!(at_most = ?drain, calls = runtime.live_calls(), "stopping");
    let drained = tokio::time::timeout(drain + LAST_ANSWERS, async {
        let (worked, ()) = tokio::join!(working, runtime.drain(drain, &doors));
        worked
    });
    match drained.await {
        Ok(worked) => worked.map_err(|error| format!("the runtime broke: {error}"))?,
        Err(_) => tracing::warn!(calls = runtime.live_calls(), "not done in time; cut"),
    }
    doors.cancel();
    // Answers that are on their way; a peer that does not read them must not hold us.
    let _ = tokio::time::timeout(LAST_ANSWERS, http).await;
    Ok(())
}

fn broken(what: &str, ended: Result<Result<(), String>, JoinError>) -> String {
    match ended {
        Ok(Ok(())) => format!("{what} ended by itself"),
        Ok(Err(why)) => format!("{what} broke: {why}"),
        Err(error) => format!("{what} broke: {error}"),
    }
}

async fn listen(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> Result<(), String> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    // A frame of sound is sent when it is due, not when the one before it was acknowledged.
    let listener = listener.tap_io(|tcp| {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
    });
    let stopped = async move { stop.cancelled().await };
    axum::serve(listener, service)
        .with_graceful_shutdown(stopped)
        .await
        .map_err(|error| error.to_string())
}

/// SIGINT and SIGTERM stop; a second one ends the process at once.
///
/// # Errors
/// The system lets nobody listen to signals.
pub(crate) fn stop_on_signal() -> Result<CancellationToken, String> {
    let heard = |kind| signal(kind).map_err(|error| format!("signals cannot be heard: {error}"));
    let mut interrupt = heard(SignalKind::interrupt())?;
    let mut terminate = heard(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if told.is_cancelled() {
                // As a shell tells the end by SIGINT.
                std::process::exit(130);
            }
            told.cancel();
        }
    });
    Ok(stop)
}
