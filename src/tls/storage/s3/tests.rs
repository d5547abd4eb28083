//! A server that others wrote, which judges every signature.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::super::tests::keeps;
use super::super::{Copy, Place, Storage, wait};
use super::*;

/// It ends with the test.
struct Running {
    child: Child,
    port: u16,
    key: String,
    secret: String,
}

impl Running {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/s3-server");
        let mut server = Command::new(script);
        server.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = server.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [port, key, secret] = words[..] else { panic!("`.ci/s3-server serve` says {line:?}") };
        Self { port: port.parse().unwrap(), key: key.to_owned(), secret: secret.to_owned(), child }
    }

    fn bucket(&self) -> Bucket {
        Bucket {
            endpoint: Endpoint { host: "127.0.0.1".into(), port: self.port, tls: false, root: None },
            bucket: "rp-test".into(),
            region: "us-east-1".into(),
            key: self.key.as_str().into(),
            secret: Secret::new(self.secret.as_str()),
            prefix: "a/".into(),
            timeout: Duration::from_secs(20),
            lease: Duration::from_secs(60),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn open(bucket: Bucket) -> Storage {
    Storage::open(&Place::S3 { bucket, copy: Copy::Off }).unwrap()
}

/// In one test, since a server takes seconds to start.
#[test]
fn a_bucket_keeps_what_any_storage_does() {
    let running = Running::start();
    keeps(&open(running.bucket()));

    // Names with a star, and prefixes that do not meet.
    let other = open(Bucket { prefix: "b/".into(), ..running.bucket() });
    assert!(wait(other.list("")).unwrap().is_empty());
    wait(other.store("acme/ca/*.a.test/certificate.pem", b"1")).unwrap();
    assert_eq!(wait(other.list("acme/ca/*.a.test")).unwrap(), ["acme/ca/*.a.test/certificate.pem"]);

    // A lock runs out by the server's clock, and who has lost it stores nothing.
    let short = open(Bucket { prefix: "b/".into(), lease: Duration::ZERO, ..running.bucket() });
    let lost = wait(other.lock("x")).unwrap().unwrap();
    assert!(wait(other.lock("x")).unwrap().is_none());
    let taken = short.lock_within("x", Duration::from_secs(10)).unwrap();
    assert!(!wait(other.store_under(&lost, "k", b"2")).unwrap());
    wait(other.release(lost));
    assert!(wait(other.lock("x")).unwrap().is_none(), "nor does it give up what is another's");
    assert!(wait(short.store_under(&taken, "k", b"3")).unwrap());
    assert_eq!(wait(other.load("k")).unwrap().as_deref(), Some(&b"3"[..]));

    // More keys than come in one answer.
    for number in 0..3 {
        wait(other.store(&format!("many/{number}"), b"")).unwrap();
    }
    assert_eq!(wait(other.list("many")).unwrap().len(), 3);

    let forged = open(Bucket { secret: Secret::new("hunter2"), ..running.bucket() });
    let trouble = wait(forged.load("k")).unwrap_err().to_string();
    let place = format!("http://127.0.0.1:{}/rp-test/a/", running.port);
    assert!(trouble.starts_with(&format!("the storage `{place}` refuses (SignatureDoesNotMatch")), "{trouble}");
    let nowhere = open(Bucket { bucket: "rp-nowhere".into(), ..running.bucket() });
    let trouble = wait(nowhere.store("k", b"1")).unwrap_err().to_string();
    assert!(trouble.contains("refuses (NoSuchBucket"), "{trouble}");
}

#[test]
fn elements_of_a_list() {
    let text = "<L><K>a/1</K><N>x</N><K></K><K>b</K><K>half";
    assert_eq!(elements(text, "K").collect::<Vec<_>>(), ["a/1", "", "b"]);
    assert_eq!(elements(text, "Z").next(), None);
}
