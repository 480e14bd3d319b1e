//! The model, OpenAI's chat completions: an answer of fixed words, streamed word by word, whose
//! first sentence is complete a fixed time after the question.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::time::sleep_until;

use super::World;
use crate::bench::calls::board;

/// What is said after the first sentence: five seconds of sound with it.
const REST: &str = "are open from nine to five on every day of the week. We close at noon on \
                    public holidays, and for the whole of the last week of December. Is there \
                    anything else that you want to know?";
/// Between two words after the first sentence.
const WORD: Duration = Duration::from_millis(15);
/// The words of the first sentence come in this last part of its time.
const SPOKEN: f64 = 0.3;

/// A piece of an answer, and when it is written.
struct Piece {
    after: Duration,
    text: String,
    /// The first sentence is complete by it.
    sentence: bool,
}

pub(super) async fn answer(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let now = Instant::now();
    let caller = std::str::from_utf8(&body).ok().and_then(board::numbered);
    world.board.note(caller, |stations| {
        *stations = board::Stations { asked: Some(now), ..board::Stations::default() };
    });
    let pieces = pieces(caller.unwrap_or_default(), world.times.sentence);
    let written = stream::iter(pieces).then(move |piece| {
        let world = Arc::clone(&world);
        async move {
            sleep_until((now + piece.after).into()).await;
            if piece.sentence {
                let now = Instant::now();
                world.board.note(caller, |stations| stations.sentence = Some(now));
            }
            Ok::<_, Infallible>(Bytes::from(piece.text))
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(written)).into_response()
}

fn pieces(caller: usize, sentence: Duration) -> Vec<Piece> {
    // A sentence is known to be complete when the next one begins.
    let first = format!("You are {} today. We", board::name(caller));
    let words = tokens(&first);
    let begins = sentence.mul_f64(1.0 - SPOKEN);
    let step = (sentence - begins).div_f64((words.len() - 1).max(1) as f64);
    let mut pieces = Vec::new();
    for (n, word) in words.iter().enumerate() {
        let last = n + 1 == words.len();
        let after = if last { sentence } else { begins + step.mul_f64(n as f64) };
        pieces.push(Piece { after, text: chunk(word, "null"), sentence: last });
    }
    let mut after = sentence;
    for word in REST.split(' ') {
        after += WORD;
        pieces.push(Piece { after, text: chunk(&format!(" {word}"), "null"), sentence: false });
    }
    let end = format!("{}data: [DONE]\n\n", chunk("", "\"stop\""));
    pieces.push(Piece { after, text: end, sentence: false });
    pieces
}

/// Words as models write them: with the space before them.
fn tokens(text: &str) -> Vec<String> {
    let words = text.split(' ').enumerate();
    words.map(|(n, word)| if n == 0 { word.into() } else { format!(" {word}") }).collect()
}

fn chunk(words: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-mini\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{words}\"}},\"finish_reason\":{finish},\"logprobs\":null}}],\
         \"usage\":null}}\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_is_complete_in_time_and_names_its_caller() {
        let pieces = pieces(12, Duration::from_millis(300));
        let at = pieces.iter().position(|piece| piece.sentence);
        let (before, after) = pieces.split_at(at.map_or(0, |at| at + 1));
        let words =
            |pieces: &[Piece]| pieces.iter().map(|piece| piece.text.as_str()).collect::<String>();
        assert!(before.iter().all(|piece| piece.after <= Duration::from_millis(300)));
        assert_eq!(before.last().map(|piece| piece.after), Some(Duration::from_millis(300)));
        assert!(words(before).contains("\"content\":\" 0000012\""), "{}", words(before));
        assert!(words(after).ends_with("data: [DONE]\n\n"));
        assert!(after.is_sorted_by_key(|piece| piece.after));
    }
}
