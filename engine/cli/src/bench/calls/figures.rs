//! What was measured, as counts: no figure grows with the length of a run.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Steps of a millisecond.
const STEPS: f64 = 20.0;
/// The least and the most that are told apart, milliseconds.
const RANGE: (f64, f64) = (-1_000.0, 5_000.0);

/// How times are spread.
#[derive(Clone, Default)]
pub(super) struct Spread {
    counts: Vec<u32>,
    total: u64,
    most: f64,
}

impl Spread {
    /// Takes milliseconds.
    pub(super) fn add(&mut self, ms: f64) {
        if self.counts.is_empty() {
            self.counts.resize(((RANGE.1 - RANGE.0) * STEPS) as usize + 1, 0);
            self.most = f64::MIN;
        }
        let at = ((ms.clamp(RANGE.0, RANGE.1) - RANGE.0) * STEPS).round() as usize;
        self.counts[at] += 1;
        self.total += 1;
        self.most = self.most.max(ms);
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The time that so many of 100 do not exceed; `None` = nothing was measured.
    pub(super) fn percentile(&self, percent: f64) -> Option<f64> {
        let wanted = (self.total as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        })?;
        Some(at as f64 / STEPS + RANGE.0)
    }

    fn line(&self) -> String {
        let Some(most) = (self.total > 0).then_some(self.most) else { return "-".into() };
        let of = |percent| self.percentile(percent).unwrap_or_default();
        format!(
            "p50 {:>7.1}  p95 {:>7.1}  p99 {:>7.1}  most {most:>7.1} ms",
            of(50.0),
            of(95.0),
            of(99.0)
        )
    }

    fn json(&self) -> Value {
        json!({ "p50": self.percentile(50.0), "p95": self.percentile(95.0),
                "p99": self.percentile(99.0), "most": (self.total > 0).then_some(self.most),
                "of": self.total })
    }
}

/// What the callers have seen.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// From the voice's end to the answer's first frame.
    pub(super) answer: Spread,
    /// What of it is the engine's: the sum of the three that follow.
    pub(super) added: Spread,
    /// From the end of the silence that ends a turn to the question at the model.
    pub(super) asked: Spread,
    /// From the first sentence of the model to the text at the voice.
    pub(super) told: Spread,
    /// From the first sound of the voice to the first frame at the carrier.
    pub(super) heard: Spread,
    /// From the voice's onset to the first `clear`: the sound stops.
    pub(super) stopped: Spread,
    /// What of it is neither the detector's nor the voice that is waited for.
    pub(super) stopped_added: Spread,
    /// The same of the last `clear`: the answer is cut.
    pub(super) cut_added: Spread,
    /// Frames of the load that were sent after their time.
    pub(super) load: Spread,
    /// Frames of answers, and those that were more than 20 ms late.
    pub(super) frames: u64,
    pub(super) late: u64,
    /// By how much the carrier's buffer ran dry.
    pub(super) dry: Spread,
    /// Questions without an answer, answers of which not all could be measured, and sound of an
    /// answer that was cut already.
    pub(super) unanswered: u64,
    pub(super) incomplete: u64,
    pub(super) stray: u64,
}

/// What a run has shown.
pub(super) struct Report {
    /// Which server was measured.
    pub(super) server: String,
    /// Calls that were placed, refused at the door, held to the end.
    pub(super) placed: usize,
    pub(super) refused: usize,
    pub(super) held: usize,
    /// Why calls were lost, one reason of each kind.
    pub(super) lost: Vec<String>,
    /// Calls in conversation at the measurement's beginning.
    pub(super) live: usize,
    pub(super) seconds: f64,
    pub(super) seen: Seen,
    /// Seconds of a processor: the server, this process, everybody else.
    pub(super) server_cpu: f64,
    pub(super) own_cpu: f64,
    pub(super) others_cpu: f64,
    /// Bytes, with no call, at the beginning of the measurement and at its end.
    pub(super) memory: [u64; 3],
    /// Tasks and open files of the server, at the same three times.
    pub(super) tasks: [u64; 3],
    pub(super) files: [u64; 3],
    pub(super) loads: [f64; 2],
}

impl Report {
    /// Of one processor, for each live call.
    fn cpu_percent(&self) -> f64 {
        100.0 * self.server_cpu / self.seconds / self.live.max(1) as f64
    }

    fn memory_kb(&self) -> f64 {
        self.memory[1].saturating_sub(self.memory[0]) as f64 / 1024.0 / self.live.max(1) as f64
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut out = String::new();
        let seen = &self.seen;
        let _ = writeln!(
            out,
            "{}, {} calls: {} in conversation, {} refused, {} lost; measured for {:.0} s",
            self.server,
            self.placed,
            self.live,
            self.refused,
            self.placed - self.refused - self.held,
            self.seconds
        );
        for why in &self.lost {
            let _ = writeln!(out, "  lost: {why}");
        }
        let mut row = |what: &str, figure: &str| {
            let _ = writeln!(out, "{what:<58} {figure}");
        };
        row("answer: from the voice's end to the first frame", &seen.answer.line());
        row("  the engine's part of it", &seen.added.line());
        row("    silence over -> the model is asked", &seen.asked.line());
        row("    first sentence -> the voice is told", &seen.told.line());
        row("    first sound -> the first frame", &seen.heard.line());
        row("barge-in: from the voice's onset to `clear`", &seen.stopped.line());
        row("  beyond the confirmation, sound stopped", &seen.stopped_added.line());
        row("  beyond the confirmation, answer cut", &seen.cut_added.line());
        let answered = seen.answer.total();
        row(
            "answers; unanswered, not measured in full, cut and heard",
            &format!("{answered}; {}, {}, {}", seen.unanswered, seen.incomplete, seen.stray),
        );
        row(
            "frames of answers; more than 20 ms late",
            &format!("{}; {} ({:.1} in 10,000)", seen.frames, seen.late, self.late_of_10_000()),
        );
        row("  buffer dry, where it was", &seen.dry.line());
        row("processor of a call", &format!("{:.3} % of a core", self.cpu_percent()));
        row("memory of a call", &format!("{:.0} KB", self.memory_kb()));
        let of = |values: [u64; 3]| values.map(|value| value.to_string()).join(" -> ");
        let megabytes = self.memory.map(|bytes| bytes / 1024 / 1024);
        row("server: memory idle -> begin -> end", &format!("{} MB", of(megabytes)));
        row("server: tasks; open files", &format!("{}; {}", of(self.tasks), of(self.files)));
        let cores = |seconds: f64| seconds / self.seconds;
        row(
            "processors: server, load and doubles, everybody else",
            &format!(
                "{:.2}, {:.2}, {:.2} cores",
                cores(self.server_cpu),
                cores(self.own_cpu),
                cores(self.others_cpu)
            ),
        );
        row("the load's own frames, late", &seen.load.line());
        row("load average before, after", &format!("{:.1}, {:.1}", self.loads[0], self.loads[1]));
        out
    }

    fn late_of_10_000(&self) -> f64 {
        10_000.0 * self.seen.late as f64 / self.seen.frames.max(1) as f64
    }

    /// For programs; times in milliseconds.
    pub(super) fn json(&self) -> Value {
        let seen = &self.seen;
        json!({
            "server": self.server,
            "calls": { "placed": self.placed, "live": self.live, "refused": self.refused,
                       "held": self.held, "lost": self.lost },
            "seconds": self.seconds,
            "answer": seen.answer.json(),
            "engine_added": seen.added.json(),
            "engine_asked": seen.asked.json(),
            "engine_told": seen.told.json(),
            "engine_heard": seen.heard.json(),
            "clear": seen.stopped.json(),
            "clear_added": seen.stopped_added.json(),
            "cut_added": seen.cut_added.json(),
            "unanswered": seen.unanswered,
            "incomplete": seen.incomplete,
            "stray": seen.stray,
            "frames": seen.frames,
            "frames_late": seen.late,
            "dry": seen.dry.json(),
            "cpu_percent_of_a_call": self.cpu_percent(),
            "memory_kb_of_a_call": self.memory_kb(),
            "memory_bytes": self.memory,
            "tasks": self.tasks,
            "files": self.files,
            "cpu_seconds": { "server": self.server_cpu, "load": self.own_cpu,
                             "others": self.others_cpu },
            "load_late": seen.load.json(),
            "load_average": self.loads,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_what_so_many_do_not_exceed() {
        let mut spread = Spread::default();
        assert_eq!(spread.percentile(50.0), None);
        (1..=100).for_each(|n| spread.add(f64::from(n)));
        assert_eq!(spread.percentile(50.0), Some(50.0));
        assert_eq!(spread.percentile(99.0), Some(99.0));
        spread.add(-3.0);
        assert_eq!(spread.percentile(0.5), Some(-3.0));
        spread.add(1e9);
        assert_eq!(spread.percentile(100.0), Some(RANGE.1));
        assert_eq!((spread.total(), spread.most), (102, 1e9));
    }
}
