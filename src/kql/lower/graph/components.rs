//! The components of a graph.

use super::Graph;

/// Each node's component, whichever way edges lead. Components are numbered in the order of their first nodes.
pub(super) fn weak(graph: &Graph) -> Vec<i64> {
    let nodes = graph.nodes.num_rows();
    let mut numbers = vec![-1; nodes];
    let mut next = 0;
    let mut open = Vec::new();
    for start in 0..nodes as u32 {
        if numbers[start as usize] >= 0 {
            continue;
        }
        open.push(start);
        numbers[start as usize] = next;
        while let Some(node) = open.pop() {
            let after = graph.outgoing.of(node).iter().map(|edge| graph.targets[*edge as usize]);
            let before = graph.incoming.of(node).iter().map(|edge| graph.sources[*edge as usize]);
            for other in after.chain(before) {
                if numbers[other as usize] < 0 {
                    numbers[other as usize] = next;
                    open.push(other);
                }
            }
        }
        next += 1;
    }
    numbers
}

/// Each node's component, along the edges' direction (Kosaraju's algorithm). Components are numbered in the order of their first
/// nodes.
pub(super) fn strong(graph: &Graph) -> Vec<i64> {
    let nodes = graph.nodes.num_rows();
    // The nodes in the order in which a depth-first walk is done with them.
    let mut done = Vec::with_capacity(nodes);
    let mut seen = vec![false; nodes];
    for start in 0..nodes as u32 {
        if std::mem::replace(&mut seen[start as usize], true) {
            continue;
        }
        let mut walk = vec![(start, 0)];
        while let Some((node, edge)) = walk.last_mut() {
            let Some(next) = graph.outgoing.of(*node).get(*edge) else {
                done.push(*node);
                walk.pop();
                continue;
            };
            *edge += 1;
            let target = graph.targets[*next as usize];
            if !std::mem::replace(&mut seen[target as usize], true) {
                walk.push((target, 0));
            }
        }
    }
    // Against the edges, from those done last: what is reached is one component.
    let mut component = vec![u32::MAX; nodes];
    for start in done.into_iter().rev() {
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            if component[node as usize] != u32::MAX {
                continue;
            }
            component[node as usize] = start;
            open.extend(graph.incoming.of(node).iter().map(|edge| graph.sources[*edge as usize]));
        }
    }
    let mut number = vec![-1; nodes];
    let mut next = 0;
    component
        .into_iter()
        .map(|of| {
            let number = &mut number[of as usize];
            if *number < 0 {
                *number = next;
                next += 1;
            }
            *number
        })
        .collect()
}
