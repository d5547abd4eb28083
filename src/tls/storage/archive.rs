//! All that a storage keeps, as one piece of text: to move to another storage, and to lay aside.
//!
//! JSON, with what is text as text, so that it can be looked into; bytes that are none are in hexadecimal digits.

use serde_json::{Map, Value, json};

use super::{Storage, is_key, wait};
use crate::tls::hex;
use crate::tls::trouble::Trouble;

/// Says what this is.
const FORM: &str = "rp storage 1";

/// What passes between instances, and means nothing later.
const PASSING: [&str; 2] = ["challenges/", "tickets/"];

/// Writes all of it down.
pub fn export(storage: &Storage) -> Result<String, Trouble> {
    let mut kept = Map::new();
    for key in wait(storage.list(""))? {
        if !is_key(&key) || is_passing(&key) {
            continue;
        }
        if let Some(bytes) = wait(storage.load(&key))? {
            let value = match String::from_utf8(bytes) {
                Ok(text) => json!(text),
                Err(error) => json!({ "hex": hex(error.as_bytes()) }),
            };
            kept.insert(key, value);
        }
    }
    Ok(format!("{:#}\n", json!({ "form": FORM, "kept": kept })))
}

/// Puts all of it into a storage, over what is there under the same keys. Gives how many things that are.
pub fn import(storage: &Storage, text: &str) -> Result<usize, Trouble> {
    let kept = read(text).map_err(Trouble::Archive)?;
    for (key, bytes) in &kept {
        wait(storage.store(key, bytes))?;
    }
    wait(storage.set_mark())?;
    Ok(kept.len())
}

/// Nothing is stored unless all of it can be read.
fn read(text: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let archive: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON ({error})"))?;
    if archive["form"] != FORM {
        return Err(format!("it does not begin with `\"form\": \"{FORM}\"`"));
    }
    let kept = archive["kept"].as_object().ok_or("it lacks what is kept")?;
    let entry = |(key, value): (&String, &Value)| {
        if !is_key(key) {
            return Err(format!("`{key}` is no key"));
        }
        let bytes = match value {
            Value::String(text) => Some(text.clone().into_bytes()),
            other => other["hex"].as_str().and_then(bytes),
        };
        bytes.map(|bytes| (key.clone(), bytes)).ok_or_else(|| format!("what is kept under `{key}` cannot be read"))
    };
    kept.iter().map(entry).collect()
}

fn is_passing(key: &str) -> bool {
    PASSING.iter().any(|folder| key.starts_with(folder)) || key == super::MARK || key.starts_with("copies/")
}

/// The reverse of [`hex()`].
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    #[test]
    fn all_of_it_moves() {
        let (from, to) = (Scratch::new(), Scratch::new());
        for (key, bytes) in [("acme/ca/*.a.test/certificate.pem", &b"pem\n"[..]), ("internal/root.key", b"\xff\x00")] {
            wait(from.storage().store(key, bytes)).unwrap();
        }
        from.write("challenges/http-01/x", "{}");
        from.write("tickets/1.key", "00");
        let text = export(&from.storage()).unwrap();
        assert_eq!(import(&to.storage(), &text).unwrap(), 2);
        assert_eq!(export(&to.storage()).unwrap(), text);
        assert_eq!(wait(to.storage().load("internal/root.key")).unwrap().as_deref(), Some(&b"\xff\x00"[..]));
    }

    #[test]
    fn nothing_is_stored_of_what_is_wrong() {
        let to = Scratch::new();
        for (text, why) in [
            ("", "it is not JSON"),
            ("{}", "it does not begin"),
            (r#"{"form":"rp storage 1"}"#, "it lacks"),
            (r#"{"form":"rp storage 1","kept":{"a":"1","../b":"2"}}"#, "`../b` is no key"),
            (r#"{"form":"rp storage 1","kept":{"a":"1","b":{"hex":"0g"}}}"#, "under `b` cannot be read"),
            (r#"{"form":"rp storage 1","kept":{"a":"1","b":{"hex":"012"}}}"#, "under `b` cannot be read"),
        ] {
            let trouble = import(&to.storage(), text).unwrap_err().to_string();
            assert!(trouble.contains(why), "{text}: {trouble}");
            assert!(wait(to.storage().list("")).unwrap().is_empty());
        }
    }
}
