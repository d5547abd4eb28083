//! Changes to fields that come to nothing, since another of the same block undoes them.

use std::collections::BTreeMap;

use super::header::{How, Touch};
use super::{Body, effect::Effect};
use crate::check::Check;
use crate::diagnostic::{Code, Mistake};

/// Warns of changes that no message shows.
pub(super) fn undone(body: &Body, cx: &mut Check) {
    let (mut request, mut answer) = (Message::default(), Message::default());
    for statement in &body.statements {
        // What stands below it never runs, and that is said already.
        if statement.directive.always_answers() {
            return;
        }
        match statement.directive.effect() {
            Effect::Fields(changes) => {
                let message = if changes.of_request { &mut request } else { &mut answer };
                changes.touches.iter().for_each(|touch| message.touch(touch, cx));
            }
            effect if effect.lets_all_pass() || statement.directive.front().is_some() => {}
            // Somebody may see the fields as they are here: whoever answers, asks, or fails.
            _ => (request, answer) = Default::default(),
        }
    }
}

/// What has been done to the fields of one message that nobody has seen yet.
#[derive(Default)]
struct Message<'b> {
    touched: BTreeMap<&'b str, Vec<&'b Touch>>,
    /// What was set or removed last, as long as that is known to hold.
    known: BTreeMap<&'b str, &'b Touch>,
}

impl<'b> Message<'b> {
    fn touch(&mut self, touch: &'b Touch, cx: &mut Check) {
        for name in &touch.reads {
            self.touched.remove(&**name);
        }
        if touch.how == How::RemovesBelow {
            return self.remove_below(touch, cx);
        }
        let name = &*touch.name;
        if let Some(known) = self.known.get(name).filter(|known| is_idle(touch.how, known.how)) {
            if is_for_us(touch, known) {
                cx.report(idle(touch, known));
            }
            return;
        }
        if matches!(touch.how, How::Sets | How::Removes) {
            report_lost(&self.touched.remove(name).unwrap_or_default(), touch, cx);
        }
        self.touched.entry(name).or_default().push(touch);
        // After a `replace` the field is there or not as before.
        if touch.how != How::Replaces {
            self.known.insert(name, touch);
        }
    }

    fn remove_below(&mut self, touch: &'b Touch, cx: &mut Check) {
        let stem = &*touch.name;
        let below = |name: &&str| name.starts_with(stem);
        let names: Vec<&str> = self.known.range(stem..).map(|(name, _)| *name).take_while(below).collect();
        for name in names {
            self.known.remove(name);
        }
        let names: Vec<&str> = self.touched.range(stem..).map(|(name, _)| *name).take_while(below).collect();
        for name in names {
            report_lost(&self.touched.remove(name).unwrap_or_default(), touch, cx);
        }
    }
}

fn report_lost(all: &[&Touch], winner: &Touch, cx: &mut Check) {
    for first in all.iter().filter(|first| is_for_us(first, winner)) {
        cx.report(lost(first, winner));
    }
}

/// What a snippet brings may be undone where it is used: elsewhere it is of use.
fn is_for_us(idle: &Touch, other: &Touch) -> bool {
    idle.used_at.is_none_or(|used| other.used_at == Some(used)) && idle.at != other.at
}

/// Whether a change does nothing where the field is as `known` left it.
fn is_idle(how: How, known: How) -> bool {
    match known {
        How::Removes => matches!(how, How::Removes | How::Replaces),
        _ => how == How::SetsIfAbsent,
    }
}

fn idle(touch: &Touch, known: &Touch) -> Mistake {
    let (shown, verb) = (&touch.shown, touch.how.verb());
    let (why, help) = match known.how {
        How::Removes => ("the field is gone before it", "remove this one".to_owned()),
        _ => (
            "the field is there before it",
            format!("remove this one; or write `set {shown} …` to put this value in place of the other"),
        ),
    };
    let mistake = Mistake::new(Code::W0016, touch.at, format!("this `{verb}` of `{shown}` does nothing: {why}"))
        .other(known.at, format!("by this `{}`", known.how.verb()));
    brought(mistake, touch, known).help(help)
}

fn lost(first: &Touch, last: &Touch) -> Mistake {
    let (shown, verb) = (&first.shown, first.how.verb());
    let (why, help) = match last.how {
        How::Sets if matches!(first.how, How::Sets | How::Adds | How::SetsIfAbsent) => (
            "the `set` below puts its value in place of this one",
            format!("remove one of them; to send both values, write `add {shown} …` below"),
        ),
        How::Sets => (
            "the `set` below puts its value in place of any other",
            format!("remove this one: `set {shown} …` is enough"),
        ),
        _ => (
            "the `remove` below takes the field away",
            "remove one of them: of two about one field the lower one wins".to_owned(),
        ),
    };
    let mistake = Mistake::new(Code::W0016, first.at, format!("this `{verb}` of `{shown}` comes to nothing: {why}"))
        .other(last.at, "this one wins");
    brought(mistake, first, last).help(help)
}

/// A snippet may stand anywhere: where it is used is what stands above or below.
fn brought(mistake: Mistake, idle: &Touch, other: &Touch) -> Mistake {
    match other.used_at {
        Some(used) if idle.used_at.is_none() => mistake.other(used, "which is put in here"),
        _ => mistake,
    }
}
