//! Whoever runs it: puts configurations in force, good and bad, and changes the certificate.

use std::time::Duration;

use crate::crowd::Crowd;
use crate::harness::Authority;
use crate::stage::{Stage, ask, config};

pub fn join(crowd: &mut Crowd, stage: &Stage) {
    let (file, files) = (stage.proxy.config.clone(), stage.files.clone());
    let socket = files.path().join("admin.sock");
    let pairs: Vec<(String, String)> =
        stage.identities.iter().map(|pair| (pair.certificate.clone(), pair.key.clone())).collect();
    let stranger = Authority::new().issue(&["other.example"]);
    crowd.add("an operator with every kind of change", Duration::from_millis(150), move || {
        let (file, files, socket, pairs, stranger) =
            (file.clone(), files.clone(), socket.clone(), pairs.clone(), stranger.certificate.clone());
        let mut turn = 0;
        move || {
            turn += 1;
            let reloaded = || ask(&socket, "reload")["ok"] == true;
            let (certificate, key) = &pairs[turn % pairs.len()];
            match turn % 6 {
                1 => {
                    std::fs::write(&file, format!("{}\n:0 {{ reverse_porxy x }}\n", config(turn))).unwrap();
                    assert!(!reloaded(), "a bad file is put in force");
                }
                3 => {
                    files.write("site.pem", &stranger);
                    assert!(!reloaded(), "half of a pair is put in force");
                    files.write("site.pem", certificate);
                    files.write("site.key", key);
                    assert!(reloaded(), "a new pair is refused");
                }
                // Nobody says anything: the files are watched.
                5 => drop((files.write("site.pem", certificate), files.write("site.key", key))),
                _ => {
                    std::fs::write(&file, config(turn)).unwrap();
                    assert!(reloaded(), "a good file is refused");
                }
            }
        }
    });
}
