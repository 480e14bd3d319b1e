//! From the settings to AudioSocket.

use channels::audiosocket::{self, AudioSocket};

use crate::settings;

/// A listener for Asterisk, if one is wanted.
///
/// # Errors
/// Names the setting and what is wrong with it.
pub(crate) async fn open(settings: &settings::AudioSocket) -> Result<Option<AudioSocket>, String> {
    let Some(listen) = settings.listen else { return Ok(None) };
    let number = settings.number.clone();
    let number = number.ok_or("`audiosocket.listen` needs `audiosocket.number`: set both")?;
    let allow = settings.allow.iter().map(|net| net.parse());
    let allow: Result<_, String> = allow.collect();
    let allow = allow.map_err(|why| format!("`audiosocket.allow`: {why}"))?;
    let settings = audiosocket::Settings { listen, number, allow };
    Ok(Some(AudioSocket::open(settings).await?))
}
