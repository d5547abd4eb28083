//! What a site is made of: steps that change what passes, and steps that answer.
//!
//! Steps are shared by all workers, so they hold no state of a request; that is in the [`Exchange`].

use futures_util::future::LocalBoxFuture;
use http::Response;

use super::body::Body;
use super::exchange::Exchange;
use super::fault::Fault;

pub type Answer = Response<Body>;

/// A question about a request, asked by `route` and `when`.
pub trait Test: Send + Sync {
    fn holds(&self, exchange: &mut Exchange) -> bool;
}

/// Changes what passes, without waiting.
pub trait Filter: Send + Sync {
    /// On the way in. An answer given here is the request's answer.
    fn request(&self, exchange: &mut Exchange) -> Result<Option<Answer>, Fault> {
        let _ = exchange;
        Ok(None)
    }

    /// Whether [`Filter::response`] does anything: asked once, when the site is built.
    fn has_response_side(&self) -> bool {
        false
    }

    /// Whether [`Filter::response`] changes fields and nothing else. Such filters run before all others, in written
    /// order, so that of two statements about one field the lower one wins, on the way out as on the way in.
    fn changes_fields_only(&self) -> bool {
        false
    }

    /// On the way out, for every answer given behind this step.
    fn response(&self, exchange: &mut Exchange, answer: &mut Answer) {
        let _ = (exchange, answer);
    }
}

/// May wait, and may answer: an auth service, a shared limit, a cache.
pub trait Gate: Send + Sync {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Option<Answer>, Fault>>;
}

/// Answers.
pub trait Answers: Send + Sync {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange) -> LocalBoxFuture<'a, Result<Answer, Fault>>;

    /// What would be sent on, where the answer is somebody else's; `None` where this step answers by itself.
    fn forward(&self, exchange: &mut Exchange) -> Option<Result<Forward, Fault>> {
        let _ = exchange;
        None
    }

    /// What becomes of the answer to what was sent on.
    fn receive(&self, exchange: &mut Exchange, answer: Answer) -> Result<Answer, Fault> {
        let _ = exchange;
        Ok(answer)
    }
}

/// A future in a box, made there: one that is made first is copied into it whole, with all the room for what it will know.
pub fn boxed<'a, F: Future + 'a>(future: impl FnOnce() -> F) -> LocalBoxFuture<'a, F::Output> {
    let place = Box::<F>::new_uninit();
    let made: Box<F> = Box::write(place, future());
    Box::into_pin(made)
}

/// A request as it would be sent to a server, told instead of sent.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Empty where the servers have no name of their own.
    pub upstream: Box<str>,
    /// The server whose turn it is, by its place in `servers`; `None` where none is fit.
    pub server: Option<usize>,
    pub servers: Vec<Candidate>,
    /// The head as HTTP/1.1 has it.
    pub head: Vec<u8>,
}

/// A server that could be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub address: Box<str>,
    pub weight: u16,
    pub backup: bool,
}
