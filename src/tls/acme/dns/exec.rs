//! A command of the user's: `COMMAND … present|remove NAME VALUE`, without a shell between.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::provider::{Provider, Record};
use super::settings::Exec as Settings;
use crate::tls::acme::Failure;

/// Bytes of what a command says that are read, and signs of it that are told: the last ones say what went wrong.
const MOST_READ: u64 = 64 * 1024;
const MOST_TOLD: usize = 300;
/// For what it said before it ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

pub(super) struct Exec(pub Settings);

impl Exec {
    async fn run(&self, verb: &str, record: &Record) -> Result<(), Failure> {
        let [program, arguments @ ..] = self.0.command.as_slice() else {
            return Err(Failure::other("there is no command to run"));
        };
        let failed = |why: String| Failure::other(format!("the command `{program} {verb}` {why}"));
        let mut command = Command::new(&**program);
        command.args(arguments.iter().map(|argument| &**argument)).args([verb, &record.name, &record.value]);
        // A group of its own, so that what it starts ends with it.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().map_err(|error| failed(format!("cannot be started ({error})")))?;
        let mut group = Group(child.id().try_into().ok().and_then(Pid::from_raw));
        let Ok(ended) = timeout(self.0.timeout, finish(child)).await else {
            return Err(failed(format!("takes longer than {} s", self.0.timeout.as_secs())));
        };
        group.0 = None;
        match ended {
            Ok((status, _)) if status.success() => Ok(()),
            Ok((status, said)) => Err(failed(format!("fails ({status}){said}"))),
            Err(error) => Err(failed(format!("cannot be waited for ({error})"))),
        }
    }
}

/// Ends all of a group, unless it has ended by itself: whether time is up, or nobody waits any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.0.map(|group| kill_process_group(group, Signal::KILL));
    }
}

/// How it ended, and the last that it said.
///
/// A thread waits for it, not tokio: with its feature for processes, each turn of each worker's loop looks for orphans,
/// which a request pays for (116 instructions, measured).
async fn finish(mut child: Child) -> io::Result<(ExitStatus, String)> {
    let stderr = child.stderr.take().map(|stderr| Receiver::from_owned_fd(OwnedFd::from(stderr))).transpose()?;
    let mut ended = spawn_blocking(move || child.wait());
    let Some(stderr) = stderr else { return Ok((ended.await??, String::new())) };
    let (mut said, mut stderr) = (Vec::new(), stderr.take(MOST_READ));
    // What it leaves running may hold its output open.
    let status = tokio::select! {
        status = &mut ended => {
            let _ = timeout(LAST_WORDS, stderr.read_to_end(&mut said)).await;
            status??
        }
        _ = stderr.read_to_end(&mut said) => ended.await??,
    };
    Ok((status, told(&String::from_utf8_lossy(&said))))
}

fn told(said: &str) -> String {
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain: Vec<char> = words.chars().filter(|sign| !sign.is_control()).collect();
    let last: String = plain[plain.len().saturating_sub(MOST_TOLD)..].iter().collect();
    if last.is_empty() { last } else { format!(": {last}") }
}

impl Provider for Exec {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.run("present", record))
    }

    fn remove<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.run("remove", record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::storage::tests::Scratch;

    fn exec(script: &str, timeout: u64) -> (Exec, Scratch) {
        let scratch = Scratch::new();
        scratch.write("hook", script);
        let hook = scratch.0.join("hook").display().to_string();
        let command = ["/bin/sh", hook.as_str(), "with $HOME; and `more`"].map(Box::from).to_vec();
        (Exec(Settings { command, timeout: Duration::from_millis(timeout) }), scratch)
    }

    fn record() -> Record {
        Record { name: "_acme-challenge.a.test".to_owned(), value: "text".to_owned() }
    }

    #[tokio::test]
    async fn a_command_has_its_words_as_they_are() {
        let (exec, scratch) = exec("printf '<%s>' \"$@\" >> \"$0.out\"", 10_000);
        exec.present(&record()).await.unwrap();
        exec.remove(&record()).await.unwrap();
        let said = std::fs::read_to_string(scratch.0.join("hook.out")).unwrap();
        let line = |verb| format!("<with $HOME; and `more`><{verb}><_acme-challenge.a.test><text>");
        assert_eq!(said, format!("{}{}", line("present"), line("remove")));
    }

    #[tokio::test]
    async fn a_failure_is_told_in_its_words() {
        let (exec, _scratch) = exec("echo 'no such\n zone' >&2; exit 3", 10_000);
        let failure = exec.present(&record()).await.unwrap_err();
        assert_eq!(failure.reason, "the command `/bin/sh present` fails (exit status: 3): no such zone");
        let missing = Exec(Settings { command: vec!["/nowhere/hook".into()], timeout: Duration::from_secs(1) });
        let failure = missing.present(&record()).await.unwrap_err();
        assert!(failure.reason.starts_with("the command `/nowhere/hook present` cannot be started"), "{failure}");
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
        let (exec, scratch) = exec("sleep 600 & echo $! > \"$0.pid\"; wait", 2_000);
        let failure = exec.present(&record()).await.unwrap_err();
        assert_eq!(failure.reason, "the command `/bin/sh present` takes longer than 2 s");
        let pid: i32 = std::fs::read_to_string(scratch.0.join("hook.pid")).unwrap().trim().parse().unwrap();
        let gone = || {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        };
        let until = std::time::Instant::now() + Duration::from_secs(5);
        while !gone() {
            assert!(std::time::Instant::now() < until, "it still runs");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
