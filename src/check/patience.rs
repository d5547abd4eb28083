//! How much is thought about a configuration, whatever is in it.

/// What proofs may still cost, in comparisons. What is written to cost more, as long lists of long lists, is not worth
/// the time of everyone else: nothing is proved of it.
#[derive(Debug)]
pub struct Patience(usize);

impl Default for Patience {
    fn default() -> Self {
        Self(2_000_000)
    }
}

impl Patience {
    /// False when there is none left.
    pub fn spend(&mut self) -> bool {
        let left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        left
    }
}
