//! Which of a block's named matchers stand on themselves.

/// For each node the number of the ring that it is part of, if it can be reached from itself: nodes of one ring can be
/// reached from each other. Tarjan's algorithm, without recursion: a chain of names may be as long as a file.
pub(super) fn rings(edges: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut search = Search {
        edges,
        order: vec![None; edges.len()],
        low: vec![0; edges.len()],
        rings: vec![None; edges.len()],
        open: Vec::new(),
        is_open: vec![false; edges.len()],
        seen: 0,
    };
    for node in 0..edges.len() {
        if search.order[node].is_none() {
            search.visit(node);
        }
    }
    search.rings
}

struct Search<'e> {
    edges: &'e [Vec<usize>],
    /// When each node was first seen.
    order: Vec<Option<usize>>,
    /// The earliest node, by that order, which is known to be reached from it.
    low: Vec<usize>,
    rings: Vec<Option<usize>>,
    /// Nodes whose ring is not known yet.
    open: Vec<usize>,
    is_open: Vec<bool>,
    seen: usize,
}

impl Search<'_> {
    fn visit(&mut self, root: usize) {
        self.enter(root);
        let mut path = vec![(root, 0)];
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            if let Some(&to) = self.edges[node].get(*next) {
                *next += 1;
                match self.order[to] {
                    None => {
                        self.enter(to);
                        path.push((to, 0));
                    }
                    Some(order) if self.is_open[to] => self.low[node] = self.low[node].min(order),
                    Some(_) => {}
                }
                continue;
            }
            path.pop();
            if let Some((above, _)) = path.last() {
                self.low[*above] = self.low[*above].min(self.low[node]);
            }
            if Some(self.low[node]) == self.order[node] {
                self.close(node);
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.order[node] = Some(self.seen);
        self.low[node] = self.seen;
        self.seen += 1;
        self.open.push(node);
        self.is_open[node] = true;
    }

    /// What is open from `node` on is one component; it is a ring unless it is a node without an edge to itself.
    fn close(&mut self, node: usize) {
        let start = self.open.iter().rposition(|open| *open == node).unwrap_or(0);
        let component = self.open.split_off(start);
        let is_ring = component.len() > 1 || self.edges[node].contains(&node);
        for member in component {
            self.is_open[member] = false;
            self.rings[member] = is_ring.then_some(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rings;

    fn check(edges: &[&[usize]], expected: &[Option<usize>]) {
        assert_eq!(rings(&edges.iter().map(|to| to.to_vec()).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn only_what_reaches_itself_is_in_a_ring() {
        check(&[], &[]);
        check(&[&[1], &[2], &[]], &[None, None, None]);
        check(&[&[0]], &[Some(0)]);
        check(&[&[1], &[2], &[1]], &[None, Some(1), Some(1)]);
        check(&[&[1, 2], &[0], &[3], &[2], &[0]], &[Some(0), Some(0), Some(2), Some(2), None]);
        check(&[&[1, 2], &[3], &[3], &[]], &[None; 4]);
    }

    #[test]
    fn a_ring_may_be_long() {
        let edges: Vec<Vec<usize>> = (0..100_000).map(|node| vec![(node + 1) % 100_000]).collect();
        assert!(rings(&edges).iter().all(|ring| *ring == Some(0)));
    }
}
