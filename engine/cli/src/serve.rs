//! Serves until it is told to stop: binds, wires, works, drains.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;
use crate::wire::{self, House, WithoutTwilio};

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

/// `voxflow serve`: everything in one process.
///
/// # Errors
/// Why it could not begin, or did not end cleanly.
pub(crate) async fn serve(settings: Settings) -> Result<(), String> {
    crate::log::begin(None)?;
    let listener = bind(settings.listen).await?;
    let stop = stop_on_signal()?;
    let house = wire::build(&settings, WithoutTwilio::Refused, &stop).await?;
    if house.numbers == 0 {
        tracing::warn!("no number is set up: add a [[number]] to the settings");
    }
    tracing::info!(address = %settings.listen, numbers = house.numbers, "serving");
    run(listener, house, stop, Duration::from_secs(settings.drain_s)).await
}

/// Works until `stop`, then for at most `drain`.
///
/// # Errors
/// The listener broke, or what was begun did not end in time.
pub(crate) async fn run(
    listener: TcpListener,
    house: House,
    stop: CancellationToken,
    drain: Duration,
) -> Result<(), String> {
    let House { router, runtime, .. } = house;
    let working = tokio::spawn(runtime.serve(stop.clone()));
    let http = tokio::spawn(listen(listener, router, stop.clone()));

    let mut ended = tokio::spawn(async move {
        let (worked, served) = tokio::join!(working, http);
        worked.map_err(|error| format!("the runtime broke: {error}"))?;
        served.map_err(|error| format!("HTTP broke: {error}"))?
    });
    tokio::select! {
        () = stop.cancelled() => {}
        // It never ends by itself: something is broken, and all of it shall stop.
        result = &mut ended => {
            stop.cancel();
            return result.map_err(|error| error.to_string())?;
        }
    }
    tracing::info!(at_most = ?drain, "stopping");
    match tokio::time::timeout(drain, &mut ended).await {
        Ok(result) => result.map_err(|error| error.to_string())?,
        Err(_) => {
            ended.abort();
            tracing::warn!("some connections did not end in time and were cut");
            Ok(())
        }
    }
}

async fn listen(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> Result<(), String> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
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
