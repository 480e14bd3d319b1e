//! Server-sent events: bytes in, the data of events out. Pure.
//!
//! Bytes may be cut anywhere, in the middle of a line's end and of a character too.

/// A line longer than this is no answer of a model, bytes.
const LONGEST: usize = 1 << 20;

/// Reads events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// Data of the event that has not ended yet.
    data: Option<String>,
    /// The last byte was a `\r`: a `\n` after it belongs to the same end of line.
    returned: bool,
}

/// The stream is no stream of events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Events {
    /// The data of the events that end in these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            let follows = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' if follows => {}
                b'\n' | b'\r' => {
                    if let Some(event) = self.end_of_line() {
                        events.push(event);
                    }
                }
                _ if self.line.len() + self.data.as_ref().map_or(0, String::len) >= LONGEST => {
                    return Err(TooLong);
                }
                byte => self.line.push(*byte),
            }
        }
        Ok(events)
    }

    /// What is left when the stream ends: some services forget the last empty line.
    pub(crate) fn finish(mut self) -> Option<String> {
        if !self.line.is_empty() {
            self.end_of_line();
        }
        self.data
    }

    fn end_of_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.data.take();
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn events_do_not_depend_on_where_bytes_are_cut() {
        let text = ": hello\r\ndata: {\"a\":\"grün 🙂\"}\r\n\r\nevent: x\ndata:1\ndata: 2\n\ndata: [DONE]\r\rid: 7\n\ndata: rest";
        let whole = ["{\"a\":\"grün 🙂\"}", "1\n2", "[DONE]"];
        for size in 1..text.len() {
            let mut events = Events::default();
            let mut got = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                got.extend(events.push(piece).unwrap());
            }
            assert_eq!(got, whole, "in pieces of {size}");
            assert_eq!(events.finish().unwrap(), "rest");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut events = Events::default();
        let piece = vec![b'x'; LONGEST / 2];
        assert_eq!(events.push(&piece), Ok(vec![]));
        assert_eq!(events.push(&piece), Ok(vec![]));
        assert_eq!(events.push(&piece), Err(TooLong));
    }
}
