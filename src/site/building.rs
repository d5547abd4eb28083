//! A site under construction: directives add their steps to it.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::Passes;
use super::program::{Handler, Op, Program};
use super::question::Question;
use crate::check::value::StatusMatch;
use crate::diagnostic::{Mistake, Span};
use crate::http::step::{Answers, Filter, Gate};
use crate::tls::client::SystemRoots;
use crate::upstream::Upstream;

/// What sites under construction draw on: what they share, and what lives on from the configuration before.
#[derive(Default)]
pub struct Supplies {
    /// The named upstreams.
    pub upstreams: HashMap<String, Arc<Upstream>>,
    /// The authorities of this machine, read once for all upstreams.
    pub roots: SystemRoots,
    /// Files that were read to build this, or could not be: when one changes, it is to be built again.
    pub files: Vec<PathBuf>,
    /// What directives keep across reloads, by a key that holds everything that makes it what it is.
    before: HashMap<String, Arc<dyn Any + Send + Sync>>,
    kept: HashMap<String, Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Supplies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supplies")
            .field("upstreams", &self.upstreams.len())
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

/// What one configuration hands on to the next.
pub type Legacy = HashMap<String, Arc<dyn Any + Send + Sync>>;

impl Supplies {
    #[must_use]
    pub fn after(before: Legacy) -> Self {
        Self { before, ..Self::default() }
    }

    /// What was built under this key by this configuration or the one before, else what `build` makes. So a limiter's
    /// table or a pool outlives a reload that did not touch it.
    pub fn adopt<T: Send + Sync + 'static>(&mut self, key: &str, build: impl FnOnce() -> T) -> Arc<T> {
        let known =
            self.kept.get(key).or_else(|| self.before.get(key)).cloned().and_then(|any| any.downcast::<T>().ok());
        let value = known.unwrap_or_else(|| Arc::new(build()));
        self.kept.insert(key.to_owned(), value.clone());
        value
    }

    /// What was kept under this key, by this configuration or the one before; kept from now on.
    pub fn find<T: Send + Sync + 'static>(&mut self, key: &str) -> Option<Arc<T>> {
        let known = self.kept.get(key).or_else(|| self.before.get(key)).cloned()?;
        let value = known.clone().downcast::<T>().ok()?;
        self.kept.insert(key.to_owned(), known);
        Some(value)
    }

    /// Keeps a value in place of whatever this key had.
    pub fn keep<T: Send + Sync + 'static>(&mut self, key: &str, value: T) {
        self.kept.insert(key.to_owned(), Arc::new(value));
    }

    /// The same, but never shared within a configuration: of several that ask under one key, the first is given the
    /// first's, the second the second's.
    pub fn adopt_own<T: Send + Sync + 'static>(&mut self, key: &str, build: impl FnOnce() -> T) -> Arc<T> {
        let mut own = key.to_owned();
        for number in 2_usize.. {
            if !self.kept.contains_key(&own) {
                break;
            }
            own = format!("{key} #{number}");
        }
        self.adopt(&own, build)
    }

    #[must_use]
    pub fn legacy(self) -> Legacy {
        self.kept
    }
}

/// A site under construction.
pub struct Building<'s> {
    pub supplies: &'s mut Supplies,
    /// The site's first address: what its directives keep is kept under it.
    pub name: Box<str>,
    program: Program,
    /// Where the block that is being built began.
    block: usize,
    /// The statement that is being built.
    at: Span,
    /// Something behind it keeps somebody out, if only that nothing answers there.
    pub guarded: bool,
    /// The site's own settings, by `bind`, `tls` and `log`.
    pub log: Option<usize>,
    /// Where the site's connections go as they come, by `passthrough`.
    pub passes: Option<Passes>,
}

impl fmt::Debug for Building<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Building({:?})", self.program)
    }
}

type Built = Result<(), Mistake>;

impl<'s> Building<'s> {
    #[must_use]
    pub fn new(supplies: &'s mut Supplies) -> Self {
        let (program, at) = (Program::default(), Span::default());
        Self { supplies, name: "".into(), program, block: 0, at, guarded: true, log: None, passes: None }
    }

    #[must_use]
    pub fn named(mut self, name: &str, at: Span) -> Self {
        self.name = name.into();
        self.at = at;
        self
    }

    /// What `build` adds came from the statement at this place.
    pub fn statement(&mut self, at: Span, build: impl FnOnce(&mut Self) -> Built) -> Built {
        let outer = std::mem::replace(&mut self.at, at);
        let built = build(self);
        self.at = outer;
        built
    }

    fn push(&mut self, op: Op) {
        self.program.ops.push(op);
        self.program.places.push(self.at);
    }

    pub fn filter(&mut self, filter: impl Filter + 'static) {
        self.push(Op::Filter(Box::new(filter)));
    }

    pub fn gate(&mut self, gate: impl Gate + 'static) {
        self.push(Op::Gate(Box::new(gate)));
    }

    pub fn answer(&mut self, answer: impl Answers + 'static) {
        self.push(Op::Answer(Box::new(answer)));
    }

    /// The body runs if the test holds, and nothing comes out of it.
    pub fn route(&mut self, test: Question, body: impl FnOnce(&mut Self) -> Built) -> Built {
        let gate = self.test(test);
        let start = self.program.ops.len();
        let behind = std::mem::replace(&mut self.guarded, true);
        self.nested(body)?;
        self.guarded = behind;
        self.unanswered(start);
        self.land(gate);
        Ok(())
    }

    /// One of the bodies runs, and what is behind them runs after it.
    pub fn when(
        &mut self,
        test: Question,
        then: impl FnOnce(&mut Self) -> Built,
        otherwise: impl FnOnce(&mut Self) -> Built,
    ) -> Built {
        let gate = self.test(test);
        self.nested(then)?;
        let end = self.jump();
        self.land(gate);
        self.nested(otherwise)?;
        self.land(end);
        Ok(())
    }

    /// The body runs when something above in the same block has failed with one of these statuses (none: any).
    pub fn handle(&mut self, statuses: Vec<StatusMatch>, body: impl FnOnce(&mut Self) -> Built) -> Built {
        let covers = self.block..self.program.ops.len();
        let skip = self.jump();
        let start = self.program.ops.len();
        // Whoever comes here is out already.
        let behind = std::mem::replace(&mut self.guarded, false);
        self.nested(body)?;
        self.guarded = behind;
        self.push(Op::Unanswered);
        self.land(skip);
        self.program.handlers.push(Handler { covers, end: None, statuses, start });
        Ok(())
    }

    #[must_use]
    pub fn finish(mut self) -> Program {
        self.unanswered(0);
        // The smallest range is the innermost block; of two of one block, the first written is asked first.
        self.program.handlers.sort_by_key(|handler| handler.covers.len());
        self.program
    }

    /// The end of a block that began at `start`. Its own handlers are told of what comes here; those of a block inside
    /// it begin behind the test that leads there.
    fn unanswered(&mut self, start: usize) {
        let end = self.program.ops.len();
        self.push(Op::Unanswered);
        for handler in self.program.handlers.iter_mut().filter(|handler| handler.covers.start == start) {
            handler.end = Some(end);
        }
    }

    fn nested(&mut self, body: impl FnOnce(&mut Self) -> Built) -> Built {
        let outer = std::mem::replace(&mut self.block, self.program.ops.len());
        let built = body(self);
        self.block = outer;
        built
    }

    fn test(&mut self, test: Question) -> usize {
        self.push(Op::Test(test, usize::MAX));
        self.program.ops.len() - 1
    }

    fn jump(&mut self) -> usize {
        self.push(Op::Jump(usize::MAX));
        self.program.ops.len() - 1
    }

    /// Lets an earlier test or jump land here.
    fn land(&mut self, from: usize) {
        let here = self.program.ops.len();
        match &mut self.program.ops[from] {
            Op::Test(_, to) | Op::Jump(to) => *to = here,
            _ => unreachable!("only tests and jumps are landed"),
        }
    }
}
