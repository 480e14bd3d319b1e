//! How failures of vendors are counted: one metric for all that they do.

use agent::Error;

/// Counts a failure of a vendor that was dropped for it, or tried again. `part` is what it did:
/// `stt`, `llm`, `tts`, or `duplex` for all of them at once.
pub fn failed(part: &'static str, error: &Error) {
    let (vendor, kind) = (error.vendor(), error.kind());
    metrics::counter!("voxflow_vendor_errors_total", "part" => part, "vendor" => vendor, "kind" => kind)
        .increment(1);
}
