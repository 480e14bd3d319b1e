//! The console's phone and text box: WebSockets of 16-bit sound and JSON.
