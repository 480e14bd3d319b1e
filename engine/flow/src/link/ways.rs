//! The longest way through a graph whose loops count.
//!
//! Nodes that reach each other form a knot. A knot is gone through at most once more than its last
//! counting way is taken; without that way it falls apart into smaller knots, and so on. A knot in
//! which nothing counts has no longest way.

use std::collections::HashSet;

/// A way from one node to another.
pub(super) struct Way<'a> {
    pub to: usize,
    /// How often it is taken before its node goes on by another; `None` = always.
    pub times: Option<u64>,
    /// Where it is written.
    pub pointer: &'a str,
    /// How far back it leads in the document, for telling which one closes a loop.
    pub back: usize,
    /// Whether it is gone beside the others of its node, before those that are no branches.
    pub branch: bool,
}

/// What the weights of branches come to.
pub(super) type Together = fn(u64, u64) -> u64;

/// A loop that nothing bounds, by the place of an way that closes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unbounded<'a>(pub &'a str);

/// A graph with the weight of each node.
pub(super) struct Ways<'a> {
    ways: &'a [Vec<Way<'a>>],
    weights: Vec<u64>,
}

/// Nodes whose counting ways are left out.
type Cut = HashSet<usize>;

/// The nodes that a node leads to, itself among them, without what lies behind some others.
pub(super) fn reached(ways: &[Vec<Way<'_>>], from: usize, without: &[usize]) -> Vec<usize> {
    let mut reached = vec![false; ways.len()];
    without.iter().for_each(|n| reached[*n] = true);
    let mut todo = vec![from];
    while let Some(n) = todo.pop() {
        if let Some(seen) = reached.get_mut(n)
            && !std::mem::replace(seen, true)
        {
            todo.extend(ways[n].iter().map(|way| way.to));
        }
    }
    (0..reached.len()).filter(|n| reached[*n] && !without.contains(n)).collect()
}

impl<'a> Ways<'a> {
    /// The ways of a graph. A node that branches weighs what its branches do, too.
    pub(super) fn new(
        ways: &'a [Vec<Way<'a>>],
        weights: Vec<u64>,
        together: Together,
    ) -> Result<Self, Unbounded<'a>> {
        let mut all = Self { ways, weights };
        let mut todo: Vec<usize> =
            (0..ways.len()).filter(|n| ways[*n].iter().any(|way| way.branch)).collect();
        // A branch may branch: the inner ones come first, and one that leads to itself has no end.
        while !todo.is_empty() {
            // A branch ends where the node goes on.
            let led_to = |n: usize, way: &Way<'_>| {
                let on: Vec<usize> =
                    ways[n].iter().filter(|way| !way.branch).map(|way| way.to).collect();
                reached(ways, way.to, &on)
            };
            let inner = |n: usize| {
                let branches = ways[n].iter().filter(|way| way.branch);
                let mut led = branches.flat_map(|way| led_to(n, way));
                !led.any(|other| todo.contains(&other))
            };
            let Some(at) = todo.iter().position(|n| inner(*n)) else {
                let closing = todo.iter().flat_map(|n| &ways[*n]).filter(|way| way.branch);
                return Err(Unbounded(
                    closing.max_by_key(|way| way.back).map_or("", |w| w.pointer),
                ));
            };
            let n = todo.swap_remove(at);
            let mut beside = 0;
            for way in ways[n].iter().filter(|way| way.branch) {
                beside = together(beside, all.longest(&led_to(n, way))?);
            }
            all.weights[n] = all.weights[n].saturating_add(beside);
        }
        Ok(all)
    }

    /// The weight of the heaviest way among some nodes.
    pub(super) fn longest(&self, nodes: &[usize]) -> Result<u64, Unbounded<'a>> {
        self.among(nodes, &mut Cut::new())
    }

    fn among(&self, nodes: &[usize], cut: &mut Cut) -> Result<u64, Unbounded<'a>> {
        let knots = self.knots(nodes, cut);
        let mut knot_of = vec![usize::MAX; self.ways.len()];
        for (k, knot) in knots.iter().enumerate() {
            knot.iter().for_each(|n| knot_of[*n] = k);
        }
        // Whatever a knot leads to comes before it.
        let mut best: Vec<u64> = Vec::with_capacity(knots.len());
        for (k, knot) in knots.iter().enumerate() {
            let ways = || knot.iter().flat_map(|n| self.open(*n, cut));
            let tied = knot.len() > 1 || ways().any(|way| way.to == knot[0]);
            let further = ways()
                .map(|way| knot_of[way.to])
                .filter(|other| *other != usize::MAX && *other != k)
                .map(|other| best[other])
                .max()
                .unwrap_or(0);
            let own = if tied { self.knot(knot, cut)? } else { self.weights[knot[0]] };
            best.push(own.saturating_add(further));
        }
        Ok(best.into_iter().max().unwrap_or(0))
    }

    /// The most that can be gathered inside a knot.
    fn knot(&self, knot: &[usize], cut: &mut Cut) -> Result<u64, Unbounded<'a>> {
        if knot.iter().all(|n| self.weights[*n] == 0) {
            return Ok(0);
        }
        let inside: HashSet<usize> = knot.iter().copied().collect();
        let counting: Vec<usize> = knot
            .iter()
            .copied()
            .filter(|n| {
                self.open(*n, cut).any(|way| way.times.is_some() && inside.contains(&way.to))
            })
            .collect();
        let before = cut.clone();
        cut.extend(&counting);
        // The last of them on the way through the rest: the others are inside of its loop.
        let order = self.knots(knot, cut);
        *cut = before;
        let last = order.iter().flatten().find(|n| counting.contains(n));
        let Some(&last) = last else {
            let inner = knot.iter().flat_map(|n| self.open(*n, cut));
            let inner = inner.filter(|way| inside.contains(&way.to));
            // The one that goes back furthest is where an author sees the loop closed.
            return Err(Unbounded(inner.max_by_key(|way| way.back).map_or("", |way| way.pointer)));
        };
        let times = self.open(last, cut).filter_map(|way| way.times).max().unwrap_or(0);
        cut.insert(last);
        let once = self.among(knot, cut);
        cut.remove(&last);
        Ok(once?.saturating_mul(times.saturating_add(1)))
    }

    fn open<'s>(
        &'s self,
        n: usize,
        cut: &'s Cut,
    ) -> impl Iterator<Item = &'a Way<'a>> + use<'s, 'a> {
        let counts = !cut.contains(&n);
        let ways: &'a [Way<'a>] = &self.ways[n];
        ways.iter().filter(move |way| !way.branch && (counts || way.times.is_none()))
    }

    /// Nodes that reach each other, by Tarjan: what a knot leads to comes before it.
    fn knots(&self, nodes: &[usize], cut: &Cut) -> Vec<Vec<usize>> {
        const NEW: usize = usize::MAX;
        let mut index = vec![NEW; self.ways.len()];
        let mut low = vec![0; self.ways.len()];
        let mut within = vec![false; self.ways.len()];
        nodes.iter().for_each(|n| within[*n] = true);
        let mut open = vec![false; self.ways.len()];
        let (mut stack, mut knots, mut next) = (Vec::new(), Vec::new(), 0);
        for &start in nodes {
            if index[start] != NEW {
                continue;
            }
            // With a stack of our own: a document may be long.
            let mut path = vec![(start, 0)];
            while let Some(&mut (n, ref mut at)) = path.last_mut() {
                if *at == 0 {
                    (index[n], low[n]) = (next, next);
                    next += 1;
                    stack.push(n);
                    open[n] = true;
                }
                let way = self.open(n, cut).filter(|way| within[way.to]).nth(*at);
                *at += 1;
                match way {
                    Some(way) if index[way.to] == NEW => path.push((way.to, 0)),
                    Some(way) if open[way.to] => low[n] = low[n].min(index[way.to]),
                    Some(_) => {}
                    None => {
                        path.pop();
                        if let Some((before, _)) = path.last() {
                            low[*before] = low[*before].min(low[n]);
                        }
                        if low[n] == index[n] {
                            let mut knot = Vec::new();
                            while let Some(member) = stack.pop() {
                                open[member] = false;
                                knot.push(member);
                                if member == n {
                                    break;
                                }
                            }
                            knots.push(knot);
                        }
                    }
                }
            }
        }
        knots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest way where each node weighs 1; an way is `from to` or `from to times`.
    fn longest(nodes: usize, ways: &[(usize, usize, Option<u64>)]) -> Result<u64, String> {
        let mut all: Vec<Vec<Way<'_>>> = (0..nodes).map(|_| Vec::new()).collect();
        let names: Vec<String> = ways.iter().map(|(from, to, _)| format!("{from}-{to}")).collect();
        for ((from, to, times), pointer) in ways.iter().zip(&names) {
            all[*from].push(Way {
                to: *to,
                times: *times,
                pointer,
                back: from.saturating_sub(*to),
                branch: false,
            });
        }
        let ways = Ways::new(&all, vec![1; nodes], u64::saturating_add);
        let most = ways.and_then(|ways| ways.longest(&reached(&all, 0, &[])));
        most.map_err(|Unbounded(place)| place.into())
    }

    #[test]
    fn ways_add_up_and_loops_multiply() {
        assert_eq!(longest(3, &[(0, 1, None), (0, 2, None), (1, 2, None)]), Ok(3));
        // Three times back: four times through, and on.
        assert_eq!(longest(3, &[(0, 1, None), (1, 0, Some(3)), (1, 2, None)]), Ok(9));
        // A loop in a loop.
        let inner = [(0, 1, None), (1, 0, Some(2)), (1, 2, None), (2, 0, Some(4))];
        assert_eq!(longest(3, &inner), Ok((2 * 3 + 1) * 5));
        // One after the other.
        let two = [(0, 0, Some(9)), (0, 1, None), (1, 1, Some(4))];
        assert_eq!(longest(2, &two), Ok(10 + 5));
        // What is never reached does not count.
        assert_eq!(longest(3, &[(1, 2, None), (2, 1, None)]), Ok(1));
        // Not more than can be told.
        let many: Vec<_> = (0..9).map(|n| (n, n, Some(u64::MAX / 2))).collect();
        assert_eq!(longest(9, &many), Ok(u64::MAX / 2 + 1));
    }

    #[test]
    fn a_loop_without_a_count_is_told_by_the_way_that_closes_it() {
        assert_eq!(longest(2, &[(0, 1, None), (1, 0, None)]), Err("1-0".into()));
        let around = [(0, 1, None), (1, 0, Some(2)), (1, 2, None), (2, 0, None)];
        assert_eq!(longest(3, &around), Err("2-0".into()));
    }

    #[test]
    fn long_chains_end_soon() {
        let chain: Vec<_> = (0..20_000).map(|n| (n, n + 1, None)).collect();
        assert_eq!(longest(20_001, &chain), Ok(20_001));
    }
}
